//! `petset dns serve`

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use clap::Args as ClapArgs;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::{records, zone};
use crate::cli::shared::session::{Session, say};
use crate::dns::{Server, Zone, upstreams};
use crate::model::Namespace;
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Noticed, Watch};

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
    let mut follower = ZoneFollower::new(session, Arc::new(RwLock::new(zone)))?;
    follower.read_everything()?;
    let upstreams = upstreams(session.store.settings(), &args.listen);
    let server = Server::start(&args.listen, Arc::clone(&follower.zone), &upstreams)
        .with_context(|| format!("cannot listen on {}", listed(&args.listen)))?;
    say(format!(
        "Answering DNS questions on {}.",
        listed(server.addresses())
    ));
    loop {
        follower.wait()?;
        follower.catch_up()?;
    }
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

/// A watched directory: that of all namespaces, of one, or of its service records.
#[derive(Debug, Clone, PartialEq, Eq)]
enum WatchedDir {
    Namespaces,
    Namespace(Namespace),
    Services(Namespace),
}

/// Keeps a zone up to date with the files of the state directory.
struct ZoneFollower<'a> {
    session: &'a Session,
    zone: Arc<RwLock<Zone>>,
    watch: Watch<WatchedDir>,
}

impl<'a> ZoneFollower<'a> {
    fn new(session: &'a Session, zone: Arc<RwLock<Zone>>) -> Result<Self> {
        let mut watch = Watch::new().context("cannot watch the state directory")?;
        let seen = session.store.layout().seen();
        store::make_dir(&seen)
            .and_then(|()| watch.add(&seen, WatchedDir::Namespaces))
            .with_context(|| format!("cannot watch {}", seen.display()))?;
        Ok(Self {
            session,
            zone,
            watch,
        })
    }

    fn wait(&self) -> Result<()> {
        let watched = self.watch.as_fd();
        match poll(&mut [PollFd::new(&watched, PollFlags::IN)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait"),
        }
    }

    /// Reads the files that have changed.
    fn catch_up(&mut self) -> Result<()> {
        for noticed in self.watch.noticed()? {
            match noticed {
                Noticed::Everything => self.read_everything()?,
                Noticed::Entry(WatchedDir::Namespaces, name) => {
                    if let Ok(namespace) = name.parse() {
                        self.read_namespace(&namespace);
                    }
                }
                Noticed::Entry(WatchedDir::Namespace(namespace), _) => {
                    self.read_namespace(&namespace);
                }
                Noticed::Entry(WatchedDir::Services(namespace), file) => {
                    if let Some(name) = file.strip_suffix(".json") {
                        self.read_service(&namespace, name);
                    }
                }
            }
        }
        Ok(())
    }

    fn read_everything(&mut self) -> Result<()> {
        let seen = self.session.store.layout().seen();
        for name in store::names_in(&seen).context("cannot list the namespaces")? {
            if let Ok(namespace) = name.parse() {
                self.read_namespace(&namespace);
            }
        }
        let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
        zone.load([]);
        Ok(())
    }

    /// Watches a namespace and reads its services; a namespace without a directory is skipped.
    fn read_namespace(&mut self, namespace: &Namespace) {
        let endpoints = self.session.store.layout().endpoints(namespace);
        let above = endpoints.parent().unwrap_or(&endpoints);
        let dir = WatchedDir::Namespace(namespace.clone());
        if self.watch.add(above, dir).is_err() {
            return;
        }
        let dir = WatchedDir::Services(namespace.clone());
        // Read once, when it is first seen; later changes are noticed file by file.
        if self.watch.add_new(&endpoints, dir).unwrap_or(false) {
            for file in store::names_in(&endpoints).unwrap_or_default() {
                if let Some(name) = file.strip_suffix(".json") {
                    self.read_service(namespace, name);
                }
            }
        }
    }

    fn read_service(&self, namespace: &Namespace, name: &str) {
        let found = records::of_service(self.session, namespace, name);
        let mut zone = self.zone.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(Some(record)) => drop(zone.replace(record)),
            Ok(None) => drop(zone.remove(namespace.as_str(), name)),
            Err(error) => say(format!(
                "note: {namespace}/{name} stays as it was: {error:#}"
            )),
        }
    }
}
