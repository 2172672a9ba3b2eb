//! Sets whose pets can never become ready without a change by the user.

use k8s_openapi::api::apps::v1::StatefulSet;

use super::goal::quoted;
use crate::cli::shared::session::Session;
use crate::model::{Namespace, ObjectName, Set};
use crate::problem::{Kind, Problem, Result};
use crate::store::SetReport;

/// Fails when a pet can never become ready without a change by the user.
///
/// The last lines of its log are part of the message, since they usually tell the cause.
pub(in crate::cli) fn refuse_if_hopeless(
    session: &Session,
    namespace: &Namespace,
    set: &ObjectName,
    report: &SetReport,
) -> Result<()> {
    // The reason of a pet that is being replaced is an old one.
    let stuck = report.waiting.iter().filter(|waiting| {
        let pet = waiting.pet.as_deref();
        waiting.stuck && pet.is_none_or(|pet| !session.is_being_replaced(namespace, pet))
    });
    let Some((pet, why)) = stuck.filter_map(|w| Some((w.pet.as_ref()?, &w.why))).next() else {
        return Ok(());
    };
    let found = session.set(namespace, set)?;
    if let Some(problem) = found
        .as_ref()
        .and_then(|found| may_not_leave(found, pet, why))
    {
        return Err(problem.into());
    }
    let words = session.last_words(namespace, pet);
    let message = why.clone() + &quoted(pet, &words);
    let look = format!("look at it with `petset describe pod/{pet}` and `petset logs {pet}`");
    let mend = match report.status.update_revision == report.status.current_revision {
        true => format!(
            "petset keeps trying; fix it with `petset upgrade {set} ...`, or delete it with \
             `petset delete {set}`"
        ),
        false => format!(
            "petset keeps trying; go back with `petset rollout undo {set}`, or fix it with \
             `petset upgrade {set} ...`; with --on-failure rollback an upgrade goes back by itself"
        ),
    };
    let problem = Problem::new(Kind::Halted, message).hint(look).hint(mend);
    if !found.is_some_and(|found| session.is_strict(&found)) {
        return Err(problem.into());
    }
    let trap = format!(
        "{set} is strict: a mended template reaches {pet} only when you restart it, with `petset \
         restart {pet}`"
    );
    Err(problem.hint(trap).into())
}

/// Returns the error for a pet that cannot leave its set, because its hook failed.
fn may_not_leave(set: &StatefulSet, pet: &str, why: &str) -> Option<Problem> {
    let set = Set::of(set).ok()?;
    let ordinal = set.ordinal_of(pet).filter(|ordinal| !set.has(*ordinal))?;
    let (name, replicas) = (&set.name, set.replicas);
    let stays = ordinal.0.saturating_sub(set.start) + 1;
    let problem = Problem::new(Kind::Halted, why.to_owned())
        .hint(format!("look at it with `petset describe pod/{pet}`"))
        .hint(format!(
            "{pet} stays: put right what its hook complains of and say `petset scale {name} \
             --replicas {replicas}` again, or keep {pet} with `petset scale {name} --replicas \
             {stays}`"
        ));
    Some(problem)
}

impl Session {
    /// Returns whether a pet is asked to leave, so that another takes its place.
    fn is_being_replaced(&self, namespace: &Namespace, pet: &str) -> bool {
        let Ok(name) = pet.parse::<ObjectName>() else {
            return false;
        };
        let Ok(Some(pod)) = self.pet(namespace, &name) else {
            return false;
        };
        let eviction = self.store.eviction(namespace, &name);
        let evicted = eviction.is_some_and(|wish| Some(&wish.uid) == pod.metadata.uid.as_ref());
        evicted || pod.metadata.deletion_timestamp.is_some()
    }
}
