//! Volumes that users make, and the claims that find them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use support::Sandbox;

/// Makes a directory of the host.
fn disk(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.scratch().join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A volume at a place of the host: `hostPath` or `local`.
fn volume(name: &str, size: &str, class: &str, source: &str, path: &str) -> String {
    let affinity = match source {
        "local" => {
            "  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: \
             kubernetes.io/hostname, operator: In, values: [far-away]}]}]}}\n"
        }
        _ => "",
    };
    format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec:\n  capacity: \
         {{storage: {size}}}\n  accessModes: [ReadWriteOnce]\n  storageClassName: {class:?}\n  \
         {source}: {{path: {path:?}}}\n{affinity}---\n"
    )
}

fn claim(name: &str, size: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec:\n  \
         accessModes: [ReadWriteOnce]\n  resources: {{requests: {{storage: {size}}}}}\n  \
         {more}\n---\n"
    )
}

/// A pod that writes its name to a claim, and stays.
fn user(name: &str, claim: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  {}",
        pod_spec(claim, "")
    )
}

/// The rest of a pod that writes its name to its volume `data`; `indent` is that of the spec.
fn pod_spec(claim: &str, indent: &str) -> String {
    let volumes = match claim {
        "" => String::new(),
        claim => format!(
            "{indent}  volumes: [{{name: data, persistentVolumeClaim: {{claimName: {claim}}}}}]\n"
        ),
    };
    let script = "echo $HOSTNAME >>$PETSET_MOUNT_DATA/names; exec sleep 1000";
    format!(
        "terminationGracePeriodSeconds: 1\n{volumes}{indent}  containers:\n{indent}  - name: c\n\
         {indent}    image: any\n{indent}    command: [sh, -c, '{script}']\n{indent}    \
         volumeMounts: [{{name: data, mountPath: /data}}]\n"
    )
}

fn set_of_two() -> String {
    let spec = pod_spec("", "    ");
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: db}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: db}}}}\n  template:\n    metadata: {{labels: {{app: \
         db}}}}\n    spec:\n      {spec}  volumeClaimTemplates:\n  - metadata: {{name: data}}\n    \
         spec: {{accessModes: [ReadWriteOnce], storageClassName: manual, resources: {{requests: \
         {{storage: 1Gi}}}}}}\n---\n"
    )
}

fn front() -> String {
    let spec = pod_spec("shared", "    ");
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: front}}\nspec:\n  selector: \
         {{matchLabels: {{app: front}}}}\n  strategy: {{type: Recreate}}\n  template:\n    \
         metadata: {{labels: {{app: front}}}}\n    spec:\n      {spec}---\n"
    )
}

fn get(sandbox: &Sandbox, what: &str) -> Value {
    serde_json::from_str(&sandbox.ok(&format!("get {what} -o json")).out).unwrap()
}

fn names(path: &std::path::Path) -> String {
    fs::read_to_string(path.join("names")).unwrap_or_default()
}

