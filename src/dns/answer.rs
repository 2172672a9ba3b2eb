//! Questions and answers as values: names are text without a final dot, spelled as asked.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::problem::Problem;

/// The kinds of record that are told apart; whoever asks for another learns that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Srv,
    Ptr,
    Cname,
    Txt,
    Ns,
    Soa,
    /// Whatever there is.
    Any,
    Other(u16),
}

const KINDS: [(Kind, u16, &str); 9] = [
    (Kind::A, 1, "A"),
    (Kind::Ns, 2, "NS"),
    (Kind::Cname, 5, "CNAME"),
    (Kind::Soa, 6, "SOA"),
    (Kind::Ptr, 12, "PTR"),
    (Kind::Txt, 16, "TXT"),
    (Kind::Aaaa, 28, "AAAA"),
    (Kind::Srv, 33, "SRV"),
    (Kind::Any, 255, "ANY"),
];

impl Kind {
    /// Returns the kind with this number on the wire.
    pub(crate) fn from_code(code: u16) -> Self {
        let known = KINDS.iter().find(|known| known.1 == code);
        known.map_or(Self::Other(code), |known| known.0)
    }

    /// Whether a record of kind `other` answers a question for this kind.
    pub(crate) fn takes(self, other: Self) -> bool {
        self == other || self == Self::Any
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, KINDS.iter().find(|known| known.0 == *self)) {
            (_, Some((_, _, name))) => f.pad(name),
            (Self::Other(code), None) => f.pad(&format!("TYPE{code}")),
            (other, None) => f.pad(&format!("{other:?}")),
        }
    }
}

impl FromStr for Kind {
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

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

impl Question {
    /// Asks for `name`, with or without a final dot.
    pub(crate) fn new(name: impl Into<String>, kind: Kind) -> Self {
        let mut name = name.into();
        if name.ends_with('.') {
            name.pop();
        }
        Self { name, kind }
    }
}

/// One record. As JSON it is `{"name", "type", "ttl", "value"}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) ttl: u32,
    pub(crate) value: Value,
}

/// What a record says; displayed as in a zone file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
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

impl Value {
    pub(crate) const fn address(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::A(ip),
            IpAddr::V6(ip) => Self::Aaaa(ip),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Srv { .. } => Kind::Srv,
            Self::Ptr(_) => Kind::Ptr,
            Self::Cname(_) => Kind::Cname,
            Self::Txt(_) => Kind::Txt,
            Self::Ns(_) => Kind::Ns,
            Self::Soa { .. } => Kind::Soa,
        }
    }
}

impl fmt::Display for Value {
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

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("Record", 4)?;
        record.serialize_field("name", &self.name)?;
        record.serialize_field("type", &self.value.kind().to_string())?;
        record.serialize_field("ttl", &self.ttl)?;
        record.serialize_field("value", &self.value.to_string())?;
        record.end()
    }
}

/// How a question ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// The name exists; without answers it has no record of the kind asked for (NODATA).
    NoError,
    /// There is no such name.
    NxDomain,
    /// Nothing is known yet (N37).
    ServFail,
    /// It is another zone's name.
    Refused,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    pub(crate) answers: Vec<Record>,
    /// The zone's SOA, which goes with every negative answer.
    pub(crate) authority: Vec<Record>,
    /// Addresses that the asker will want next; may be left out.
    pub(crate) additional: Vec<Record>,
}

impl Answer {
    /// An answer that says nothing but how it ended.
    pub(crate) const fn bare(status: Status) -> Self {
        Self {
            status,
            answers: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }
}
