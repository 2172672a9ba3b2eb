//! A query that only another server can answer, wholly or in part.

use simple_dns::{Name, Packet, PacketFlag, TYPE};

use super::wire::{HEADER, RESPONSE, end_of_question, write_within};

/// The query that is forwarded, and what becomes of the reply.
#[derive(Debug)]
pub(in crate::dns) struct Forwarded {
    /// The message to send; the sender sets its id, the first two bytes.
    pub(in crate::dns) query: Vec<u8>,
    /// The id of the client's query.
    id: [u8; 2],
    /// Our reply if no server answers.
    own: Vec<u8>,
    /// Where our answer is an alias, and theirs goes behind it: how many bytes the client takes.
    behind_alias: Option<usize>,
}

const SERVER_FAILURE: u8 = 2;

impl Forwarded {
    /// Forwards a query as it came.
    pub(super) fn whole(query: &[u8]) -> Self {
        let id = [query[0], query[1]];
        let mut own = query[..HEADER].to_vec();
        own[2] = RESPONSE | (own[2] & 0b0111_1001);
        own[3] = SERVER_FAILURE;
        own[4..].fill(0);
        let query = query.to_vec();
        Self {
            query,
            id,
            own,
            behind_alias: None,
        }
    }

    /// Asks for the records of `target`, for which our own reply says that the name is an alias.
    pub(super) fn behind(own: Vec<u8>, target: &str, kind: TYPE, room: usize) -> Option<Self> {
        let id = [own[0], own[1]];
        let mut packet = Packet::new_query(0);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(target).ok()?;
        let class = simple_dns::CLASS::IN.into();
        let question = simple_dns::Question::new(name, kind.into(), class, false);
        packet.questions.push(question);
        let query = packet.build_bytes_vec().ok()?;
        Some(Self {
            query,
            id,
            own,
            behind_alias: Some(room),
        })
    }

    /// Returns whether a message is a reply to this very query.
    pub(in crate::dns) fn is_answered_by(&self, reply: &[u8]) -> bool {
        let question = |message: &[u8]| {
            let end = end_of_question(message)?;
            Some(message[HEADER..end].to_ascii_lowercase())
        };
        reply.len() >= HEADER
            && reply[2] & RESPONSE != 0
            && question(reply).is_some_and(|asked| Some(asked) == question(&self.query))
    }

    /// Returns what goes back to the client after this reply.
    pub(in crate::dns) fn reply(&self, theirs: &[u8]) -> Vec<u8> {
        match self.behind_alias {
            Some(room) => self
                .joined(theirs, room)
                .unwrap_or_else(|| self.own.clone()),
            None => [&self.id, &theirs[2..]].concat(),
        }
    }

    /// Returns what goes back to the client where no server answers.
    pub(in crate::dns) fn own_reply(&self) -> Vec<u8> {
        self.own.clone()
    }

    fn joined(&self, theirs: &[u8], room: usize) -> Option<Vec<u8>> {
        let (mut own, theirs) = (Packet::parse(&self.own).ok()?, Packet::parse(theirs).ok()?);
        *own.rcode_mut() = theirs.rcode();
        if theirs.has_flags(PacketFlag::TRUNCATION) {
            own.set_flags(PacketFlag::TRUNCATION);
        }
        own.answers.extend(theirs.answers);
        write_within(own, room)
    }
}
