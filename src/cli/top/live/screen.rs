//! The terminal while the view is open, and how it becomes what it was.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::panic;

use anyhow::Context;
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use rustix::stdio::{dup2_stderr, stderr, stdout};
use rustix::termios::tcgetwinsize;

use super::ansi::{self, CLEAR, ENTER, LEAVE};
use super::record::Recorder;
use crate::problem::Result;
use crate::sys::RawTerminal;

/// What a terminal is taken for that does not tell its size.
const USUAL: (u16, u16) = (80, 24);

/// The terminal, which shows a view. Dropping this shows what was there before.
pub(super) struct Screen {
    terminal: RawTerminal,
    stderr: OwnedFd,
    shown: Option<Buffer>,
    size: (u16, u16),
    pub(super) recorder: Option<Recorder>,
}

impl Screen {
    /// Takes the terminal. Warnings of readers are not shown meanwhile: they have no place.
    pub(super) fn take(recorder: Option<Recorder>) -> Result<Self> {
        let stderr = rustix::io::fcntl_dupfd_cloexec(stderr(), 3);
        let stderr = stderr.context("cannot keep standard error")?;
        tell_panics();
        let terminal = RawTerminal::make_with_farewell(LEAVE.as_bytes());
        let terminal = terminal.context("cannot use the terminal")?;
        let mut screen = Self {
            terminal,
            stderr,
            shown: None,
            size: size(),
            recorder,
        };
        screen.enter()?;
        Ok(screen)
    }

    fn enter(&mut self) -> Result<()> {
        let nothing = File::options().write(true).open("/dev/null");
        let nothing = nothing.context("cannot open /dev/null")?;
        dup2_stderr(&nothing).context("cannot silence standard error")?;
        self.shown = None;
        self.write(ENTER)
    }

    fn leave(&mut self) {
        let _ = self.write(LEAVE);
        let _ = dup2_stderr(&self.stderr);
    }

    /// Returns the columns and lines that there are.
    pub(super) const fn size(&self) -> (u16, u16) {
        self.size
    }

    /// Takes note of another size, or of what others have left on the screen.
    pub(super) fn refresh(&mut self) -> Result<()> {
        let before = self.size;
        self.size = size();
        if self.size != before
            && let Some(recorder) = &mut self.recorder
        {
            let _ = recorder.resized(self.size);
        }
        self.enter()
    }

    /// Shows a picture.
    pub(super) fn show(&mut self, picture: Buffer) -> Result<()> {
        let mut text = String::new();
        let before = match self.shown.take() {
            Some(shown) if shown.area == picture.area => shown,
            Some(_) | None => {
                text.push_str(CLEAR);
                Buffer::empty(Rect::new(0, 0, picture.area.width, picture.area.height))
            }
        };
        text.push_str(&ansi::change(&before, &picture));
        self.shown = Some(picture);
        match text.is_empty() {
            true => Ok(()),
            false => self.write(&text),
        }
    }

    fn write(&mut self, text: &str) -> Result<()> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.context("cannot write to the terminal")?;
        if let Some(recorder) = &mut self.recorder {
            recorder.output(text).context("cannot record")?;
        }
        Ok(())
    }

    /// Lets something else have the terminal as it was.
    pub(super) fn lend<T>(&mut self, to: impl FnOnce() -> T) -> Result<T> {
        self.leave();
        let outcome = self.terminal.lend(to);
        self.enter()?;
        Ok(outcome)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.leave();
    }
}

fn size() -> (u16, u16) {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        Ok(_) | Err(_) => USUAL,
    }
}

/// Lets the message of a panic be seen after the view is gone.
fn tell_panics() {
    panic::set_hook(Box::new(|panic| {
        let text = format!("{LEAVE}{panic}\r\n").replace('\n', "\r\n");
        let _ = io::stdout().write_all(text.as_bytes());
    }));
}
