//! Questions and answers as values: names are text without a final dot, spelled as asked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::problem::Problem;

/// How long an answer may be kept, in seconds (N15).
pub(super) const TTL: u32 = 5;

/// The types of record. Of another type there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RecordType {
    A,
    Aaaa,
    Srv,
    Ptr,
    Cname,
    Txt,
    Ns,
    Soa,
    /// All types.
    Any,
    Other(u16),
}

const KINDS: [(RecordType, u16, &str); 9] = [
    (RecordType::A, 1, "A"),
    (RecordType::Ns, 2, "NS"),
    (RecordType::Cname, 5, "CNAME"),
    (RecordType::Soa, 6, "SOA"),
    (RecordType::Ptr, 12, "PTR"),
    (RecordType::Txt, 16, "TXT"),
    (RecordType::Aaaa, 28, "AAAA"),
    (RecordType::Srv, 33, "SRV"),
    (RecordType::Any, 255, "ANY"),
];

impl RecordType {
    /// Returns the type with this number on the wire.
    pub(crate) fn from_code(code: u16) -> Self {
        let known = KINDS.iter().find(|known| known.1 == code);
        known.map_or(Self::Other(code), |known| known.0)
    }

    /// Returns whether a record of type `other` answers a question for this type.
    pub(crate) fn takes(self, other: Self) -> bool {
        self == other || self == Self::Any
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, KINDS.iter().find(|known| known.0 == *self)) {
            (_, Some((_, _, name))) => f.pad(name),
            (Self::Other(code), None) => f.pad(&format!("TYPE{code}")),
            (other, None) => f.pad(&format!("{other:?}")),
        }
    }
}

impl FromStr for RecordType {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let known = KINDS
            .iter()
            .find(|known| known.2.eq_ignore_ascii_case(text));
        let names: Vec<&str> = KINDS.iter().map(|known| known.2).collect();
        known.map(|known| known.0).ok_or_else(|| {
            let problem = Problem::invalid(format!("{text:?} is not a record type"));
            problem.hint(format!("one of {}", names.join(", ")))
        })
    }
}

/// A question: a name, and the type of the records wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: RecordType,
}

impl Question {
    /// Asks for `name`, with or without a final dot.
    pub(crate) fn new(name: impl Into<String>, kind: RecordType) -> Self {
        let mut name = name.into();
        if name.ends_with('.') {
            name.pop();
        }
        Self { name, kind }
    }
}

/// One record. As JSON it is `{"name", "type", "ttl", "value"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DnsRecord {
    pub(crate) name: String,
    pub(crate) ttl: u32,
    pub(crate) value: RecordData,
}

/// The data of a record; displayed as in a zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordData {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Srv {
        priority: u16,
        weight: u16,
        port: u16,
        target: String,
    },
    Ptr(String),
    Cname(String),
    Txt(String),
    Ns(String),
    Soa {
        server: String,
        mailbox: String,
        serial: u32,
    },
}

/// How often a secondary would look, try again, and give up; and how long an absence may be
/// remembered: not at all, so that a pet resolves the moment it is ready.
pub(crate) const SOA_TIMES: (i32, i32, i32, u32) = (7200, 1800, 86400, 0);

impl RecordData {
    pub(crate) const fn address(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::A(ip),
            IpAddr::V6(ip) => Self::Aaaa(ip),
        }
    }

    pub(crate) const fn kind(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Srv { .. } => RecordType::Srv,
            Self::Ptr(_) => RecordType::Ptr,
            Self::Cname(_) => RecordType::Cname,
            Self::Txt(_) => RecordType::Txt,
            Self::Ns(_) => RecordType::Ns,
            Self::Soa { .. } => RecordType::Soa,
        }
    }
}

impl fmt::Display for RecordData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(ip) => ip.fmt(f),
            Self::Aaaa(ip) => ip.fmt(f),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{priority} {weight} {port} {target}."),
            Self::Ptr(name) | Self::Cname(name) | Self::Ns(name) => write!(f, "{name}."),
            Self::Txt(text) => write!(f, "\"{text}\""),
            Self::Soa {
                server,
                mailbox,
                serial,
            } => {
                let (refresh, retry, expire, minimum) = SOA_TIMES;
                write!(
                    f,
                    "{server}. {mailbox}. {serial} {refresh} {retry} {expire} {minimum}"
                )
            }
        }
    }
}

impl Serialize for DnsRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("DnsRecord", 4)?;
        record.serialize_field("name", &self.name)?;
        record.serialize_field("type", &self.value.kind().to_string())?;
        record.serialize_field("ttl", &self.ttl)?;
        record.serialize_field("value", &self.value.to_string())?;
        record.end()
    }
}

/// The outcome of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ResponseCode {
    /// The name exists; without answers it has no record of the type asked for (NODATA).
    NoError,
    /// There is no such name.
    NxDomain,
    /// The zone is not loaded yet (N37).
    ServFail,
    /// The name is in another zone.
    Refused,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: ResponseCode,
    pub(crate) answers: Vec<DnsRecord>,
    /// The zone's SOA, which goes with every negative answer.
    pub(crate) authority: Vec<DnsRecord>,
    /// Addresses that the client will ask for next; may be left out.
    pub(crate) additional: Vec<DnsRecord>,
}

impl Answer {
    /// Makes an answer without records.
    pub(crate) const fn bare(status: ResponseCode) -> Self {
        Self {
            status,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }
}
