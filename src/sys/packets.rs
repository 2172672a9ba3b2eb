//! Raw and transparent sockets: for packets that are sent to others, or in their name.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

/// One instruction of a filter in classic BPF: its code, where it goes on when it holds and when
/// not, and its number.
pub(crate) type Instruction = (u16, u8, u8, u32);

/// The codes of instructions.
pub(crate) mod bpf {
    use libc::{BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET};
    use libc::{BPF_K, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET, BPF_W};

    pub(crate) const LOAD_BYTE: u16 = (BPF_LD | BPF_B | BPF_ABS) as u16;
    pub(crate) const LOAD_WORD: u16 = (BPF_LD | BPF_W | BPF_ABS) as u16;
    pub(crate) const LOAD_HALF: u16 = (BPF_LD | BPF_H | BPF_ABS) as u16;
    /// Loads the byte that many bytes behind the IP header.
    pub(crate) const LOAD_BYTE_BEHIND: u16 = (BPF_LD | BPF_B | BPF_IND) as u16;
    /// Takes the length of the IP header for [`LOAD_BYTE_BEHIND`].
    pub(crate) const LOAD_HEADER_LENGTH: u16 = (BPF_LDX | BPF_B | BPF_MSH) as u16;
    pub(crate) const AND: u16 = (BPF_ALU | BPF_AND | BPF_K) as u16;
    pub(crate) const IF_EQUAL: u16 = (BPF_JMP | BPF_JEQ | BPF_K) as u16;
    pub(crate) const IF_ANY_BIT: u16 = (BPF_JMP | BPF_JSET | BPF_K) as u16;
    /// Lets that many bytes of the packet pass.
    pub(crate) const RETURN: u16 = (BPF_RET | BPF_K) as u16;
    /// Where [`LOAD_BYTE`] finds the `PACKET_*` type.
    pub(crate) const PACKET_TYPE: u32 = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE) as u32;
}

/// The length of an Ethernet address.
const HARDWARE_LENGTH: u8 = 6;

/// An option of a socket that takes a number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Switch {
    /// The socket receives what is sent to any address, and sends in the name of any.
    Transparent,
    /// The socket reports the destination of each datagram.
    ReportsDestination,
}

/// Switches an option of a socket on.
pub(crate) fn turn_on(socket: &impl AsFd, switch: Switch) -> io::Result<()> {
    let name = match switch {
        Switch::Transparent => libc::IP_TRANSPARENT,
        Switch::ReportsDestination => libc::IP_RECVORIGDSTADDR,
    };
    set(socket, libc::SOL_IP, name, &1_i32)
}

#[expect(unsafe_code, reason = "rustix lacks these options")]
fn set<T>(socket: &impl AsFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0);
    let fd = socket.as_fd().as_raw_fd();
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: the value lives longer than the call, which is told its size.
    ok_or_errno(unsafe { libc::setsockopt(fd, level, name, value, length) })
}

fn ok_or_errno(outcome: i32) -> io::Result<()> {
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes a socket receive only the packets that a filter lets pass.
pub(crate) fn filter(socket: &impl AsFd, program: &[Instruction]) -> io::Result<()> {
    let mut program: Vec<libc::sock_filter> = program
        .iter()
        .map(|&(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k })
        .collect();
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        filter: program.as_mut_ptr(),
    };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

/// Opens a socket that receives the IPv4 packets of a device that a filter lets pass.
#[expect(unsafe_code, reason = "std and rustix do not offer it")]
pub(crate) fn watch_device(device: u32, program: &[Instruction]) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    filter(&socket, program)?;
    let address = link_address(device);
    let (at, length) = (std::ptr::from_ref(&address).cast(), length_of(&address));
    // SAFETY: the address lives longer than the call, which is told its size.
    ok_or_errno(unsafe { libc::bind(socket.as_raw_fd(), at, length) })?;
    Ok(socket)
}

/// Sends a packet out of the loopback device, so that this machine receives it.
#[expect(unsafe_code, reason = "std and rustix do not offer it")]
pub(crate) fn let_in(socket: &OwnedFd, device: u32, packet: &[u8]) -> io::Result<()> {
    let address = link_address(device);
    let (at, length) = (std::ptr::from_ref(&address).cast(), length_of(&address));
    let bytes = packet.as_ptr().cast();
    // SAFETY: the packet and the address live longer than the call, which is told their sizes.
    let sent = unsafe { libc::sendto(socket.as_raw_fd(), bytes, packet.len(), 0, at, length) };
    sent_or_error(sent)
}