/// Creates a set and a Deployment on volumes of the host, kills and deletes, and creates again.
fn the_data_stay(level: &str) {
    let sandbox = Sandbox::new();
    sandbox.settings(&format!("isolation = {level:?}\n"));
    let disks = ["a", "b", "c"].map(|name| disk(&sandbox, name));
    let [a, b, c] = &disks;
    let text = [
        volume("pv-b", "2Gi", "manual", "local", b.to_str().unwrap()),
        volume("pv-a", "1Gi", "manual", "hostPath", a.to_str().unwrap()),
        volume("pv-c", "1Gi", "own", "hostPath", c.to_str().unwrap()),
        claim("shared", "1Gi", "storageClassName: own"),
        set_of_two(),
        front(),
    ];
    let manifest = sandbox.manifest("all.yaml", &text.concat());
    sandbox.ok(&format!("create -f {manifest}"));
    let bound = |claim: &str| get(&sandbox, &format!("pvc/{claim}"))["spec"]["volumeName"].clone();
    // The first claim takes the smallest that fits.
    for (claim, volume) in [
        ("data-db-0", "pv-a"),
        ("data-db-1", "pv-b"),
        ("shared", "pv-c"),
    ] {
        assert_eq!(bound(claim), volume, "{claim}");
    }
    assert_eq!((names(a), names(b)), ("db-0\n".into(), "db-1\n".into()));
    assert!(names(c).starts_with("front-"), "{}", names(c));
    assert!(!sandbox.file("volumes/default/data-db-0").exists());

    sandbox.kill(sandbox.supervisor());
    sandbox.ok("scale db --replicas 1");
    sandbox.kill(sandbox.supervisor());
    let gone = sandbox.ok(&format!("delete -f {manifest}"));
    gone.says("Kept persistentvolume/pv-a, to which the claim default/data-db-0 is bound.");
    sandbox.ok(&format!("create -f {manifest}"));
    for (claim, volume) in [
        ("data-db-0", "pv-a"),
        ("data-db-1", "pv-b"),
        ("shared", "pv-c"),
    ] {
        assert_eq!(bound(claim), volume, "{claim}");
    }
    let twice = ("db-0\ndb-0\n".to_owned(), "db-1\ndb-1\n".to_owned());
    assert_eq!((names(a), names(b)), twice);
    assert_eq!(names(c).lines().count(), 2);
    sandbox.ok("delete db deploy/front --purge");
    sandbox.until("the claims go", || {
        get(&sandbox, "pv/pv-a")["status"]["phase"] == "Released"
    });
    assert_eq!(names(a).lines().count(), 2, "no data of the host go");
}

#[test]
fn pv24_sets_and_deployments_find_their_volumes_again_without_isolation() {
    the_data_stay("none");
}

#[test]
fn pv24_sets_and_deployments_find_their_volumes_again_with_isolation() {
    if !support::is_full() {
        support::skipped("pets are not isolated here");
        return;
    }
    the_data_stay("full");
}

#[test]
fn a_pod_waits_for_the_volume_of_its_claim_and_starts_when_it_comes() {
    let sandbox = Sandbox::new();
    let disk = disk(&sandbox, "late");
    let text = claim("c", "1Gi", "storageClassName: ''") + &user("p", "c");
    let manifest = sandbox.manifest("waits.yaml", &text);
    sandbox.ok(&format!("create --no-wait -f {manifest}"));
    sandbox.until_says(
        "describe pod p",
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
    );
    let page = sandbox.ok("describe pvc c");
    page.says("no persistent volumes available for this claim and no storage class is set");
    assert_eq!(sandbox.status_of("p").as_deref(), Some("Pending"));
    assert!(!sandbox.file("volumes/default/c").exists());
    let text = volume("late", "3Gi", "", "hostPath", disk.to_str().unwrap());
    let manifest = sandbox.manifest("late.yaml", &text);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.ok("wait pvc/c --for jsonpath={.status.phase}=Bound --timeout 20s");
    sandbox.ok("wait pod/p --for condition=Ready --timeout 20s");
    assert_eq!(names(&disk), "p\n");
    let claim = get(&sandbox, "pvc/c");
    assert_eq!(claim["status"]["capacity"]["storage"], "3Gi");
    sandbox.ok("delete pod/p --now");
}

#[test]
fn pv16_a_claim_of_a_class_that_waits_is_bound_for_its_first_pod() {
    let sandbox = Sandbox::new();
    let disk = disk(&sandbox, "d");
    let class = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: slow}\n\
                 provisioner: kubernetes.io/no-provisioner\nvolumeBindingMode: \
                 WaitForFirstConsumer\n---\n";
    let text = class.to_owned()
        + &volume("v", "1Gi", "slow", "local", disk.to_str().unwrap())
        + &claim("c", "1Gi", "storageClassName: slow");
    let manifest = sandbox.manifest("class.yaml", &text);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.until_says("describe pvc c", "waiting for first consumer");
    assert_eq!(get(&sandbox, "pvc/c")["status"]["phase"], "Pending");
    assert_eq!(get(&sandbox, "pv/v")["status"]["phase"], "Available");
    let manifest = sandbox.manifest("user.yaml", &user("p", "c"));
    sandbox.ok(&format!("create -f {manifest}"));
    assert_eq!(get(&sandbox, "pvc/c")["spec"]["volumeName"], "v");
    assert_eq!(names(&disk), "p\n");
}

