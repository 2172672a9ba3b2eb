//! Options that Kubernetes has no field for: annotations of a set below `petset.dev/`.
//!
//! Because they are stored with the set, every later supervisor obeys them, even when the command
//! that set them was killed.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::problem::Problem;

/// The prefix of petset's own annotations.
pub const OWN_PREFIX: &str = "petset.dev/";
/// `"true"`: the claims of a set are removed with it, whatever its retention policy says.
pub const PURGE_ANNOTATION: &str = "petset.dev/purge";
/// `"true"`: no pet moves to another revision (`rollout pause`).
pub const PAUSED_ANNOTATION: &str = "petset.dev/paused";
/// How many pets may have the update revision before the roll pauses (`upgrade --pause-after`).
pub const PAUSE_AFTER_ANNOTATION: &str = "petset.dev/pause-after";
/// The partition to go back to when a canary is promoted (`upgrade --canary`).
pub const CANARY_ANNOTATION: &str = "petset.dev/canary";
/// `halt` or `rollback`: what an upgrade does whose pets do not become ready.
pub const ON_FAILURE_ANNOTATION: &str = "petset.dev/on-failure";
/// How long a pet of an upgrade may take to become ready, such as `90s`.
pub const PROGRESS_DEADLINE_ANNOTATION: &str = "petset.dev/progress-deadline";
/// The last rollback, as JSON: written by the supervisor.
pub const ROLLED_BACK_ANNOTATION: &str = "petset.dev/rolled-back";
/// The command line that made the template what it is.
pub const CHANGE_CAUSE_ANNOTATION: &str = "petset.dev/change-cause";
/// The annotation of kubectl for the cause of a revision.
pub const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";
/// The names of revisions that were given up because a pet failed, with commas between them.
pub const FAILED_REVISIONS_ANNOTATION: &str = "petset.dev/failed-revisions";
/// `"true"`: missing pets are started all at once, until every pet is available.
pub const TOGETHER_ANNOTATION: &str = "petset.dev/start-together";
/// A shell command to run in a pet before the set is scaled below it.
pub const PRE_SCALE_DOWN_ANNOTATION: &str = "petset.dev/pre-scale-down";
/// `"true"`: this set behaves as under Kubernetes' own controller, known traps included.
pub const STRICT_ANNOTATION: &str = "petset.dev/strict";
/// `PetSet`: the set was written as one of `apps/v1alpha1`, and behaves as those did (C80-C84).
pub const KIND_ANNOTATION: &str = "petset.dev/kind";

/// How long a pet may take where an upgrade is to be rolled back and nothing else was said: less
/// than a command waits, so that it sees the outcome.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(300);

/// The options that the annotations of a set give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetOptions {
    /// No pet moves to another revision; everything else goes on.
    pub paused: bool,
    /// The roll pauses when so many pets have the update revision.
    pub pause_after: Option<u32>,
    /// An upgrade whose pets do not become ready goes back to the current revision.
    pub roll_back: bool,
    /// How long a pet may take to become ready before it counts as failed.
    pub progress_deadline: Option<Duration>,
    /// Missing pets are started all at once.
    pub together: bool,
    /// The command to run in a pet before the set is scaled below it.
    pub pre_scale_down: Option<String>,
    /// The revision that was taken back last, because it failed.
    pub failed: Option<String>,
    /// Exactly as Kubernetes does.
    pub strict: bool,
}

impl SetOptions {
    /// Reads the options from a set's annotations.
    pub fn of(annotations: &BTreeMap<String, String>) -> Result<Self, Problem> {
        let value = |key: &str| annotations.get(key).map(String::as_str);
        let roll_back = match value(ON_FAILURE_ANNOTATION) {
            None | Some("halt") => false,
            Some("rollback") => true,
            Some(other) => return Err(fault(ON_FAILURE_ANNOTATION, other, "halt or rollback")),
        };
        let deadline = value(PROGRESS_DEADLINE_ANNOTATION).map(|text| {
            let wish = || fault(PROGRESS_DEADLINE_ANNOTATION, text, "a duration such as 90s");
            let signed: SignedDuration = text.parse().map_err(|_| wish())?;
            Duration::try_from(signed).map_err(|_| wish())
        });
        let pause_after = value(PAUSE_AFTER_ANNOTATION).map(|text| {
            text.parse()
                .map_err(|_| fault(PAUSE_AFTER_ANNOTATION, text, "a number of pets"))
        });
        let hook = value(PRE_SCALE_DOWN_ANNOTATION).filter(|command| !command.trim().is_empty());
        Ok(Self {
            paused: flag(annotations, PAUSED_ANNOTATION)?,
            pause_after: pause_after.transpose()?,
            roll_back,
            progress_deadline: deadline
                .transpose()?
                .or(roll_back.then_some(DEFAULT_DEADLINE)),
            together: flag(annotations, TOGETHER_ANNOTATION)?,
            pre_scale_down: hook.map(str::to_owned),
            failed: value(ROLLED_BACK_ANNOTATION).and_then(failed_of),
            strict: flag(annotations, STRICT_ANNOTATION)?,
        })
    }

    /// Reads the options of a workload; a strict one has no others.
    pub fn of_workload(annotations: Option<&BTreeMap<String, String>>) -> Result<Self, Problem> {
        let options = annotations.map(Self::of).transpose()?.unwrap_or_default();
        Ok(match options.strict {
            true => Self {
                strict: true,
                ..Self::default()
            },
            false => options,
        })
    }
}

/// Returns the revision that a note of the supervisor's says has failed.
fn failed_of(note: &str) -> Option<String> {
    let note: serde_json::Value = serde_json::from_str(note).ok()?;
    Some(note["from"].as_str()?.to_owned())
}

fn flag(annotations: &BTreeMap<String, String>, key: &str) -> Result<bool, Problem> {
    match annotations.get(key).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(fault(key, other, "\"true\" or \"false\"")),
    }
}

fn fault(key: &str, value: &str, wish: &str) -> Problem {
    Problem::invalid(format!(
        "metadata.annotations[{key}]: Invalid value: {value:?}: must be {wish}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<SetOptions, Problem> {
        let pairs = pairs.iter();
        SetOptions::of(
            &pairs
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_set_without_annotations_wishes_for_nothing() {
        assert_eq!(options(&[]).unwrap(), SetOptions::default());
    }

    #[test]
    fn a_rollback_has_a_deadline_a_halt_only_if_it_says_so() {
        let seconds = |pairs: &[_]| {
            let options = options(pairs).unwrap();
            options.progress_deadline.map(|deadline| deadline.as_secs())
        };
        let (rollback, halt) = (
            (ON_FAILURE_ANNOTATION, "rollback"),
            (ON_FAILURE_ANNOTATION, "halt"),
        );
        let deadline = (PROGRESS_DEADLINE_ANNOTATION, "90s");
        assert_eq!(seconds(&[rollback]), Some(300));
        assert_eq!(seconds(&[rollback, deadline]), Some(90));
        assert_eq!(seconds(&[halt]), None);
        assert_eq!(seconds(&[halt, deadline]), Some(90));
    }

    #[test]
    fn a_wish_that_makes_no_sense_is_refused_and_not_ignored() {
        for (key, value) in [
            (PAUSED_ANNOTATION, "yes"),
            (PAUSE_AFTER_ANNOTATION, "-1"),
            (ON_FAILURE_ANNOTATION, "roll back"),
            (PROGRESS_DEADLINE_ANNOTATION, "soon"),
        ] {
            let problem = options(&[(key, value)]).unwrap_err();
            assert!(problem.message.contains(key), "{problem}");
        }
    }
}
