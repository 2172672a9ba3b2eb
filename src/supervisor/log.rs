//! The supervisor's log: its standard error, which is `supervisor/log` in the background.

use std::io::{self, Write};

use jiff::Timestamp;

/// Writes a line to the supervisor's log.
pub(super) fn log(line: &str) {
    let _ = writeln!(io::stderr(), "{} {}", Timestamp::now(), line.trim_end());
}
