//! The fields of a `securityContext`: some need root, some isolation, and some are never acted on.

use k8s_openapi::api::core::v1::{PodSecurityContext, SeccompProfile, SecurityContext};

use super::ignored::{ISOLATED, Ignored, NO_CONTAINERS, ROOT};

/// Remarks on what a pod asks for.
pub(super) fn of_pod(ignored: &mut Ignored<'_>, context: &PodSecurityContext) {
    let PodSecurityContext {
        app_armor_profile,
        fs_group,
        fs_group_change_policy: _,
        run_as_group,
        run_as_non_root,
        run_as_user,
        se_linux_change_policy,
        se_linux_options,
        seccomp_profile,
        supplemental_groups,
        supplemental_groups_policy: _,
        sysctls,
        windows_options,
    } = context;
    let groups = supplemental_groups.iter().flatten().next();
    let lists = [
        ("runAsUser", ROOT, run_as_user.is_some()),
        ("runAsGroup", ROOT, run_as_group.is_some()),
        ("fsGroup", ROOT, fs_group.is_some()),
        ("supplementalGroups", ROOT, groups.is_some()),
        ("runAsNonRoot", ISOLATED, *run_as_non_root == Some(true)),
        (
            "appArmorProfile",
            NO_CONTAINERS,
            app_armor_profile.is_some(),
        ),
        (
            "seLinuxChangePolicy",
            NO_CONTAINERS,
            se_linux_change_policy.is_some(),
        ),
        ("seLinuxOptions", NO_CONTAINERS, se_linux_options.is_some()),
        ("seccompProfile", ISOLATED, is_filter(seccomp_profile)),
        (
            "sysctls",
            ISOLATED,
            sysctls.iter().flatten().next().is_some(),
        ),
        ("windowsOptions", NO_CONTAINERS, windows_options.is_some()),
    ];
    for (field, reason, given) in lists {
        ignored.note(&format!("securityContext.{field}"), reason, given);
    }
}

/// Remarks on what a container asks for; `path` is the container's.
pub(super) fn of_container(ignored: &mut Ignored<'_>, path: &str, context: &SecurityContext) {
    let SecurityContext {
        allow_privilege_escalation,
        app_armor_profile,
        capabilities,
        privileged,
        proc_mount,
        read_only_root_filesystem,
        run_as_group,
        run_as_non_root,
        run_as_user,
        se_linux_options,
        seccomp_profile,
        windows_options,
    } = context;
    let read_only = *read_only_root_filesystem == Some(true);
    let no_new_privileges = *allow_privilege_escalation == Some(false);
    let lists = [
        ("runAsUser", ROOT, run_as_user.is_some()),
        ("runAsGroup", ROOT, run_as_group.is_some()),
        ("runAsNonRoot", ISOLATED, *run_as_non_root == Some(true)),
        ("readOnlyRootFilesystem", ISOLATED, read_only),
        ("allowPrivilegeEscalation", ISOLATED, no_new_privileges),
        (
            "appArmorProfile",
            NO_CONTAINERS,
            app_armor_profile.is_some(),
        ),
        ("capabilities", ISOLATED, capabilities.is_some()),
        ("privileged", ISOLATED, *privileged == Some(true)),
        ("procMount", NO_CONTAINERS, proc_mount.is_some()),
        ("seLinuxOptions", NO_CONTAINERS, se_linux_options.is_some()),
        ("seccompProfile", ISOLATED, is_filter(seccomp_profile)),
        ("windowsOptions", NO_CONTAINERS, windows_options.is_some()),
    ];
    for (field, reason, given) in lists {
        ignored.note(&format!("{path}.securityContext.{field}"), reason, given);
    }
}

fn is_filter(profile: &Option<SeccompProfile>) -> bool {
    profile
        .as_ref()
        .is_some_and(|profile| profile.type_ != "Unconfined")
}
