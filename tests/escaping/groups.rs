//! Whether root of a pet gets hold of the control group that its processes are in, and so of what
//! else is in there.

use serde_json::{Value, json};

use super::{create, says};
use crate::support::{Sandbox, is_installed};

/// Tries to mount the control groups by a namespace of them, with every right that can be had.
const MOUNT: &str = "mkdir -p /tmp/g; \
    mount -t proc proc /proc; mount -o remount,rw /proc/sys; \
    echo 9 > /proc/sys/user/max_cgroup_namespaces; \
    for how in -C -UrmC; do unshare $how sh -c \
        'mount -t cgroup2 none /tmp/g && echo 1 > /tmp/g/cgroup.kill; ls /tmp/g'; done";

fn mounts_none(spec: Value, container: Value) {
    if !is_installed("unshare", &["unshare"]) {
        return;
    }
    let sandbox = Sandbox::new();
    create(&sandbox, spec, container);
    let script = format!("{{ {MOUNT}; }} 2>&1; echo tried");
    let tried = says(&sandbox, &script);
    assert!(!tried.contains("cgroup.procs"), "{tried}");
    assert!(tried.ends_with("tried"), "{tried}");
}

#[test]
fn a_pet_mounts_no_control_groups() {
    mounts_none(json!({}), json!({}));
}

#[test]
fn a_privileged_pet_mounts_no_control_groups() {
    let context = json!({"privileged": true});
    mounts_none(json!({}), json!({"securityContext": context}));
}

#[test]
fn a_pet_whose_calls_are_not_filtered_mounts_no_control_groups() {
    let profile = json!({"seccompProfile": {"type": "Unconfined"}});
    mounts_none(json!({"securityContext": profile}), json!({}));
    let context = json!({"runAsUser": 0, "seccompProfile": {"type": "Unconfined"}});
    mounts_none(json!({}), json!({"securityContext": context}));
}
