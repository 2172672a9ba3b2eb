//! Connections of probes and hooks: each has one deadline for all that is done with it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::isolation::Dialer;
use crate::problem::Problem;

/// A TCP connection that fails with [`ErrorKind::TimedOut`] when its time is over.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    until: Instant,
}

impl Connection {
    /// Connects to a TCP port before the time is over.
    pub(super) fn open(
        host: &str,
        port: u16,
        until: Instant,
        dialer: Option<&Dialer>,
    ) -> Result<Self, Problem> {
        let addresses = (bare(host), port).to_socket_addrs();
        let addresses = addresses.map_err(|error| format!("dial tcp: lookup {host}: {error}"))?;
        let mut fault = format!("dial tcp: lookup {host}: no such host");
        for address in addresses {
            let patience = left(until).map_err(|error| explain(&error))?;
            let stream = match dialer {
                Some(dialer) => dialer.connect(address, patience),
                None => TcpStream::connect_timeout(&address, patience),
            };
            match stream {
                Ok(stream) => return Ok(Self { stream, until }),
                Err(error) => fault = refused(address, &error),
            }
        }
        Err(fault.into())
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(left(self.until)?))?;
        self.stream.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(left(self.until)?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Returns an IPv6 address without its brackets, and any other host as it is.
pub(super) fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Returns a host and a port as they stand in a URL.
pub(super) fn authority(host: &str, port: u16) -> String {
    match bare(host) {
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

/// Returns what went wrong in the words of the kubelet's library.
pub(super) fn explain(error: &io::Error) -> String {
    let known = [
        (ErrorKind::ConnectionRefused, "connection refused"),
        (ErrorKind::ConnectionReset, "connection reset by peer"),
        (ErrorKind::UnexpectedEof, "unexpected EOF"),
        (ErrorKind::WouldBlock, "context deadline exceeded"),
        (ErrorKind::TimedOut, "context deadline exceeded"),
    ];
    let words = known.iter().find(|(kind, _)| *kind == error.kind());
    words.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    if error.kind() == ErrorKind::TimedOut {
        return format!("dial tcp {address}: i/o timeout");
    }
    format!("dial tcp {address}: connect: {}", explain(error))
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}
