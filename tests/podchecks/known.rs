//! The checks that are known to fail, and why.

/// A level of isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Full,
    None,
}

impl Level {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::None => "none",
        }
    }
}

/// Checks that are known to fail for one reason.
pub(crate) struct Known {
    pub(crate) why: &'static str,
    pub(crate) levels: &'static [Level],
    pub(crate) names: &'static [&'static str],
}

const FULL: &[Level] = &[Level::Full];

pub(crate) const KNOWN: &[Known] = &[Known {
    why: "there are no account tokens without an API server",
    levels: FULL,
    names: &["volume-token-mounted"],
}];
