//! `petset dns serve`

use std::net::SocketAddr;
use std::sync::{Arc, RwLock};

use anyhow::Context;
use clap::Args as ClapArgs;

use super::{records, zone};
use crate::cli::shared::session::{Session, say};
use crate::dns::{Server, Zone, ZoneFollower, upstreams};
use crate::problem::{Kind, Problem, Result};
use crate::store;

const EXAMPLES: &str = "\
While a pet runs, the supervisor serves the same names at 127.b.0.53 port 5353, or at the address of
dns-listen in petset.toml; see `petset dns setup`.

Examples:
  petset dns serve --listen 127.0.0.1:5354
  dig @127.0.0.1 -p 5354 web-0.web.default.svc.cluster.local";

/// Run a DNS server for the state directory, in the foreground
///
/// The records are updated when pets start, stop and become ready. The server listens on loopback
/// addresses only: petset opens no port to the network.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Loopback address and port to listen on, for UDP and TCP; port 0 is any free port
    #[arg(long, value_name = "ADDRESS", required = true)]
    listen: Vec<SocketAddr>,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<()> {
    for listen in &args.listen {
        refuse_the_world(*listen)?;
    }
    let zone = zone::empty(session).with_servers(args.listen.iter().map(SocketAddr::ip));
    let zone = Arc::new(RwLock::new(zone));
    let mut follower = follow(session, &zone)?;
    catch_up(session, &mut follower)?;
    let upstreams = upstreams(session.store.settings(), &args.listen);
    let server = Server::start(&args.listen, zone, &upstreams)
        .with_context(|| format!("cannot listen on {}", listed(&args.listen)))?;
    say(format!(
        "Answering DNS questions on {}.",
        listed(server.addresses())
    ));
    loop {
        follower.wait().context("cannot wait")?;
        catch_up(session, &mut follower)?;
    }
}

fn follow(session: &Session, zone: &Arc<RwLock<Zone>>) -> Result<ZoneFollower> {
    let layout = session.store.layout();
    let seen = layout.seen();
    store::make_dir(&seen)
        .and_then(|()| ZoneFollower::new(layout.clone(), Arc::clone(zone)))
        .with_context(|| format!("cannot watch {}", seen.display()))
}

/// Takes in the records that have changed. A service whose record cannot be read stays as it was.
fn catch_up(session: &Session, follower: &mut ZoneFollower) -> Result<()> {
    let caught_up = follower.catch_up(|service| {
        let read = records::of_service(session, &service.namespace, service.name.as_str());
        read.inspect_err(|error| say(format!("note: {service} stays as it was: {error:#}")))
    });
    caught_up.context("cannot list the namespaces")
}

fn refuse_the_world(listen: SocketAddr) -> Result<(), Problem> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    let message =
        format!("{listen} is not a loopback address, and petset opens no port to the network");
    Err(Problem::new(Kind::Invalid, message).hint("listen on 127.0.0.1:5354, for example"))
}

fn listed(addresses: &[SocketAddr]) -> String {
    let words: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
    words.join(", ")
}
