//! Errors with an exit code, a message and hints.
//!
//! A [`Problem`] is an error that petset foresees. Every other error is `anyhow` with context, and
//! its kind is [`Kind::Failed`].

use std::fmt;

/// The result of a fallible operation; the error is `anyhow`'s unless another one is named.
pub type Result<T, E = anyhow::Error> = std::result::Result<T, E>;

/// The kind of an error; each kind has an exit code that scripts may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any error without an exit code of its own.
    Failed,
    /// A wrong command line or a manifest that is refused.
    Invalid,
    /// A named object, pod or container does not exist.
    NotFound,
    /// An object exists already, or the request contradicts an existing one.
    Conflict,
    /// A pet never became ready, so the work halted.
    Halted,
    /// An upgrade failed, and the earlier template was restored.
    RolledBack,
    /// The state directory stayed locked by another command.
    Locked,
    /// The command's time-out has passed; the supervisor goes on with the work.
    TimedOut,
    /// A bug in petset.
    Bug,
}

impl Kind {
    /// Returns the exit code that stands for this kind.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Halted => 5,
            Self::RolledBack => 6,
            Self::Locked => 75,
            Self::TimedOut => 124,
            Self::Bug => 70,
        }
    }
}

/// A foreseen failure: one message, and hints at what to do about it.
///
/// The message is lower case, has no full stop, and names the object or path:
///
/// ```
/// use petset::{Kind, Problem};
/// let problem = Problem::new(Kind::NotFound, "statefulsets.apps \"web\" not found")
///     .hint("see what exists with `petset get sets`");
/// assert_eq!(problem.kind.exit_code(), 3);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind, which determines the exit code.
    pub kind: Kind,
    /// The cause.
    pub message: String,
    /// Advice, one sentence each.
    pub hints: Vec<String>,
}

impl Problem {
    /// Makes a problem without hints.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            message,
            hints: Vec::new(),
        }
    }

    /// Makes an [`Kind::Invalid`] problem.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// Makes a [`Kind::Failed`] problem.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<String> for Problem {
    fn from(message: String) -> Self {
        Self::failed(message)
    }
}

/// Returns the kind of an error: that of the first [`Problem`] in its chain.
#[must_use]
pub fn kind_of(error: &anyhow::Error) -> Kind {
    let problems = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Problem>());
    problems.map_or(Kind::Failed, |problem| problem.kind)
}

/// Lists the hints of all [`Problem`]s in the chain of an error.
pub(crate) fn hints_of(error: &anyhow::Error) -> impl Iterator<Item = &str> {
    let problems = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Problem>());
    problems.flat_map(|problem| problem.hints.iter().map(String::as_str))
}

/// Formats an error for users: the failed operation, then its causes, then the hints.
///
/// ```
/// use petset::{Kind, Problem, report};
/// let cause = Problem::new(Kind::NotFound, "no set web").hint("try `petset get sets`");
/// let error = anyhow::Error::new(cause).context("cannot scale web to 5");
/// let text = "error: cannot scale web to 5\n  because no set web\nhint: try `petset get sets`\n";
/// assert_eq!(report(&error), text);
/// ```
#[must_use]
pub fn report(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let lead = if depth == 0 { "error: " } else { "  because " };
        text.push_str(&format!("{lead}{cause}\n"));
    }
    for hint in hints_of(error) {
        text.push_str(&format!("hint: {hint}\n"));
    }
    text
}
