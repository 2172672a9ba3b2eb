//! The engine, with pets that are threads of the test.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::engine::Engine;
use super::plan::{Backends, Desired, Protocol, VirtualPort};
use crate::model::ObjectRef;
use crate::sorted::SortedSet;
use crate::store::detours::Detour;

const PATIENCE: Duration = Duration::from_secs(10);

/// A proxy that runs in a thread of its own until it is dropped.
struct Proxy {
    wishes: Sender<Desired>,
    done: Receiver<Vec<Detour>>,
    /// The detours that are left when a port has become free.
    freed: Receiver<Vec<Detour>>,
    wake: UdpSocket,
    thread: Option<JoinHandle<()>>,
    quit: Arc<AtomicBool>,
}

impl Proxy {
    fn new() -> Self {
        let news = UdpSocket::bind("127.0.0.1:0").unwrap();
        news.set_nonblocking(true).unwrap();
        let wake = UdpSocket::bind("127.0.0.1:0").unwrap();
        wake.connect(news.local_addr().unwrap()).unwrap();
        let (wishes, wished) = channel::<Desired>();
        let (doing, done) = channel();
        let (freeing, freed) = channel();
        let quit = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&quit);
        let thread = thread::spawn(move || {
            let mut engine = Engine::new(&news).unwrap();
            while !over.load(Ordering::Acquire) {
                engine.turn().unwrap();
                if engine.take_freed() {
                    let detours = engine.detours().into_values().flatten();
                    let _ = freeing.send(detours.collect());
                }
                while news.recv(&mut [0; 8]).is_ok() {}
                while let Ok(wishes) = wished.try_recv() {
                    engine.adjust(wishes);
                    let detours = engine.detours().into_values().flatten();
                    let _ = doing.send(detours.collect());
                }
            }
        });
        let thread = Some(thread);
        Self {
            wishes,
            done,
            freed,
            wake,
            thread,
            quit,
        }
    }

    /// Offers `pets` at `place` and nothing else.
    fn offer(&self, place: &VirtualPort, pets: &[SocketAddr]) -> Vec<Detour> {
        self.offer_to(place, pets, None)
    }

    fn offer_to(
        &self,
        place: &VirtualPort,
        pets: &[SocketAddr],
        affinity: Option<Duration>,
    ) -> Vec<Detour> {
        let pets = pets.to_vec();
        let wish = Backends { affinity, pets };
        self.wishes
            .send(Desired::from([(place.clone(), wish)]))
            .unwrap();
        self.wake.send(b"x").unwrap();
        self.done.recv_timeout(PATIENCE).unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.quit.store(true, Ordering::Release);
        let _ = self.wake.send(b"x");
        let _ = self.thread.take().unwrap().join();
    }
}

/// Finds a port of an address that only this test uses.
fn place(y: u8, protocol: Protocol) -> VirtualPort {
    let ip = IpAddr::from(Ipv4Addr::new(127, 254, 240, y));
    let free = TcpListener::bind((ip, 0)).unwrap();
    VirtualPort {
        service: ObjectRef::new("default".parse().unwrap(), "web".parse().unwrap()),
        protocol,
        address: free.local_addr().unwrap(),
    }
}

