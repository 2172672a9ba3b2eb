//! The network process: it makes the private network, or takes it over, and keeps it until no
//! pet is attached.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::channel;

use super::attached::Attached;
use super::bridge::Bridge;
use super::door::Door;
use super::egress::EgressRelay;
use super::names::NetworkNames;
use super::namespace::{PrivateNetwork, TakenOver, enter_network, enter_user};
use super::ports::PortForwarder;
use super::runners::{AttachContext, serve, spawn};
use super::trial::Trial;
use crate::model::address::Block;
use crate::problem::{Kind, Problem, Result};
use crate::proxy;
use crate::relay::{self, Shares};
use crate::role::{self, Role};
use crate::store::network::Greeting;
use crate::store::{self, Layout, Store};

/// A process may be allowed more descriptors than the machine has memory for.
const MOST_DESCRIPTORS: usize = 100_000;
/// What a pet's events say when it holds as much as it may.
const REFUSED: &str = "it has more open connections than its share of what the network can \
    forward: more are refused until some end";

/// Holds the network of a state directory until no pet is attached, or tries to make one.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    let [word] = args else {
        return ExitCode::from(2);
    };
    let outcome = match Trial::of(word) {
        Some(trial) => trial.run(),
        None => hold(Path::new(word)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let words = format!("the network cannot be made: {error:#}\n");
            let _ = io::stdout().write_all(words.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Returns whether this machine can have a private network, or why not: one is made, in a process
/// of its own.
pub(crate) fn attempt() -> Result<(), Problem> {
    attempt_as(Trial::Network)
}

/// Returns whether the pets of a private network can have egress here, or why not.
pub(crate) fn attempt_egress() -> Result<(), Problem> {
    attempt_as(Trial::Egress)
}

fn attempt_as(trial: Trial) -> Result<(), Problem> {
    let tried = Role::Network.command().arg(trial.argument()).output();
    let tried = tried.map_err(|error| Problem::new(Kind::Failed, error.to_string()))?;
    let said = String::from_utf8_lossy(&tried.stdout);
    match tried.status.success() {
        true => Ok(()),
        false => Err(Problem::new(Kind::Failed, said.trim())),
    }
}

fn hold(root: &Path) -> Result<()> {
    role::leave_caller()?;
    let taken = TakenOver::open();
    let store = Store::open(root)?;
    store.expect_own()?;
    let layout = store.layout().clone();
    store::make_nothing_after_removal(&layout);
    let block = block_of(&layout)?;
    let descriptors = relay::raise_file_limit();
    enter_user(taken.as_ref())?;
    let door = Door::open(&layout)?;
    let names = NetworkNames::read(&store, block)?;
    let attached = Arc::new(Attached::new()?);
    let shares = shares_of(descriptors, &attached);
    let (ports, forwarder) = PortForwarder::new(Arc::clone(&shares))?;
    let proxy = {
        let shares = Arc::clone(&shares);
        move || proxy::serve_inside(layout, block, shares)
    };
    let network = live_inside(taken, block, proxy, forwarder)?;
    let _server = names.serve(network.dns, store.settings(), &attached)?;
    spawn("names", || names.follow())?;
    let closed = match network.tproxy {
        Ok(sockets) => {
            let egress = EgressRelay::new(sockets, Arc::clone(&attached), shares, block)?;
            spawn("egress", || drop(relay::run(egress)))?;
            None
        }
        Err(error) => Some(error.to_string()),
    };
    let tid = network.tid.unsigned_abs();
    let pid = std::process::id();
    say_ready()?;
    serve(
        door,
        &AttachContext {
            greeting: Greeting { pid, tid },
            ports,
            attached,
            bridge: Bridge {
                block,
                tid,
                pins: network.pins,
            },
            closed,
        },
    );
    Ok(())
}

/// Shares out most of the descriptors that this process may have: attaching pets takes some too.
fn shares_of(descriptors: usize, attached: &Arc<Attached>) -> Arc<Shares> {
    let attached = Arc::clone(attached);
    Shares::new(descriptors.min(MOST_DESCRIPTORS) / 4 * 3, move |pet| {
        attached.tell_once(pet, REFUSED);
    })
}

fn block_of(layout: &Layout) -> io::Result<Block> {
    store::block_of(layout)?.ok_or_else(|| io::Error::other("there is no address block"))
}

/// Starts the thread that lives in the private network: it forwards ports, and has one beside it
/// that is the proxy.
fn live_inside(
    taken: Option<TakenOver>,
    block: Block,
    proxy: impl FnOnce() + Send + 'static,
    forwarder: PortForwarder,
) -> io::Result<PrivateNetwork> {
    let (ready, is_ready) = channel();
    let network = taken.map(|taken| taken.network);
    spawn("inside", move || {
        let made = enter_network(network).and_then(|()| PrivateNetwork::make(block));
        let is_made = made.is_ok();
        let _ = ready.send(made);
        if is_made {
            let _end = EndsProcess;
            let _ = spawn("proxy", proxy).and_then(|()| relay::run(forwarder));
        }
    })?;
    is_ready.recv().map_err(io::Error::other)?
}

/// Ends the process when it is dropped: without the thread that holds it the network is of no use,
/// and a runner starts the next process.
struct EndsProcess;

impl Drop for EndsProcess {
    fn drop(&mut self) {
        std::process::exit(1);
    }
}

/// Tells the runner that has started this process, which reads until the end.
fn say_ready() -> io::Result<()> {
    let mut out = io::stdout();
    let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null).map_err(Into::into)
}