#[test]
fn claims_without_volumes_of_their_class_get_directories_that_get_pv_shows() {
    let sandbox = Sandbox::new();
    let text = claim("plain", "1Gi", "") + &claim("fast", "2Gi", "storageClassName: fast");
    let manifest = sandbox.manifest("claims.yaml", &text);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.ok("wait pvc plain fast --for jsonpath={.status.phase}=Bound --timeout 20s");
    for (name, size) in [("plain", "1Gi"), ("fast", "2Gi")] {
        let claim = get(&sandbox, &format!("pvc/{name}"));
        let uid = claim["metadata"]["uid"].as_str().unwrap();
        let volume = get(&sandbox, &format!("pv/pvc-{uid}"));
        assert_eq!(claim["spec"]["volumeName"], format!("pvc-{uid}"));
        assert_eq!(volume["spec"]["capacity"]["storage"], size);
        assert_eq!(volume["spec"]["claimRef"]["name"], name);
        assert_eq!(volume["status"]["phase"], "Bound");
        assert_eq!(volume["spec"]["persistentVolumeReclaimPolicy"], "Retain");
        let path = format!("$STATE/volumes/default/{name}");
        assert_eq!(volume["spec"]["hostPath"]["path"], path);
    }
    let everywhere = sandbox.ok("get pv -A").out;
    assert!(everywhere.starts_with("NAME "), "{everywhere}");
    assert_eq!(everywhere.matches("default/plain").count(), 1);
    let grown = text.replace("2Gi", "5Gi");
    let manifest = sandbox.manifest("claims.yaml", &grown);
    sandbox.ok(&format!("apply -f {manifest}"));
    sandbox.until("it has grown", || {
        get(&sandbox, "pvc/fast")["status"]["capacity"]["storage"] == "5Gi"
    });
    let refused = sandbox.fails(2, "delete pvc fast");
    refused.says("pass --purge to remove without confirmation");
    sandbox.settings("reclaim-policy = \"Delete\"\n");
    sandbox.ok("delete pvc fast");
    assert!(!sandbox.file("volumes/default/fast").exists());
}

#[test]
fn pv21_pv22_a_claim_in_use_and_a_volume_that_is_bound_go_when_they_are_free() {
    let sandbox = Sandbox::new();
    let disk = disk(&sandbox, "d");
    let text = volume("v", "1Gi", "manual", "hostPath", disk.to_str().unwrap())
        + &claim("c", "1Gi", "storageClassName: manual")
        + &user("p", "c");
    let manifest = sandbox.manifest("all.yaml", &text);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.ok("delete pv v --no-wait");
    sandbox.ok("delete pvc c --no-wait");
    let status = |what: &str| {
        let row = sandbox.ok(&format!("get {what} --no-headers")).out;
        let is_there = row.contains("Terminating");
        assert!(is_there, "{row}");
    };
    sandbox.until("both are marked", || {
        let claim = get(&sandbox, "pvc/c");
        !claim["metadata"]["deletionTimestamp"].is_null()
    });
    sandbox.ok(&format!("apply --no-wait -f {manifest}"));
    status("pvc/c");
    status("pv/v");
    let finalizer = &get(&sandbox, "pv/v")["metadata"]["finalizers"][0];
    assert_eq!(finalizer, "kubernetes.io/pv-protection");
    sandbox.ok("delete pod/p --now");
    sandbox.ok("wait pvc/c pv/v --for delete --timeout 20s");
    assert_eq!(names(&disk), "p\n", "no data of the host go");
}