/// A pet that says its name to everyone who connects, and then repeats what it hears.
fn pet(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let _ = stream.write_all(name.as_bytes());
                let mut buffer = vec![0; 1 << 16];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..length]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn connect(place: &VirtualPort) -> TcpStream {
    let stream = TcpStream::connect(place.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn heard(stream: &mut TcpStream) -> String {
    let mut name = [0; 3];
    stream.read_exact(&mut name).unwrap();
    String::from_utf8_lossy(&name).into_owned()
}

fn greeting(place: &VirtualPort) -> String {
    heard(&mut connect(place))
}

#[test]
fn connections_are_spread_and_one_to_a_pet_that_stops_goes_on() {
    let (proxy, place) = (Proxy::new(), place(1, Protocol::Tcp));
    let (one, two) = (pet("one"), pet("two"));
    assert_eq!(proxy.offer(&place, &[one, two]), []);
    let mut first = connect(&place);
    assert_eq!(heard(&mut first), "one");
    assert_eq!(greeting(&place), "two");
    proxy.offer(&place, &[two]);
    for _ in 0..4 {
        assert_eq!(greeting(&place), "two");
    }
    first.write_all(b"still there?").unwrap();
    let mut echo = [0; 12];
    first.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"still there?");
    proxy.offer(&place, &[]);
    assert!(
        TcpStream::connect(place.address).is_err(),
        "nobody is ready"
    );
    first.write_all(b"still there?").unwrap();
    first.read_exact(&mut echo).unwrap();
}

#[test]
fn everything_arrives_both_ways_and_each_half_ends_by_itself() {
    let (proxy, place) = (Proxy::new(), place(2, Protocol::Tcp));
    proxy.offer(&place, &[pet("one")]);
    let mut stream = connect(&place);
    assert_eq!(heard(&mut stream), "one");
    let sent: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut writing = stream.try_clone().unwrap();
    let copy = sent.clone();
    let writer = thread::spawn(move || {
        writing.write_all(&copy).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    writer.join().unwrap();
    assert!(received == sent, "{} of {}", received.len(), sent.len());
}

#[test]
fn a_pet_that_refuses_is_passed_over_and_a_reset_is_passed_on() {
    let (proxy, place) = (Proxy::new(), place(3, Protocol::Tcp));
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    proxy.offer(&place, &[dead, pet("one")]);
    for _ in 0..4 {
        assert_eq!(greeting(&place), "one");
    }
    proxy.offer(&place, &[dead]);
    let mut refused = connect(&place);
    assert!(
        refused.read(&mut [0; 8]).is_err(),
        "a reset, no orderly end"
    );
}

#[test]
fn a_client_stays_with_its_pet() {
    let (proxy, place) = (Proxy::new(), place(4, Protocol::Tcp));
    let pets = [pet("one"), pet("two")];
    proxy.offer_to(&place, &pets, Some(Duration::from_secs(60)));
    let all: SortedSet<String> = (0..6).map(|_| greeting(&place)).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    let other: Vec<SocketAddr> = pets[1..].to_vec();
    proxy.offer_to(&place, &other, Some(Duration::from_secs(60)));
    assert_eq!(greeting(&place), "two");
}

#[test]
fn datagrams_have_sessions_that_end_with_their_pet() {
    let (proxy, place) = (Proxy::new(), place(5, Protocol::Udp));
    let pets: Vec<UdpSocket> = (0..2)
        .map(|_| UdpSocket::bind("127.0.0.1:0").unwrap())
        .collect();
    let addresses: Vec<SocketAddr> = pets.iter().map(|pet| pet.local_addr().unwrap()).collect();
    pets.iter()
        .for_each(|pet| pet.set_read_timeout(Some(PATIENCE)).unwrap());
    proxy.offer(&place, &addresses);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buffer = [0; 16];
    for _ in 0..3 {
        client.send_to(b"hello", place.address).unwrap();
        let (length, proxy) = pets[0].recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello");
        pets[0].send_to(b"welcome", proxy).unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&b"welcome"[..], place.address));
    }
    proxy.offer(&place, &addresses[1..]);
    client.send_to(b"again", place.address).unwrap();
    assert_eq!(pets[1].recv(&mut buffer).unwrap(), 5);
}

#[test]
fn a_port_that_is_taken_is_offered_nearby() {
    let (proxy, place) = (Proxy::new(), place(6, Protocol::Tcp));
    let taken = TcpListener::bind(place.address).unwrap();
    let detours = proxy.offer(&place, &[pet("one")]);
    let [detour] = detours.as_slice() else {
        panic!("{detours:?}");
    };
    let mut stream = TcpStream::connect(detour.at.unwrap()).unwrap();
    assert_eq!(heard(&mut stream), "one");
    drop(taken);
    // It is tried again by itself, and the connection goes on.
    let mut freed = proxy.freed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(freed.pop(), None);
    assert_eq!(greeting(&place), "one");
    assert!(TcpStream::connect(detour.at.unwrap()).is_err());
    stream.write_all(b"two").unwrap();
    assert_eq!(heard(&mut stream), "two");
}

#[test]
fn a_pet_sees_which_loopback_address_its_client_has() {
    let (proxy, place) = (Proxy::new(), place(7, Protocol::Udp));
    let pet = UdpSocket::bind("127.0.0.1:0").unwrap();
    pet.set_read_timeout(Some(PATIENCE)).unwrap();
    proxy.offer(&place, &[pet.local_addr().unwrap()]);
    let client = UdpSocket::bind("127.9.9.9:0").unwrap();
    client.send_to(b"hello", place.address).unwrap();
    let (_, from) = pet.recv_from(&mut [0; 16]).unwrap();
    assert_eq!(from.ip(), IpAddr::from([127, 9, 9, 9]));
}
