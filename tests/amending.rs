//! Changing objects that exist, field by field: `label`, `annotate`, `patch`, `set` and `edit`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use support::Sandbox;

const FRONT: &str = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: front}
spec:
  selector: {matchLabels: {app: front}}
  template:
    metadata: {labels: {app: front}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: c, image: busybox, command: [sleep, '600'], env: [{name: A, value: '1'}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
";

fn with_objects() -> Sandbox {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("front.yaml", FRONT);
    sandbox.ok(&format!("apply -f {file}"));
    sandbox.ok("create web -- sleep 600");
    sandbox
}

fn done(sandbox: &Sandbox) {
    sandbox.ok("delete deploy/front sts/web --purge");
    sandbox.assert_nothing_left();
}

/// Returns what a path of an object holds.
fn at(sandbox: &Sandbox, object: &str, path: &str) -> String {
    sandbox
        .ok(&format!("get {object} -o jsonpath={{{path}}}"))
        .out
}

#[test]
fn labels_and_annotations_are_set_changed_and_removed_in_kubectls_words() {
    let sandbox = with_objects();
    let main = sandbox.main("web-0");
    let steps = [
        ("label sts/web tier=db", 0, "statefulset.apps/web labeled\n"),
        (
            "label sts web tier=db",
            0,
            "statefulset.apps/web not labeled\n",
        ),
        ("label web tier=x", 4, ""),
        (
            "label web tier=x --overwrite",
            0,
            "statefulset.apps/web labeled\n",
        ),
        ("label sts/web --list", 0, "app=web\ntier=x\n"),
        ("label sts/web tier-", 0, "statefulset.apps/web unlabeled\n"),
        (
            "label sts/web tier-",
            0,
            "statefulset.apps/web not labeled\n",
        ),
        (
            "label cm settings a=b c=d",
            0,
            "configmap/settings labeled\n",
        ),
        (
            "label cm -l a=b e=f --dry-run",
            0,
            "configmap/settings labeled (dry run)\n",
        ),
        (
            "annotate deploy/front team=db",
            0,
            "deployment.apps/front annotated\n",
        ),
        (
            "annotate deploy/front team-",
            0,
            "deployment.apps/front annotated\n",
        ),
    ];
    for (words, code, out) in steps {
        let outcome = sandbox.run(words);
        assert_eq!((outcome.code, &*outcome.out), (code, out), "{words}");
    }
    sandbox
        .fails(4, "label cm settings a=x")
        .says("\"a\" already has a value (b)");
    sandbox
        .fails(2, "label cm settings")
        .says("at least one label update");
    sandbox.fails(2, "label cm a=b").says("--all");
    sandbox
        .fails(2, "label cm settings a=b a-")
        .says("both modify and remove a");
    sandbox
        .fails(2, "label cm settings 'a b=c'")
        .says("settings with the change");
    sandbox.fails(3, "label cm nothing a=b").says("nothing");
    sandbox
        .fails(
            4,
            "patch pod web-0 -p '{\"metadata\": {\"labels\": {\"a\": \"b\"}}}'",
        )
        .says("`petset label`");
    assert_eq!(
        at(&sandbox, "cm/settings", ".metadata.labels"),
        r#"{"a":"b","c":"d"}"#
    );
    // A label is no new template.
    assert_eq!(sandbox.main("web-0"), main);
    done(&sandbox);
}

#[test]
fn a_patch_changes_fields_and_lists_as_its_type_says() {
    let sandbox = with_objects();
    let ok = |words: &str, says: &str| {
        sandbox.ok(words).says(says);
    };
    ok(
        r#"patch sts/web -p '{"spec": {"replicas": 2}}'"#,
        "statefulset.apps/web patched",
    );
    sandbox.until_pet_is("web-1", "Running");
    ok(
        r#"patch sts/web -p '{"spec": {"replicas": 2}}'"#,
        "statefulset.apps/web patched (no change)",
    );
    ok(
        r#"patch sts web --type json -p '[{"op": "replace", "path": "/spec/replicas", "value": 1}]'"#,
        "patched",
    );
    // The container keeps what the patch does not name.
    ok(
        "patch deploy/front -p 'spec: {template: {spec: {containers: [{name: c, tty: false, env: \
         [{name: B, value: \"2\"}]}]}}}'",
        "deployment.apps/front patched",
    );
    let env = at(
        &sandbox,
        "deploy/front",
        ".spec.template.spec.containers[0].env[*].name",
    );
    assert_eq!(env, "B A");
    sandbox.run("describe deploy/front").says("sleep");
    ok(
        r#"patch cm settings --type merge -p '{"data": {"colour": null, "size": "3"}}'"#,
        "configmap/settings patched",
    );
    assert_eq!(at(&sandbox, "cm/settings", ".data"), r#"{"size":"3"}"#);
    let before = at(&sandbox, "sts/web", ".spec");
    ok(
        r#"patch sts/web --dry-run -p '{"spec": {"replicas": 3}}'"#,
        "4 steps (dry run)",
    );
    ok(
        "set image deploy/front c=busybox:2 --dry-run -o yaml --allow-missing",
        "image: busybox:2",
    );
    for (words, why) in [
        (
            r#"patch sts/web -p '{"spec": {"replicas": -1}}'"#,
            "spec.replicas",
        ),
        (
            r#"patch sts/web -p '{"spec": {"replicsa": 1}}'"#,
            "replicsa",
        ),
        (
            r#"patch sts/web -p '{"metadata": {"name": "other"}}'"#,
            "cannot be changed",
        ),
        (
            r#"patch sts/web -p '{"spec": {"serviceName": "other"}}'"#,
            "serviceName",
        ),
        ("patch sts/web -p '[1]'", "the patch is not an object"),
        ("patch sts/web -p '{'", "cannot be read"),
        (
            r#"patch sts/web --type json -p '[{"op": "test", "path": "/spec/replicas", "value": 9}]'"#,
            "the test failed",
        ),
    ] {
        let outcome = sandbox.run(words);
        assert!([2, 4].contains(&outcome.code), "{words}: {}", outcome.err);
        outcome.says(why);
    }
    assert_eq!(at(&sandbox, "sts/web", ".spec"), before);
    done(&sandbox);
}

#[test]
fn images_and_variables_are_set_in_the_template() {
    let sandbox = with_objects();
    sandbox
        .ok("set env deploy/front A=3 B=4")
        .says("deployment.apps/front env updated");
    let listed = sandbox.ok("set env deploy/front --list");
    assert_eq!(
        listed.out,
        "# deployment.apps/front, container c\nA=3\nB=4\n"
    );
    sandbox.ok("set env deploy/front A- B-");
    assert_eq!(
        sandbox.ok("set env deploy/front --list").out,
        "# deployment.apps/front, container c\n"
    );
    sandbox
        .ok("set image deploy/front c=busybox:1.36")
        .says("deployment.apps/front image updated");
    sandbox.ok("set image deploy/front '*=busybox:1'");
    let image = at(
        &sandbox,
        "deploy/front",
        ".spec.template.spec.containers[0].image",
    );
    assert_eq!(image, "busybox:1");
    sandbox
        .fails(3, "set image deploy/front d=busybox:1")
        .says("d");
    sandbox
        .fails(2, "set image cm/settings c=busybox:1")
        .says("has no containers");
    sandbox
        .fails(2, "set env deploy/front")
        .says("at least one environment variable");
    done(&sandbox);
}

#[test]
fn an_editor_changes_an_object_until_it_can_be_stored() {
    let sandbox = with_objects();
    let script = sandbox.scratch().join("editor");
    let count = sandbox.scratch().join("count");
    // The first time it writes what cannot be stored, and then what can.
    let text = format!(
        "#!/bin/sh\necho >> {0}\nif [ $(wc -l < {0}) = 1 ]; then sed -i 's/replicas: 1/replicas: -1/' \"$1\"\n\
         else cp \"$1\" {0}.seen; sed -i 's/replicas: -1/replicas: 2/' \"$1\"; fi\n",
        count.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let edit = |editor: &str, words: &str| {
        let mut command = sandbox.command(words);
        let output = command.env("KUBE_EDITOR", editor).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, out, err) = edit(script.to_str().unwrap(), "edit sts/web");
    assert_eq!((code, &*out), (0, "statefulset.apps/web edited\n"), "{err}");
    let seen = fs::read_to_string(format!("{}.seen", count.display())).unwrap();
    assert!(
        seen.contains("# ") && seen.contains("spec.replicas"),
        "{seen}"
    );
    assert_eq!(at(&sandbox, "sts/web", ".spec.replicas"), "2");
    for (editor, says) in [
        ("true", "no changes made"),
        ("sh -c ': > \"$0\"'", "saved file was empty"),
    ] {
        let (code, out, err) = edit(editor, "edit sts web");
        assert_eq!((code, &*out), (0, ""), "{err}");
        assert!(err.contains(says), "{err}");
    }
    let (code, _, err) = edit("false", "edit sts/web");
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("the editor \"false\" failed"), "{err}");
    // What can never be stored is kept for its user.
    let (code, _, err) = edit("sed -i 's/replicas: .*/replicas: -7/'", "edit sts/web");
    assert_eq!(code, 2, "{err}");
    let kept = err.split("your changes are kept in ").nth(1).unwrap();
    let kept = kept.lines().next().unwrap();
    assert!(fs::read_to_string(kept).unwrap().contains("replicas: -7"));
    fs::remove_dir_all(std::path::Path::new(kept).parent().unwrap()).unwrap();
    done(&sandbox);
}

const BACK: &str = "\
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: back}
spec:
  replicas: 2
  selector: {matchLabels: {app: back}}
  template:
    metadata: {labels: {app: back}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: c, image: busybox, command: [sleep, '600'], ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: primary}
spec: {selector: {role: primary}, ports: [{port: 80}]}
";

#[test]
fn labels_of_a_running_pod_last_as_long_as_that_pod() {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("back.yaml", BACK);
    sandbox.ok(&format!("apply -f {file}"));
    sandbox.ok("create web --replicas 2 -- sleep 600");
    let addresses = || at(&sandbox, "endpoints/primary", ".subsets[*].addresses[*].ip");
    let address = at(&sandbox, "pod/web-1", ".status.podIP");
    sandbox
        .ok("label pod web-1 role=primary")
        .says("pod/web-1 labeled");
    sandbox.ok("label pod web-1 --list").says("role=primary");
    assert_eq!(addresses(), address, "a service selects it at once");
    sandbox.ok("annotate pod web-1 note=here app-");
    assert_eq!(
        at(&sandbox, "pod/web-1", ".metadata.annotations.note"),
        "here"
    );
    sandbox
        .fails(
            2,
            "annotate pod web-1 petset.dev/isolation=none --overwrite",
        )
        .says("petset's own");
    sandbox
        .fails(2, "label pod web-1 'role=a b' --overwrite")
        .says("a valid label");

    // It survives whoever wrote it, and ends with the pod.
    sandbox.kill(sandbox.supervisor());
    sandbox.kill(sandbox.runner("web-1"));
    sandbox.ok("start");
    sandbox.until_pet_is("web-1", "Running");
    assert_eq!(
        at(&sandbox, "pod/web-1", ".metadata.labels.role"),
        "primary"
    );
    sandbox.ok("restart web-1");
    assert_eq!(at(&sandbox, "pod/web-1", ".metadata.labels.role"), "");
    sandbox.until("no address is left", || addresses().is_empty());
    sandbox.ok("delete web --purge");
    sandbox.ok("delete rs/back svc/primary");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pod_that_its_owner_does_not_select_any_more_is_let_go_and_replaced() {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("back.yaml", BACK);
    sandbox.ok(&format!("apply -f {file}"));
    let all = || {
        let names = at(&sandbox, "pods", ".items[*].metadata.name");
        names.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let one = all()[0].clone();
    let owner = || {
        at(
            &sandbox,
            &format!("pod/{one}"),
            ".metadata.ownerReferences[*].name",
        )
    };
    sandbox.ok(&format!("label pod {one} app=looked-at --overwrite"));
    sandbox.until("it is let go", || owner().is_empty());
    sandbox.until("another one takes its place", || all().len() == 3);
    sandbox.ok(&format!("label pod {one} app=back --overwrite"));
    sandbox.until("it is taken again", || owner() == "back");
    sandbox.until("one is too many", || all().len() == 2);
    sandbox.ok("delete rs/back svc/primary");
    for pod in all().iter().filter(|it| !it.is_empty()) {
        sandbox.ok(&format!("delete pod {pod} --ignore-not-found"));
    }
    sandbox.assert_nothing_left();
}

const DISK: &str = "\
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  storageClassName: by-hand
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  hostPath: {path: PLACE, type: DirectoryOrCreate}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: by-hand, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: slow}
provisioner: kubernetes.io/no-provisioner
";

#[test]
fn volumes_claims_and_classes_are_labelled_and_edited_as_other_objects() {
    let sandbox = Sandbox::new();
    let place = sandbox.scratch().join("disk");
    let text = DISK.replace("PLACE", place.to_str().unwrap());
    let file = sandbox.manifest("disk.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    let phase = || at(&sandbox, "pvc/data", ".status.phase");
    sandbox.until("the claim is bound", || phase() == "Bound");
    for (words, says) in [
        ("label pv disk tier=slow", "persistentvolume/disk labeled"),
        (
            "label pv/disk tier=fast --overwrite",
            "persistentvolume/disk labeled",
        ),
        (
            "annotate pvc data note=mine",
            "persistentvolumeclaim/data annotated",
        ),
        (
            "label sc slow x=y",
            "storageclass.storage.k8s.io/slow labeled",
        ),
        (
            "label sc/slow x-",
            "storageclass.storage.k8s.io/slow unlabeled",
        ),
        ("get pv -l tier=fast -o name", "persistentvolume/disk"),
    ] {
        assert_eq!(sandbox.ok(words).out.trim(), says, "{words}");
    }
    sandbox
        .fails(4, "label pv/disk tier=x")
        .says("--overwrite is false");
    let edit = |change: &str, object: &str| {
        let words = format!("edit {object}");
        let mut command = sandbox.command(&words);
        command.env("KUBE_EDITOR", format!("sed -i {change}"));
        sandbox.finish(&words, sandbox.start_command(&mut command))
    };
    edit("s/1Gi/3Gi/", "pv disk").says("persistentvolume/disk edited");
    assert_eq!(at(&sandbox, "pv/disk", ".spec.capacity.storage"), "3Gi");
    edit("s/mine/yours/", "pvc/data").says("persistentvolumeclaim/data edited");
    assert_eq!(
        at(&sandbox, "pvc/data", ".metadata.annotations.note"),
        "yours"
    );
    let refused = edit("s/Immediate/WaitForFirstConsumer/", "sc slow");
    assert_eq!(refused.code, 2);
    refused.says("field is immutable");
    assert_eq!(phase(), "Bound");
    sandbox.ok("delete pvc data --purge");
    sandbox.ok("delete pv disk");
    sandbox.ok("delete sc slow");
    sandbox.assert_nothing_left();
}
