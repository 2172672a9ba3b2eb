//! Whether a container that ended runs again: by its own policy and rules, else by its pod's
//! (I25, I56).

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, Pod, PodSpec};

/// What runs again after a container's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    Nothing,
    Itself,
    /// Every container of the pod, the init containers first.
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    fn of(word: &str) -> Self {
        match word {
            "Never" => Self::Never,
            "OnFailure" => Self::OnFailure,
            _ => Self::Always,
        }
    }
}

/// A container's restart policy, and its rules by exit code.
#[derive(Debug, Clone)]
pub(crate) struct RestartRules {
    policy: RestartPolicy,
    rules: Vec<ContainerRestartRule>,
}

impl RestartRules {
    /// Reads the rules of a main container, or those of a sidecar.
    pub(crate) fn of(container: &Container, pod_policy: &str) -> Self {
        let own = container.restart_policy.as_deref();
        Self {
            policy: RestartPolicy::of(own.unwrap_or(pod_policy)),
            rules: container.restart_policy_rules.clone().unwrap_or_default(),
        }
    }

    /// Reads the rules of an init container, which has done its work when it succeeds (I02).
    pub(crate) fn of_init(container: &Container, pod_policy: &str) -> Self {
        let mut rules = Self::of(container, pod_policy);
        if rules.policy == RestartPolicy::Always {
            rules.policy = RestartPolicy::OnFailure;
        }
        rules
    }

    /// Returns what runs again after this exit code; `unwell` says that the container was killed
    /// for a failed probe or hook. The first rule that fits decides.
    pub(crate) fn after(&self, code: i32, unwell: bool) -> Again {
        if let Some(rule) = self.rules.iter().find(|rule| fits(rule, code)) {
            return match rule.action.as_str() {
                RESTART_ALL => Again::All,
                _ => Again::Itself,
            };
        }
        let again = match self.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => code != 0 || unwell,
            RestartPolicy::Never => false,
        };
        if again { Again::Itself } else { Again::Nothing }
    }

    /// Returns whether a rule may restart the whole pod.
    pub(crate) fn may_restart_all(&self) -> bool {
        self.rules.iter().any(|rule| rule.action == RESTART_ALL)
    }

    fn is_once(&self) -> bool {
        self.policy == RestartPolicy::Never && self.rules.is_empty()
    }
}

/// The action of a rule that restarts all containers of a pod.
pub(crate) const RESTART_ALL: &str = "RestartAllContainers";

fn fits(rule: &ContainerRestartRule, code: i32) -> bool {
    let Some(codes) = rule.exit_codes.as_ref() else {
        return false;
    };
    let listed = codes.values.iter().flatten().any(|&value| value == code);
    listed == (codes.operator == "In")
}

/// Returns whether no container of a pod ever runs a second time.
pub(crate) fn runs_once(spec: &PodSpec) -> bool {
    let pod = spec.restart_policy.as_deref().unwrap_or("Always");
    let inits = spec.init_containers.iter().flatten();
    // A sidecar goes on only as long as there is something to go on for.
    let inits = inits.filter(|init| init.restart_policy.as_deref() != Some("Always"));
    let mut all = inits.chain(&spec.containers);
    all.all(|container| RestartRules::of(container, pod).is_once())
}

/// Returns whether a main container of this pod has ended and is due to run again.
pub(crate) fn is_to_run_again(pod: &Pod) -> bool {
    let (Some(spec), Some(status)) = (&pod.spec, &pod.status) else {
        return false;
    };
    let policy = spec.restart_policy.as_deref().unwrap_or("Always");
    let without = i32::from(status.phase.as_deref() != Some("Succeeded"));
    let statuses = status.container_statuses.as_deref().unwrap_or_default();
    spec.containers.iter().any(|container| {
        let found = statuses.iter().find(|it| it.name == container.name);
        let state = found.and_then(|status| status.state.as_ref());
        let rules = RestartRules::of(container, policy);
        let end = state.and_then(|state| state.terminated.as_ref());
        let code = end.map_or(without, |end| end.exit_code);
        rules.after(code, false) != Again::Nothing
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn container(more: Value) -> Container {
        let mut container = json!({"name": "c"});
        for (field, value) in more.as_object().unwrap() {
            container[field] = value.clone();
        }
        serde_json::from_value(container).unwrap()
    }

    #[test]
    fn i25_the_first_rule_that_fits_decides_then_the_own_policy() {
        let rule = |action: &str, operator: &str, values: &[i32]| json!({"action": action, "exitCodes": {"operator": operator, "values": values}});
        let rules = container(json!({"restartPolicy": "Never", "restartPolicyRules": [
            rule("Restart", "In", &[42]),
            rule(RESTART_ALL, "In", &[42, 43]),
            rule("Restart", "NotIn", &[0, 7, 43]),
        ]}));
        let rules = RestartRules::of(&rules, "Always");
        for (code, wanted) in [
            (42, Again::Itself),
            (43, Again::All),
            (1, Again::Itself),
            (0, Again::Nothing),
            (7, Again::Nothing),
        ] {
            assert_eq!(rules.after(code, false), wanted, "{code}");
        }
        let own = |policy: &str, pod: &str, code: i32| {
            let container = container(json!({"restartPolicy": policy}));
            RestartRules::of(&container, pod).after(code, false) != Again::Nothing
        };
        assert!(own("Always", "Never", 0));
        assert!(!own("Never", "Always", 1));
        assert!(own("OnFailure", "Never", 1));
        assert!(!own("OnFailure", "Always", 0));
    }
}
