//! The result of one check.

use std::fmt;

use serde::Serialize;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum CheckResult {
    Ok,
    /// Pets run nevertheless.
    Note,
    Broken,
}

impl fmt::Display for CheckResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Broken => "broken",
        })
    }
}

/// The result of one check, with advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) verdict: CheckResult,
    pub(super) result: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) advice: String,
}

impl Finding {
    /// Returns the finding of a check that passed.
    pub(super) fn ok(check: &'static str, result: impl Into<String>) -> Self {
        Self {
            check,
            verdict: CheckResult::Ok,
            result: result.into(),
            advice: String::new(),
        }
    }

    /// Returns a finding that does not keep pets from running.
    pub(super) fn note(
        check: &'static str,
        result: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: CheckResult::Note,
            advice: advice.into(),
            ..Self::ok(check, result)
        }
    }

    /// Returns the finding of a check that failed.
    pub(super) fn broken(
        check: &'static str,
        result: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            verdict: CheckResult::Broken,
            ..Self::note(check, result, advice)
        }
    }
}
