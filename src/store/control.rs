//! What is sent to the sockets of supervisors and runners: datagrams, which nobody answers.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::paths::{Layout, PetLayout};
use super::socket::{WhenBusy, listen_at, send_to};

/// The only message to a supervisor. What is to be done is in the state directory.
const NUDGE: &[u8] = b"wanted";
/// How long a message may wait for a busy supervisor.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the supervisor to look at what is wanted now. A message that arrives is proof that it
/// lives.
pub(crate) fn nudge_supervisor(layout: &Layout) -> io::Result<()> {
    send_to(&layout.supervisor_socket(), NUDGE, WhenBusy::Wait(PATIENCE))
}

/// Binds the supervisor's socket in the place of one that a dead supervisor left.
pub(crate) fn bind_supervisor(layout: &Layout) -> io::Result<UnixDatagram> {
    listen_at(&layout.supervisor_socket())
}

/// Takes all messages out of the supervisor's socket; returns whether there were any.
pub(crate) fn was_nudged(socket: &UnixDatagram) -> bool {
    let mut nudged = false;
    while socket.recv(&mut [0; 64]).is_ok() {
        nudged = true;
    }
    nudged
}

/// What a runner may be asked, one JSON object a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RunnerRequest {
    /// Stop the pod; a repetition may shorten the grace. Without one the pod's own holds.
    #[serde(rename_all = "camelCase")]
    Stop { grace_seconds: Option<u64> },
    /// End a container, or all main ones, with grace, and start it again without back-off.
    Restart { container: Option<String> },
    /// `pod.json` has changed, or what the pod waits for may have.
    Reload {},
}

/// Asks the runner of a pet; an error of kind `NotFound` or `ConnectionRefused` means that it
/// has none.
pub(crate) fn ask_runner(pet: &PetLayout, request: &RunnerRequest) -> io::Result<()> {
    let message = serde_json::to_vec(request)?;
    send_to(&pet.control(), &message, WhenBusy::GiveUp)
}

/// Binds the socket of a pet's runner in the place of one that a dead runner left.
pub(crate) fn bind_runner(pet: &PetLayout) -> io::Result<UnixDatagram> {
    listen_at(&pet.control())
}

/// Takes all requests out of a runner's socket; one that cannot be understood is left out.
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
