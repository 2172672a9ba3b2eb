//! As much of rtnetlink as a private network needs: devices, addresses, one route.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto,
    socket_with,
};

use crate::sys::packets::Instruction;

/// The flags of every request: it is one, and its outcome is to be told.
const REQUEST: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
/// The flags of a request that makes something: it may not exist yet.
const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
const UP: u32 = libc::IFF_UP as u32;
const IPV4: u8 = libc::AF_INET as u8;
/// Of linux/pkt_sched.h and linux/pkt_cls.h, which libc lacks: where a device has the filters of
/// what comes in, what they are, and that they decide themselves.
const INGRESS: u32 = 0xffff_fff1;
const INGRESS_HANDLE: u32 = 0xffff_0000;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// Of linux/if_link.h, linux/veth.h and linux/fib_rules.h, which libc lacks.
const IFLA_BR_GROUP_FWD_MASK: u16 = 9;
const VETH_INFO_PEER: u16 = 1;
const FRA_FWMARK: u16 = 10;
const FR_ACT_TO_TBL: u8 = 1;
/// The length of a message's header, and where the code of an answer ends.
const HEADER: usize = 16;
const CODE_END: usize = HEADER + size_of::<i32>();

/// A netlink socket in the network of the thread that opens it.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
}

/// A message to the kernel, or a part of one, while it is written.
pub(super) struct NetlinkRequest(pub(super) Vec<u8>);

/// What a route is for, beside its destination.
struct Route {
    table: u8,
    scope: u8,
    kind: u8,
    prefix: u8,
}

impl Netlink {
    /// Opens a socket of rtnetlink.
    pub(super) fn open() -> io::Result<Self> {
        let socket = open(None)?;
        Ok(Self { socket })
    }

