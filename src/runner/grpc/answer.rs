//! What a server answers to a call: headers, a message, and a code at the end.

use super::fault::{self, CallFault};
use super::frame::{self, Frame, FrameType};
use super::hpack::{Header, HeaderReader};
use crate::runner::url;

/// The stream of the one call of a connection.
pub(super) const CALL: u32 = 1;
/// The most that is read of an answer, and of its headers.
const MOST: usize = 64 << 10;

/// An answer, as far as it has come.
#[derive(Debug)]
pub(super) struct CallAnswer {
    reader: HeaderReader,
    /// Headers that are not complete yet, and whether nothing comes after them.
    block: (Vec<u8>, bool),
    has_begun: bool,
    is_whole: bool,
    message: Vec<u8>,
    code: Option<u32>,
    words: String,
}

impl CallAnswer {
    pub(super) const fn new() -> Self {
        Self {
            reader: HeaderReader::new(),
            block: (Vec::new(), false),
            has_begun: false,
            is_whole: false,
            message: Vec::new(),
            code: None,
            words: String::new(),
        }
    }

    /// Returns whether nothing more is to come.
    pub(super) const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Takes a frame, and returns what has to be sent for it.
    pub(super) fn note(&mut self, frame: &Frame) -> Result<Option<Vec<u8>>, CallFault> {
        let is_ours = frame.stream == CALL;
        match frame.kind {
            FrameType::Data if is_ours => self.note_data(frame)?,
            FrameType::Headers if is_ours => {
                self.block = (Vec::new(), frame.has(frame::END_STREAM));
                self.note_block(frame)?;
            }
            FrameType::Continuation if is_ours => self.note_block(frame)?,
            FrameType::Reset if is_ours => {
                let code = frame.number(0).unwrap_or_default();
                let words = format!("stream terminated by RST_STREAM with error code: {code}");
                return Err(CallFault::new(fault::INTERNAL, words));
            }
            FrameType::GoAway if frame.number(0).is_none_or(|last| last < CALL) => {
                let words = "the connection is draining";
                return Err(CallFault::new(fault::UNAVAILABLE, words));
            }
            FrameType::Settings | FrameType::Ping if !frame.has(frame::ACK) => {
                let payload = match frame.kind == FrameType::Ping {
                    true => frame.payload.as_slice(),
                    false => &[],
                };
                return Ok(Some(frame::bytes(frame.kind, frame::ACK, 0, payload)));
            }
            FrameType::Data
            | FrameType::Headers
            | FrameType::Continuation
            | FrameType::Reset
            | FrameType::GoAway
            | FrameType::Settings
            | FrameType::Ping
            | FrameType::Other => {}
        }
        Ok(None)
    }

    fn note_data(&mut self, frame: &Frame) -> Result<(), CallFault> {
        let content = frame.content().ok_or_else(malformed)?;
        if self.message.len() + content.len() > MOST {
            let words = "grpc: received message larger than max";
            return Err(CallFault::new(fault::RESOURCE_EXHAUSTED, words));
        }
        self.message.extend_from_slice(content);
        self.is_whole = frame.has(frame::END_STREAM);
        Ok(())
    }

    fn note_block(&mut self, frame: &Frame) -> Result<(), CallFault> {
        let content = match frame.kind == FrameType::Headers {
            true => frame.content().ok_or_else(malformed)?,
            false => &frame.payload,
        };
        self.block.0.extend_from_slice(content);
        if self.block.0.len() > MOST {
            return Err(malformed());
        }
        if !frame.has(frame::END_HEADERS) {
            return Ok(());
        }
        let (block, is_last) = std::mem::take(&mut self.block);
        let headers = self.reader.read(&block).ok_or_else(malformed)?;
        self.note_headers(&headers, is_last)
    }

