//! The plan of a bare pod: every step to the wanted state, if nothing goes wrong.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{PodStep, reconcile_pod, refresh, wanted_of};
use crate::model::plan::{Plan, Planned};

/// More steps than any pod needs.
const STEPS: usize = 16;

/// Lists the steps that bring a pod from what there is to what is wanted.
#[must_use]
pub fn plan_pod(want: &Pod, pet: Option<&Pod>, stopped: bool) -> Plan {
    let name = want.metadata.name.clone().unwrap_or_default();
    let ended = |pet: &Pod| {
        let phase = pet
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    let mut world = PodRehearsal {
        over: pet.is_some_and(ended),
        want: Some(want.clone()),
        pet: pet.cloned(),
    };
    let mut steps = Vec::new();
    let mut halts = None;
    for _ in 0..STEPS {
        let (asked, there) = (world.want.as_ref(), world.pet.as_ref());
        let Some(step) = reconcile_pod(asked, there, world.over, stopped) else {
            break;
        };
        if step == PodStep::Await {
            halts = Some(format!("{name} exists already, and belongs to a set"));
            break;
        }
        steps.extend(told(step, &name));
        world.perform(step);
    }
    Plan {
        set: String::new(),
        pod: Some(name),
        workload: None,
        namespace: want.metadata.namespace.clone().unwrap_or_default(),
        steps,
        halts,
    }
}

fn told(step: PodStep, name: &str) -> Option<Planned> {
    let (step, deed) = match step {
        PodStep::Create => ("startPod", "start"),
        PodStep::Stop => ("stopPod", "stop"),
        PodStep::Revive => ("startPod", "start again"),
        PodStep::Refresh => ("changePod", "change"),
        PodStep::Forget => ("forgetPod", "forget"),
        PodStep::Remove | PodStep::Rest | PodStep::Keep | PodStep::Await => return None,
    };
    Some(Planned {
        step,
        object: name.to_owned(),
        text: format!("{deed} {name}"),
    })
}

/// The values on which the steps are performed.
struct PodRehearsal {
    want: Option<Pod>,
    pet: Option<Pod>,
    over: bool,
}

impl PodRehearsal {
    fn perform(&mut self, step: PodStep) {
        match step {
            PodStep::Create => (self.pet, self.over) = (self.want.clone(), false),
            PodStep::Remove => (self.pet, self.over) = (None, false),
            PodStep::Forget => self.want = None,
            PodStep::Keep => self.want = self.pet.as_ref().map(wanted_of),
            PodStep::Stop => self.mark(Some(Time(jiff::Timestamp::UNIX_EPOCH))),
            PodStep::Rest => self.mark(None),
            PodStep::Revive => self.over = false,
            PodStep::Refresh => {
                if let (Some(pet), Some(want)) = (&mut self.pet, &self.want) {
                    refresh(pet, want);
                }
            }
            PodStep::Await => {}
        }
    }

    /// A pet that is asked to stop has stopped at once.
    fn mark(&mut self, stopping: Option<Time>) {
        self.over = true;
        if let Some(pet) = &mut self.pet {
            pet.metadata.deletion_timestamp = stopping;
        }
    }
}
