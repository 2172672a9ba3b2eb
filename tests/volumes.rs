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
    let again = sandbox.ok("create -f manifests/three-ordered.yaml");
    again.says("Found volumes again, with data in them: data-web-0 (made ");
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
fn the_claim_of_an_ephemeral_volume_is_in_use_while_its_pod_is_there() {
    let sandbox = Sandbox::new();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:
  containers:
  - {name: c, image: busybox, command: [sleep, '1000'], volumeMounts: [{name: s, mountPath: /s}]}
  volumes:
  - name: s
    ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce],
      resources: {requests: {storage: 1Gi}}}}}\n";
    let manifest = sandbox.manifest("ephemeral.yaml", pod);
    sandbox.ok(&format!("create -f {manifest}"));
    let used = sandbox.run("volume rm p-s --yes");
    assert_ne!(used.code, 0, "{}", used.transcript());
    assert!(sandbox.file("volumes/default/p-s").is_dir());
    sandbox.ok("delete pod/p --now");
    assert!(!sandbox.file("volumes/default/p-s").exists());
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

/// A set whose pet sleeps, with one claim template.
fn sleeping_set(name: &str, template: &str, more: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {name}}}\nspec:\n  \
         serviceName: {name}\n  selector: {{matchLabels: {{app: {name}}}}}\n{more}  template:\n    \
         metadata: {{labels: {{app: {name}}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 0\n      containers:\n      \
         - {{name: c, image: busybox, command: [sleep, '6000']}}\n  volumeClaimTemplates:\n  \
         - metadata: {{name: {template}}}\n    \
         spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}\n"
    )
}

/// A pod that sleeps, with this claim as a volume.
fn sleeping_pod(name: &str, claim: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  \
         terminationGracePeriodSeconds: 0\n  \
         volumes: [{{name: v, persistentVolumeClaim: {{claimName: {claim}}}}}]\n  containers:\n  \
         - {{name: c, image: busybox, command: [sleep, '6000'],\n     \
         volumeMounts: [{{name: v, mountPath: /v}}]}}\n"
    )
}

#[test]
fn purging_one_of_two_sets_with_the_same_claim_leaves_the_data_of_the_other() {
    let sandbox = Sandbox::new();
    for retention in [
        "",
        "  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}\n",
    ] {
        let first = sandbox.manifest("db.yaml", &sleeping_set("db", "alpha-beta", ""));
        sandbox.ok(&format!("create -f {first}"));
        let note = sandbox.file("volumes/default/alpha-beta-db-0/note");
        fs::write(&note, "one").unwrap();
        let text = sleeping_set("beta-db", "alpha", retention);
        let second = sandbox.manifest("beta-db.yaml", &text);
        let created = sandbox.ok(&format!("create -f {second}"));
        created.says("warning: claim template alpha of set beta-db and alpha-beta of set db");
        let purge = if retention.is_empty() { "--purge" } else { "" };
        let preview = sandbox.ok(&format!("delete beta-db {purge} --dry-run"));
        preview.lacks("claim alpha-beta-db-0");
        let deleted = sandbox.ok(&format!("delete beta-db {purge}"));
        deleted.says("Kept the volume alpha-beta-db-0, which set db has too.");
        assert_eq!(fs::read_to_string(&note).unwrap(), "one");
        let removed = sandbox.run("volume rm alpha-beta-db-0 --yes");
        assert_eq!(removed.code, 4, "{}", removed.transcript());
        removed.says("db-0 uses it");
        sandbox.ok("restart db");
        assert_eq!(fs::read_to_string(&note).unwrap(), "one");
        sandbox.ok("delete db --purge");
        assert!(!note.exists());
    }
}

#[test]
fn purging_a_set_removes_its_own_claim_and_none_of_another_however_they_are_called() {
    // Template and set of the one that is purged, those of the other, and whether the claim of
    // their first pets is the same.
    let pairs = [
        ["a", "b-c", "a-b", "c", "same"],
        ["a-b", "c", "a", "b-c", "same"],
        ["a", "b-c-d", "a-b-c", "d", "same"],
        ["data", "web-1", "data-web", "n1", "other"],
        ["data", "web", "data", "web-1", "other"],
        ["data", "web-0", "data", "web", "other"],
        ["a", "b", "a", "b2", "other"],
        ["ab", "c", "a", "bc", "other"],
        ["a", "b", "b", "a", "other"],
        ["data", "web", "data-web-0", "x", "other"],
    ];
    let sandbox = Sandbox::new();
    for [template, set, other_template, other, same] in pairs {
        let both =
            sleeping_set(set, template, "") + "---\n" + &sleeping_set(other, other_template, "");
        let file = sandbox.manifest("both.yaml", &both);
        let created = sandbox.ok(&format!("create -f {file} --isolation none"));
        let claims = [(template, set), (other_template, other)]
            .map(|(template, set)| format!("{template}-{set}-0"));
        let notes = claims
            .each_ref()
            .map(|claim| sandbox.file(&format!("volumes/default/{claim}/note")));
        for note in &notes {
            fs::write(note, "mine").unwrap();
        }
        assert_eq!(claims[0] == claims[1], same == "same");
        let warned = created.transcript().contains("their pets share the data");
        assert_eq!(warned, same == "same", "{}", created.transcript());
        sandbox.ok(&format!("delete {set} --purge"));
        sandbox.until("its own claim is gone, and no other", || {
            notes[0].exists() == (same == "same")
        });
        assert_eq!(fs::read_to_string(&notes[1]).unwrap(), "mine");
        sandbox.ok(&format!("delete {other} --purge"));
        sandbox.until("the other claim is gone", || !notes[1].exists());
    }
}

