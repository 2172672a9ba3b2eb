//! The runner's control socket: what others may ask of it, and how they do.

use std::io;
use std::os::unix::net::UnixDatagram;

use serde::{Deserialize, Serialize};

use crate::store::{self, PetLayout, WhenBusy};

/// What a runner may be asked, as one JSON datagram.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Control {
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
pub(crate) fn tell(pet: &PetLayout, what: &Control) -> io::Result<()> {
    store::send_to(&pet.control(), &serde_json::to_vec(what)?, WhenBusy::GiveUp)
}

/// Binds the control socket of a pet in the place of one that a dead runner left.
pub(super) fn bind(pet: &PetLayout) -> io::Result<UnixDatagram> {
    store::listen_at(&pet.control())
}

/// Takes everything that waits in the socket; what cannot be understood is left out.
pub(super) fn received(socket: &UnixDatagram) -> Vec<Control> {
    let mut buffer = [0; 1024];
    let mut all = Vec::new();
    while let Ok(length) = socket.recv(&mut buffer) {
        all.extend(serde_json::from_slice::<Control>(&buffer[..length]));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_what_the_protocol_says() {
        let text = |control: &Control| serde_json::to_string(control).unwrap();
        let grace_seconds = Some(30);
        assert_eq!(
            text(&Control::Stop { grace_seconds }),
            r#"{"stop":{"graceSeconds":30}}"#
        );
        let container = Some("c".to_owned());
        assert_eq!(
            text(&Control::Restart { container }),
            r#"{"restart":{"container":"c"}}"#
        );
        assert_eq!(text(&Control::Reload {}), r#"{"reload":{}}"#);
        let bare: Control = serde_json::from_str(r#"{"stop":{}}"#).unwrap();
        assert_eq!(
            bare,
            Control::Stop {
                grace_seconds: None
            }
        );
    }
}
