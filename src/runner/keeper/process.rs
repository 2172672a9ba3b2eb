//! The processes that a runner starts itself, as opposed to their descendants.

use std::io::{PipeReader, Read};
use std::time::Duration;

use rustix::process::WaitStatus;

use crate::model::lifecycle::{ContainerIndex, Exit, HookKind, ProbeKind, ProbeOutcome};

/// The most of a probe's or hook's output that is kept for its message.
const WORDS: usize = 1 << 10;

/// The purpose of a process that the runner started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Main,
    Hook(HookKind),
    Probe { kind: ProbeKind, run: u32 },
}

/// A process that the runner started.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) place: ContainerIndex,
    pub(super) purpose: Purpose,
    pub(super) deadline: Option<Duration>,
    pub(super) timed_out: bool,
    pub(super) output: Option<PipeReader>,
    pub(super) words: Vec<u8>,
}

impl Process {
    pub(super) fn listen(&mut self) {
        let mut buffer = [0; 1024];
        while let Some(output) = &mut self.output {
            match output.read(&mut buffer) {
                Ok(0) => self.output = None,
                Ok(length) => {
                    let room = WORDS.saturating_sub(self.words.len()).min(length);
                    self.words.extend_from_slice(&buffer[..room]);
                }
                Err(_) => return,
            }
        }
    }

    /// Returns the outcome of a probe whose command ended like this.
    pub(super) fn probed(&self, exit: Exit) -> ProbeOutcome {
        match exit {
            Exit::Code(0) => ProbeOutcome::Success,
            Exit::Code(_) | Exit::Signal(_) if self.words.trim_ascii().is_empty() => {
                ProbeOutcome::Silent(self.complaint(exit))
            }
            Exit::Code(_) | Exit::Signal(_) => ProbeOutcome::Failure(self.complaint(exit)),
        }
    }

    /// Returns the output of a failed command, or else how it ended.
    pub(super) fn complaint(&self, exit: Exit) -> String {
        let words = String::from_utf8_lossy(&self.words);
        match (words.trim(), exit) {
            ("", Exit::Code(code)) => format!("command exited with {code}"),
            ("", Exit::Signal(signal)) => format!("command was ended by signal {signal}"),
            (words, _) => words.to_owned(),
        }
    }
}

pub(super) fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal),
        (None, None) => Exit::Code(255),
    }
}
