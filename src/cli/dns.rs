//! `petset dns`

mod query;
mod records;
mod serve;
mod setup;
pub(super) mod wire;

use std::net::SocketAddr;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::shared::names::SetRef;
use super::shared::render;
use super::shared::session::Session;
use crate::dns::{DnsRecord, RecordData, TABLE_HEAD, Zone, hosts, rows, zone_file};
use crate::model::address::Block;
use crate::model::endpoints::ServiceRecord;
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Layout, Settings};

/// The port of the supervisor's DNS server, where the settings name no other.
const PORT: u16 = 5353;

const EXAMPLES: &str = "\
A set that is called query, serve, setup or hosts is written sts/query.

Examples:
  petset dns                                every record of the state directory
  petset dns web                            the records of one set
  petset dns query web-0.web                one name, as a pet in this namespace would ask for it
  petset dns query _http._tcp.web SRV       ports and names of the ready pets
  petset dns web -o hosts | sudo tee -a /etc/hosts";

/// Show the names that pets and services have
///
/// The records come from the files of the state directory, with the readiness of each pet as it
/// is now, so that the answer needs nobody: no supervisor and no DNS server.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArgs,
}

/// Which records are shown, and how.
#[derive(Debug, ClapArgs)]
struct ListArgs {
    /// Set whose records are shown; without it, those of every set and service
    set: Option<SetRef>,
    /// How to print the records
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
}

/// The forms that `-o` offers for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// The table, reverse names included
    Wide,
    /// A list of {"name", "type", "ttl", "value"}
    Json,
    /// A zone file
    Zone,
    /// Lines for /etc/hosts
    Hosts,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Query(query::Args),
    Serve(serve::Args),
    Setup(setup::Args),
    Hosts(HostsArgs),
}

/// Print lines for /etc/hosts
///
/// Each line is an address, a full name, and the shorter names that mean nothing else. It holds
/// the pets that are ready now: print it again when they change.
#[derive(Debug, ClapArgs)]
struct HostsArgs {
    /// Set whose names are printed; without it, those of every set and service
    set: Option<SetRef>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.verb {
        None => list(session, args.list.set.as_ref(), args.list.output),
        Some(Verb::Query(args)) => query::run(session, args),
        Some(Verb::Serve(args)) => serve::run(session, args),
        Some(Verb::Setup(args)) => setup::run(session, args),
        Some(Verb::Hosts(args)) => list(session, args.set.as_ref(), Some(Form::Hosts)),
    }
}

fn list(session: &Session, set: Option<&SetRef>, form: Option<Form>) -> Result<()> {
    let services = match set {
        Some(SetRef(set)) => records::of_set(session, set)?,
        None => records::all(session)?,
    };
    if form == Some(Form::Hosts) {
        let domain = &session.store.settings().cluster_domain;
        return render::text(&hosts(&services, domain));
    }
    let zone = zone_of(session, services);
    let mut found = zone.records();
    if set.is_some() {
        found.retain(|record| !is_of_the_zone(&zone, record));
    }
    match form {
        Some(Form::Json) => render::json(&found),
        Some(Form::Zone | Form::Hosts) => render::text(&zone_file(zone.domain(), &found)),
        Some(Form::Wide) => table(&found),
        None => {
            found.retain(|record| !matches!(record.value, RecordData::Ptr(_)));
            table(&found)
        }
    }
}

fn table(found: &[DnsRecord]) -> Result<()> {
    let cells: Vec<Vec<String>> = rows(found).into_iter().map(Vec::from).collect();
    render::table(&TABLE_HEAD, &cells)
}

/// Tells whether a record is about the zone itself and not about a set.
fn is_of_the_zone(zone: &Zone, record: &DnsRecord) -> bool {
    let below = record.name.strip_suffix(zone.domain());
    below.is_some_and(|below| matches!(below, "" | "ns.dns." | "dns-version."))
}

/// Makes the zone that the supervisor would serve.
fn zone_of(session: &Session, services: Vec<ServiceRecord>) -> Zone {
    let zone = Zone::unloaded(&session.store.settings().cluster_domain);
    let mut zone = reversed(session, zone);
    zone.load(services);
    zone
}

/// Adds what the state directory's block of addresses says: reverse zones, and the server.
fn reversed(session: &Session, zone: Zone) -> Zone {
    let zone = match block_of(session) {
        None => zone,
        Some(block) => block
            .reverse_zones()
            .iter()
            .fold(zone, |zone, reverse| zone.with_reverse_zone(reverse)),
    };
    zone.with_servers(listening_at(session).map(|listen| listen.ip()))
}

/// Returns the block of addresses that the state directory has, if it has one yet.
fn block_of(session: &Session) -> Option<Block> {
    known_block(session.store.layout(), session.store.settings())
}

/// Returns the block of addresses that a state directory has, if it has one yet.
pub(super) fn known_block(layout: &Layout, settings: &Settings) -> Option<Block> {
    let text = store::read(&layout.block()).ok().flatten();
    let written = text.and_then(|text| text.trim().parse().ok());
    written.or(settings.address_block).and_then(Block::new)
}

/// Returns where the supervisor's DNS server listens while it runs.
fn listening_at(session: &Session) -> Option<SocketAddr> {
    known_server(session.store.layout(), session.store.settings())
}

/// Returns where the DNS server of a state directory listens while its supervisor runs.
pub(super) fn known_server(layout: &Layout, settings: &Settings) -> Option<SocketAddr> {
    let own = |block: Block| SocketAddr::from((block.reserved(53), PORT));
    let listen = settings.dns_listen;
    listen.or_else(|| known_block(layout, settings).map(own))
}

fn no_server() -> Problem {
    let message = "no DNS server is known: no pet of this state directory ever ran";
    Problem::new(Kind::NotFound, message)
        .hint("create a set first, or name a server with --server 127.0.0.1:5353")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zones_own_records_are_no_sets() {
        let zone = Zone::new("cluster.local", []);
        assert!(
            zone.records()
                .iter()
                .all(|record| is_of_the_zone(&zone, record))
        );
        let record = DnsRecord {
            name: "web.default.svc.cluster.local".to_owned(),
            ttl: 5,
            value: RecordData::address([127, 7, 1, 1].into()),
        };
        assert!(!is_of_the_zone(&zone, &record));
    }
}
