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
            return;
        }
        if sentence != self.sentence {
            sentence.clone_into(&mut self.sentence);
            self.since = Instant::now();
            self.said = false;
        } else if !self.said && self.since.elapsed() >= DELAY {
            say(&self.sentence);
            self.said = true;
        }
    }

    /// Returns how long to wait until the current message is printed.
    pub(in crate::cli) fn delay(&self) -> Option<Duration> {
        let open = self.bar.is_none() && !self.said && !self.sentence.is_empty();
        open.then(|| DELAY.saturating_sub(self.since.elapsed()) + Duration::from_millis(1))
    }

    /// Removes the spinner.
    pub(in crate::cli) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
