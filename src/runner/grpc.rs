//! gRPC probes: one call of `grpc.health.v1.Health/Check`, over HTTP/2 without TLS (V45).
//!
//! Of HTTP/2 it speaks what one small call needs. Either side may send 64 KiB before it has to
//! ask, which is more than is sent here, so there is no flow control.

mod answer;
mod fault;
mod frame;
mod hpack;

use std::io::{self, ErrorKind, Write};
use std::time::{Duration, Instant};

use self::answer::{CALL, CallAnswer};
use self::fault::CallFault;
use self::frame::{Frame, FrameType};
use super::connection::{self, Connection, authority};
use super::isolation::Dialer;
use crate::problem::Problem;

/// The first pause before it is tried again to connect, and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The setting that the server may not send what it was not asked for.
const NO_PUSH: [u8; 6] = [0, 2, 0, 0, 0, 0];
const HEALTH: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: u64 = 1;

/// A question for the health of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GrpcRequest {
    pub(super) host: String,
    pub(super) port: u16,
    /// The name of the service; an empty one means the whole server.
    pub(super) service: String,
}

/// Checks that a service says that it is serving; the error is what the kubelet says.
pub(super) fn check(
    request: &GrpcRequest,
    timeout: Duration,
    dialer: Option<&Dialer>,
) -> Result<(), Problem> {
    let until = Instant::now() + timeout;
    let server = authority(&request.host, request.port);
    let within = written(timeout);
    let Some(connection) = connect(request, until, dialer) else {
        return Err(Problem::failed(format!(
            "timeout: failed to connect service {server:?} within {within}: \
             context deadline exceeded"
        )));
    };
    let left = until.saturating_duration_since(Instant::now());
    let health = call(connection, &server, &request.service, left);
    match health.map_err(|fault| Problem::failed(fault.words(&within)))? {
        SERVING => Ok(()),
        health => {
            let name = usize::try_from(health).ok().and_then(|it| HEALTH.get(it));
            let name = name.map_or_else(|| health.to_string(), |name| (*name).to_owned());
            let words = format!("service unhealthy (responded with {name:?})");
            Err(Problem::failed(words))
        }
    }
}

/// Connects, again and again until the time is over. So does the kubelet: its probe succeeds if
/// the server begins to listen meanwhile.
fn connect(request: &GrpcRequest, until: Instant, dialer: Option<&Dialer>) -> Option<Connection> {
    let (mut pause, longest) = PAUSES;
    loop {
        let connection = Connection::open(&request.host, request.port, until, dialer);
        let greeted = connection.ok().and_then(|it| greet(it).ok());
        let left = until.saturating_duration_since(Instant::now());
        if greeted.is_some() || left.is_zero() {
            return greeted;
        }
        std::thread::sleep(pause.min(left));
        pause = longest.min(pause * 2);
    }
}

/// Begins to speak HTTP/2, and waits for the server to do so.
fn greet(mut connection: Connection) -> io::Result<Connection> {
    let settings = frame::bytes(FrameType::Settings, 0, 0, &NO_PUSH);
    connection.write_all(&[GREETING, &settings].concat())?;
    let first = Frame::read(&mut connection)?;
    if first.kind != FrameType::Settings || first.has(frame::ACK) {
        return Err(ErrorKind::InvalidData.into());
    }
    let thanks = frame::bytes(FrameType::Settings, frame::ACK, 0, &[]);
    connection.write_all(&thanks)?;
    Ok(connection)
}

/// Makes the call and returns the number of the health that the server answers with.
fn call(
    mut connection: Connection,
    server: &str,
    service: &str,
    left: Duration,
) -> Result<u64, CallFault> {
    let head = head_of(server, left);
    let head = frame::bytes(FrameType::Headers, frame::END_HEADERS, CALL, &head);
    let question = question(service);
    let question = frame::bytes(FrameType::Data, frame::END_STREAM, CALL, &question);
    connection
        .write_all(&[head, question].concat())
        .map_err(broken)?;
    let mut answer = CallAnswer::new();
    while !answer.is_whole() {
        let frame = Frame::read(&mut connection).map_err(broken)?;
        if let Some(reply) = answer.note(&frame)? {
            connection.write_all(&reply).map_err(broken)?;
        }
    }
    answer.health()
}

fn broken(error: io::Error) -> CallFault {
    let kind = error.kind();
    if kind == ErrorKind::TimedOut || kind == ErrorKind::WouldBlock {
        return CallFault::new(fault::DEADLINE_EXCEEDED, "context deadline exceeded");
    }
    let cause = match kind == ErrorKind::UnexpectedEof {
        true => "EOF".to_owned(),
        false => connection::explain(&error),
    };
    let words = format!("error reading from server: {cause}");
    CallFault::new(fault::UNAVAILABLE, words)
}

/// Returns the headers of the call, none of which is packed or to be remembered.
fn head_of(server: &str, left: Duration) -> Vec<u8> {
    let timeout = format!("{}m", left.as_millis().max(1));
    // `:method: POST` and `:scheme: http` have numbers.
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", server),
        ("content-type", "application/grpc"),
        ("user-agent", "kube-probe/1.36"),
        ("te", "trailers"),
        ("grpc-timeout", &timeout),
    ] {
        block.push(0);
        hpack::write_text(&mut block, name);
        hpack::write_text(&mut block, value);
    }
    block
}

/// Returns the message of the call: not compressed, its length, and the name as field 1.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        hpack::write_varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), &message].concat()
}

/// Writes a duration as Go does, such as `1m30s`.
fn written(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests;
