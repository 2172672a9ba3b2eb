//! The private network of a state directory: one process that holds it.
//!
//! The process has a foot in both worlds. On the host it listens where pets are to be found,
//! 127.b.x.y; a thread of it lives in a network of its own, the hub, with a bridge to which each
//! pet is attached as 10.b.x.y, and there it answers DNS at 10.b.0.53 and offers services at
//! 10.b.240.y. It is no child of anybody:
//! a pet's runner starts it if it is missing. Each runner stays connected while its pet lives;
//! when the last one has gone, the process ends. Should it be killed, the runners have the
//! network's namespaces open, and the next process takes them over with every pet attached.

mod egress;
mod guests;
mod names;
mod netfilter;
mod netlink;
mod porter;
mod sessions;
mod tcp;
mod turns;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde::{Deserialize, Serialize};

use crate::dns::Sockets;
use crate::model::address::Block;
use crate::network::netlink::{Netlink, device, there};
use crate::proxy;
use crate::role::{self, Role};
use crate::store::{self, Layout, Store};
use crate::sys::{self, Spaces};
use egress::{Egress, Gate};
use guests::Guests;
use porter::{Porter, Ports};

/// In the place of a state directory: only find out whether it can be done.
const TRY: &str = "try";
const TRY_EGRESS: &str = "try-egress";

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
    /// The ports at which it is to be found on the host, for connections and for datagrams.
    pub(crate) ports: Vec<u16>,
    #[serde(default)]
    pub(crate) udp: Vec<u16>,
    /// Whether the world is open to it.
    pub(crate) egress: bool,
}

/// What a runner is told about a pet that is attached.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notes {
    /// Ports that the host finds elsewhere: `80=10080`.
    moved: Vec<String>,
    /// Ports that the host does not find, and why.
    missing: Vec<String>,
    /// Why the world is not open to it although it was to be.
    closed: Option<String>,
}

/// What the threads tell the one that decides when to end.
enum Turn {
    Came,
    Went,
}

/// Holds the network until nobody needs it.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    match args {
        [word] if word == TRY => finish(try_network()),
        [word] if word == TRY_EGRESS => finish(try_egress()),
        [root] => finish(hold(Path::new(root))),
        _ => ExitCode::from(2),
    }
}

fn finish(outcome: crate::problem::Result<()>) -> ExitCode {
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
    attempt_as(TRY)
}

fn attempt_as(word: &str) -> Result<(), String> {
    let tried = Role::Network.command().arg(word).output();
    let tried = tried.map_err(|error| error.to_string())?;
    match tried.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&tried.stdout).trim().to_owned()),
    }
}

fn try_network() -> crate::problem::Result<()> {
    own_user(None)?;
    enter(None)?;
    let netlink = Netlink::open()?;
    netlink.add_bridge(BRIDGE, [0x02, 0x50, 0x45, 0x54, 0, 1])?;
    let own: OwnedFd = File::open("/proc/self/ns/net")?.into();
    netlink.add_pair("p0.0", device(BRIDGE)?, (DEVICE, [0x0a; 6]), own.as_fd())?;
    Ok(())
}

/// Tries for real, in a process of its own, whether the world can be opened to a network.
pub(crate) fn attempt_egress() -> Result<(), String> {
    attempt_as(TRY_EGRESS)
}