    fn note_headers(&mut self, headers: &[Header], is_last: bool) -> Result<(), CallFault> {
        let value = |name: &str| {
            let mut found = headers.iter().filter(|it| it.0 == name);
            found.next().map(|it| it.1.as_str())
        };
        if !self.has_begun {
            if !is_last && value(":status").is_some_and(|status| status.starts_with('1')) {
                return Ok(());
            }
            self.has_begun = true;
            must_be_grpc(value(":status"), value("content-type"))?;
        }
        if is_last {
            self.is_whole = true;
            self.code = value("grpc-status").and_then(|code| code.parse().ok());
            let words = value("grpc-message").unwrap_or_default();
            let plain = url::unescaped(words);
            self.words = plain.map_or_else(
                || words.to_owned(),
                |plain| String::from_utf8_lossy(&plain).into_owned(),
            );
        }
        Ok(())
    }

    /// Returns the number of the health that the answer tells.
    pub(super) fn health(self) -> Result<u64, CallFault> {
        let code = self.code.unwrap_or(fault::UNKNOWN);
        if code != 0 {
            return Err(CallFault::new(code, self.words));
        }
        let broken = |words: &str| CallFault::new(fault::INTERNAL, words);
        let Some((&[packing, a, b, c, d], message)) = self.message.split_first_chunk() else {
            return Err(broken(
                "cardinality violation: received no response message from non-server-streaming RPC",
            ));
        };
        if packing != 0 {
            return Err(broken(
                "grpc: compressed flag set with identity or empty encoding",
            ));
        }
        let message = message.get(..u32::from_be_bytes([a, b, c, d]) as usize);
        let message = message.ok_or_else(|| broken("unexpected EOF"))?;
        health_in(message).ok_or_else(|| {
            broken("grpc: failed to unmarshal the received message: proto: cannot parse it")
        })
    }
}

fn malformed() -> CallFault {
    CallFault::new(fault::INTERNAL, "malformed frame or headers")
}

/// Checks that it is gRPC that a server answers with, and not some other HTTP.
fn must_be_grpc(status: Option<&str>, content_type: Option<&str>) -> Result<(), CallFault> {
    let (code, text) = match status {
        None => (fault::INTERNAL, ""),
        Some("400") => (fault::INTERNAL, "Bad Request"),
        Some("401") => (fault::UNAUTHENTICATED, "Unauthorized"),
        Some("403") => (fault::PERMISSION_DENIED, "Forbidden"),
        Some("404") => (fault::UNIMPLEMENTED, "Not Found"),
        Some("429") => (fault::UNAVAILABLE, "Too Many Requests"),
        Some("500") => (fault::UNKNOWN, "Internal Server Error"),
        Some("502") => (fault::UNAVAILABLE, "Bad Gateway"),
        Some("503") => (fault::UNAVAILABLE, "Service Unavailable"),
        Some("504") => (fault::UNAVAILABLE, "Gateway Timeout"),
        Some(_) => (fault::UNKNOWN, ""),
    };
    let mut faults = Vec::new();
    match status {
        None => faults.push("malformed header: missing HTTP status".to_owned()),
        Some("200") => {}
        Some(status) => faults.push(format!(
            "unexpected HTTP status code received from server: {status} ({text})"
        )),
    }
    match content_type {
        None => faults.push("malformed header: missing HTTP content-type".to_owned()),
        Some(it) if it.starts_with("application/grpc") => {}
        Some(it) => faults.push(format!(
            "transport: received unexpected content-type {it:?}"
        )),
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(CallFault::new(code, faults.join("; "))),
    }
}

/// Returns the first field of a message of protobuf, a number that is 0 if it is missing.
fn health_in(mut message: &[u8]) -> Option<u64> {
    let mut health = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => health = varint(&mut message)?,
            (_, 0) => drop(varint(&mut message)?),
            (_, 1) => message = message.get(8..)?,
            (_, 5) => message = message.get(4..)?,
            (_, 2) => {
                let length = varint(&mut message)?;
                message = message.get(usize::try_from(length).ok()?..)?;
            }
            _ => return None,
        }
    }
    Some(health)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
