//! `petset discover`

mod hooks;
mod peer_finder;
mod shape;

use std::time::{Duration, Instant};

use clap::Args as ClapArgs;

use super::shared::names::{SetRef, named};
use super::shared::peers::{self, Caller, Peer, PeerGroup, PeerWatcher, Peers};
use super::shared::render;
use super::shared::session::{Session, say};
use crate::model::ObjectName;
use crate::model::parse_duration;
use crate::problem::{Kind, Problem, Result};
use hooks::{Hooks, OwnAddress};
pub(crate) use peer_finder::run as run_peer_finder;
use shape::Shape;

const EXAMPLES: &str = "\
Peers are printed by their full DNS names, such as web-0.web.default.svc.cluster.local. If the set
has no serviceName, its pets have no DNS names and are printed by their addresses. A terminating
pet does not count as ready. If the service publishes pets that are not ready
(publishNotReadyAddresses), they are listed too, as in DNS; --ready-only leaves them out.

Placeholders of --format: {name} {fqdn} {ip} {ordinal} {ready} {status} {namespace}, {port} for the
port of --port, {port:NAME} for any other; {{ and }} stand for { and }; \\n and \\t as usual.

Hooks are run as by peer-finder: with `sh -c`, and the sorted names on standard input, one per line.
A hook is run when the names have changed, and only if the own name is among them: --on-start the
first time, --on-change afterwards. With --on-start alone the program exits after it. If a hook
fails, the program exits. In the environment of a hook, HOST_ADDRESS and POD_IP are its own name and
address, and HOST_ADDRESS_TYPE and POD_IP_TYPE are DNS or IPv4.

Examples:
  petset discover web                          names of the ready pets of web
  petset discover --all --exclude-self         in a pet: all other pets, ready or not
  petset discover etcd --port client --join ,  one line: etcd-0.etcd...:2379,etcd-1.etcd...:2379
  petset discover web --min 3 --timeout 30s    wait until three are ready
  petset discover --on-start ./init.sh --on-change ./reconfigure.sh";

/// Print the names of the ready peers, one per line
///
/// Inside of a pet, the default is its own set. The command reads the files of the pets, without a
/// lock and without the supervisor, so it works while `create` is still waiting.
#[derive(Debug, ClapArgs)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Set whose pets are listed, such as web or sts/web
    #[arg(conflicts_with = "service")]
    set: Option<SetRef>,
    /// Name of the set, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    set_name: Option<SetRef>,
    /// Service whose endpoints are listed, instead of a set
    #[arg(long, value_name = "SERVICE")]
    service: Option<ObjectName>,
    /// Also list pets that are not ready, and those that do not exist yet
    #[arg(long)]
    all: bool,
    /// List only ready pets, even if the service publishes others
    #[arg(long, conflicts_with = "all")]
    ready_only: bool,
    /// Do not list the pet that runs this command
    #[arg(long)]
    exclude_self: bool,
    #[command(flatten)]
    shape: Shape,
    /// Wait until there are at least N peers
    #[arg(long, value_name = "N")]
    min: Option<usize>,
    /// How long to wait for --min; the exit code is 124 after that
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10m",
        requires = "min",
        value_parser = parse_duration
    )]
    timeout: Duration,
    /// Print the list again whenever it changes, each followed by an empty line
    #[arg(long, conflicts_with = "min")]
    watch: bool,
    #[command(flatten)]
    hooks: HookArgs,
}

/// The commands to run when the peers change.
#[derive(Debug, ClapArgs)]
struct HookArgs {
    /// Shell command to run with the first list on standard input
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["watch", "min", "exclude_self"])]
    on_start: Option<String>,
    /// Shell command to run with each further list on standard input
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["watch", "min", "exclude_self"])]
    on_change: Option<String>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let query = Query::new(session, args)?;
    if let Some(hooks) = Hooks::new(args.hooks.on_start.clone(), args.hooks.on_change.clone()) {
        return query.call(hooks);
    }
    if args.watch {
        return query.watch();
    }
    match args.min {
        Some(min) => query.wait(min),
        None => query.answer(),
    }
}

/// The query of one command.
struct Query<'a> {
    session: &'a Session,
    args: &'a Args,
    group: PeerGroup,
    own: Option<Caller>,
}

impl<'a> Query<'a> {
    fn new(session: &'a Session, args: &'a Args) -> Result<Self> {
        let own = Caller::from_environment();
        if args.exclude_self && own.is_none() {
            let message = "--exclude-self leaves out the pet that asks, and this is not inside one";
            let hint = "POD_NAME names the pet; petset sets it for everything that a pet runs";
            return Err(Problem::invalid(message).hint(hint).into());
        }
        let group = match (
            named(args.set.as_ref(), args.set_name.as_ref())?,
            &args.service,
        ) {
            (Some(set), _) => PeerGroup::Set(set.clone()),
            (None, Some(service)) => PeerGroup::Service(service.clone()),
            (None, None) => PeerGroup::Set(own_set(own.as_ref())?),
        };
        Ok(Self {
            session,
            args,
            group,
            own,
        })
    }

