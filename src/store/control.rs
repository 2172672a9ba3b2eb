//! The messages to the sockets of supervisors and runners: datagrams without replies, which a
//! process of a pet may not send.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::paths::{Layout, PetLayout};
use super::reserve::with_room;
use super::socket::{Sender, WhenBusy, listen_at, receive, send_to};
use crate::sys::proc::ProcessId;

/// The message to a supervisor that wanted objects have changed.
const NUDGE: &[u8] = b"wanted";
/// The message to a supervisor that a file is damaged which it can write again.
const MEND: &[u8] = b"damaged";
/// How long a sender waits while a socket is full.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the supervisor to read the wanted objects again. Success proves that a supervisor runs, or
/// is about to end.
pub(crate) fn nudge_supervisor(layout: &Layout) -> io::Result<()> {
    send_to(&layout.supervisor_socket(), NUDGE, WhenBusy::Wait(PATIENCE))
}

/// Binds the supervisor's socket, replacing that of a dead supervisor, on a full disk too.
pub(crate) fn bind_supervisor(layout: &Layout) -> io::Result<UnixDatagram> {
    with_room(layout, || listen_at(&layout.supervisor_socket()))
}

/// Tells a supervisor, if one runs, that a file is damaged; returns whether one runs.
pub(crate) fn ask_to_mend(layout: &Layout) -> bool {
    send_to(&layout.supervisor_socket(), MEND, WhenBusy::GiveUp).is_ok()
}

/// What a supervisor was told since the last look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Wanted objects may have changed.
    pub(crate) nudged: bool,
    /// A file is damaged.
    pub(crate) damaged: bool,
}

/// Drains the supervisor's socket. A command may have ended meanwhile: all that it can ask for is
/// that files are looked at.
pub(crate) fn told(socket: &UnixDatagram) -> Heard {
    let mut told = Heard::default();
    let mut message = [0; 64];
    while let Ok((length, sender)) = receive(socket, &mut message) {
        match &message[..length] {
            _ if sender == Sender::Pet => {}
            MEND => told.damaged = true,
            _ => told.nudged = true,
        }
    }
    told
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
    /// Send a signal to this run of a container's main process, as a user asked. An earlier runner
    /// does not know this request.
    Signal {
        container: String,
        /// The pid of the main process.
        main: u32,
        signal: i32,
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
        RunnerRequest::Visit { .. } | RunnerRequest::Signal { .. } => WhenBusy::Wait(PATIENCE),
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

/// Does the same for the runner of a pet that is to end, on a full disk too.
pub(crate) fn bind_last_runner(layout: &Layout, pet: &PetLayout) -> io::Result<UnixDatagram> {
    with_room(layout, || listen_at(&pet.control()))
}

/// Drains a runner's socket; a request is skipped that cannot be parsed, or that a pet has sent.
pub(crate) fn requests(socket: &UnixDatagram) -> Vec<RunnerRequest> {
    let mut buffer = [0; 1024];
    let mut all = Vec::new();
    while let Ok((length, sender)) = receive(socket, &mut buffer) {
        let request = serde_json::from_slice::<RunnerRequest>(&buffer[..length]);
        all.extend(request.ok().and_then(|request| obeyed(request, sender)));
    }
    all
}

/// Returns what to do for a sender. Where it is not certain who has sent a request, what the pod's
/// file says is done, which only the host writes: the request may be the only word of a change.
fn obeyed(request: RunnerRequest, sender: Sender) -> Option<RunnerRequest> {
    match sender {
        Sender::Host => Some(request),
        Sender::Unknown => Some(RunnerRequest::Reload {}),
        Sender::Pet => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_of_nobody_knows_whom_leads_to_the_file() {
        let stop = RunnerRequest::Stop {
            grace_seconds: None,
        };
        assert_eq!(obeyed(stop.clone(), Sender::Host), Some(stop.clone()));
        let reload = Some(RunnerRequest::Reload {});
        assert_eq!(obeyed(stop.clone(), Sender::Unknown), reload);
        assert_eq!(obeyed(stop, Sender::Pet), None);
    }

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
        let signal = RunnerRequest::Signal {
            container: "c".to_owned(),
            main: 7,
            signal: 9,
        };
        let wanted = r#"{"signal":{"container":"c","main":7,"signal":9}}"#;
        assert_eq!(text(&signal), wanted);
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
        assert_eq!(told(&socket), Heard::default());
        nudge_supervisor(&layout).unwrap();
        assert!(told(&socket).nudged);
        assert!(ask_to_mend(&layout));
        assert!(told(&socket).damaged);
        let socket = bind_runner(&pet).unwrap();
        let request = RunnerRequest::Reload {};
        ask_runner(&pet, &request).unwrap();
        assert_eq!(requests(&socket), [request]);
    }
}
