//! The messages between a runner and the network process, and the file of moved ports.
//!
//! The network process listens at [`Layout::network_socket`]. It sends a [`Greeting`] to each
//! runner that connects, the runner sends an [`AttachRequest`], and an [`AttachReply`] comes back:
//! each is one line. The pet stays attached until the runner closes the connection, after a
//! [`FAREWELL`] if it leaves nothing behind; a line that comes meanwhile is for the pet's events
//! ([`tell`]).

use std::io::{self, BufRead, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;

use rustix::net::SendFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{PetLayout, Sync, read_json, remove, replace_json};

/// The last message, of a runner whose pet has ended.
pub(crate) const FAREWELL: &[u8] = b"end\n";

/// The first message, which names the network process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Greeting {
    pub(crate) pid: u32,
    /// Its thread in the network namespace of the private network.
    pub(crate) tid: u32,
}

/// A runner's request to attach its pet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttachRequest {
    /// A process in the pet's network namespace.
    pub(crate) init: u32,
    #[serde(flatten)]
    pub(crate) spec: NetworkSpec,
}

/// The address and ports of a pet, and whether it has egress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NetworkSpec {
    /// The pet's address on the host.
    pub(crate) ip: Ipv4Addr,
    /// The ports that the pet declares, to be forwarded from that address.
    #[serde(rename = "ports")]
    pub(crate) tcp: Vec<u16>,
    #[serde(default)]
    pub(crate) udp: Vec<u16>,
    /// Whether the pet may connect to addresses outside the private network.
    pub(crate) egress: bool,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttachReply {
    Attached(AttachNotes),
    /// The pet is not attached, for this reason.
    Failed(String),
}

/// Where an attached pet differs from what was requested.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttachNotes {
    /// Ports that are forwarded from another port of the host: `80=10080`, `53/udp=10053`.
    pub(crate) moved: Vec<String>,
    /// Ports that are not forwarded, each with the reason.
    pub(crate) missing: Vec<String>,
    /// The reason why requested egress is not possible.
    pub(crate) closed: Option<String>,
}

impl AttachNotes {
    /// Returns the warnings for the user.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let missing = self.missing.iter();
        let missing = missing.map(|port| format!("the host does not find port {port}"));
        let closed = self.closed.iter();
        let closed = closed.map(|why| format!("the world cannot be reached from here: {why}"));
        missing.chain(closed).collect()
    }
}

/// Sends a greeting or a request.
pub(crate) fn send(mut stream: impl Write, message: &impl Serialize) -> io::Result<()> {
    let line = serde_json::to_string(message)?;
    stream.write_all(format!("{line}\n").as_bytes())
}

/// Tells the runner of an attached pet something, without waiting for it.
pub(crate) fn tell(runner: &UnixStream, words: &str) {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    let _ = rustix::net::send(runner, format!("{words}\n").as_bytes(), flags);
}

/// Hears what the network process tells; `None` when it has ended.
pub(crate) fn hear(mut stream: impl BufRead) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).ok()?;
    line.strip_suffix('\n').map(str::to_owned)
}

/// Receives a greeting or a request.
pub(crate) fn receive<T: DeserializeOwned>(mut stream: impl BufRead) -> io::Result<T> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    serde_json::from_str(&line).map_err(Into::into)
}

impl AttachReply {
    /// Sends the reply.
    pub(crate) fn send(&self, mut stream: impl Write) -> io::Result<()> {
        let line = match self {
            Self::Attached(notes) => format!("ok {}\n", serde_json::to_string(notes)?),
            Self::Failed(why) => format!("{}\n", why.replace('\n', " ")),
        };
        stream.write_all(line.as_bytes())
    }

    /// Receives a reply.
    pub(crate) fn receive(mut stream: impl BufRead) -> io::Result<Self> {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        match line.strip_prefix("ok ") {
            Some(notes) => Ok(Self::Attached(serde_json::from_str(notes)?)),
            None if line.is_empty() => Err(io::ErrorKind::ConnectionReset.into()),
            None => Ok(Self::Failed(line.trim_end().to_owned())),
        }
    }
}

/// Writes which ports of a pet are moved on the host; an empty list removes the file.
pub(crate) fn publish_moved_ports(pet: &PetLayout, moved: &[String]) -> io::Result<()> {
    match moved {
        [] => remove(&pet.doors()),
        moved => replace_json(&pet.doors(), &moved, Sync::No),
    }
}

/// Reads which ports of a pet are moved on the host.
pub(crate) fn moved_ports(pet: &PetLayout) -> io::Result<Vec<String>> {
    let moved: Option<Vec<String>> = read_json(&pet.doors())?;
    Ok(moved.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::store::Layout;

    fn travels<T: Serialize + DeserializeOwned + PartialEq + Debug>(message: &T) {
        let mut line = Vec::new();
        send(&mut line, message).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(&receive::<T>(&*line).unwrap(), message);
    }

    #[test]
    fn a_greeting_and_a_request_are_received_as_they_were_sent() {
        travels(&Greeting { pid: 7, tid: 9 });
        let spec = NetworkSpec {
            ip: Ipv4Addr::new(127, 5, 1, 2),
            tcp: vec![80],
            udp: vec![53],
            egress: true,
        };
        travels(&AttachRequest { init: 3, spec });
        let old = r#"{"init":3,"ip":"127.5.1.2","ports":[80],"egress":false}"#;
        let old: AttachRequest = receive(format!("{old}\n").as_bytes()).unwrap();
        assert_eq!((old.spec.tcp, old.spec.udp), (vec![80], Vec::new()));
    }

    #[test]
    fn a_reply_is_received_as_it_was_sent() {
        let notes = AttachNotes {
            moved: vec!["80=10080".to_owned()],
            missing: vec!["81: denied".to_owned()],
            closed: Some("no nf_tables".to_owned()),
        };
        let failed = "cannot attach 127.5.1.2: no such device".to_owned();
        for reply in [AttachReply::Attached(notes), AttachReply::Failed(failed)] {
            let mut line = Vec::new();
            reply.send(&mut line).unwrap();
            assert_eq!(AttachReply::receive(&*line).unwrap(), reply);
        }
        assert!(AttachReply::receive(&b""[..]).is_err(), "closed");
    }

    #[test]
    fn what_is_told_is_heard_until_the_end() {
        let (network, runner) = UnixStream::pair().unwrap();
        let mut runner = io::BufReader::new(runner);
        tell(&network, "it is told");
        assert_eq!(hear(&mut runner).as_deref(), Some("it is told"));
        drop(network);
        assert_eq!(hear(&mut runner), None);
    }

    #[test]
    fn moved_ports_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let namespace = "default".parse().unwrap();
        let pet = Layout::new(dir.path()).pet(&namespace, "web-0");
        let moved = ["80=10080".to_owned()];
        publish_moved_ports(&pet, &moved).unwrap();
        assert_eq!(moved_ports(&pet).unwrap(), moved);
        publish_moved_ports(&pet, &[]).unwrap();
        assert!(moved_ports(&pet).unwrap().is_empty());
    }
}
