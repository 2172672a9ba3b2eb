//! `petset dns query`

use std::net::SocketAddr;

use clap::Args as ClapArgs;

use super::{records, zone};
use crate::cli::shared::dns_query;
use crate::cli::shared::dns_server::no_server;
use crate::cli::shared::render;
use crate::cli::shared::session::{Session, say};
use crate::dns::{Lookup, RecordType, lookup, questions, search_path, short};
use crate::problem::{Kind, Problem, Result};

const EXAMPLES: &str = "\
The answer is as short as that of `dig +short`: one value per line. The exit code is 3 if the name
does not exist. If it has no record of that type, the command prints only a note.

Examples:
  petset dns query web-0.web
  petset dns query web SRV
  petset dns query 127.84.1.1
  petset dns query web-0.web --server    ask the running DNS server instead of the files";

/// Look up a DNS name, as a pet in this namespace would
///
/// A name with fewer than five dots is tried in <namespace>.svc.cluster.local, svc.cluster.local
/// and cluster.local first, unless it ends with a dot. For an address, the name is looked up.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Name or address to look up, such as web-0.web
    name: String,
    /// Type of record: A, AAAA, SRV, PTR, CNAME, TXT, NS, SOA or ANY
    #[arg(value_name = "TYPE", default_value = "A")]
    kind: RecordType,
    /// Ask a DNS server instead of the files; the default ADDRESS is that of the supervisor
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1)]
    server: Option<Option<SocketAddr>>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<()> {
    let domain = &session.store.settings().cluster_domain;
    let search = search_path(session.namespace.as_str(), domain);
    let found = match args.server {
        None => lookup(&args.name, args.kind, domain, &search, |need| {
            records::needed(session, need)
        })?,
        Some(server) => {
            let server = server
                .or_else(|| zone::server(session))
                .ok_or_else(no_server)?;
            ask(server, args, &search)?
        }
    };
    answer(&args.name, args.kind, &found)
}

fn ask(server: SocketAddr, args: &Args, search: &[String]) -> Result<Lookup> {
    let mut best = Lookup::NxDomain;
    for question in questions(&args.name, args.kind, search) {
        match dns_query::ask(server, &question)? {
            found @ Lookup::Found(_) => return Ok(found),
            Lookup::NoData => best = Lookup::NoData,
            Lookup::NxDomain => {}
        }
    }
    Ok(best)
}

fn answer(name: &str, kind: RecordType, found: &Lookup) -> Result<()> {
    match found {
        Lookup::Found(found) => {
            let lines = short(found).into_iter().map(|line| format!("{line}\n"));
            render::text(&lines.collect::<String>())
        }
        Lookup::NoData => {
            say(format!("note: {name} exists, but has no {kind} record"));
            Ok(())
        }
        Lookup::NxDomain => {
            let message = format!("{name} does not exist (NXDOMAIN)");
            let hint = "see which names exist with `petset dns`; a pet has one while it is ready";
            Err(Problem::new(Kind::NotFound, message).hint(hint).into())
        }
    }
}
