//! The edits that verbs make to a workload, in the words of kubectl where it refuses one.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodSpec;

use crate::model::edit::{Change, RESTARTED_ANNOTATION};
use crate::model::object::Workload;
use crate::problem::{Kind, Problem};

/// Changes how many pods a workload wants.
///
/// # Errors
///
/// A workload whose number is not its own to say is refused.
pub fn scale(workload: &mut Workload, replicas: u32) -> Result<Change<u32>, Problem> {
    let to = i32::try_from(replicas)
        .map_err(|_| Problem::invalid(format!("{replicas} replicas are too many")))?;
    let name = workload.full_name();
    let place = match workload {
        Workload::Deployment(deployment) => &mut deployment.spec.get_or_insert_default().replicas,
        Workload::ReplicaSet(set) => &mut set.spec.get_or_insert_default().replicas,
        Workload::ReplicationController(controller) => {
            &mut controller.spec.get_or_insert_default().replicas
        }
        Workload::DaemonSet(_) => {
            let message = format!("{name} has no number of replicas: it keeps a pod on each node");
            return Err(Problem::invalid(message));
        }
        Workload::Job(_) => {
            let message = format!("{name} has no number of replicas, but a parallelism");
            let hint = "write spec.parallelism in its manifest, and apply that";
            return Err(Problem::invalid(message).hint(hint));
        }
        Workload::CronJob(_) => {
            let message = format!("{name} has no number of replicas: it makes Jobs");
            return Err(Problem::invalid(message));
        }
    };
    let from = place.replace(to).unwrap_or(1);
    Ok(Change {
        from: u32::try_from(from).unwrap_or_default(),
        to: replicas,
    })
}

/// Notes in the template that every pod is to be replaced once, as `kubectl rollout restart` does.
///
/// # Errors
///
/// A paused Deployment is refused, and a workload that replaces no pods.
pub fn restart(workload: &mut Workload, now: Timestamp) -> Result<(), Problem> {
    let refused = |why: &str| Err(Problem::new(Kind::Conflict, why.to_owned()));
    let (resource, name) = (workload.object_kind().plural(), name_of(workload));
    match &*workload {
        Workload::Deployment(deployment) => {
            let spec = deployment.spec.as_ref();
            if spec.is_some_and(|spec| spec.paused == Some(true)) {
                return refused(&format!(
                    "{resource} {name:?} can't restart paused deployment (run rollout resume first)"
                ));
            }
        }
        Workload::DaemonSet(_) => {}
        Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::Job(_)
        | Workload::CronJob(_) => {
            let message = format!("{resource} {name:?} restarting is not supported");
            return Err(Problem::invalid(message));
        }
    }
    if let Some(template) = workload.template_mut() {
        let meta = template.metadata.get_or_insert_default();
        let annotations = meta.annotations.get_or_insert_default();
        annotations.insert(RESTARTED_ANNOTATION.to_owned(), format!("{now:.0}"));
    }
    Ok(())
}

/// Holds a Deployment at the templates that its pods have, or lets it go on.
///
/// # Errors
///
/// It is so already, or it is no Deployment.
pub fn pause(workload: &mut Workload, paused: bool) -> Result<(), Problem> {
    let (resource, name) = (workload.object_kind().plural(), name_of(workload));
    let Workload::Deployment(deployment) = workload else {
        let verb = if paused { "pausing" } else { "resuming" };
        let message = format!("{resource} {name:?} {verb} is not supported");
        return Err(Problem::invalid(message));
    };
    let spec = deployment.spec.get_or_insert_default();
    if spec.paused.unwrap_or_default() == paused {
        let state = if paused { "already" } else { "not" };
        let message = format!("{resource} {name:?} is {state} paused");
        return Err(Problem::new(Kind::Conflict, message));
    }
    spec.paused = paused.then_some(true);
    Ok(())
}

/// Returns the spec of the pods that a workload makes in the end, to change it.
///
/// # Errors
///
/// The template of a Job stays as it is.
pub fn pod_of(workload: &mut Workload) -> Result<&mut PodSpec, Problem> {
    if let Workload::Job(_) = workload {
        let message = format!("the template of {} is immutable", workload.full_name());
        let hint = "delete the Job, and create another";
        return Err(Problem::new(Kind::Conflict, message).hint(hint));
    }
    let missing = || Problem::new(Kind::Bug, "a stored workload has no pod template");
    let template = workload.template_mut().ok_or_else(missing)?;
    template.spec.as_mut().ok_or_else(missing)
}

fn name_of(workload: &Workload) -> String {
    workload.metadata().name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn template() -> Value {
        json!({"spec": {"containers": [{"name": "c", "image": "img:v1"}]}})
    }

    fn web() -> Workload {
        let web = json!({"metadata": {"name": "web"},
            "spec": {"replicas": 3, "selector": {}, "template": template()}});
        Workload::Deployment(serde_json::from_value(web).unwrap())
    }

    fn agent() -> Workload {
        let agent = json!({"metadata": {"name": "agent"},
            "spec": {"selector": {}, "template": template()}});
        Workload::DaemonSet(serde_json::from_value(agent).unwrap())
    }

    fn job() -> Workload {
        let job = json!({"metadata": {"name": "one"}, "spec": {"template": template()}});
        Workload::Job(serde_json::from_value(job).unwrap())
    }

    #[test]
    fn only_a_number_of_its_own_is_changed() {
        let mut web = web();
        assert_eq!(scale(&mut web, 5).unwrap(), Change { from: 3, to: 5 });
        assert_eq!(scale(&mut web, 5).unwrap(), Change { from: 5, to: 5 });
        assert!(scale(&mut web, u32::MAX).is_err());
        for mut other in [agent(), job()] {
            assert!(scale(&mut other, 2).is_err());
        }
    }

    #[test]
    fn refusals_are_those_of_kubectl() {
        let now: Timestamp = "2026-01-01T00:00:00.5Z".parse().unwrap();
        let mut web = web();
        let told = |result: Result<(), Problem>| result.unwrap_err().message;
        restart(&mut web, now).unwrap();
        let meta = web.template().unwrap().metadata.clone().unwrap();
        let noted = json!({RESTARTED_ANNOTATION: "2026-01-01T00:00:00Z"});
        assert_eq!(json!(meta.annotations), noted);
        let message = "deployments.apps \"web\" is not paused";
        assert_eq!(told(pause(&mut web, false)), message);
        pause(&mut web, true).unwrap();
        let message = "deployments.apps \"web\" is already paused";
        assert_eq!(told(pause(&mut web, true)), message);
        let message = "deployments.apps \"web\" can't restart paused deployment (run rollout \
                       resume first)";
        assert_eq!(told(restart(&mut web, now)), message);
        pause(&mut web, false).unwrap();

        let mut agent = agent();
        restart(&mut agent, now).unwrap();
        let message = "daemonsets.apps \"agent\" pausing is not supported";
        assert_eq!(told(pause(&mut agent, true)), message);
        let message = "daemonsets.apps \"agent\" resuming is not supported";
        assert_eq!(told(pause(&mut agent, false)), message);
        let message = "jobs.batch \"one\" restarting is not supported";
        assert_eq!(told(restart(&mut job(), now)), message);
    }

    #[test]
    fn the_template_of_a_job_stays() {
        assert!(pod_of(&mut job()).is_err());
        assert_eq!(pod_of(&mut web()).unwrap().containers[0].name, "c");
    }
}
