//! The `securityContext` of pods and containers.

use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext, Sysctl,
};

use super::super::fault::Faults;

/// What a sysctl is called: segments between dots or slashes.
const SYSCTL_NAME: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";
const LONGEST_SYSCTL: usize = 253;

/// Checks that of a pod; `path` is its own.
pub(super) fn of_pod(faults: &mut Faults, path: &str, context: &PodSecurityContext) {
    let at = |field: &str| format!("{path}.{field}");
    for (field, id) in [
        ("runAsUser", context.run_as_user),
        ("runAsGroup", context.run_as_group),
        ("fsGroup", context.fs_group),
    ] {
        number(faults, &at(field), id);
    }
    for (index, id) in context.supplemental_groups.iter().flatten().enumerate() {
        number(
            faults,
            &at(&format!("supplementalGroups[{index}]")),
            Some(*id),
        );
    }
    let policy = context.fs_group_change_policy.as_deref();
    if let Some(policy) = policy.filter(|it| !matches!(*it, "Always" | "OnRootMismatch")) {
        let known = &["Always", "OnRootMismatch"];
        faults.unsupported(&at("fsGroupChangePolicy"), policy, known);
    }
    let policy = context.supplemental_groups_policy.as_deref();
    if let Some(policy) = policy.filter(|it| !matches!(*it, "Merge" | "Strict")) {
        let known = &["Merge", "Strict"];
        faults.unsupported(&at("supplementalGroupsPolicy"), policy, known);
    }
    sysctls(faults, &at("sysctls"), context.sysctls.as_deref());
    seccomp(
        faults,
        &at("seccompProfile"),
        context.seccomp_profile.as_ref(),
    );
}

