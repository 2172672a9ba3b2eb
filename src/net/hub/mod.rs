//! The private network of a state directory: one process that holds it.
//!
//! The process has a foot in both worlds. On the host it listens where pets are to be found,
//! 127.b.x.y; a thread of it lives in a network of its own, the hub, with a bridge to which each
//! pet is attached as 10.b.x.y, and there it answers DNS at 10.b.0.53 and offers services at
//! 10.b.240.y. It is no child of anybody:
//! a pet's runner starts it if it is missing. Each runner stays connected while its pet lives;
//! when the last one has gone, the process ends. Should it be killed, the runners have the
//! network's namespaces open, and the next process takes them over with every pet attached.

mod names;
mod porter;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use super::address::Block;
use super::netlink::{Netlink, device};
use super::proxy;
use crate::store::{self, Layout, Store};
use crate::sys::{self, Spaces};
use porter::Porter;

/// The word that makes the program hold a network: `petset network <state-dir>`.
pub(crate) const VERB: &str = "network";

/// In the place of a state directory: only find out whether it can be done.
const TRY: &str = "try";

const BRIDGE: &str = "petset";
/// What a pet's own end of the wire is called.
const DEVICE: &str = "eth0";
/// How long it waits for the next pet when none is left.
const LINGER: Duration = Duration::from_millis(300);
const STACK: usize = 128 << 10;

/// What the process says to whoever connects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Greeting {
    pub(crate) pid: u32,
    /// The thread that lives in the network.
    pub(crate) tid: u32,
}

/// What a runner asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wish {
    /// A process in the pet's network.
    pub(crate) init: u32,
    /// The pet's address on the host.
    pub(crate) ip: Ipv4Addr,
    /// The ports at which it is to be found on the host.
    pub(crate) ports: Vec<u16>,
}

/// What the threads tell the one that decides when to end.
enum Turn {
    Came,
    Went,
}

/// Holds the network until nobody needs it.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    sys::close_inherited();
    let taken = left_open();
    match args {
        [word] if word == TRY => finish(try_network()),
        [root] => finish(hold(Path::new(root), taken)),
        _ => ExitCode::from(2),
    }
}

fn finish(outcome: crate::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let words = format!("the network cannot be made: {error:#}\n");
            let _ = io::stdout().write_all(words.as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Tries for real, in a process of its own, whether this machine can have a private network.
pub(crate) fn attempt() -> Result<(), String> {
    let mut command = std::process::Command::new("/proc/self/exe");
    let tried = command.arg0("petset").args([VERB, TRY]).output();
    let tried = tried.map_err(|error| error.to_string())?;
    match tried.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&tried.stdout).trim().to_owned()),
    }
}

fn try_network() -> crate::Result<()> {
    own_user(None)?;
    enter(None)?;
    let netlink = Netlink::open()?;
    netlink.add_bridge(BRIDGE, [0x02, 0x50, 0x45, 0x54, 0, 1])?;
    let own: OwnedFd = File::open("/proc/self/ns/net")?.into();
    netlink.add_pair("p0.0", device(BRIDGE)?, (DEVICE, [0x0a; 6]), own.as_fd())?;
    Ok(())
}

/// The namespaces of a network that is to be taken over.
struct Taken {
    user: Option<OwnedFd>,
    network: OwnedFd,
}

/// Opens the namespaces that a runner holds, which the environment names.
fn left_open() -> Option<Taken> {
    let named = std::env::var("PETSET_NETWORK").ok()?;
    let (user, network) = named.split_once(' ')?;
    let user = File::open(user).ok().map(OwnedFd::from);
    let network = File::open(network).ok()?.into();
    Some(Taken { user, network })
}

