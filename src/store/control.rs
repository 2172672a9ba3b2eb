//! The messages to the sockets of supervisors and runners: datagrams without replies.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::paths::{Layout, PetLayout};
use super::socket::{WhenBusy, listen_at, send_to};
use crate::sys::proc::ProcessId;

/// The only message to a supervisor, which then reads the wanted objects.
const NUDGE: &[u8] = b"wanted";
/// How long a sender waits while a socket is full.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the supervisor to read the wanted objects again. Success proves that a supervisor runs.
pub(crate) fn nudge_supervisor(layout: &Layout) -> io::Result<()> {
    send_to(&layout.supervisor_socket(), NUDGE, WhenBusy::Wait(PATIENCE))
}

/// Binds the supervisor's socket, replacing that of a dead supervisor.
pub(crate) fn bind_supervisor(layout: &Layout) -> io::Result<UnixDatagram> {
    listen_at(&layout.supervisor_socket())
}

/// Drains the supervisor's socket; returns whether it held any message.
pub(crate) fn was_nudged(socket: &UnixDatagram) -> bool {
    let mut nudged = false;
    while socket.recv(&mut [0; 64]).is_ok() {
        nudged = true;
    }
    nudged
}

/// A request to a runner, one JSON object a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RunnerRequest {
    /// Stop the pod; a repeated request may shorten the grace period. The default is the pod's.
    #[serde(rename_all = "camelCase")]
    Stop { grace_seconds: Option<u64> },
    /// Restart a container, or all main containers, after their grace period and without back-off.
    Restart { container: Option<String> },
    /// Take note that `petset exec` starts a program beside this run of a container's main process,
    /// to be ended with it. An earlier runner does not know this request.
    Visit {
        container: String,
        /// The pid of the main process.
        main: u32,
        /// The process that is about to be the program, or that of which the program is a child.
        visitor: ProcessId,
    },
    /// Read `pod.json` again, and retry what failed for lack of an object.
    Reload {},
}

/// Sends a request to the runner of a pet; an error of kind `NotFound` or `ConnectionRefused` means
/// that the pet has no runner.
pub(crate) fn ask_runner(pet: &PetLayout, request: &RunnerRequest) -> io::Result<()> {
    let message = serde_json::to_vec(request)?;
    let when_busy = match request {
        // It must be there before the program is.
        RunnerRequest::Visit { .. } => WhenBusy::Wait(PATIENCE),
        RunnerRequest::Stop { .. } | RunnerRequest::Restart { .. } | RunnerRequest::Reload {} => {
            WhenBusy::GiveUp
        }
    };
    send_to(&pet.control(), &message, when_busy)
}

/// Binds the socket of a pet's runner, replacing that of a dead runner.
pub(crate) fn bind_runner(pet: &PetLayout) -> io::Result<UnixDatagram> {
    listen_at(&pet.control())
}

/// Drains a runner's socket; a request that cannot be parsed is skipped.
pub(crate) fn requests(socket: &UnixDatagram) -> Vec<RunnerRequest> {
    let mut buffer = [0; 1024];
    let mut all = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        all.extend(serde_json::from_slice::<RunnerRequest>(&buffer[..length]));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_what_the_protocol_says() {
        let text = |control: &RunnerRequest| serde_json::to_string(control).unwrap();
        let grace_seconds = Some(30);
        assert_eq!(
            text(&RunnerRequest::Stop { grace_seconds }),
            r#"{"stop":{"graceSeconds":30}}"#
        );
        let container = Some("c".to_owned());
        assert_eq!(
            text(&RunnerRequest::Restart { container }),
            r#"{"restart":{"container":"c"}}"#
        );
        let visit = RunnerRequest::Visit {
            container: "c".to_owned(),
            main: 7,
            visitor: ProcessId { pid: 8, start: 9 },
        };
        assert_eq!(
            text(&visit),
            r#"{"visit":{"container":"c","main":7,"visitor":{"pid":8,"start":9}}}"#
        );
        assert_eq!(text(&RunnerRequest::Reload {}), r#"{"reload":{}}"#);
        let bare: RunnerRequest = serde_json::from_str(r#"{"stop":{}}"#).unwrap();
        assert_eq!(
            bare,
            RunnerRequest::Stop {
                grace_seconds: None
            }
        );
    }

    #[test]
    fn what_is_sent_arrives() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let pet = layout.pet(&"default".parse().unwrap(), "web-0");
        std::fs::create_dir_all(pet.root()).unwrap();
        std::fs::create_dir_all(layout.supervisor()).unwrap();
        assert!(nudge_supervisor(&layout).is_err());
        let socket = bind_supervisor(&layout).unwrap();
        assert!(!was_nudged(&socket));
        nudge_supervisor(&layout).unwrap();
        assert!(was_nudged(&socket));
        let socket = bind_runner(&pet).unwrap();
        let request = RunnerRequest::Reload {};
        ask_runner(&pet, &request).unwrap();
        assert_eq!(requests(&socket), [request]);
    }
}
