//! The proxy's lines in the supervisor's log.

use std::io::{self, Write};

/// Writes a line to the supervisor's log, which is this process's stderr.
pub(super) fn log(line: &str) {
    let _ = writeln!(
        io::stderr(),
        "{} proxy: {}",
        jiff::Timestamp::now(),
        line.trim_end()
    );
}