/// Checks that of a container; `path` is its own.
pub(super) fn of_container(faults: &mut Faults, path: &str, context: &SecurityContext) {
    let at = |field: &str| format!("{path}.{field}");
    number(faults, &at("runAsUser"), context.run_as_user);
    number(faults, &at("runAsGroup"), context.run_as_group);
    let mount = context.proc_mount.as_deref();
    if let Some(kind) = mount.filter(|kind| !matches!(*kind, "Default" | "Unmasked")) {
        faults.unsupported(&at("procMount"), kind, &["Default", "Unmasked"]);
    }
    if context.allow_privilege_escalation == Some(false) {
        let shown = serde_json::to_string(context).unwrap_or_default();
        if context.privileged == Some(true) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            faults.invalid(path, &shown, detail);
        }
        if context.capabilities.as_ref().is_some_and(adds_all_rights) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` \
                          CAP_SYS_ADMIN";
            faults.invalid(path, &shown, detail);
        }
    }
    seccomp(
        faults,
        &at("seccompProfile"),
        context.seccomp_profile.as_ref(),
    );
}

fn adds_all_rights(capabilities: &Capabilities) -> bool {
    let mut added = capabilities.add.iter().flatten();
    added.any(|name| name == "CAP_SYS_ADMIN")
}

/// Checks the number of a user or group.
fn number(faults: &mut Faults, path: &str, id: Option<i64>) {
    let most = i64::from(i32::MAX);
    if let Some(id) = id.filter(|id| !(0..=most).contains(id)) {
        let detail = "must be between 0 and 2147483647, inclusive";
        faults.invalid(path, id, detail);
    }
}

fn seccomp(faults: &mut Faults, path: &str, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    let at = format!("{path}.localhostProfile");
    let file = profile.localhost_profile.as_deref();
    match profile.type_.as_str() {
        "Localhost" | "RuntimeDefault" | "Unconfined" => {}
        "" => faults.required(
            &format!("{path}.type"),
            "type is required when seccompProfile is set",
        ),
        other => {
            let known = &["Localhost", "RuntimeDefault", "Unconfined"];
            faults.unsupported(&format!("{path}.type"), other, known);
        }
    }
    match file {
        Some(file) if profile.type_ != "Localhost" => {
            let detail = "can only be set when seccomp type is Localhost";
            faults.invalid_text(&at, file, detail);
        }
        None | Some("") if profile.type_ == "Localhost" => {
            faults.required(&at, "must be set when seccomp type is Localhost");
        }
        Some(file) if file.starts_with('/') => {
            faults.invalid_text(&at, file, "must be a relative path");
        }
        Some(file) if file.split('/').any(|part| part == "..") => {
            faults.invalid_text(&at, file, "must not contain '..'");
        }
        None | Some(_) => {}
    }
}

fn sysctls(faults: &mut Faults, path: &str, sysctls: Option<&[Sysctl]>) {
    let sysctls = sysctls.unwrap_or_default();
    for (index, Sysctl { name, .. }) in sysctls.iter().enumerate() {
        let at = format!("{path}[{index}].name");
        if name.is_empty() {
            faults.required(&at, "");
        } else if name.len() > LONGEST_SYSCTL || !is_sysctl(name) {
            let detail = format!(
                "must have at most {LONGEST_SYSCTL} characters and match regex {SYSCTL_NAME}"
            );
            faults.invalid_text(&at, name, &detail);
        } else if sysctls[..index].iter().any(|before| before.name == *name) {
            faults.duplicate(&at, name);
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let end = |letter: Option<char>| {
        letter.is_some_and(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
    };
    name.split(['.', '/']).all(|part| {
        let mut letters = part.chars();
        let inner = |it: char| end(Some(it)) || matches!(it, '-' | '_');
        part.chars().all(inner) && end(letters.clone().next_back()) && end(letters.next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(context: Value) -> Vec<String> {
        let mut faults = Faults::default();
        of_pod(&mut faults, "s", &serde_json::from_value(context).unwrap());
        told(&faults)
    }

    fn container(context: Value) -> Vec<String> {
        let mut faults = Faults::default();
        of_container(&mut faults, "s", &serde_json::from_value(context).unwrap());
        told(&faults)
    }

    fn told(faults: &Faults) -> Vec<String> {
        let all = faults.0.iter();
        all.map(|fault| format!("{}: {}", fault.path, fault.message))
            .collect()
    }

    #[test]
    fn what_cannot_be_is_refused_in_the_words_of_the_api_server() {
        let sound = [
            json!({"runAsUser": 0, "fsGroup": 2_147_483_647, "supplementalGroups": [1],
                "sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"},
                    {"name": "net/ipv4/ip_unprivileged_port_start", "value": "1"}]}),
            json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "a/b..json"}}),
            json!({"seccompProfile": {"type": "RuntimeDefault"}}),
        ];
        for context in sound {
            assert_eq!(pod(context.clone()), [""; 0], "{context}");
        }
        let range = "must be between 0 and 2147483647, inclusive";
        let cases = [
            (
                json!({"runAsUser": -1}),
                format!("s.runAsUser: Invalid value: -1: {range}"),
            ),
            (
                json!({"supplementalGroups": [1, 3_000_000_000_u32]}),
                format!("s.supplementalGroups[1]: Invalid value: 3000000000: {range}"),
            ),
            (
                json!({"sysctls": [{"name": "foo-", "value": "1"}]}),
                format!(
                    "s.sysctls[0].name: Invalid value: \"foo-\": must have at most 253 \
                         characters and match regex {SYSCTL_NAME}"
                ),
            ),
            (
                json!({"sysctls": [{"name": "a.b", "value": "1"}, {"name": "a.b", "value": "2"}]}),
                "s.sysctls[1].name: Duplicate value: \"a.b\"".to_owned(),
            ),
            (
                json!({"seccompProfile": {"type": "Localhost"}}),
                "s.seccompProfile.localhostProfile: Required value: must be set when seccomp type \
                 is Localhost"
                    .to_owned(),
            ),
            (
                json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "/a"}}),
                "s.seccompProfile.localhostProfile: Invalid value: \"/a\": must be a relative path"
                    .to_owned(),
            ),
            (
                json!({"seccompProfile": {"type": "Localhost", "localhostProfile": "../a"}}),
                "s.seccompProfile.localhostProfile: Invalid value: \"../a\": must not contain '..'"
                    .to_owned(),
            ),
            (
                json!({"seccompProfile": {"type": "Unconfined", "localhostProfile": "a"}}),
                "s.seccompProfile.localhostProfile: Invalid value: \"a\": can only be set when \
                 seccomp type is Localhost"
                    .to_owned(),
            ),
            (
                json!({"seccompProfile": {"type": "localhost"}}),
                "s.seccompProfile.type: Unsupported value: \"localhost\": supported values: \
                 \"Localhost\", \"RuntimeDefault\", \"Unconfined\""
                    .to_owned(),
            ),
        ];
        for (context, fault) in cases {
            assert_eq!(pod(context), [fault]);
        }
        for field in [
            json!({"privileged": true}),
            json!({"capabilities": {"add": ["CAP_SYS_ADMIN"]}}),
        ] {
            assert_eq!(container(field.clone()), [""; 0]);
            let mut both = field;
            both["allowPrivilegeEscalation"] = json!(false);
            let found = container(both).concat();
            assert!(
                found.contains("cannot set `allowPrivilegeEscalation` to false and"),
                "{found}"
            );
        }
        assert_eq!(container(json!({"procMount": "Open"})).len(), 1);
    }
}
