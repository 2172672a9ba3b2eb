//! As much of rtnetlink as a private network needs: devices, addresses, one route.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_RULE: u16 = 32;
/// REQUEST | ACK.
const ASK: u16 = 0x5;
/// CREATE | EXCL.
const CREATE: u16 = 0x600;
const UP: u32 = 1;
const NESTED: u16 = 0x8000;

/// A conversation with the kernel about the network of the thread that begins it.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
}

/// A request that is being put together.
pub(super) struct Request(pub(super) Vec<u8>);

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let socket = open(None)?;
        Ok(Self { socket })
    }

    /// Makes a bridge that keeps its hardware address whatever is attached to it.
    pub(super) fn add_bridge(&self, name: &str, hardware: [u8; 6]) -> io::Result<()> {
        let mut request = Request::link(NEW_LINK, CREATE, 0, UP);
        request.text(3, name);
        request.put(1, &hardware);
        request.nest(18, |info| info.text(1, "bridge"));
        self.ask(request)
    }

    /// Makes a pair of devices: one here, a port of the bridge, and one in another network with this
    /// hardware address.
    pub(super) fn add_pair(
        &self,
        name: &str,
        bridge: u32,
        (peer, hardware): (&str, [u8; 6]),
        network: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut request = Request::link(NEW_LINK, CREATE, 0, UP);
        request.text(3, name);
        request.put(10, &bridge.to_ne_bytes());
        request.nest(18, |info| {
            info.text(1, "veth");
            info.nest(2, |pair| {
                pair.nest(1, |other| {
                    other.0.extend([0; 16]);
                    other.text(3, peer);
                    other.put(1, &hardware);
                    other.put(28, &network.as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.ask(request)
    }

    /// Removes a device, and the other end of its pair.
    pub(super) fn remove(&self, device: u32) -> io::Result<()> {
        self.ask(Request::link(DELETE_LINK, 0, device, 0))
    }

    pub(super) fn set_up(&self, device: u32) -> io::Result<()> {
        self.ask(Request::link(NEW_LINK, 0, device, UP))
    }

    /// Gives a device an address out of a network of 16 bits.
    pub(super) fn add_address(&self, device: u32, ip: Ipv4Addr) -> io::Result<()> {
        let mut request = Request::new(NEW_ADDRESS, CREATE);
        request.0.extend([2, 16, 0, 0]);
        request.0.extend(device.to_ne_bytes());
        let [a, b, ..] = ip.octets();
        request.put(2, &ip.octets());
        request.put(1, &ip.octets());
        request.put(4, &[a, b, 255, 255]);
        self.ask(request)
    }

    /// Sends what has no other way to a gateway.
    pub(super) fn add_default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut request = Request::new(NEW_ROUTE, CREATE);
        // Family IPv4, main table, protocol boot, scope universe, unicast.
        request.0.extend([2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0]);
        request.put(5, &gateway.octets());
        self.ask(request)
    }

    /// Has whatever carries a mark taken in here, to whomever it is addressed.
    pub(super) fn take_in_marked(&self, mark: u32, table: u8, loopback: u32) -> io::Result<()> {
        let mut route = Request::new(NEW_ROUTE, CREATE);
        // Family IPv4, protocol boot, scope host, local.
        route.0.extend([2, 0, 0, 0, table, 3, 254, 2, 0, 0, 0, 0]);
        route.put(4, &loopback.to_ne_bytes());
        ignore_existing(self.ask(route))?;
        let mut rule = Request::new(NEW_RULE, CREATE);
        // Family IPv4, and what fits is looked up in the table.
        rule.0.extend([2, 0, 0, 0, table, 0, 0, 1, 0, 0, 0, 0]);
        rule.put(10, &mark.to_ne_bytes());
        ignore_existing(self.ask(rule))
    }

    /// Takes a whole network for this machine's own: what is sent to any address of it arrives.
    pub(super) fn add_local_network(&self, (ip, bits): (Ipv4Addr, u8)) -> io::Result<()> {
        let mut request = Request::new(NEW_ROUTE, CREATE);
        // Family IPv4, table local, protocol boot, scope host, type local.
        request
            .0
            .extend([2, bits, 0, 0, 255, 3, 254, 2, 0, 0, 0, 0]);
        request.put(1, &ip.octets());
        request.put(4, &device("lo")?.to_ne_bytes());
        self.ask(request)
    }

    fn ask(&self, request: Request) -> io::Result<()> {
        tell(&self.socket, &request.finish())
    }
}

/// Opens a socket on which the kernel is spoken to, about routes unless `protocol` says else.
pub(super) fn open(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Tells the kernel something, and returns what it answers: nothing, or what it has against it.
pub(super) fn tell(socket: &OwnedFd, message: &[u8]) -> io::Result<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(socket, message, SendFlags::empty(), &kernel)?;
    let mut answer = [0; 4096];
    let (length, _) = recv(socket, &mut answer, RecvFlags::empty())?;
    let code = answer[..length]
        .get(16..20)
        .and_then(|it| it.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error) => Err(io::Error::from_raw_os_error(-error)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// What is there already is as good as made.
pub(super) fn ignore_existing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl Request {
    pub(super) fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((ASK | flags).to_ne_bytes());
        bytes.extend([0; 8]);
        Self(bytes)
    }

    fn link(kind: u16, flags: u16, device: u32, up: u32) -> Self {
        let mut request = Self::new(kind, flags);
        request.0.extend([0; 4]);
        request.0.extend(device.to_ne_bytes());
        request.0.extend(up.to_ne_bytes());
        request.0.extend(up.to_ne_bytes());
        request
    }

    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.pad();
    }

    pub(super) fn text(&mut self, kind: u16, text: &str) {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.put(kind, &value);
    }

    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        self.0.extend((kind | NESTED).to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Returns the number of a device of this thread's network.
pub(super) fn device(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    rustix::net::netdevice::name_to_index(&socket, name).map_err(Into::into)
}
