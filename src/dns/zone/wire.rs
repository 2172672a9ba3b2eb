//! What the wire format of questions and that of forwarded questions have in common.

use simple_dns::{Packet, PacketFlag};

/// The length of a message's header.
pub(super) const HEADER: usize = 12;
/// In the third byte of a message: it is a reply (QR).
pub(super) const RESPONSE: u8 = 0b1000_0000;

/// Returns where the one question of a message ends.
pub(super) fn end_of_question(message: &[u8]) -> Option<usize> {
    let end = end_of_name(message)? + 4;
    (message.len() >= end && message.get(4..6) == Some(&[0, 1])).then_some(end)
}

/// Returns where the name in the question ends. It cannot be a pointer: nothing comes before it.
pub(super) fn end_of_name(query: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        match *query.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += usize::from(length) + 1,
            64.. => return None,
        }
    }
}

/// Writes a reply so that it fits: additional records are left out first; if that is not enough,
/// it is truncated, for the client to ask again by TCP.
pub(super) fn write_within(mut reply: Packet<'_>, room: usize) -> Option<Vec<u8>> {
    loop {
        let bytes = reply.build_bytes_vec_compressed().ok()?;
        if bytes.len() <= room {
            return Some(bytes);
        }
        if !reply.additional_records.is_empty() {
            reply.additional_records.clear();
        } else if reply.answers.is_empty() && reply.name_servers.is_empty() {
            return None;
        } else {
            reply.set_flags(PacketFlag::TRUNCATION);
            reply.name_servers.clear();
            let fitting = reply.answers.len() * room / bytes.len();
            reply.answers.truncate(fitting);
        }
    }
}