#[test]
fn deleting_both_sets_of_one_claim_with_their_data_leaves_nothing() {
    let sandbox = Sandbox::new();
    let both =
        sleeping_set("db", "alpha-beta", "") + "---\n" + &sleeping_set("beta-db", "alpha", "");
    let file = sandbox.manifest("both.yaml", &both);
    sandbox
        .ok(&format!("create -f {file}"))
        .says("share the data");
    let volume = sandbox.file("volumes/default/alpha-beta-db-0");
    assert!(volume.is_dir());
    sandbox.ok(&format!("delete -f {file} --purge"));
    sandbox.until("the shared volume is gone", || !volume.exists());
}

#[test]
fn a_claim_that_goes_with_its_set_stays_as_long_as_a_pod_uses_it() {
    let sandbox = Sandbox::new();
    let set = sandbox.manifest("web.yaml", &sleeping_set("web", "data", ""));
    let pod = sandbox.manifest("debug.yaml", &sleeping_pod("debug", "data-web-0"));
    sandbox.ok(&format!("create -f {set}"));
    sandbox.ok(&format!("create -f {pod}"));
    let note = sandbox.file("volumes/default/data-web-0/note");
    fs::write(&note, "mine").unwrap();
    let preview = sandbox.ok("delete web --purge --dry-run");
    preview.says("mark claim data-web-0, which goes with debug");
    let deleted = sandbox.ok("delete web --purge");
    deleted.says("Kept the volume data-web-0, which pod debug uses. It goes with the last pod");
    sandbox.ok("get pvc data-web-0").says("Terminating");
    sandbox.ok("exec debug -- true");
    assert_eq!(fs::read_to_string(&note).unwrap(), "mine");
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("delete pod/debug");
    sandbox.until("the volume is gone", || !note.exists());
}

#[test]
fn a_scale_down_that_takes_claims_along_does_not_wait_for_a_pod_that_uses_one() {
    let sandbox = Sandbox::new();
    let more = "  replicas: 2\n  persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}\n";
    let set = sandbox.manifest("web.yaml", &sleeping_set("web", "data", more));
    let pod = sandbox.manifest("debug.yaml", &sleeping_pod("debug", "data-web-1"));
    sandbox.ok(&format!("create -f {set}"));
    sandbox.ok(&format!("create -f {pod}"));
    let note = sandbox.file("volumes/default/data-web-1/note");
    fs::write(&note, "mine").unwrap();
    sandbox.ok("scale web --replicas 1");
    sandbox.until_says("get pvc data-web-1", "Terminating");
    assert_eq!(fs::read_to_string(&note).unwrap(), "mine");
    let back = sandbox.run("scale web --replicas 2 --timeout 1s");
    back.says("claim data-web-1 is being deleted");
    sandbox.ok("delete pod/debug");
    sandbox.until("the data is gone", || !note.exists());
    sandbox.ok("wait web --for ready");
}

#[test]
fn a_label_of_a_claim_template_may_change_and_a_refusal_names_the_field_and_the_way() {
    let sandbox = Sandbox::new();
    let text = sleeping_set("web", "data", "");
    let file = sandbox.manifest("web.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    let labelled = text.replace("{name: data}", "{name: data, labels: {chart: redis-2}}");
    sandbox.manifest("web.yaml", &labelled);
    sandbox.ok(&format!("apply -f {file}")).says("configured");
    sandbox.ok(&format!("diff -f {file}"));
    sandbox.manifest(
        "web.yaml",
        &text.replace("serviceName: web", "serviceName: other"),
    );
    let refused = sandbox.fails(2, &format!("apply -f {file}"));
    refused.says("hint: spec.serviceName differs: `petset delete web --cascade=orphan`");
}