fn hold(root: &Path, taken: Option<Taken>) -> crate::Result<()> {
    rustix::process::setsid()?;
    std::env::set_current_dir("/")?;
    let store = Store::open(root)?;
    let layout = store.layout().clone();
    let text = store::read(&layout.block())?.unwrap_or_default();
    let block = text.trim().parse().ok().and_then(Block::new);
    let block = block.ok_or_else(|| io::Error::other("there is no address block"))?;
    own_user(taken.as_ref())?;
    let socket = listen(&layout)?;
    let (ready, is_ready) = channel();
    let porter = Porter::new()?;
    let mut doors = porter.clone();
    let services = layout.clone();
    let network = taken.map(|taken| taken.network);
    spawn("hub", move || {
        let made = enter(network).and_then(|()| make(block, &store));
        let made = made.map(|names| (names, rustix::thread::gettid().as_raw_nonzero().get()));
        match made {
            Ok((names, tid)) => {
                let _ = ready.send(Ok(tid));
                thread::scope(|scope| {
                    scope.spawn(|| names.keep());
                    scope.spawn(|| proxy::serve_inside(services, block));
                    doors.serve();
                });
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    let tid = is_ready.recv().map_err(io::Error::other)??;
    let greeting = Greeting {
        pid: std::process::id(),
        tid: tid.unsigned_abs(),
    };
    let mut out = io::stdout();
    let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    attend(&socket, &greeting, block, &porter);
    Ok(())
}

/// Becomes the owner of networks, which an ordinary user is only in a user namespace.
fn own_user(taken: Option<&Taken>) -> io::Result<()> {
    if let Some(user) = taken.and_then(|taken| taken.user.as_ref()) {
        move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
        return Ok(());
    }
    if !crate::sys::is_ordinary() || taken.is_some() {
        return Ok(());
    }
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    sys::unshare(Spaces::NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1\n"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1\n"))
}

fn listen(layout: &Layout) -> io::Result<UnixListener> {
    store::make_dir(&layout.network())?;
    let pid = format!("{}\n", std::process::id());
    store::replace(&layout.network_pid(), pid.as_bytes(), store::Sync::No)?;
    store::wait_at(&layout.network_socket())
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.stack_size(STACK).spawn(run).map(drop)
}

/// Moves this thread into the network that is there, or into a new one.
fn enter(network: Option<OwnedFd>) -> io::Result<()> {
    match network {
        Some(network) => {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).map_err(Into::into)
        }
        None => sys::unshare(Spaces::NEWNET).map_err(Into::into),
    }
}

/// Makes the bridge and the addresses of the network, as far as they are missing.
fn make(block: Block, store: &Store) -> io::Result<names::Names> {
    let netlink = Netlink::open()?;
    let b = block.number();
    let hardware = [0x02, 0x50, 0x45, 0x54, b, 0x01];
    netlink.set_up(device("lo")?)?;
    there(netlink.add_bridge(BRIDGE, hardware))?;
    let bridge = device(BRIDGE)?;
    for address in [gateway(block), server(block)] {
        there(netlink.add_address(bridge, address))?;
    }
    there(netlink.add_local_network(block.service_network()))?;
    names::Names::serve(store, block, server(block))
}

fn gateway(block: Block) -> Ipv4Addr {
    block.internal(block.reserved(1))
}

fn server(block: Block) -> Ipv4Addr {
    block.internal(block.reserved(53))
}

/// What is there already is as good as made.
fn there(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Serves runners until the last one has gone.
fn attend(socket: &UnixListener, greeting: &Greeting, block: Block, porter: &Porter) {
    let (turns, turn) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in socket.incoming().flatten() {
                let (turns, porter, greeting) = (turns.clone(), porter.clone(), greeting.clone());
                // Counted before it is heard, so that nobody is lost who has just come.
                let _ = turns.send(Turn::Came);
                let _ = spawn("runner", move || {
                    let _ = serve(stream, &greeting, block, &porter);
                    let _ = turns.send(Turn::Went);
                });
            }
        });
        let mut present = 0_u32;
        loop {
            match turn.recv_timeout(if present == 0 { LINGER } else { Duration::MAX }) {
                Ok(Turn::Came) => present += 1,
                Ok(Turn::Went) => present -= 1,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    // Whoever comes now finds nobody, and starts the next one.
                    std::process::exit(0);
                }
            }
        }
    });
}

/// Attaches a pet, and keeps its doors open until its runner goes.
fn serve(
    stream: UnixStream,
    greeting: &Greeting,
    block: Block,
    porter: &Porter,
) -> crate::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut wishes = BufReader::with_capacity(1024, stream);
    writeln!(answers, "{}", serde_json::to_string(greeting)?)?;
    let mut line = String::new();
    wishes.read_line(&mut line)?;
    let wish: Wish = serde_json::from_str(&line)?;
    let tid = greeting.tid;
    // In a thread that goes with its namespaces: this one stays in the host's network.
    let attached = thread::scope(|scope| {
        let thread = scope.spawn(|| attach(&wish, block, tid));
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    });
    let opened = match attached {
        Ok(()) => porter.open(wish.ip, block.internal(wish.ip), &wish.ports),
        Err(error) => {
            writeln!(answers, "cannot attach {}: {error}", wish.ip)?;
            return Ok(());
        }
    };
    writeln!(answers, "ok {}", opened.join(" "))?;
    line.clear();
    let _ = wishes.read_line(&mut line);
    porter.close(wish.ip);
    Ok(())
}

/// Attaches a pet to the bridge. The thread ends up in the pet's network.
fn attach(wish: &Wish, block: Block, tid: u32) -> io::Result<()> {
    let own: OwnedFd = File::open(format!("/proc/self/task/{tid}/ns/net"))?.into();
    let theirs: OwnedFd = File::open(format!("/proc/{}/ns/net", wish.init))?.into();
    let [_, _, x, y] = wish.ip.octets();
    let ip = block.internal(wish.ip);
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(own.as_fd(), kind)?;
    let outer = Netlink::open()?;
    let bridge = device(BRIDGE)?;
    // The address that it had before: its peers remember that for a while after they have spoken.
    let hardware = [0x0a, 0x50, 0x45, block.number(), x, y];
    let (port, device_there) = (format!("p{x}.{y}"), (DEVICE, hardware));
    there(outer.add_pair(&port, bridge, device_there, theirs.as_fd()))?;
    move_into_link_name_space(theirs.as_fd(), kind)?;
    let inner = Netlink::open()?;
    inner.set_up(device("lo")?)?;
    let eth = device(DEVICE)?;
    there(inner.add_address(eth, ip))?;
    inner.set_up(eth)?;
    there(inner.add_default_route(gateway(block)))
}
