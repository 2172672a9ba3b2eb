//! The socket at which runners find the network process.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::event::{PollFd, PollFlags, poll};

use crate::store::{self, Layout, Watch};

/// The socket, which is made again when somebody removes it: the next runner would start a second
/// network otherwise, in which no pet finds those of the first.
#[derive(Debug)]
pub(super) struct Door {
    layout: Layout,
    socket: UnixListener,
    watch: Watch<()>,
}

impl Door {
    /// Begins to listen.
    pub(super) fn open(layout: &Layout) -> io::Result<Self> {
        let (socket, watch) = listen(layout)?;
        let layout = layout.clone();
        Ok(Self {
            layout,
            socket,
            watch,
        })
    }

    /// Waits for the next runner.
    pub(super) fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            let mut ready = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(&self.watch, PollFlags::IN),
            ];
            rustix::io::retry_on_intr(|| poll(&mut ready, None))?;
            let [came, lost] = ready.map(|fd| !fd.revents().is_empty());
            if came {
                let (stream, _) = self.socket.accept()?;
                if store::is_from_host(&stream) {
                    return Ok(stream);
                }
            }
            if lost && !self.watch.noticed()?.is_empty() && self.is_lost() {
                (self.socket, self.watch) = listen(&self.layout)?;
            }
        }
    }

    /// Returns whether runners do not find the socket any more; with the whole state directory
    /// everything ends.
    fn is_lost(&self) -> bool {
        let pid = store::PidFile::of_network(&self.layout);
        let is_whole = self.layout.network_socket().exists() && pid.exists();
        self.layout.format().exists() && !is_whole
    }
}

/// Listens, and watches for the removal of the socket.
fn listen(layout: &Layout) -> io::Result<(UnixListener, Watch<()>)> {
    let folder = layout.network();
    store::make_dir(&folder)?;
    let mut watch = Watch::new()?;
    watch.add_losses(&folder, ())?;
    store::PidFile::of_network(layout).write(layout)?;
    Ok((store::wait_at(&layout.network_socket())?, watch))
}
