//! The few packets that are read and written byte by byte: the SYN that begins a connection, and
//! the packets that tell a pet that a destination cannot be reached.

use std::net::{Ipv4Addr, SocketAddrV4};

const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;
/// Where the protocol and the fragment offset are in an IP header, and the bits of the latter.
pub(super) const PROTOCOL_AT: u32 = 9;
pub(super) const FRAGMENT_AT: u32 = 6;
pub(super) const FRAGMENT_OFFSET: u32 = 0x1fff;
/// Where the flags are in a TCP header.
pub(super) const TCP_FLAGS_AT: u32 = 13;
const ICMP: u8 = libc::IPPROTO_ICMP as u8;
pub(super) const TCP: u8 = libc::IPPROTO_TCP as u8;
pub(super) const UDP: u8 = libc::IPPROTO_UDP as u8;
pub(super) const RAW: u8 = libc::IPPROTO_RAW as u8;
/// The TCP flags.
pub(super) const SYN: u8 = 0x02;
const RST: u8 = 0x04;
pub(super) const ACK: u8 = 0x10;
const TIME_TO_LIVE: u8 = 64;
/// The version of IP and the length of the header in words, and the length of TCP's.
const IPV4_OF_5_WORDS: u8 = 0x45;
const TCP_OF_5_WORDS: u8 = 0x50;
/// The ICMP type; the codes are those of [`Unreachable`].
const DESTINATION_UNREACHABLE: u8 = 3;
/// How much of a datagram is sent back.
const TOLD: usize = IP_HEADER + UDP_HEADER;

/// Why a destination is unreachable, by its ICMP code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    Network = 0,
    Host = 1,
    Port = 3,
    Prohibited = 13,
}

/// The packet by which a pet begins a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Syn {
    pub(super) from: SocketAddrV4,
    pub(super) to: SocketAddrV4,
    packet: Vec<u8>,
    header: usize,
}

impl Syn {
    /// Reads a packet; `None` where it is not a SYN.
    ///
    /// The checksum is computed, since the kernel fills it in only when a packet leaves the
    /// machine.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = usize::from(bytes.first()? & 0x0f) * 4;
        if bytes[0] >> 4 != 4 || header < IP_HEADER || *bytes.get(9)? != TCP {
            return None;
        }
        let tcp = bytes.get(header..)?;
        let length = usize::from(*tcp.get(12)? >> 4) * 4;
        if length < TCP_HEADER || tcp.get(13)? & (SYN | ACK) != SYN {
            return None;
        }
        let mut packet = bytes.get(..header + length)?.to_vec();
        let whole = u16::try_from(packet.len()).ok()?;
        packet[2..4].copy_from_slice(&whole.to_be_bytes());
        packet[10..12].fill(0);
        let sum = checksum(0, &packet[..header]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        let from = address(&packet, 12, header);
        let to = address(&packet, 16, header + 2);
        write_checksum(&mut packet[header..], 16, *from.ip(), *to.ip(), TCP);
        Some(Self {
            from,
            to,
            packet,
            header,
        })
    }

    /// Returns the packet as it is let in.
    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// Returns the RST by which a kernel says that nothing listens there.
    pub(super) fn reset(&self) -> Vec<u8> {
        let mut packet = ip_header(TCP, TCP_HEADER, *self.to.ip(), *self.from.ip());
        let tcp = &self.packet[self.header..];
        let begun = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        packet.extend([tcp[2], tcp[3], tcp[0], tcp[1], 0, 0, 0, 0]);
        packet.extend(begun.wrapping_add(1).to_be_bytes());
        packet.extend([TCP_OF_5_WORDS, RST | ACK, 0, 0, 0, 0, 0, 0]);
        let (from, to) = (*self.to.ip(), *self.from.ip());
        write_checksum(&mut packet[IP_HEADER..], 16, from, to, TCP);
        packet
    }