fn sent_or_error(sent: isize) -> io::Result<()> {
    match sent {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn length_of<T>(_: &T) -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

fn link_address(device: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or(0),
        sll_protocol: (libc::ETH_P_IP as u16).to_be(),
        sll_ifindex: i32::try_from(device).unwrap_or(0),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: HARDWARE_LENGTH,
        sll_addr: [0; 8],
    }
}

/// Opens a raw socket of a protocol; that of `IPPROTO_RAW` sends packets with their IP headers.
pub(crate) fn raw(protocol: u8) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = std::num::NonZeroU32::new(u32::from(protocol)).map(Protocol::from_raw);
    Ok(socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        flags,
        protocol,
    )?)
}

fn internet_address(at: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: u16::try_from(libc::AF_INET).unwrap_or(0),
        sin_port: at.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(at.ip().octets()),
        },
        sin_zero: [0; 8],
    }
}

fn read_address(address: libc::sockaddr_in) -> SocketAddrV4 {
    let ip = Ipv4Addr::from(address.sin_addr.s_addr.to_ne_bytes());
    SocketAddrV4::new(ip, u16::from_be(address.sin_port))
}

/// A buffer for one control message, aligned as those have to be.
#[repr(C, align(8))]
struct ControlBuffer([u8; 64]);

/// Receives a datagram: its length, its source, and its destination.
#[expect(unsafe_code, reason = "rustix does not know this control message")]
pub(crate) fn receive(
    socket: &impl AsFd,
    buffer: &mut [u8],
) -> io::Result<(usize, SocketAddrV4, SocketAddrV4)> {
    let mut control = ControlBuffer([0; 64]);
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut from = internet_address(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
    // SAFETY: all of its fields may be zero.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = std::ptr::from_mut(&mut from).cast();
    message.msg_namelen = length_of(&from);
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: all that the message points to lives longer than the call, with the sizes told.
    let length = unsafe { libc::recvmsg(fd, &raw mut message, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has filled in the control messages and their length; what is read of
    // one is no longer than it says.
    unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const message);
        if let Some(header) = first.as_ref()
            && (header.cmsg_level, header.cmsg_type) == (libc::SOL_IP, libc::IP_ORIGDSTADDR)
        {
            let to: libc::sockaddr_in = libc::CMSG_DATA(first)
                .cast::<libc::sockaddr_in>()
                .read_unaligned();
            return Ok((length, read_address(from), read_address(to)));
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Sends a packet with a source address of our choice; the kernel makes its IP header.
#[expect(unsafe_code, reason = "rustix does not know this control message")]
pub(crate) fn send_as(
    socket: &OwnedFd,
    source: Ipv4Addr,
    to: Ipv4Addr,
    parts: [&[u8]; 2],
) -> io::Result<()> {
    let mut control = ControlBuffer([0; 64]);
    let mut parts = parts.map(|part| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    });
    let mut to = internet_address(SocketAddrV4::new(to, 0));
    let said = libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: internet_address(SocketAddrV4::new(source, 0)).sin_addr,
        ipi_addr: libc::in_addr { s_addr: 0 },
    };
    // SAFETY: all of its fields may be zero.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = std::ptr::from_mut(&mut to).cast();
    message.msg_namelen = length_of(&to);
    message.msg_iov = parts.as_mut_ptr();
    message.msg_iovlen = parts.len();
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: the room is aligned and large enough for the one message that is put there, and
    // everything lives longer than the call, which only reads it.
    let sent = unsafe {
        let length = length_of(&said);
        message.msg_controllen = libc::CMSG_SPACE(length) as usize;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_IP;
        (*header).cmsg_type = libc::IP_PKTINFO;
        (*header).cmsg_len = libc::CMSG_LEN(length) as usize;
        libc::CMSG_DATA(header)
            .cast::<libc::in_pktinfo>()
            .write_unaligned(said);
        libc::sendmsg(socket.as_raw_fd(), &raw const message, 0)
    };
    sent_or_error(sent)
}

/// Sends a packet with its IP header.
pub(crate) fn send_whole(socket: &OwnedFd, to: Ipv4Addr, packet: &[u8]) -> io::Result<()> {
    let to = SocketAddrV4::new(to, 0);
    rustix::net::sendto(socket, packet, rustix::net::SendFlags::empty(), &to)?;
    Ok(())
}
