//! How far the rollout of a Deployment or DaemonSet is, in the words of `kubectl rollout status`
//! (`rollout_status.go` of kubectl).

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};

use super::progress::missed_deadline;
use crate::model::deployment::canaries;
use crate::model::object::Workload;
use crate::model::rollout::Standing;
use crate::problem::{Kind, Problem};

/// Returns the line that `kubectl rollout status` would print of a workload.
///
/// # Errors
///
/// A Deployment that exceeded its progress deadline has halted; other kinds have no rollout, nor
/// has a DaemonSet with the strategy OnDelete.
pub fn workload_standing(workload: &Workload) -> Result<Standing, Problem> {
    match workload {
        Workload::Deployment(deployment) => self::deployment(deployment),
        Workload::DaemonSet(set) => daemon_set(set),
        Workload::ReplicaSet(_)
        | Workload::ReplicationController(_)
        | Workload::Job(_)
        | Workload::CronJob(_) => {
            let kind = workload.object_kind().with_group();
            let message = format!("no status viewer has been implemented for {kind}");
            Err(Problem::invalid(message).hint(format!(
                "see how far it is with `petset get {}`",
                workload.full_name()
            )))
        }
    }
}

const fn going(line: String) -> Standing {
    Standing { line, done: false }
}

const fn done(line: String) -> Standing {
    Standing { line, done: true }
}

fn deployment(deployment: &Deployment) -> Result<Standing, Problem> {
    let meta = &deployment.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let status = deployment.status.clone().unwrap_or_default();
    if meta.generation.unwrap_or_default() > status.observed_generation.unwrap_or_default() {
        let line = "Waiting for deployment spec update to be observed...";
        return Ok(going(line.to_owned()));
    }
    if missed_deadline(&status).is_some() {
        let message = format!("deployment {name:?} exceeded its progress deadline");
        let problem = Problem::new(Kind::Halted, message)
            .hint(format!(
                "see why with `petset get pods` and `petset describe deploy/{name}`"
            ))
            .hint(format!("go back with `petset rollout undo deploy/{name}`"));
        return Err(problem);
    }
    let spec = deployment.spec.as_ref();
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or_default();
    let total = status.replicas.unwrap_or_default();
    let available = status.available_replicas.unwrap_or_default();
    let waits = |what: String| {
        going(format!(
            "Waiting for deployment {name:?} rollout to finish: {what}..."
        ))
    };
    let share = canaries(deployment).filter(|share| *share < wanted);
    if share.is_some_and(|share| share == updated && total == wanted && available == wanted) {
        return Ok(done(format!(
            "deployment {name:?} has its canaries: {updated} out of {wanted} replicas are updated"
        )));
    }
    Ok(if updated < wanted {
        waits(format!(
            "{updated} out of {wanted} new replicas have been updated"
        ))
    } else if total > updated {
        waits(format!(
            "{} old replicas are pending termination",
            total - updated
        ))
    } else if available < updated {
        waits(format!(
            "{available} of {updated} updated replicas are available"
        ))
    } else {
        done(format!("deployment {name:?} successfully rolled out"))
    })
}

