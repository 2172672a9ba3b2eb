//! How a command ends: its report on standard error, and its exit code.

use std::fmt;
use std::process::ExitCode;

use super::session::say_all;
use crate::problem::{kind_of, report};

/// An exit code without a message, such as that of a program in `petset exec`.
#[derive(Debug)]
pub(crate) struct PassedThrough(pub(crate) u8);

impl fmt::Display for PassedThrough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ended with exit code {}", self.0)
    }
}

impl std::error::Error for PassedThrough {}

/// Reports an error, and returns the exit code of its kind.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(PassedThrough(code)) = error.downcast_ref() {
        return ExitCode::from(*code);
    }
    say_all(&report(error));
    ExitCode::from(kind_of(error).exit_code())
}
