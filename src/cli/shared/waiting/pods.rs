//! Waiting for bare pods.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::goal::{GoalState, quoted};
use crate::cli::shared::pods;
use crate::cli::shared::session::Session;
use crate::model::{self, Namespace, ObjectName, ObjectRef, PetSeen, bare};
use crate::problem::{Kind, Problem, Result};
use crate::store;

/// Returns whether a pod is ready, or has completed.
pub(super) fn until_up(session: &Session, want: &Pod) -> Result<GoalState> {
    let ObjectRef { namespace, name } = ObjectRef::of(&want.metadata)?;
    let pet = session.pet(&namespace, &name)?;
    let uid = &want.metadata.uid;
    let Some(pet) = pet.filter(|pet| pet.metadata.uid == *uid) else {
        let there: Option<Pod> = session.store.find(&namespace, &name)?;
        let same = there.is_some_and(|pod| {
            pod.metadata.uid == *uid && pod.metadata.deletion_timestamp.is_none()
        });
        if same {
            return Ok(GoalState::Waiting(format!(
                "{name}: the one before is stopping"
            )));
        }
        let message = format!("{name} was deleted meanwhile");
        return Err(Problem::new(Kind::Conflict, message).into());
    };
    if bare::is_bare(&pet) && bare::differs(want, &pet) || !has_images(want, &pet) {
        return Ok(GoalState::Waiting(format!("{name}: not looked at yet")));
    }
    let phase = pet.status.as_ref().and_then(|it| it.phase.as_deref());
    if phase == Some("Succeeded") && pods::is_at_rest(&pet) {
        return Ok(GoalState::Reached);
    }
    match pods::why_not_ready(&pet) {
        None => Ok(GoalState::Reached),
        Some(why) => {
            refuse_if_ended(session, &pet, &why)?;
            let why = pods::with_age_of_hook(&pet, &why);
            Ok(GoalState::Waiting(format!("{name}: {why}")))
        }
    }
}

/// Fails when a pod has ended, or cannot become ready without a change by the user.
///
/// The last lines of its log are part of the message, since they usually tell the cause.
pub(in crate::cli) fn refuse_if_ended(session: &Session, pod: &Pod, why: &str) -> Result<()> {
    let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
    let want: Option<Pod> = session.store.find(&namespace, &name)?;
    // What was changed just now has not failed yet.
    if want.is_some_and(|want| {
        bare::is_bare(pod) && bare::differs(&want, pod) || !has_images(&want, pod)
    }) {
        return Ok(());
    }
    let ended = pods::is_at_rest(pod) && bare::has_ended_for_good(pod);
    if !ended && !PetSeen::of(pod).stuck {
        return Ok(());
    }
    let words = store::last_words(&session.files(pod), pod);
    let message = format!("{name}: {why}{}", quoted(name.as_str(), &words));
    let mut problem = Problem::new(Kind::Halted, message).hint(format!(
        "look at it with `petset describe pod/{name}` and `petset logs {name}`"
    ));
    problem = match ended {
        true => problem.hint(format!(
            "it does not run again by itself: `petset restart pod/{name}`, or take it away \
             with `petset delete pod/{name}`"
        )),
        false => problem.hint(format!(
            "petset keeps trying; delete it with `petset delete pod/{name}`"
        )),
    };
    Err(problem.into())
}

/// Returns whether a pod is gone.
pub(super) fn until_gone(session: &Session, pod: &Pod) -> Result<GoalState> {
    let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
    let wanted: Option<Pod> = session.store.find(&namespace, &name)?;
    if wanted.is_none_or(|wanted| wanted.metadata.uid != pod.metadata.uid) {
        return Ok(GoalState::Reached);
    }
    stopping(session, &namespace, &name)
}

/// Returns whether no container of a pod runs.
pub(super) fn until_stopped(session: &Session, pod: &Pod) -> Result<GoalState> {
    let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
    let files = session.store.layout().pet(&namespace, name.as_str());
    let runs = files.pod().exists()
        && session
            .pet(&namespace, &name)?
            .is_some_and(|pet| !pods::is_at_rest(&pet));
    match runs {
        true => stopping(session, &namespace, &name),
        false => Ok(GoalState::Reached),
    }
}

/// Says that a pet is stopping, and how long that may take.
pub(super) fn stopping(
    session: &Session,
    namespace: &Namespace,
    name: &ObjectName,
) -> Result<GoalState> {
    let pet = session.pet(namespace, name)?;
    let grace = pet.and_then(|pet| pet.metadata.deletion_grace_period_seconds);
    Ok(GoalState::Waiting(model::stopping(name.as_str(), grace)))
}

/// Returns whether the status of a pod is about the images that are wanted.
fn has_images(want: &Pod, pet: &Pod) -> bool {
    let (Some(spec), Some(status)) = (&want.spec, &pet.status) else {
        return true;
    };
    let knows = |name: &str, image: &Option<String>, statuses: &Option<Vec<ContainerStatus>>| {
        let mut statuses = statuses.iter().flatten();
        let status = statuses.find(|status| status.name == name);
        status.is_none_or(|status| Some(&status.image) == image.as_ref())
    };
    let inits = spec.init_containers.iter().flatten();
    let mut inits = inits.map(|it| knows(&it.name, &it.image, &status.init_container_statuses));
    let mut main = spec
        .containers
        .iter()
        .map(|it| knows(&it.name, &it.image, &status.container_statuses));
    inits.all(|knows| knows) && main.all(|knows| knows)
}
