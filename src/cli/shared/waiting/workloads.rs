//! Waiting for workloads.

use k8s_openapi::api::core::v1::Pod;

use super::goal::{GoalState, quoted};
use crate::cli::shared::pods;
use crate::cli::shared::session::Session;
use crate::model::kind::ObjectKind;
use crate::model::rollout::{RolledBack, note, rolled_back};
use crate::model::workload::{WorkProgress, progress};
use crate::model::{ON_FAILURE_ANNOTATION, ObjectRef, PetSeen, Workload};
use crate::problem::{Kind, Problem, Result};
use crate::store;

/// Returns whether a workload has come to what its spec asks for; fails when it never will.
pub(super) fn until_done(session: &Session, want: &Workload) -> Result<GoalState> {
    let ObjectRef { namespace, name } = ObjectRef::of(want.metadata())?;
    let seen = session.workload(want.kind(), &namespace, &name)?;
    let same = seen.filter(|seen| {
        let meta = seen.metadata();
        meta.uid == want.metadata().uid && meta.deletion_timestamp.is_none()
    });
    let Some(seen) = same else {
        let message = format!("{name} was deleted meanwhile");
        return Err(Problem::new(Kind::Conflict, message).into());
    };
    let goes_back = goes_back(want, &seen);
    match progress(&seen) {
        WorkProgress::Done => {
            expect_not_rolled_back(want, &seen)?;
            Ok(GoalState::Reached)
        }
        WorkProgress::Failed(why) if goes_back => Ok(GoalState::Waiting(why)),
        WorkProgress::Failed(why) => {
            let own = session.pods_of_workload(&namespace, &seen)?;
            let failed = own.iter().find(|pod| pods::why_not_ready(pod).is_some());
            Err(halted(session, &seen, why, failed).into())
        }
        WorkProgress::Waiting(text) => {
            let own = session.current_pods_of(&namespace, &seen)?;
            let mut own = own.iter().filter(|pod| !pods::has_ended(pod));
            let awaited = own.find_map(|pod| Some((pod, pods::why_not_ready(pod)?)));
            let Some((pod, why)) = awaited else {
                return Ok(GoalState::Waiting(text));
            };
            let why = pods::with_age_of_hook(pod, &why);
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let stuck = PetSeen::of(pod).stuck && !goes_back;
            if stuck && !matches!(seen, Workload::Job(_)) {
                return Err(halted(session, &seen, format!("{name}: {why}"), Some(pod)).into());
            }
            Ok(GoalState::Waiting(format!("{text}; {name}: {why}")))
        }
    }
}

/// Returns whether the supervisor takes a failed upgrade back, or is just doing that.
fn goes_back(want: &Workload, seen: &Workload) -> bool {
    let meta = seen.metadata();
    let wished = note(meta, ON_FAILURE_ANNOTATION) == Some("rollback");
    matches!(seen, Workload::Deployment(_)) && (wished || taken_back(want, seen).is_some())
}

/// Returns the note of the supervisor that it took this upgrade back.
fn taken_back(want: &Workload, seen: &Workload) -> Option<RolledBack> {
    let note = rolled_back(seen.metadata());
    note.filter(|note| Some(note.generation) == want.metadata().generation)
}

/// Fails if the supervisor has rolled the upgrade back.
fn expect_not_rolled_back(want: &Workload, seen: &Workload) -> Result<(), Problem> {
    let Some(taken_back) = taken_back(want, seen) else {
        return Ok(());
    };
    let name = seen.metadata().name.as_deref().unwrap_or_default();
    let RolledBack {
        from,
        to,
        pet,
        why,
        log,
        ..
    } = taken_back;
    let message = format!("{name} went back from {from} to {to}, because {why}");
    let look = format!(
        "the template that failed is marked in `petset rollout history {}`",
        seen.full_name()
    );
    Err(Problem::new(Kind::RolledBack, message + &quoted(&pet, &log)).hint(look))
}

/// Returns the error for a workload that does not come to what its spec asks for. The last lines of
/// the log of one of its pods are part of it, since they usually tell the cause.
fn halted(session: &Session, workload: &Workload, why: String, pod: Option<&Pod>) -> Problem {
    let name = workload.metadata().name.as_deref().unwrap_or_default();
    let kind = ObjectKind::Workload(workload.kind()).folder();
    let Some(pod) = pod else {
        return Problem::new(Kind::Halted, why);
    };
    let words = store::last_words(&session.files(pod), pod);
    let pod = pod.metadata.name.as_deref().unwrap_or_default();
    let look = format!("look at it with `petset describe pod/{pod}` and `petset logs {pod}`");
    let mend = format!(
        "change what is wrong with `petset apply -f`, or delete it with `petset delete {kind}/{name}`"
    );
    let message = why + &quoted(pod, &words);
    Problem::new(Kind::Halted, message).hint(look).hint(mend)
}

/// Returns whether a workload is gone, and what it has made with it.
pub(super) fn until_gone(session: &Session, workload: &Workload) -> Result<GoalState> {
    let ObjectRef { namespace, name } = ObjectRef::of(workload.metadata())?;
    let there = session.store.workload(workload.kind(), &namespace, &name)?;
    if there.is_none_or(|there| there.metadata().uid != workload.metadata().uid) {
        return Ok(GoalState::Reached);
    }
    let left = session.pods_of_workload(&namespace, workload)?.len();
    Ok(GoalState::Waiting(match left {
        1 => format!("{name}: 1 pod is stopping"),
        left => format!("{name}: {left} pods are stopping"),
    }))
}