    /// Returns the packet by which a router says that the destination cannot be reached.
    pub(super) fn unreachable(&self, why: Unreachable, router: Ipv4Addr) -> Vec<u8> {
        unreachable(why, router, *self.from.ip(), &self.packet)
    }
}

/// Returns the packet by which a router says that a datagram has not arrived.
pub(super) fn undelivered(
    why: Unreachable,
    router: Ipv4Addr,
    from: SocketAddrV4,
    to: SocketAddrV4,
) -> Vec<u8> {
    let mut told = ip_header(UDP, UDP_HEADER, *from.ip(), *to.ip());
    told.extend(udp_header(from, to, &[]));
    let sum = checksum(0, &told[..IP_HEADER]);
    told[10..12].copy_from_slice(&sum.to_be_bytes());
    unreachable(why, router, *from.ip(), &told[..TOLD])
}

fn unreachable(why: Unreachable, router: Ipv4Addr, to: Ipv4Addr, told: &[u8]) -> Vec<u8> {
    let mut packet = ip_header(ICMP, UDP_HEADER + told.len(), router, to);
    packet.extend([DESTINATION_UNREACHABLE, why as u8, 0, 0, 0, 0, 0, 0]);
    packet.extend(told);
    let sum = checksum(0, &packet[IP_HEADER..]);
    packet[IP_HEADER + 2..IP_HEADER + 4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Returns the header of a datagram.
pub(super) fn udp_header(from: SocketAddrV4, to: SocketAddrV4, content: &[u8]) -> [u8; UDP_HEADER] {
    let length = u16::try_from(UDP_HEADER + content.len()).unwrap_or(u16::MAX);
    let mut header = [0; UDP_HEADER];
    header[..2].copy_from_slice(&from.port().to_be_bytes());
    header[2..4].copy_from_slice(&to.port().to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    let sum = pseudo(*from.ip(), *to.ip(), UDP, usize::from(length));
    let sum = checksum(add(sum, &header), content);
    // Zero would mean that there is no checksum.
    header[6..].copy_from_slice(&if sum == 0 { 0xffff } else { sum }.to_be_bytes());
    header
}

/// Returns an IPv4 header, whose checksum the kernel fills in.
fn ip_header(protocol: u8, length: usize, from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let whole = u16::try_from(IP_HEADER + length).unwrap_or(u16::MAX);
    let mut header = vec![IPV4_OF_5_WORDS, 0];
    header.extend(whole.to_be_bytes());
    header.extend([0, 0, 0, 0, TIME_TO_LIVE, protocol, 0, 0]);
    header.extend(from.octets());
    header.extend(to.octets());
    header
}

fn address(packet: &[u8], ip: usize, port: usize) -> SocketAddrV4 {
    let ip = Ipv4Addr::new(packet[ip], packet[ip + 1], packet[ip + 2], packet[ip + 3]);
    SocketAddrV4::new(ip, u16::from_be_bytes([packet[port], packet[port + 1]]))
}

/// Writes the checksum of a segment at its place.
fn write_checksum(segment: &mut [u8], at: usize, from: Ipv4Addr, to: Ipv4Addr, protocol: u8) {
    segment[at..at + 2].fill(0);
    let sum = checksum(pseudo(from, to, protocol, segment.len()), segment);
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn pseudo(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, length: usize) -> u32 {
    let sum = add(add(0, &from.octets()), &to.octets());
    sum + u32::from(protocol) + u32::try_from(length).unwrap_or(0)
}

fn add(sum: u32, bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    sum + words.sum::<u32>()
}

fn checksum(sum: u32, bytes: &[u8]) -> u16 {
    let mut sum = add(sum, bytes);
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mangling::read_mangled;

    #[test]
    fn any_packet_is_the_begin_of_a_connection_or_not() {
        let router = Ipv4Addr::new(10, 5, 255, 1);
        read_mangled("packets of pets", 5_000, &[&syn()], &mut |bytes| {
            if let Some(syn) = Syn::read(bytes) {
                drop((syn.reset(), syn.unreachable(Unreachable::Host, router)));
            }
        });
    }

    /// From 10.5.1.2:40000 to 192.0.2.1:80, with an option, and with no checksum yet.
    fn syn() -> Vec<u8> {
        let mut packet = ip_header(
            TCP,
            24,
            Ipv4Addr::new(10, 5, 1, 2),
            Ipv4Addr::new(192, 0, 2, 1),
        );
        packet.extend([0x9c, 0x40, 0, 80, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend([0x60, SYN, 0xfa, 0xf0, 0xde, 0xad, 0, 0, 2, 4, 5, 0xb4]);
        packet
    }

    /// What a receiver computes over a good segment.
    fn verifies(packet: &[u8], protocol: u8) -> bool {
        let ip = |at: usize| address(packet, at, IP_HEADER);
        let segment = &packet[IP_HEADER..];
        let sum = pseudo(*ip(12).ip(), *ip(16).ip(), protocol, segment.len());
        checksum(sum, segment) == 0
    }

    #[test]
    fn what_begins_a_connection_is_let_in_with_good_checksums() {
        let syn = Syn::read(&syn()).unwrap();
        assert_eq!(syn.from, "10.5.1.2:40000".parse().unwrap());
        assert_eq!(syn.to, "192.0.2.1:80".parse().unwrap());
        assert!(verifies(syn.packet(), TCP));
        assert_eq!(checksum(0, &syn.packet()[..IP_HEADER]), 0);
    }

    #[test]
    fn a_reset_acknowledges_the_syn_and_comes_from_its_destination() {
        let reset = Syn::read(&syn()).unwrap().reset();
        assert!(verifies(&reset, TCP));
        assert_eq!(address(&reset, 12, 20), "192.0.2.1:80".parse().unwrap());
        assert_eq!(address(&reset, 16, 22), "10.5.1.2:40000".parse().unwrap());
        assert_eq!(reset[28..34], [0, 0, 0, 0, TCP_OF_5_WORDS, RST | ACK]);
    }

    #[test]
    fn what_is_unreachable_is_told_with_the_packet_in_question() {
        let router = Ipv4Addr::new(10, 5, 0, 1);
        let told = Syn::read(&syn())
            .unwrap()
            .unreachable(Unreachable::Host, router);
        assert_eq!(told[20..22], [3, 1]);
        assert_eq!(checksum(0, &told[20..]), 0);
        assert_eq!(
            address(&told[28..], 12, 20),
            "10.5.1.2:40000".parse().unwrap()
        );
        let (from, to) = (
            "10.5.1.2:9".parse().unwrap(),
            "192.0.2.1:53".parse().unwrap(),
        );
        let told = undelivered(Unreachable::Port, router, from, to);
        assert_eq!(told[20..22], [3, 3]);
        assert_eq!(address(&told[28..], 16, 22), to);
    }

    #[test]
    fn a_datagram_of_odd_length_has_a_good_checksum() {
        let (from, to) = (
            "192.0.2.1:53".parse().unwrap(),
            "10.5.1.2:9".parse().unwrap(),
        );
        let mut packet = ip_header(
            UDP,
            UDP_HEADER + 3,
            Ipv4Addr::new(192, 0, 2, 1),
            Ipv4Addr::new(10, 5, 1, 2),
        );
        packet.extend(udp_header(from, to, b"odd"));
        packet.extend(b"odd");
        assert!(verifies(&packet, UDP));
    }

    #[test]
    fn anything_else_is_not_read() {
        let good = syn();
        for length in 0..good.len() {
            assert_eq!(Syn::read(&good[..length]), None, "{length} bytes");
        }
        for (at, byte) in [(0, 0x65), (0, 0x41), (9, UDP), (32, 0x40), (33, ACK | SYN)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(Syn::read(&bad), None, "byte {at}");
        }
    }
}