fn try_egress() -> crate::problem::Result<()> {
    own_user(None)?;
    enter(None)?;
    let block = Block::new(1).ok_or_else(|| io::Error::other("there is no address block"))?;
    Inside::make(block)?.gate?;
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

fn hold(root: &Path) -> crate::problem::Result<()> {
    role::leave_caller()?;
    let taken = left_open();
    let store = Store::open(root)?;
    let layout = store.layout().clone();
    let text = store::read(&layout.block())?.unwrap_or_default();
    let block = text.trim().parse().ok().and_then(Block::new);
    let block = block.ok_or_else(|| io::Error::other("there is no address block"))?;
    let _ = raise_limit();
    own_user(taken.as_ref())?;
    let socket = listen(&layout)?;
    let names = names::Names::read(&store, block, server(block))?;
    let guests = Arc::new(Guests::new()?);
    let (porter, stand) = Porter::new()?;
    let (ready, is_ready) = channel();
    let services = layout.clone();
    let network = taken.map(|taken| taken.network);
    spawn("hub", move || {
        let made = enter(network).and_then(|()| Inside::make(block));
        let is_made = made.is_ok();
        let _ = ready.send(made);
        if is_made {
            thread::scope(|scope| {
                scope.spawn(|| proxy::serve_inside(services, block));
                let _ = turns::keep(stand);
            });
        }
    })?;
    let inside = is_ready.recv().map_err(io::Error::other)??;
    let tid = inside.tid;
    let _server = names.serve(inside.sockets, store.settings(), &guests)?;
    spawn("names", || names.keep())?;
    let closed = match inside.gate {
        Ok(gate) => {
            let egress = Egress::new(gate, Arc::clone(&guests), block)?;
            spawn("egress", || drop(turns::keep(egress)))?;
            None
        }
        Err(error) => Some(error.to_string()),
    };
    let host = Host {
        block,
        porter,
        guests,
        closed,
    };
    let greeting = Greeting {
        pid: std::process::id(),
        tid: tid.unsigned_abs(),
    };
    let mut out = io::stdout();
    let _ = out.write_all(b"ready\n").and_then(|()| out.flush());
    let null = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    attend(&socket, &greeting, &host);
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
    sys::users::enter(&sys::users::make()?)
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

/// What the thread that lives in the network hands to the others.
struct Inside {
    tid: i32,
    sockets: Sockets,
    gate: io::Result<Gate>,
}

impl Inside {
    /// Makes the bridge and the addresses of the network, as far as they are missing, and opens
    /// what others listen to.
    fn make(block: Block) -> io::Result<Self> {
        let netlink = Netlink::open()?;
        let b = block.number();
        let hardware = [0x02, 0x50, 0x45, 0x54, b, 0x01];
        netlink.set_up(device("lo")?)?;
        there(netlink.add_bridge(BRIDGE, hardware))?;
        let bridge = device(BRIDGE)?;
        for address in [gateway(block), host(block), server(block)] {
            there(netlink.add_address(bridge, address))?;
        }
        there(netlink.add_local_network(block.service_network()))?;
        Ok(Self {
            tid: rustix::thread::gettid().as_raw_nonzero().get(),
            sockets: Sockets::open(&[SocketAddr::from((server(block), names::PORT))])?,
            gate: Gate::open(block),
        })
    }
}

/// A process that is connected to the world for many pets needs more descriptors than others.
fn raise_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(Into::into)
}

fn gateway(block: Block) -> Ipv4Addr {
    block.internal(block.reserved(1))
}

/// Returns the address at which the network has the host's loopback.
fn host(block: Block) -> Ipv4Addr {
    block.internal(block.reserved(2))
}

fn server(block: Block) -> Ipv4Addr {
    block.internal(block.reserved(53))
}

/// What a runner's pet is given.
#[derive(Debug, Clone)]
struct Host {
    block: Block,
    porter: Porter,
    guests: Arc<Guests>,
    /// Why the world is open to nobody.
    closed: Option<String>,
}

/// Serves runners until the last one has gone.
fn attend(socket: &UnixListener, greeting: &Greeting, host: &Host) {
    let (turns, turn) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in socket.incoming().flatten() {
                let (turns, host, greeting) = (turns.clone(), host.clone(), greeting.clone());
                // Counted before it is heard, so that nobody is lost who has just come.
                let _ = turns.send(Turn::Came);
                let _ = spawn("runner", move || {
                    let _ = serve(stream, &greeting, &host);
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
fn serve(stream: UnixStream, greeting: &Greeting, host: &Host) -> crate::problem::Result<()> {
    let mut answers = stream.try_clone()?;
    let mut wishes = BufReader::with_capacity(1024, stream);
    writeln!(answers, "{}", serde_json::to_string(greeting)?)?;
    let mut line = String::new();
    wishes.read_line(&mut line)?;
    let wish: Wish = serde_json::from_str(&line)?;
    let tid = greeting.tid;
    let inside = host.block.internal(wish.ip);
    let ticket = host.guests.welcome(inside, wish.egress);
    // In a thread that goes with its namespaces: this one stays in the host's network.
    let attached = thread::scope(|scope| {
        let thread = scope.spawn(|| attach(&wish, host.block, tid));
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    });
    if let Err(error) = attached {
        host.guests.part(inside, ticket);
        writeln!(answers, "cannot attach {}: {error}", wish.ip)?;
        return Ok(());
    }
    let (tcp, udp) = (wish.ports.as_slice(), wish.udp.as_slice());
    let opened = host
        .porter
        .open(ticket, wish.ip, inside, Ports { tcp, udp });
    let notes = Notes {
        moved: opened.moved,
        missing: opened.missing,
        closed: host.closed.clone().filter(|_| wish.egress),
    };
    writeln!(answers, "ok {}", serde_json::to_string(&notes)?)?;
    line.clear();
    let _ = wishes.read_line(&mut line);
    host.porter.close(ticket);
    host.guests.part(inside, ticket);
    Ok(())
}

/// Attaches a pet to the bridge. The thread ends up in the pet's network.
fn attach(wish: &Wish, block: Block, tid: u32) -> io::Result<()> {
    let own: OwnedFd = File::open(format!("/proc/self/task/{tid}/ns/net"))?.into();
    let theirs: OwnedFd = File::open(format!("/proc/{}/ns/net", wish.init))?.into();
    let [_, _, x, y] = wish.ip.octets();
    let ip = block.internal(wish.ip);
    // The address that it had before: its peers remember that for a while after they have spoken.
    let hardware = [0x0a, 0x50, 0x45, block.number(), x, y];
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(theirs.as_fd(), kind)?;
    // Who took over a network finds its pets attached.
    if device(DEVICE).is_err() {
        move_into_link_name_space(own.as_fd(), kind)?;
        connect(&format!("p{x}.{y}"), hardware, theirs.as_fd())?;
        move_into_link_name_space(theirs.as_fd(), kind)?;
    }
    let inner = Netlink::open()?;
    inner.set_up(device("lo")?)?;
    let eth = device(DEVICE)?;
    there(inner.add_address(eth, ip))?;
    inner.set_up(eth)?;
    allow_ping();
    match wish.egress {
        true => there(inner.add_default_route(gateway(block))),
        false => Ok(()),
    }
}

/// Lays a wire from the bridge into a network. One of that name led to who had the address before:
/// the kernel takes its time to remove the networks of the dead.
fn connect(port: &str, hardware: [u8; 6], theirs: BorrowedFd<'_>) -> io::Result<()> {
    let netlink = Netlink::open()?;
    let bridge = device(BRIDGE)?;
    if let Ok(before) = device(port) {
        let _ = netlink.remove(before);
    }
    netlink.add_pair(port, bridge, (DEVICE, hardware), theirs)
}

/// Lets programs ping in this thread's network without being root.
fn allow_ping() {
    let own = rustix::process::getegid().as_raw();
    // In a user namespace no group is known but one's own.
    for groups in ["0 2147483647".to_owned(), format!("{own} {own}")] {
        if fs::write("/proc/sys/net/ipv4/ping_group_range", groups).is_ok() {
            return;
        }
    }
}
