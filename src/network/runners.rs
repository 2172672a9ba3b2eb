//! Serving runners: each stays connected while its pet is attached.

use std::io::{self, BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::attached::Attached;
use super::bridge::Bridge;
use super::door::Door;
use super::leftovers::PetNetwork;
use super::ports::PortForwarderHandle;
use crate::problem::Result;
use crate::store::network::{self, AttachReply, AttachRequest, Greeting};

/// How long the process waits for the next pet when none is left.
const LINGER: Duration = Duration::from_millis(300);
const STACK: usize = 128 << 10;
/// The pause after a runner that could not be served, where the machine has no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);
/// How often a port that is in use on the host is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What attaching a pet takes.
#[derive(Debug, Clone)]
pub(super) struct AttachContext {
    pub(super) greeting: Greeting,
    pub(super) ports: PortForwarderHandle,
    pub(super) attached: Arc<Attached>,
    pub(super) bridge: Bridge,
    /// Why no pet can have egress.
    pub(super) closed: Option<String>,
}

/// What the threads tell the one that decides when to end.
enum RunnerEvent {
    Came,
    Went,
}

/// One runner that is counted, as long as this exists: in a thread that cannot be made, or that
/// panics, it is dropped too.
struct Presence(Sender<RunnerEvent>);

impl Presence {
    /// Counts a runner before it is served, so that the process does not end meanwhile.
    fn begin(events: &Sender<RunnerEvent>) -> Self {
        let _ = events.send(RunnerEvent::Came);
        Self(events.clone())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let _ = self.0.send(RunnerEvent::Went);
    }
}

/// Starts a thread with a small stack.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.stack_size(STACK).spawn(run).map(drop)
}

/// Serves runners until the last one has gone; then the process ends.
pub(super) fn serve(mut door: Door, host: &AttachContext) {
    let (sender, events) = channel();
    thread::scope(|scope| {
        let accept = || {
            loop {
                let Ok(stream) = door.accept() else {
                    thread::sleep(PAUSE);
                    continue;
                };
                let (presence, host) = (Presence::begin(&sender), host.clone());
                let _ = spawn("runner", move || {
                    let _ = serve_one(stream, &host);
                    drop(presence);
                });
            }
        };
        if thread::Builder::new().spawn_scoped(scope, accept).is_err() {
            // It serves nobody: the runner that has started it starts the next.
            std::process::exit(1);
        }
        let mut present = 0_u32;
        loop {
            match events.recv_timeout(if present == 0 { LINGER } else { Duration::MAX }) {
                Ok(RunnerEvent::Came) => present += 1,
                Ok(RunnerEvent::Went) => present -= 1,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    // A runner that comes now finds no process, and starts the next one.
                    std::process::exit(0);
                }
            }
        }
    });
}

/// Waits for the end of a connection, no longer than `limit`; returns whether it has come.
fn is_over(stream: &UnixStream, limit: Duration) -> bool {
    let mut ended = [PollFd::new(stream, PollFlags::IN)];
    let limit = Timespec::try_from(limit).ok();
    !matches!(poll(&mut ended, limit.as_ref()), Ok(0))
}

/// Waits until a runner goes; then nothing is left in its pet's network.
fn await_farewell(requests: &mut impl BufRead, network: io::Result<PetNetwork>) {
    let mut farewell = String::new();
    let _ = requests.read_line(&mut farewell);
    if farewell.is_empty()
        && let Ok(network) = network
    {
        network.end_processes();
    }
}

/// Attaches a pet, and keeps its ports open until its runner goes.
fn serve_one(stream: UnixStream, host: &AttachContext) -> Result<()> {
    let stream = Arc::new(stream);
    let mut requests = BufReader::with_capacity(1024, &*stream);
    network::send(&*stream, &host.greeting)?;
    let request: AttachRequest = network::receive(&mut requests)?;
    let spec = &request.spec;
    let inside = host.bridge.block.inside(spec.ip);
    let network = PetNetwork::of_process(request.init);
    let attachment_id = host.attached.add(inside, spec.egress);
    // In a thread that ends after it has moved: this one stays in the host's network.
    let attached = thread::scope(|scope| {
        let attach = || host.bridge.attach(&request);
        let thread = thread::Builder::new().spawn_scoped(scope, attach)?;
        let panicked = |_| Err(io::Error::other("it panicked"));
        thread.join().unwrap_or_else(panicked)
    });
    if let Err(error) = attached {
        host.attached.remove(inside, attachment_id);
        let why = format!("cannot attach {}: {error}", spec.ip);
        AttachReply::Failed(why).send(&*stream)?;
        return Ok(());
    }
    let (mut notes, mut busy) = host.ports.open(attachment_id, spec, inside);
    notes.closed = host.closed.clone().filter(|_| spec.egress);
    AttachReply::Attached(notes).send(&*stream)?;
    host.attached.note_runner(inside, attachment_id, &stream);
    while !busy.is_empty() && !is_over(&stream, AGAIN) {
        let ports = &host.ports;
        ports.open_again(attachment_id, spec, inside, &mut busy);
    }
    await_farewell(&mut requests, network);
    host.ports.close(attachment_id);
    host.attached.remove(inside, attachment_id);
    Ok(())
}
