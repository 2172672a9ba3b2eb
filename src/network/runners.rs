//! Serving runners: each stays connected while its pet is attached.

use std::io::{self, BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::attached::Attached;
use super::bridge;
use super::ports::PortForwarderHandle;
use crate::model::address::Block;
use crate::problem::Result;
use crate::store::network::{self, AttachReply, AttachRequest, Greeting};

/// How long the process waits for the next pet when none is left.
const LINGER: Duration = Duration::from_millis(300);
const STACK: usize = 128 << 10;

/// What attaching a pet takes.
#[derive(Debug, Clone)]
pub(super) struct AttachContext {
    pub(super) greeting: Greeting,
    pub(super) block: Block,
    pub(super) ports: PortForwarderHandle,
    pub(super) attached: Arc<Attached>,
    /// Why no pet can have egress.
    pub(super) closed: Option<String>,
}

/// What the threads tell the one that decides when to end.
enum RunnerEvent {
    Came,
    Went,
}

/// Starts a thread with a small stack.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.stack_size(STACK).spawn(run).map(drop)
}

/// Serves runners until the last one has gone; then the process ends.
pub(super) fn serve(socket: &UnixListener, host: &AttachContext) {
    let (sender, events) = channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in socket.incoming().flatten() {
                let (sender, host) = (sender.clone(), host.clone());
                // Counted before it is served, so that the process does not end meanwhile.
                let _ = sender.send(RunnerEvent::Came);
                let _ = spawn("runner", move || {
                    let _ = serve_one(stream, &host);
                    let _ = sender.send(RunnerEvent::Went);
                });
            }
        });
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

/// Attaches a pet, and keeps its ports open until its runner goes.
fn serve_one(stream: UnixStream, host: &AttachContext) -> Result<()> {
    let mut requests = BufReader::with_capacity(1024, stream.try_clone()?);
    network::send(&stream, &host.greeting)?;
    let request: AttachRequest = network::receive(&mut requests)?;
    let spec = &request.spec;
    let inside = host.block.inside(spec.ip);
    let attachment_id = host.attached.add(inside, spec.egress);
    // In a thread that ends after it has moved: this one stays in the host's network.
    let attached = thread::scope(|scope| {
        let attach = || bridge::attach(&request, host.block, host.greeting.tid);
        let thread = scope.spawn(attach);
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("it panicked")))
    });
    if let Err(error) = attached {
        host.attached.remove(inside, attachment_id);
        let why = format!("cannot attach {}: {error}", spec.ip);
        AttachReply::Failed(why).send(&stream)?;
        return Ok(());
    }
    let mut notes = host.ports.open(attachment_id, spec, inside);
    notes.closed = host.closed.clone().filter(|_| spec.egress);
    AttachReply::Attached(notes).send(&stream)?;
    let _ = requests.read_line(&mut String::new());
    host.ports.close(attachment_id);
    host.attached.remove(inside, attachment_id);
    Ok(())
}
