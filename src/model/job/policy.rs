//! What a failed pod means to a Job, and when some successes are enough (JB31, JB33).

use k8s_openapi::api::batch::v1::{
    PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    SuccessPolicyRule,
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::{Indexes, JobPass};
use crate::model::workload::pods;

/// What the failure policy of a Job says of a failed pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    /// It counts as a failure.
    pub(super) counts: bool,
    /// Its index is given up.
    pub(super) fails_index: bool,
    /// The Job fails, with this message.
    pub(super) fails_job: Option<String>,
}

impl Judgement {
    const COUNT: Self = Self {
        counts: true,
        fails_index: false,
        fails_job: None,
    };

    fn of(action: &str, why: impl FnOnce() -> String) -> Self {
        match action {
            "Ignore" => Self {
                counts: false,
                ..Self::COUNT
            },
            "FailIndex" => Self {
                fails_index: true,
                ..Self::COUNT
            },
            "FailJob" => Self {
                fails_job: Some(why()),
                ..Self::COUNT
            },
            _ => Self::COUNT,
        }
    }
}

impl JobPass<'_> {
    /// Judges a failed pod by the first rule that fits; where none does, it counts.
    pub(super) fn policy_of(&self, pod: &Pod) -> Judgement {
        let policy = self.spec.pod_failure_policy.as_ref();
        let rules = policy
            .into_iter()
            .flat_map(|policy| &policy.rules)
            .enumerate();
        let place = format!(
            "{}/{}",
            pod.metadata.namespace.as_deref().unwrap_or_default(),
            pods::name_of(&pod.metadata)
        );
        for (number, rule) in rules {
            let action = rule.action.as_str();
            let rule_words = format!("matching {action} rule at index {number}");
            if let Some(wanted) = &rule.on_exit_codes {
                if let Some((container, code)) = exit_that_fits(pod, wanted) {
                    return Judgement::of(action, || {
                        format!(
                            "Container {container} for pod {place} failed with exit code {code} {rule_words}"
                        )
                    });
                }
            } else if let Some(kind) = condition_that_fits(pod, rule.on_pod_conditions.as_deref()) {
                return Judgement::of(action, || {
                    format!("Pod {place} has condition {kind} {rule_words}")
                });
            }
        }
        Judgement::COUNT
    }

    /// Returns the number of the first rule of the success policy that is met.
    pub(super) fn met_rule(&self) -> Option<usize> {
        let policy = self.spec.success_policy.as_ref()?;
        let is_met = |rule: &SuccessPolicyRule| {
            let named = rule.succeeded_indexes.as_ref();
            let named = named.map(|text| Indexes::read(text, self.completions()));
            let count = rule
                .succeeded_count
                .and_then(|count| usize::try_from(count).ok());
            match (named, count) {
                (Some(named), None) => self.indexes.has_all(&named),
                (Some(named), Some(count)) => self.indexes.common(&named) >= count,
                (None, Some(count)) => self.indexes.len() >= count,
                (None, None) => false,
            }
        };
        policy.rules.iter().position(is_met)
    }
}

/// Returns the first container that ended with a code that is meant, and the code.
fn exit_that_fits<'a>(
    pod: &'a Pod,
    wanted: &PodFailurePolicyOnExitCodesRequirement,
) -> Option<(&'a str, i32)> {
    let status = pod.status.as_ref()?;
    let main = status.container_statuses.iter().flatten();
    let mut all = main.chain(status.init_container_statuses.iter().flatten());
    all.find_map(|status: &ContainerStatus| {
        let code = status.state.as_ref()?.terminated.as_ref()?.exit_code;
        let named = wanted.container_name.as_ref();
        let is_listed = wanted.values.contains(&code);
        let fits = match wanted.operator.as_str() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            _ => false,
        };
        let meant = code != 0 && fits && named.is_none_or(|name| *name == status.name);
        meant.then_some((status.name.as_str(), code))
    })
}

fn condition_that_fits<'a>(
    pod: &'a Pod,
    wanted: Option<&[PodFailurePolicyOnPodConditionsPattern]>,
) -> Option<&'a str> {
    let mut conditions = pod.status.as_ref()?.conditions.as_ref()?.iter();
    let fits = conditions.find(|condition| {
        let mut patterns = wanted.into_iter().flatten();
        patterns.any(|pattern| {
            let status = pattern.status.as_deref().unwrap_or("True");
            pattern.type_ == condition.type_ && status == condition.status
        })
    })?;
    Some(&fits.type_)
}
