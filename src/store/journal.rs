//! The journal: the events of a set and its pets, one JSON object a line, only ever appended.
//!
//! The supervisor and the runners write it concurrently. Each line is a single write to a file
//! opened for appending, so lines never mix.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::damage::{is_damage, open_to_append};
use super::files::{make_dir, read_lines};

/// The size in bytes at which a journal is rotated; one older part is kept.
const FULL: u64 = 1 << 20;

/// The type of an event, as in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Severity {
    Normal,
    Warning,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) time: Timestamp,
    #[serde(rename = "type")]
    pub(crate) severity: Severity,
    /// One word, such as `SuccessfulCreate`.
    pub(crate) reason: String,
    /// The involved object: `statefulset/web`, `pod/web-0`, `persistentvolumeclaim/data-web-0`.
    pub(crate) object: String,
    /// Tells a pod from an earlier one of its name; journals of earlier versions do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    /// The part of the object that it is about, such as `spec.containers{c}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    pub(crate) message: String,
    /// How many times it happened since the last line of the same event.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub(crate) count: u32,
}

impl Event {
    /// Returns the message as kubectl shows it: after the part of the object that it is about.
    pub(crate) fn text(&self) -> String {
        match &self.field {
            Some(field) => format!("{field}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

const fn once() -> u32 {
    1
}

const fn is_once(count: &u32) -> bool {
    *count == 1
}

/// Appends an event to the journal at `path`.
pub(crate) fn append(path: &Path, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    let open = || open_to_append(path);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(path.parent().unwrap_or(path))?;
            open()?
        }
        opened => opened?,
    };
    file.write_all(&line)?;
    if file.metadata()?.len() > FULL {
        fs::rename(path, path.with_extension("jsonl.1"))?;
    }
    Ok(())
}

/// Returns the events of the journal at `path`, oldest first; an incomplete or damaged line is
/// skipped, and so is a part that cannot be read at all.
pub(crate) fn events(path: &Path) -> io::Result<Vec<Event>> {
    let mut all = Vec::new();
    for part in [path.with_extension("jsonl.1"), path.to_owned()] {
        let lines = match read_lines(&part) {
            Err(error) if is_damage(&error) => continue,
            lines => lines?,
        };
        let events = lines.iter();
        all.extend(events.filter_map(|line| serde_json::from_str::<Event>(line).ok()));
    }
    Ok(all)
}
