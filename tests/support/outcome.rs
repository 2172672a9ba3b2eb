//! What a command said, and how it ended.

use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;

use super::{testdata, wait_until};

/// The end of a command.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    /// What was run, without the program's name.
    pub(crate) words: String,
    pub(crate) out: String,
    pub(crate) err: String,
    /// The exit code; -1 where a signal ended it.
    pub(crate) code: i32,
}

impl Outcome {
    /// Requires that the command said this, on either output.
    #[track_caller]
    pub(crate) fn says(&self, text: &str) -> &Self {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(said, "{text:?} was to be said:\n{}", self.transcript());
        self
    }

    /// Requires that the command did not say this.
    #[track_caller]
    pub(crate) fn lacks(&self, text: &str) -> &Self {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(!said, "{text:?} was not to be said:\n{}", self.transcript());
        self
    }

    /// Requires that the standard output is exactly this.
    #[track_caller]
    pub(crate) fn prints(&self, text: &str) -> &Self {
        assert_eq!(self.out, text, "{}", self.transcript());
        self
    }

    /// Compares the whole transcript with a file of `testdata/golden`, in which `[..]` stands for
    /// anything; `PETSET_ACCEPT=1` accepts what is new.
    #[track_caller]
    pub(crate) fn matches(&self, golden: &str) -> &Self {
        let path = testdata().join("golden").join(golden);
        let action = match std::env::var_os("PETSET_ACCEPT") {
            Some(_) => snapbox::assert::Action::Overwrite,
            None => snapbox::assert::Action::Verify,
        };
        snapbox::Assert::new()
            .action(action)
            .eq(self.transcript(), snapbox::Data::read_from(&path, None));
        self
    }

    /// The command, what it said, and its exit code.
    pub(crate) fn transcript(&self) -> String {
        format!(
            "$ petset {}\n{}{}[exit {}]\n",
            self.words, self.out, self.err, self.code
        )
    }

    pub(super) fn hiding(mut self, state: &Path) -> Self {
        let state = state.to_str().unwrap();
        self.out = self.out.replace(state, "$STATE");
        self.err = self.err.replace(state, "$STATE");
        self
    }
}

/// Waits for the end of a command and of its output; tells whether that took too long.
pub(super) fn collect(words: &str, mut child: Child, limit: Duration) -> (Outcome, bool) {
    let out = child.stdout.take().map(reader);
    let err = child.stderr.take().map(reader);
    let closed = |reader: &Option<Reader>| reader.as_ref().is_none_or(Reader::is_finished);
    let in_time = wait_until(
        || closed(&out) && closed(&err) && child.try_wait().unwrap().is_some(),
        limit,
    );
    if !in_time {
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    let text = |reader: Option<Reader>| reader.map(|it| it.text(in_time)).unwrap_or_default();
    let outcome = Outcome {
        words: words.to_owned(),
        out: text(out),
        err: text(err),
        code: status.code().unwrap_or(-1),
    };
    (outcome, !in_time)
}

/// Reads to the end in a thread of its own.
struct Reader(thread::JoinHandle<String>);

fn reader(mut from: impl Read + Send + 'static) -> Reader {
    Reader(thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }))
}

impl Reader {
    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// What was read; a pipe that a process still holds is left alone.
    fn text(self, in_time: bool) -> String {
        if in_time || self.0.is_finished() {
            self.0.join().unwrap()
        } else {
            "(a process still holds this pipe)\n".to_owned()
        }
    }
}