    /// Makes a bridge that keeps its hardware address whatever is attached to it.
    pub(super) fn add_bridge(&self, name: &str, hardware: [u8; 6]) -> io::Result<()> {
        let mut request = NetlinkRequest::link(libc::RTM_NEWLINK, CREATE, 0, UP);
        request.text(libc::IFLA_IFNAME, name);
        request.put(libc::IFLA_ADDRESS, &hardware);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "bridge");
        });
        self.send(request)
    }

    /// Has a bridge pass on the frames of LLDP: it would learn from them otherwise without asking
    /// its filters. It keeps the other frames of links.
    pub(super) fn pass_on_lldp(&self, bridge: u32) -> io::Result<()> {
        const LLDP: u16 = 1 << 14;
        let mut request = NetlinkRequest::link(libc::RTM_NEWLINK, 0, bridge, 0);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "bridge");
            info.nest(libc::IFLA_INFO_DATA, |data| {
                data.put(IFLA_BR_GROUP_FWD_MASK, &LLDP.to_ne_bytes());
            });
        });
        self.send(request)
    }

    /// Makes a veth pair: a port of the bridge here, and its peer with this hardware address in
    /// another network.
    pub(super) fn add_pair(
        &self,
        name: &str,
        bridge: u32,
        (peer, hardware): (&str, [u8; 6]),
        network: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut request = NetlinkRequest::link(libc::RTM_NEWLINK, CREATE, 0, UP);
        request.text(libc::IFLA_IFNAME, name);
        request.put(libc::IFLA_MASTER, &bridge.to_ne_bytes());
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth");
            info.nest(libc::IFLA_INFO_DATA, |pair| {
                pair.nest(VETH_INFO_PEER, |other| {
                    other.0.extend([0; size_of::<libc::ifinfomsg>()]);
                    other.text(libc::IFLA_IFNAME, peer);
                    other.put(libc::IFLA_ADDRESS, &hardware);
                    let network = network.as_raw_fd().to_ne_bytes();
                    other.put(libc::IFLA_NET_NS_FD, &network);
                });
            });
        });
        self.send(request)
    }

    /// Removes a device, and the peer of a veth device with it.
    pub(super) fn remove(&self, device: u32) -> io::Result<()> {
        self.send(NetlinkRequest::link(libc::RTM_DELLINK, 0, device, 0))
    }

    /// Sets a device up.
    pub(super) fn set_up(&self, device: u32) -> io::Result<()> {
        self.send(NetlinkRequest::link(libc::RTM_NEWLINK, 0, device, UP))
    }

    /// Has a program decide on each frame that comes in by a device: whether it is to pass (0) or
    /// to be dropped (2). The first one stays.
    pub(super) fn filter_incoming(&self, device: u32, program: &[Instruction]) -> io::Result<()> {
        let parent = (INGRESS_HANDLE, INGRESS);
        let mut queue = NetlinkRequest::traffic(libc::RTM_NEWQDISC, device, parent, 0);
        queue.text(libc::TCA_KIND, "ingress");
        ignore_existing(self.send(queue))?;
        let every_protocol = u32::from((libc::ETH_P_ALL as u16).to_be());
        let (parent, first) = ((1, INGRESS_HANDLE), 1 << 16 | every_protocol);
        let mut filter = NetlinkRequest::traffic(libc::RTM_NEWTFILTER, device, parent, first);
        filter.text(libc::TCA_KIND, "bpf");
        filter.nest(libc::TCA_OPTIONS, |options| {
            let length = u16::try_from(program.len()).unwrap_or(0);
            options.put(TCA_BPF_OPS_LEN, &length.to_ne_bytes());
            let bytes = program.iter().flat_map(|&(code, when, otherwise, number)| {
                let ([a, b], [c, d, e, f]) = (code.to_ne_bytes(), number.to_ne_bytes());
                [a, b, when, otherwise, c, d, e, f]
            });
            options.put(TCA_BPF_OPS, &bytes.collect::<Vec<u8>>());
            options.put(TCA_BPF_FLAGS, &TCA_BPF_FLAG_ACT_DIRECT.to_ne_bytes());
        });
        ignore_existing(self.send(filter))
    }

    /// Removes the filters of what comes in by a device.
    pub(super) fn remove_filters(&self, device: u32) -> io::Result<()> {
        let parent = (INGRESS_HANDLE, INGRESS);
        self.send(NetlinkRequest::traffic(
            libc::RTM_DELQDISC,
            device,
            parent,
            0,
        ))
    }

    /// Gives a device an address out of a network of 16 bits.
    pub(super) fn add_address(&self, device: u32, ip: Ipv4Addr) -> io::Result<()> {
        let mut request = NetlinkRequest::new(libc::RTM_NEWADDR, CREATE);
        let (prefix, flags, scope) = (16, 0, libc::RT_SCOPE_UNIVERSE);
        request.0.extend([IPV4, prefix, flags, scope]);
        request.0.extend(device.to_ne_bytes());
        let [a, b, ..] = ip.octets();
        request.put(libc::IFA_LOCAL, &ip.octets());
        request.put(libc::IFA_ADDRESS, &ip.octets());
        request.put(libc::IFA_BROADCAST, &[a, b, 255, 255]);
        self.send(request)
    }

    /// Adds the default route, to a gateway.
    pub(super) fn add_default_route(&self, gateway: Ipv4Addr) -> io::Result<()> {
        let mut request = NetlinkRequest::route(&Route {
            table: libc::RT_TABLE_MAIN,
            scope: libc::RT_SCOPE_UNIVERSE,
            kind: libc::RTN_UNICAST,
            prefix: 0,
        });
        request.put(libc::RTA_GATEWAY, &gateway.octets());
        self.send(request)
    }

    /// Delivers packets with a firewall mark to this machine, whatever their destination.
    pub(super) fn deliver_marked(&self, mark: u32, table: u8, loopback: u32) -> io::Result<()> {
        let mut route = NetlinkRequest::route(&Route {
            table,
            scope: libc::RT_SCOPE_HOST,
            kind: libc::RTN_LOCAL,
            prefix: 0,
        });
        route.put(libc::RTA_OIF, &loopback.to_ne_bytes());
        ignore_existing(self.send(route))?;
        let mut rule = NetlinkRequest::new(libc::RTM_NEWRULE, CREATE);
        // A `fib_rule_hdr`: family, lengths and type of service, table, reserved, action, flags.
        rule.0
            .extend([IPV4, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0]);
        rule.put(FRA_FWMARK, &mark.to_ne_bytes());
        ignore_existing(self.send(rule))
    }

    /// Makes every address of a network this machine's own.
    pub(super) fn add_local_network(&self, (ip, bits): (Ipv4Addr, u8)) -> io::Result<()> {
        let mut request = NetlinkRequest::route(&Route {
            table: libc::RT_TABLE_LOCAL,
            scope: libc::RT_SCOPE_HOST,
            kind: libc::RTN_LOCAL,
            prefix: bits,
        });
        request.put(libc::RTA_DST, &ip.octets());
        request.put(libc::RTA_OIF, &device("lo")?.to_ne_bytes());
        self.send(request)
    }

    fn send(&self, request: NetlinkRequest) -> io::Result<()> {
        exchange(&self.socket, &request.finish())
    }
}