fn daemon_set(set: &DaemonSet) -> Result<Standing, Problem> {
    let meta = &set.metadata;
    let name = meta.name.as_deref().unwrap_or_default();
    let strategy = set
        .spec
        .as_ref()
        .and_then(|spec| spec.update_strategy.as_ref());
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
        let message = "rollout status is only available for RollingUpdate strategy type";
        return Err(Problem::new(Kind::Failed, message));
    }
    let status = set.status.clone().unwrap_or_default();
    if meta.generation.unwrap_or_default() > status.observed_generation.unwrap_or_default() {
        let line = "Waiting for daemon set spec update to be observed...";
        return Ok(going(line.to_owned()));
    }
    let wanted = status.desired_number_scheduled;
    let updated = status.updated_number_scheduled.unwrap_or_default();
    let available = status.number_available.unwrap_or_default();
    let waits = |what: String| {
        going(format!(
            "Waiting for daemon set {name:?} rollout to finish: {what}..."
        ))
    };
    Ok(if updated < wanted {
        waits(format!(
            "{updated} out of {wanted} new pods have been updated"
        ))
    } else if available < wanted {
        waits(format!(
            "{available} of {wanted} updated pods are available"
        ))
    } else {
        done(format!("daemon set {name:?} successfully rolled out"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn template() -> Value {
        json!({"spec": {"containers": [{"name": "c", "image": "img:v1"}]}})
    }

    fn web(status: &Value) -> Workload {
        let web = json!({"metadata": {"name": "web", "generation": 2}, "status": status,
            "spec": {"replicas": 3, "selector": {}, "template": template()}});
        Workload::Deployment(serde_json::from_value(web).unwrap())
    }

    fn agent(strategy: &str, status: &Value) -> Workload {
        let agent = json!({"metadata": {"name": "agent", "generation": 2}, "status": status,
            "spec": {"selector": {}, "template": template(), "updateStrategy": {"type": strategy}}});
        Workload::DaemonSet(serde_json::from_value(agent).unwrap())
    }

    fn line(workload: &Workload) -> String {
        let Standing { line, done } = workload_standing(workload).unwrap();
        assert_eq!(done, line.ends_with("successfully rolled out"));
        line
    }

    #[test]
    fn a_deployment_stands_in_kubectls_words() {
        let seen = |total: i32, updated: i32, available: i32| {
            web(
                &json!({"observedGeneration": 2, "replicas": total, "updatedReplicas": updated,
                "availableReplicas": available}),
            )
        };
        let early = web(&json!({"observedGeneration": 1}));
        let waits = "Waiting for deployment \"web\" rollout to finish:";
        for (workload, words) in [
            (
                early,
                "Waiting for deployment spec update to be observed...".to_owned(),
            ),
            (
                seen(4, 1, 3),
                format!("{waits} 1 out of 3 new replicas have been updated..."),
            ),
            (
                seen(4, 3, 3),
                format!("{waits} 1 old replicas are pending termination..."),
            ),
            (
                seen(3, 3, 2),
                format!("{waits} 2 of 3 updated replicas are available..."),
            ),
            (
                seen(3, 3, 3),
                "deployment \"web\" successfully rolled out".to_owned(),
            ),
        ] {
            assert_eq!(line(&workload), words);
        }
        let late = json!({"type": "Progressing", "status": "False",
            "reason": "ProgressDeadlineExceeded"});
        let late = web(&json!({"observedGeneration": 2, "conditions": [late]}));
        let problem = workload_standing(&late).unwrap_err();
        assert_eq!(problem.kind, Kind::Halted);
        let message = "deployment \"web\" exceeded its progress deadline";
        assert_eq!(problem.message, message);
    }

    #[test]
    fn a_daemon_set_stands_in_kubectls_words() {
        let seen = |updated: i32, available: i32| {
            let status = json!({"observedGeneration": 2, "desiredNumberScheduled": 1,
                "updatedNumberScheduled": updated, "numberAvailable": available,
                "currentNumberScheduled": 1, "numberReady": 0, "numberMisscheduled": 0});
            agent("RollingUpdate", &status)
        };
        let waits = "Waiting for daemon set \"agent\" rollout to finish:";
        for (workload, words) in [
            (
                seen(0, 1),
                format!("{waits} 0 out of 1 new pods have been updated..."),
            ),
            (
                seen(1, 0),
                format!("{waits} 0 of 1 updated pods are available..."),
            ),
            (
                seen(1, 1),
                "daemon set \"agent\" successfully rolled out".to_owned(),
            ),
            (
                agent("RollingUpdate", &Value::Null),
                "Waiting for daemon set spec update to be observed...".to_owned(),
            ),
        ] {
            assert_eq!(line(&workload), words);
        }
        let problem = workload_standing(&agent("OnDelete", &Value::Null)).unwrap_err();
        let message = "rollout status is only available for RollingUpdate strategy type";
        assert_eq!(problem.message, message);
    }

    #[test]
    fn other_kinds_have_no_rollout() {
        let set = json!({"metadata": {"name": "web"}, "spec": {"selector": {}}});
        let set = Workload::ReplicaSet(serde_json::from_value(set).unwrap());
        let problem = workload_standing(&set).unwrap_err();
        let message = "no status viewer has been implemented for ReplicaSet.apps";
        assert_eq!(problem.message, message);
    }
}
