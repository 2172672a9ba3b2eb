//! Progress messages while a verb waits.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::shared::session::say;

/// How long a message must hold before it is printed.
const DELAY: Duration = Duration::from_millis(700);

/// Shows what a verb waits for: a spinner on a terminal, else plain lines.
pub(in crate::cli) struct Progress {
    bar: Option<ProgressBar>,
    sentence: String,
    since: Instant,
    said: bool,
}

impl Progress {
    /// Shows a spinner if standard error is a terminal.
    pub(in crate::cli) fn new() -> Self {
        let bar = rustix::termios::isatty(std::io::stderr().as_fd()).then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            sentence: String::new(),
            since: Instant::now(),
            said: false,
        }
    }

    /// Shows a message, or prints it once it has held for a while.
    pub(in crate::cli) fn waits_for(&mut self, sentence: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(sentence.to_owned());
            sentence.clone_into(&mut self.sentence);
            return;
        }
        if without_age(sentence) != without_age(&self.sentence) {
            sentence.clone_into(&mut self.sentence);
            self.since = Instant::now();
            self.said = false;
        } else if !self.said && self.since.elapsed() >= DELAY {
            say(sentence);
            self.said = true;
        }
    }

    /// Returns how long to wait until the current message is printed, or the age in it is another.
    pub(in crate::cli) fn delay(&self) -> Option<Duration> {
        if self.bar.is_some() {
            let ages = without_age(&self.sentence).len() < self.sentence.len();
            return ages.then_some(Duration::from_secs(1));
        }
        let open = !self.said && !self.sentence.is_empty();
        open.then(|| DELAY.saturating_sub(self.since.elapsed()) + Duration::from_millis(1))
    }

    /// Removes the spinner.
    pub(in crate::cli) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// Returns a message without ` (for 8s)`, which alone makes it no other message.
fn without_age(sentence: &str) -> String {
    let (before, after) = sentence.split_once(" (for ").unwrap_or((sentence, ""));
    let rest = after.split_once(')').map_or("", |(_, rest)| rest);
    format!("{before}{rest}")
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
