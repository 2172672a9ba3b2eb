//! What became true: the last word of a verb on a terminal. Elsewhere the result says enough.

use std::os::fd::AsFd;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::goal::Goal;
use crate::cli::shared::session::{Session, say};
use crate::model::workload::wanted_pods;
use crate::model::{Namespace, ObjectName, ObjectRef, Set, Workload};
use crate::problem::Result;

/// Tells of goals that were reached, if a person looks on.
pub(super) fn tell(session: &Session, goals: &[Goal], took: Duration) -> Result<()> {
    if !rustix::termios::isatty(std::io::stderr().as_fd()) {
        return Ok(());
    }
    for goal in goals {
        if let Some(what) = of(session, goal)? {
            let name = ObjectRef::of(goal.metadata())?.name;
            say(format!("{name}: {what} in {}", in_words(took)));
            let address = address_of(session, goal)?;
            address.into_iter().for_each(say);
        }
    }
    Ok(())
}

fn of(session: &Session, goal: &Goal) -> Result<Option<String>> {
    let ready = |ready: i32, wanted: i32| match wanted {
        0 => "nothing left to run".to_owned(),
        wanted => format!("{ready} of {wanted} ready"),
    };
    let ObjectRef { namespace, name } = ObjectRef::of(goal.metadata())?;
    Ok(match goal {
        Goal::Settled(set) | Goal::Replaced { set, .. } => {
            let wanted = set.spec.as_ref().and_then(|spec| spec.replicas);
            let report = session.report(&namespace, name.as_str())?;
            let status = report.map(|report| report.status.ready_replicas.unwrap_or_default());
            status.map(|status| ready(status, wanted.unwrap_or(1)))
        }
        Goal::PodUp(_) => session.pet(&namespace, &name)?.map(|pod| phase(&pod)),
        Goal::WorkloadDone(workload) => match &**workload {
            Workload::Job(_) => Some("complete".to_owned()),
            Workload::CronJob(_) => None,
            Workload::Deployment(_)
            | Workload::ReplicaSet(_)
            | Workload::ReplicationController(_)
            | Workload::DaemonSet(_) => {
                let seen = session.workload(workload.kind(), &namespace, &name)?;
                seen.as_ref()
                    .and_then(wanted_pods)
                    .map(|all| ready(all, all))
            }
        },
        Goal::Gone(_) | Goal::PodGone(_) | Goal::WorkloadGone(_) => Some("gone".to_owned()),
        Goal::Stopped(_) | Goal::PodStopped(_) => Some("stopped".to_owned()),
        // It comes back.
        Goal::PetGone { .. } => None,
    })
}

fn phase(pod: &Pod) -> String {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    match phase {
        Some("Succeeded") => "complete".to_owned(),
        Some(_) | None => "ready".to_owned(),
    }
}

/// Says where the first pet answers, if it has a port.
fn address_of(session: &Session, goal: &Goal) -> Result<Option<String>> {
    let (pod, spec): (ObjectName, Option<&PodSpec>) = match goal {
        Goal::Settled(set) => (first_pet(set)?, spec_of(set)),
        Goal::PodUp(pod) => (ObjectRef::of(&pod.metadata)?.name, pod.spec.as_ref()),
        Goal::Replaced { .. }
        | Goal::Gone(_)
        | Goal::PetGone { .. }
        | Goal::Stopped(_)
        | Goal::PodGone(_)
        | Goal::PodStopped(_)
        | Goal::WorkloadDone(_)
        | Goal::WorkloadGone(_) => return Ok(None),
    };
    let mut ports = spec.into_iter().flat_map(|spec| &spec.containers);
    let port = ports.find_map(|container| container.ports.as_ref()?.first());
    let Some(port) = port else {
        return Ok(None);
    };
    let namespace: Namespace = ObjectRef::of(goal.metadata())?.namespace;
    let pod_ip = |pod: Pod| pod.status?.pod_ip;
    let ip = session.pet(&namespace, &pod)?.and_then(pod_ip);
    Ok(ip.map(|ip| format!("{pod} answers at {ip}:{}", port.container_port)))
}

fn spec_of(set: &StatefulSet) -> Option<&PodSpec> {
    set.spec.as_ref()?.template.spec.as_ref()
}

fn first_pet(set: &StatefulSet) -> Result<ObjectName> {
    let set = Set::of(set)?;
    let first = set.ordinals().next();
    let name = first.map_or_else(|| set.name.to_string(), |first| set.pet_name(first));
    Ok(name.parse()?)
}

/// Writes a duration as people say it: `0.1 s`, `12 s`, `2 min 5 s`.
fn in_words(took: Duration) -> String {
    match took.as_secs() {
        0..10 => format!("{:.1} s", took.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_say_them() {
        let words = [40, 9_960, 12_700, 125_000].map(|ms| in_words(Duration::from_millis(ms)));
        assert_eq!(words, ["0.0 s", "10.0 s", "12 s", "2 min 5 s"]);
    }
}