#[test]
fn pv18_pv19_data_of_the_host_stay_whatever_the_reclaim_policy_says() {
    let sandbox = Sandbox::new();
    for policy in ["Retain", "Delete"] {
        let disk = disk(&sandbox, policy);
        fs::write(disk.join("names"), "mine\n").unwrap();
        let text = volume("v", "1Gi", "manual", "hostPath", disk.to_str().unwrap());
        let policy_line = format!("  persistentVolumeReclaimPolicy: {policy}\n---\n");
        let text = text.replace("---\n", &policy_line)
            + &claim("c", "1Gi", "volumeName: v\n  storageClassName: manual");
        let manifest = sandbox.manifest("all.yaml", &text);
        sandbox.ok(&format!("create -f {manifest}"));
        sandbox.ok("wait pvc/c --for jsonpath={.status.phase}=Bound --timeout 20s");
        sandbox.ok("delete pvc c");
        let phase = if policy == "Delete" {
            "Failed"
        } else {
            "Released"
        };
        sandbox.until("it is released", || {
            get(&sandbox, "pv/v")["status"]["phase"] == phase
        });
        // A new claim of that name does not get it.
        sandbox.ok(&format!("apply -f {manifest}"));
        sandbox.until_says("describe pvc c", "already bound to a different claim");
        sandbox.ok("patch pv v -p '{\"spec\":{\"claimRef\":null}}'");
        sandbox.ok("wait pvc/c --for jsonpath={.status.phase}=Bound --timeout 20s");
        sandbox.ok("delete pvc c");
        sandbox.ok("delete pv v");
        assert_eq!(names(&disk), "mine\n");
    }
}

#[test]
fn volumes_elsewhere_and_in_the_state_directory_are_refused() {
    let sandbox = Sandbox::new();
    let nfs = volume("v", "1Gi", "", "nfs", "/x").replace("{path", "{server: host, path");
    let manifest = sandbox.manifest("nfs.yaml", &nfs);
    for verb in ["create", "apply", "validate"] {
        let refused = sandbox.fails(2, &format!("{verb} -f {manifest}"));
        refused.says("nfs.yaml:8:3: spec.nfs: petset has no volumes of the kind nfs");
    }
    sandbox.ok("create one -- sleep 1000");
    let state = sandbox.state();
    for path in [
        state.clone(),
        state.join("wanted"),
        state.join("made-later"),
    ] {
        let text = volume("v", "1Gi", "", "hostPath", path.to_str().unwrap());
        let manifest = sandbox.manifest("state.yaml", &text);
        for verb in ["create", "apply"] {
            let refused = sandbox.fails(2, &format!("{verb} -f {manifest}"));
            refused.says("which belongs to the state directory");
        }
    }
    let link = sandbox.scratch().join("link");
    std::os::unix::fs::symlink(&state, &link).unwrap();
    let path = link.join("seen");
    let text = volume("v", "1Gi", "", "local", path.to_str().unwrap());
    let manifest = sandbox.manifest("state.yaml", &text);
    let refused = sandbox.fails(2, &format!("create -f {manifest}"));
    refused.says("which belongs to the state directory");
    sandbox.ok("get pv").says("No resources found");
}

#[test]
fn what_may_not_change_of_a_volume_or_a_class_is_refused_and_the_rest_is_changed() {
    let sandbox = Sandbox::new();
    let disk = disk(&sandbox, "d");
    let text = volume("v", "1Gi", "manual", "hostPath", disk.to_str().unwrap());
    let manifest = sandbox.manifest("v.yaml", &text);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox
        .ok(&format!("apply -f {manifest}"))
        .says("unchanged");
    sandbox.ok(&format!("diff -f {manifest}")).prints("");
    let manifest = sandbox.manifest("v.yaml", &text.replace("1Gi", "4Gi"));
    sandbox
        .fails(1, &format!("diff -f {manifest}"))
        .says("+    storage: 4Gi");
    sandbox
        .ok(&format!("apply -f {manifest}"))
        .says("configured");
    assert_eq!(get(&sandbox, "pv/v")["spec"]["capacity"]["storage"], "4Gi");
    let manifest = sandbox.manifest("v.yaml", &text.replace("path: ", "path: /x"));
    let refused = sandbox.run(&format!("apply -f {manifest}"));
    refused.says("spec.persistentvolumesource is immutable after creation");
    sandbox.ok("delete pv v");
    sandbox.fails(3, "get pv v");
}