/// Opens a netlink socket: of rtnetlink, unless another `protocol` is given.
pub(super) fn open(protocol: Option<Protocol>) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Sends a message to the kernel, and returns the outcome that it answers with.
pub(super) fn exchange(socket: &OwnedFd, message: &[u8]) -> io::Result<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(socket, message, SendFlags::empty(), &kernel)?;
    let mut answer = [0; 4096];
    let (length, _) = recv(socket, &mut answer, RecvFlags::empty())?;
    outcome(&answer[..length])
}

/// Reads the answer to a request: 0, or the negative number of an error.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let code = answer
        .get(HEADER..CODE_END)
        .and_then(|it| it.try_into().ok());
    match code.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(error @ -4095..0) => Err(io::Error::from_raw_os_error(-error)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Takes it for a success that something exists already.
pub(super) fn ignore_existing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

impl NetlinkRequest {
    /// Begins a message with its header.
    pub(super) fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
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

    fn traffic(kind: u16, device: u32, (handle, parent): (u32, u32), what: u32) -> Self {
        let made = if kind == libc::RTM_DELQDISC {
            0
        } else {
            CREATE
        };
        let mut request = Self::new(kind, made);
        // A `tcmsg`: family, device, handle, parent, and the order and protocol of a filter.
        let numbers = [0, device, handle, parent, what];
        request
            .0
            .extend(numbers.iter().flat_map(|it| it.to_ne_bytes()));
        request
    }

    fn route(route: &Route) -> Self {
        let mut request = Self::new(libc::RTM_NEWROUTE, CREATE);
        // An `rtmsg`: family, lengths and type of service, table, protocol, scope, type, flags.
        request.0.extend([IPV4, route.prefix, 0, 0]);
        request.0.extend([route.table, libc::RTPROT_BOOT]);
        request.0.extend([route.scope, route.kind, 0, 0, 0, 0]);
        request
    }

    /// Adds an attribute.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.pad();
    }

    /// Adds an attribute that is a text.
    pub(super) fn text(&mut self, kind: u16, text: &str) {
        let mut value = text.as_bytes().to_vec();
        value.push(0);
        self.put(kind, &value);
    }

    /// Adds an attribute that consists of attributes.
    pub(super) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.0.len();
        self.0.extend([0; 2]);
        let nested = libc::NLA_F_NESTED as u16;
        self.0.extend((kind | nested).to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }

    fn pad(&mut self) {
        while !self.0.len().is_multiple_of(4) {
            self.0.push(0);
        }
    }

    /// Returns the bytes of the message.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

/// Returns the index of a device in this thread's network.
pub(super) fn device(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    rustix::net::netdevice::name_to_index(&socket, name).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mangling::read_mangled;

    fn answer(code: i32) -> Vec<u8> {
        [
            &[36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9, 9, 0, 0],
            &code.to_ne_bytes()[..],
        ]
        .concat()
    }

    #[test]
    fn an_answer_is_the_outcome_or_no_answer() {
        assert!(outcome(&answer(0)).is_ok());
        let exists = outcome(&answer(-libc::EEXIST)).unwrap_err();
        assert_eq!(exists.kind(), io::ErrorKind::AlreadyExists);
        for code in [1, i32::MAX, i32::MIN, -4096] {
            let kind = outcome(&answer(code)).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidData);
        }
        let examples = [answer(0), answer(-libc::EEXIST), answer(i32::MIN)];
        let examples: Vec<&[u8]> = examples.iter().map(Vec::as_slice).collect();
        read_mangled("answers of netlink", 5_000, &examples, &mut |bytes| {
            drop(outcome(bytes));
        });
    }
}
