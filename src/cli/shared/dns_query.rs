//! One question to a DNS server, over UDP, then over TCP where the answer is truncated.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::Context;

use crate::dns::{Lookup, Question, ServerReply, query, read_reply};
use crate::problem::{Kind, Problem, Result};

/// The timeout of one attempt, and the number of attempts.
const TIMEOUT: Duration = Duration::from_secs(1);
const TRIES: u32 = 2;

/// Asks `server` a question and returns its answer.
pub(crate) fn ask(server: SocketAddr, question: &Question) -> Result<Lookup> {
    let id = u16::try_from(std::process::id() & 0xffff).unwrap_or_default();
    let message = query(id, question)?;
    let reply = over_udp(server, &message, id).map_err(|error| no_answer(server, &error))?;
    let reply = match reply {
        ServerReply::Truncated => {
            let bytes = over_tcp(server, &message)
                .with_context(|| format!("cannot ask {server} over TCP"))?;
            read_reply(&bytes, id)
        }
        whole @ (ServerReply::Answer(_) | ServerReply::Failed(_)) => Some(whole),
    };
    match reply {
        Some(ServerReply::Answer(found)) => Ok(found),
        Some(ServerReply::Truncated) | None => Err(invalid_reply(server).into()),
        // A short name is tried with every search domain, and the server refuses names of other
        // zones.
        Some(ServerReply::Failed("REFUSED")) => Ok(Lookup::NxDomain),
        Some(ServerReply::Failed(code)) => {
            let message = format!("the DNS server {server} answers {code}");
            Err(Problem::new(Kind::Failed, message).into())
        }
    }
}

fn over_udp(server: SocketAddr, message: &[u8], id: u16) -> io::Result<ServerReply> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut buffer = [0; 4096];
    for _ in 0..TRIES {
        socket.send(message)?;
        match socket.recv(&mut buffer) {
            Ok(length) => {
                if let Some(reply) = read_reply(&buffer[..length], id) {
                    return Ok(reply);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn over_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], message].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut reply = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut reply)?;
    Ok(reply)
}

fn no_answer(server: SocketAddr, error: &io::Error) -> anyhow::Error {
    let message = format!("the DNS server {server} does not answer: {error}");
    let hint = "it runs while a pet runs; without --server, the answer comes from the files";
    Problem::new(Kind::Failed, message).hint(hint).into()
}

fn invalid_reply(server: SocketAddr) -> Problem {
    Problem::new(
        Kind::Failed,
        format!("the DNS server {server} sent an invalid reply"),
    )
}
