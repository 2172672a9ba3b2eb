//! Volumes: what keeps them, and the few things that take them away.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;

use serde_json::Value;
use support::Sandbox;

#[test]
fn volumes_outlive_scaling_down_deleting_and_the_supervisor() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let notes: Vec<_> = (0..3)
        .map(|ordinal| sandbox.file(&format!("volumes/default/data-web-{ordinal}/note")))
        .collect();
    notes
        .iter()
        .for_each(|note| fs::write(note, "mine").unwrap());
    sandbox.ok("scale web --replicas 1");
    sandbox.ok("upgrade web --env A=B");
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("delete web");
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("stop");
    sandbox.ok("start");
    assert!(notes.iter().all(|note| fs::read(note).unwrap() == b"mine"));
}

#[test]
fn a_retention_policy_that_says_delete_is_obeyed() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/retention-delete.yaml");
    let volume = |ordinal: u32| sandbox.file(&format!("volumes/default/data-web-{ordinal}"));
    sandbox.ok("scale web --replicas 2");
    sandbox.until("the claim is gone", || !volume(2).exists());
    assert!(volume(0).exists() && volume(1).exists());
    sandbox.ok("delete web").lacks("Kept the volumes");
    sandbox.until("the claims are gone", || {
        !volume(0).exists() && !volume(1).exists()
    });
}

#[test]
fn a_volume_in_use_cannot_be_removed_and_one_that_is_left_can() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("scale web --replicas 2");
    let used = sandbox.run("volume rm data-web-0 --yes");
    assert_ne!(used.code, 0, "{}", used.transcript());
    assert!(sandbox.file("volumes/default/data-web-0").exists());
    sandbox.ok("volume rm data-web-2 --yes");
    assert!(!sandbox.file("volumes/default/data-web-2").exists());
    sandbox.ok("scale web --replicas 3");
    assert!(sandbox.file("volumes/default/data-web-2").is_dir());
}

#[test]
fn a_pet_sees_its_volume_below_its_directory_and_in_its_environment() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox
        .ok("exec web-1 -- sh -c 'echo mine >data/note; cat $PETSET_MOUNT_DATA/note'")
        .says("mine");
    let note = fs::read_to_string(sandbox.file("volumes/default/data-web-1/note"));
    assert_eq!(note.unwrap(), "mine\n");
    sandbox.ok("describe pod web-1").says("data-web-1");
}

#[test]
fn each_pet_reads_its_own_name_again_after_an_upgrade_and_a_restart() {
    // E01, E34
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    let note = "echo $HOSTNAME >$PETSET_MOUNT_DATA/name; \
                ln $PETSET_MOUNT_DATA/name $PETSET_MOUNT_DATA/link";
    for pet in ["web-0", "web-1", "web-2"] {
        sandbox.ok(&format!("exec {pet} -- sh -c '{note}'"));
    }
    let mut uids: Vec<Value> = Vec::new();
    for change in ["upgrade web --env A=B", "restart web"] {
        sandbox.ok(change);
        for (index, pet) in ["web-0", "web-1", "web-2"].into_iter().enumerate() {
            let read = "cat $PETSET_MOUNT_DATA/name $PETSET_MOUNT_DATA/link; echo $HOSTNAME";
            let said = sandbox.ok(&format!("exec {pet} -- sh -c '{read}'"));
            said.prints(&format!("{pet}\n{pet}\n{pet}\n"));
            let meta = sandbox.pod(pet)["metadata"].take();
            assert_eq!(
                meta["labels"]["apps.kubernetes.io/pod-index"],
                index.to_string()
            );
            assert!(
                !uids.contains(&meta["uid"]),
                "{pet} is the same pod as before"
            );
            uids.push(meta["uid"].clone());
        }
    }
    let set = sandbox.ok("get sts web -o json");
    set.says("\"serviceName\": \"web\"");
}

#[test]
fn removing_all_volumes_of_a_deleted_set_leaves_those_of_others() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox.ok("create other --image petset/hello --volume data");
    sandbox.ok("delete web");
    sandbox.ok("volume rm --set web --yes");
    assert!(!sandbox.file("volumes/default/data-web-0").exists());
    assert!(sandbox.file("volumes/default/data-other-0").is_dir());
}

#[test]
fn a_missing_host_path_without_a_type_becomes_a_directory() {
    let sandbox = Sandbox::new();
    for level in ["none", "auto"] {
        let missing = sandbox.scratch().join(level).join("deep");
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {level}}}\nspec:\n  containers:\n  \
             - {{name: c, image: busybox, command: [sleep, '600'],\n     \
             volumeMounts: [{{name: d, mountPath: /data}}]}}\n  \
             volumes: [{{name: d, hostPath: {{path: {missing:?}}}}}]\n"
        );
        let file = sandbox.manifest(&format!("{level}.yaml"), &text);
        sandbox.ok(&format!(
            "create -f {file} --isolation {level} --timeout 60s"
        ));
        assert!(missing.is_dir(), "{level}");
    }
    std::fs::write(sandbox.scratch().join("file"), "").unwrap();
    let file = sandbox.scratch().join("file/below");
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: w}}\nspec:\n  containers:\n  \
         - {{name: c, image: busybox, command: [sleep, '600']}}\n  \
         volumes: [{{name: d, hostPath: {{path: {file:?}}}}}]\n"
    );
    let manifest = sandbox.manifest("w.yaml", &text);
    sandbox.ok(&format!("create -f {manifest} --no-wait"));
    sandbox.events_say(&[&format!("{}: ", file.display())]);
}
