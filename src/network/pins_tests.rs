//! The pins of addresses to ports, tried in networks of their own: root alone can make those in a
//! thread.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::bridge::{self, BRIDGE, Bridge};
use super::netlink::{Netlink, device};
use super::pins::Pins;
use crate::model::address::Block;
use crate::store::network::{AttachRequest, NetworkSpec};
use crate::sys::{self, NamespaceFlags};

type Made = fn(u32) -> Pins;

fn own_network() -> u32 {
    sys::unshare(NamespaceFlags::NEWNET).unwrap();
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}

/// A pet sends from its own address and from that of another; returns what has come.
fn received(made: Made) -> Vec<String> {
    let block = Block::new(5).unwrap();
    let tid = own_network();
    bridge::make(block).unwrap();
    let pins = Some(made(device(BRIDGE).unwrap()));
    let at = (block.gateway(), 4000);
    let receiver = UdpSocket::bind(at).unwrap();
    let patience = Some(Duration::from_secs(20));
    receiver.set_read_timeout(patience).unwrap();
    let (born, init) = channel();
    let (attached, is_attached) = channel();
    let pet = thread::spawn(move || {
        born.send(own_network()).unwrap();
        is_attached.recv().unwrap();
        let other = Ipv4Addr::new(10, 5, 1, 9);
        let eth = device("eth0").unwrap();
        Netlink::open().unwrap().add_address(eth, other).unwrap();
        let own = Ipv4Addr::new(10, 5, 1, 2);
        for (from, words) in [(own, "first"), (other, "forged"), (own, "last")] {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.send_to(words.as_bytes(), at).unwrap();
        }
        is_attached.recv().unwrap();
    });
    let spec = NetworkSpec {
        ip: Ipv4Addr::new(127, 5, 1, 2),
        tcp: Vec::new(),
        udp: Vec::new(),
        egress: false,
    };
    let init = init.recv().unwrap();
    let bridge = Bridge { block, tid, pins };
    let attach = move || bridge.attach(&AttachRequest { init, spec }).unwrap();
    thread::spawn(attach).join().unwrap();
    attached.send(()).unwrap();
    let mut buffer = [0; 99];
    let mut words = Vec::new();
    while words.last().is_none_or(|it| it != "last") {
        let length = receiver.recv(&mut buffer).unwrap();
        words.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    attached.send(()).unwrap();
    pet.join().unwrap();
    words
}

#[test]
fn only_what_a_pet_sends_from_its_own_address_is_taken_in_either_way() {
    if sys::is_ordinary() {
        return;
    }
    let ways: [Made; 2] = [|bridge| Pins::make(bridge).unwrap(), |_| Pins::Programs];
    for made in ways {
        let received = thread::spawn(move || received(made)).join().unwrap();
        assert_eq!(received, ["first", "last"]);
    }
}
