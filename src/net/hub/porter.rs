//! The doors of a private network: what listens on the host for a pet, and passes on what comes.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

const PATIENCE: Duration = Duration::from_secs(10);
const STACK: usize = 64 << 10;
/// What is offered elsewhere if its own port is not free to this user.
const ELSEWHERE: u16 = 10_000;

/// A port on the host, and where it leads.
#[derive(Debug)]
struct Door {
    listener: TcpListener,
    to: SocketAddr,
}

/// All doors, shared by who opens them and who stands at them.
#[derive(Debug, Clone)]
pub(super) struct Porter {
    doors: Arc<Mutex<BTreeMap<SocketAddrV4, Arc<Door>>>>,
    wake: Arc<PipeReader>,
    waker: Arc<PipeWriter>,
}

impl Porter {
    pub(super) fn new() -> io::Result<Self> {
        let (wake, waker) = io::pipe()?;
        Ok(Self {
            doors: Arc::default(),
            wake: Arc::new(wake),
            waker: Arc::new(waker),
        })
    }

    /// Opens the doors of a pet in this thread's network. Returns those that are not where they
    /// should be: `80=10080`.
    pub(super) fn open(&self, ip: Ipv4Addr, inside: Ipv4Addr, ports: &[u16]) -> Vec<String> {
        let mut moved = Vec::new();
        for &port in ports {
            let elsewhere = port.checked_add(ELSEWHERE).filter(|_| port < 1024);
            let tries = std::iter::once(port).chain(elsewhere);
            for try_port in tries {
                let at = SocketAddrV4::new(ip, try_port);
                let Ok(listener) = listen(at) else {
                    continue;
                };
                let to = SocketAddr::from((inside, port));
                let door = Arc::new(Door { listener, to });
                self.doors().insert(at, door);
                if try_port != port {
                    moved.push(format!("{port}={try_port}"));
                }
                break;
            }
        }
        self.wake();
        moved
    }

    /// Closes the doors of a pet.
    pub(super) fn close(&self, ip: Ipv4Addr) {
        self.doors().retain(|at, _| *at.ip() != ip);
        self.wake();
    }

    fn doors(&self) -> std::sync::MutexGuard<'_, BTreeMap<SocketAddrV4, Arc<Door>>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let _ = (&*self.waker).write(&[0]);
    }

    /// Stands at the doors; what it connects to is in this thread's network.
    pub(super) fn serve(&mut self) {
        loop {
            let doors: Vec<Arc<Door>> = self.doors().values().cloned().collect();
            let mut polled = vec![PollFd::new(&*self.wake, PollFlags::IN)];
            polled.extend(
                doors
                    .iter()
                    .map(|door| PollFd::new(&door.listener, PollFlags::IN)),
            );
            let _ = poll(&mut polled, None);
            let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready.first() == Some(&true) {
                let _ = (&*self.wake).read(&mut [0; 64]);
            }
            for (door, _) in doors.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
                if let Ok((stream, _)) = door.listener.accept() {
                    pass_on(stream, door.to);
                }
            }
        }
    }
}

fn listen(at: SocketAddrV4) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Connects a visitor with what they want; one who finds nobody is sent away at once.
fn pass_on(visitor: TcpStream, to: SocketAddr) {
    let thread = thread::Builder::new()
        .name("visitor".to_owned())
        .stack_size(STACK);
    let _ = thread.spawn(move || {
        let _ = visitor.set_nonblocking(false);
        let connected = TcpStream::connect_timeout(&to, PATIENCE);
        let streams = connected.and_then(|pet| {
            let copies = (visitor.try_clone()?, pet.try_clone()?);
            Ok((pet, copies))
        });
        let Ok((pet, (visitor_too, pet_too))) = streams else {
            return rustix::net::sockopt::set_socket_linger(&visitor, Some(Duration::ZERO))
                .unwrap_or_default();
        };
        let _ = visitor.set_nodelay(true);
        let _ = pet.set_nodelay(true);
        let back = thread::Builder::new().stack_size(STACK);
        let _ = back.spawn(move || copy(pet_too, visitor_too));
        copy(visitor, pet);
    });
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) if to.write_all(&buffer[..length]).is_ok() => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(_) | Err(_) => {
                let _ = from.shutdown(Shutdown::Both);
                break;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