    fn answer(&self) -> Result<()> {
        let found = peers::find(self.session, &self.group)?;
        self.mention_service(&found);
        self.print(&self.chosen(&found))
    }

    /// Prints the list whenever it changes.
    fn watch(&self) -> Result<()> {
        let first = peers::find(self.session, &self.group)?;
        self.mention_service(&first);
        let mut watcher = PeerWatcher::new(self.session, self.group.clone())?;
        let mut before = None;
        loop {
            let found = watcher.look()?;
            let text = self.write(&self.chosen(&found))?;
            if before.as_ref() != Some(&text) {
                render::text(&format!("{text}\n"))?;
                before = Some(text);
            }
            watcher.wait(None)?;
        }
    }

    /// Prints the list as soon as it holds at least `min` peers.
    fn wait(&self, min: usize) -> Result<()> {
        let deadline = Instant::now() + self.args.timeout;
        let first = peers::find(self.session, &self.group)?;
        self.mention_service(&first);
        let chosen = self.chosen(&first);
        if chosen.len() >= min {
            return self.print(&chosen);
        }
        let mut watcher = PeerWatcher::new(self.session, self.group.clone())?;
        loop {
            let found = watcher.look()?;
            let chosen = self.chosen(&found);
            if chosen.len() >= min {
                return self.print(&chosen);
            }
            if Instant::now() >= deadline {
                return Err(self.timed_out(min, &found).into());
            }
            watcher.wait(Some(deadline))?;
        }
    }

    /// Runs the hooks, and returns after the last one.
    fn call(&self, mut hooks: Hooks) -> Result<()> {
        let Some(own) = &self.own else {
            let message = "a hook is called once the own name is listed, and this is not inside a \
                           pet";
            let hint = "POD_NAME names the pet; petset sets it for everything that a pet runs";
            return Err(Problem::invalid(message).hint(hint).into());
        };
        let first = peers::find(self.session, &self.group)?;
        self.mention_service(&first);
        let mut watcher = PeerWatcher::new(self.session, self.group.clone())?;
        loop {
            let found = watcher.look()?;
            let chosen = self.chosen(&found);
            let namespace = &self.session.namespace;
            let listed = chosen.iter().find(|peer| own.is(peer, namespace));
            if let Some(own) = listed {
                let (listed, ip) = (own.host(), own.ip);
                let names = chosen.iter().map(|peer| peer.host()).collect();
                if hooks.take(names, &OwnAddress { listed, ip })?.is_break() {
                    return Ok(());
                }
            }
            watcher.wait(None)?;
        }
    }

    /// Returns the peers that the options select.
    fn chosen<'p>(&self, peers: &'p Peers) -> Vec<&'p Peer> {
        let wanted = |peer: &&Peer| {
            if self.args.ready_only {
                peer.ready
            } else {
                peer.published || self.args.all
            }
        };
        let namespace = &self.session.namespace;
        let is_own = |peer: &Peer| {
            let own = self.own.as_ref();
            own.is_some_and(|own| own.is(peer, namespace))
        };
        let other = |peer: &&Peer| !self.args.exclude_self || !is_own(peer);
        peers.all.iter().filter(wanted).filter(other).collect()
    }

    fn write(&self, peers: &[&Peer]) -> Result<String> {
        self.args
            .shape
            .write(peers, self.session.namespace.as_str())
    }

    fn print(&self, peers: &[&Peer]) -> Result<()> {
        render::text(&self.write(peers)?)
    }

    fn mention_service(&self, peers: &Peers) {
        if let Some(service) = &peers.missing_service {
            let namespace = &self.session.namespace;
            say(format!(
                "note: service {service} does not exist in namespace {namespace}, so these names \
                 do not resolve"
            ));
        }
    }

    fn timed_out(&self, min: usize, peers: &Peers) -> Problem {
        let count = self.chosen(peers).len();
        let what = match &self.group {
            PeerGroup::Set(set) => set.to_string(),
            PeerGroup::Service(service) => format!("service {service}"),
        };
        let missing = peers.all.iter().filter(|peer| !peer.published);
        let missing: Vec<String> = missing.map(why_missing).collect();
        let seconds = self.args.timeout.as_secs_f64();
        let mut message = format!("{count} of {min} peers of {what} after {seconds}s");
        if !missing.is_empty() {
            message.push_str(&format!("; missing: {}", missing.join(", ")));
        }
        let hint = format!(
            "see how far they are with `petset get pets -n {}`",
            self.session.namespace
        );
        Problem::new(Kind::TimedOut, message).hint(hint)
    }
}

fn why_missing(peer: &Peer) -> String {
    let name = &peer.name;
    match peer.status.as_str() {
        "" => format!("{name} (does not exist)"),
        "Running" => format!("{name} (running, not ready)"),
        status => format!("{name} ({status})"),
    }
}

fn own_set(own: Option<&Caller>) -> Result<crate::model::SetName> {
    let set = own.and_then(|own| own.set.clone());
    set.ok_or_else(|| {
        let message = "no set is named, and this is not inside a pet, which would have its own";
        let hint = "name one, such as `petset discover web`, or a service with --service web";
        Problem::invalid(message).hint(hint).into()
    })
}
