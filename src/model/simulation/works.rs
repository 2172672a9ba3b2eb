//! Jobs.

use k8s_openapi::api::batch::v1::Job;
use serde_json::json;

use super::{Ground, PATIENCE, TURNS, end, live, set_ready};
use crate::model::job::{self, BackOffRecord, JobSeen, finished};
use crate::model::workload::{WorkStep, pods};

#[test]
fn random_jobs_count_each_pod_once_and_come_to_an_end() {
    // JB06, JB08, JB10, JB11, JB13, JB22, JB23
    live(|seed| Work::random(seed).live());
}

struct Work {
    ground: Ground,
    job: Job,
    back_off: BackOffRecord,
    /// Pods that had succeeded when their finalizer went.
    succeeded: i32,
    /// Pods that had failed when it went.
    failed: i32,
    deleted: i32,
}

impl Work {
    fn random(seed: u64) -> Self {
        let mut ground = Ground::of(seed);
        let completions = 1 + ground.roll(8);
        let mode = if ground.once_in(2) {
            "Indexed"
        } else {
            "NonIndexed"
        };
        let job = json!({"metadata": {"name": "work", "namespace": "d", "uid": "work", "generation": 1},
            "spec": {"completions": completions, "parallelism": 1 + ground.roll(4), "completionMode": mode,
                "backoffLimit": ground.roll(5), "suspend": ground.once_in(4),
                "podReplacementPolicy": if ground.once_in(2) { "Failed" } else { "TerminatingOrFailed" },
                "selector": {"matchLabels": {"job": "work"}},
                "template": {"metadata": {"labels": {"job": "work"}},
                    "spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"}}}});
        let job = serde_json::from_value(job).unwrap();
        Self {
            ground,
            job,
            back_off: BackOffRecord::default(),
            succeeded: 0,
            failed: 0,
            deleted: 0,
        }
    }

    fn live(mut self) {
        for _ in 0..TURNS {
            let seconds = i64::try_from(self.ground.roll(15)).unwrap();
            self.ground.pass_time(seconds);
            match self.ground.roll(8) {
                0 => self.edit(),
                1..=3 => drop(self.kubelet(2)),
                4 => {
                    let limit = usize::try_from(self.ground.roll(4)).unwrap();
                    let _ = self.pass(limit);
                    let pods: Vec<_> = self.ground.pods.iter().collect();
                    self.back_off = BackOffRecord::of(&pods); // it starts anew
                }
                _ => drop(self.pass(usize::MAX)),
            }
        }
        self.settle();
    }

    fn edit(&mut self) {
        let choice = self.ground.roll(3);
        let number = i32::try_from(self.ground.roll(5)).unwrap();
        let place = self.ground.roll(self.ground.pods.len().max(1) as u64);
        let spec = self.job.spec.as_mut().unwrap();
        match choice {
            0 => spec.parallelism = Some(number),
            1 => spec.suspend = Some(number == 0),
            _ => {
                let pod = self.ground.pods.get(usize::try_from(place).unwrap());
                if let Some(name) = pod.and_then(|pod| pod.metadata.name.clone()) {
                    self.ground.delete_pod(&name);
                }
            }
        }
    }

    fn kubelet(&mut self, sides: u64) -> bool {
        let before = self.ground.pods.len();
        let mut moved = false;
        for place in 0..before {
            if !self.ground.once_in(sides) {
                continue;
            }
            let (now, fails) = (self.ground.now, self.ground.once_in(4));
            let pod = &mut self.ground.pods[place];
            match pods::phase(pod) {
                "Pending" if !pods::is_terminating(pod) => set_ready(pod, true, now),
                "Running" | "Pending" if pods::is_terminating(pod) => end(pod, "Failed", now),
                "Running" if fails => end(pod, "Failed", now),
                "Running" => end(pod, "Succeeded", now),
                _ => continue,
            }
            moved = true;
        }
        self.ground.pods.retain(|pod| {
            let is_held = pod
                .metadata
                .finalizers
                .as_ref()
                .is_some_and(|held| !held.is_empty());
            !pods::is_terminating(pod) || is_held || !pods::has_ended(pod)
        });
        moved || self.ground.pods.len() != before
    }

    /// Makes one pass, of which the first steps are performed; returns when it wants to look again,
    /// if it did nothing.
    fn pass(&mut self, limit: usize) -> Result<Option<jiff::Timestamp>, ()> {
        let pods = self.ground.pods.clone();
        let seen = JobSeen {
            pods: pods.iter().collect(),
            back_off: self.back_off,
        };
        let outcome =
            job::reconcile(&self.job, &seen, self.ground.now, &mut self.ground.dice).unwrap();
        let active = !outcome.steps.is_empty() || self.job.status.as_ref() != Some(&outcome.status);
        let was_over = finished(&self.job.status.clone().unwrap_or_default()).is_some();
        assert!(!was_over || !active, "a finished Job was touched");
        for step in outcome.steps.into_iter().take(limit) {
            self.perform(step);
        }
        if limit == usize::MAX {
            self.job.status = Some(outcome.status);
            self.back_off = outcome.remembered;
            self.check();
        }
        if active { Err(()) } else { Ok(outcome.wake_at) }
    }

    fn perform(&mut self, step: WorkStep) {
        match step {
            WorkStep::CreatePod { pod, .. } => self.ground.create_pod(*pod),
            WorkStep::DeletePod { name } => self.ground.delete_pod(&name),
            WorkStep::FreePod { name } => {
                let pod = self.ground.pod(&name);
                pod.metadata.finalizers = None;
                match pods::phase(pod) {
                    "Succeeded" => self.succeeded += 1,
                    "Failed" => self.failed += 1,
                    _ => self.deleted += 1,
                }
            }
            WorkStep::Publish(status) => self.job.status = Some(*status),
            WorkStep::Tell(_) => {}
            other => panic!("a Job does not {other:?}"),
        }
    }

    /// Checks the counts after a pass that was performed whole.
    fn check(&self) {
        let status = self.job.status.clone().unwrap_or_default();
        let number = |number: Option<i32>| number.unwrap_or_default();
        let spec = self.job.spec.as_ref().unwrap();
        let active = self
            .ground
            .pods
            .iter()
            .filter(|pod| pods::is_active(pod))
            .count();
        let most = spec.parallelism.unwrap();
        assert!(
            i32::try_from(active).unwrap() <= most,
            "{active} pods run side by side"
        );
        let indexed = spec.completion_mode.as_deref() == Some("Indexed");
        // An index that succeeded twice counts once.
        let counted = number(status.succeeded);
        assert!(
            counted == self.succeeded || indexed && counted <= self.succeeded,
            "{counted} of {}",
            self.succeeded
        );
        let failed = number(status.failed);
        assert!(
            (self.failed..=self.failed + self.deleted).contains(&failed),
            "{failed} of {}",
            self.failed
        );
    }

    /// Ends all faults and waits until the Job is over.
    fn settle(&mut self) {
        let spec = self.job.spec.as_mut().unwrap();
        spec.suspend = Some(false);
        spec.parallelism = Some(2);
        for _ in 0..PATIENCE {
            let pass = self.pass(usize::MAX);
            if self.kubelet(1) {
                continue;
            }
            match pass {
                Err(()) => {}
                Ok(Some(at)) => self.ground.now = at.max(self.ground.now),
                Ok(None) => return self.check_end(),
            }
        }
        panic!("it does not come to an end: {:?}", self.job.status);
    }

    fn check_end(&self) {
        let status = self.job.status.clone().unwrap_or_default();
        let end = finished(&status).expect("the Job is over");
        let completions = self.job.spec.as_ref().unwrap().completions.unwrap();
        let enough = status.succeeded.unwrap_or_default() >= completions;
        assert_eq!(enough, end.type_ == "Complete", "{status:?}");
        assert_eq!(status.active, None);
    }
}
