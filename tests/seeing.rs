//! What a pod sees of its manifest, and what is shown of it, as a kubelet has it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::{Value, json};
use support::{Sandbox, is_full};

/// Writes the manifest of a pod of this name and spec.
fn pod(sandbox: &Sandbox, name: &str, spec: Value) -> String {
    let meta = json!({"name": name, "labels": {"app": name}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec});
    sandbox.manifest(&format!("{name}.yaml"), &pod.to_string())
}

/// A container that runs a script.
fn container(script: &str, more: Value) -> Value {
    let mut container =
        json!({"name": "main", "image": "busybox", "command": ["sh", "-c", script]});
    for (field, value) in more.as_object().unwrap() {
        container[field] = value.clone();
    }
    container
}

/// The status and the reason of a condition.
fn condition(pod: &Value, kind: &str) -> String {
    let mut all = pod["status"]["conditions"].as_array().into_iter().flatten();
    let found = all
        .find(|it| it["type"] == kind)
        .cloned()
        .unwrap_or_default();
    let word = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    format!("{} {}", word("status"), word("reason"))
        .trim()
        .to_owned()
}

/// Creates a pod that fails at once for a reason.
fn is_rejected(sandbox: &Sandbox, name: &str, spec: Value, reason: &str) {
    let manifest = pod(sandbox, name, spec);
    sandbox.fails(5, &format!("create -f {manifest}"));
    let status = sandbox.pod(name)["status"].clone();
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("Failed"), &json!(reason))
    );
}

#[test]
fn a_container_that_never_runs_again_is_run_once_in_a_pod_that_restarts_always() {
    let sandbox = Sandbox::new();
    let once = container("echo ran; exit 3", json!({"restartPolicy": "Never"}));
    let manifest = pod(&sandbox, "p", json!({"containers": [once]}));
    sandbox.fails(5, &format!("create -f {manifest}"));
    let shown = sandbox.pod("p");
    assert_eq!(shown["status"]["phase"], "Failed");
    let status = &shown["status"]["containerStatuses"][0];
    assert_eq!(
        (&status["restartCount"], &status["lastState"]),
        (&json!(0), &Value::Null)
    );
    sandbox.assert_nothing_left_but_pets();
    assert_eq!(sandbox.ok("logs p").out, "ran\n");
}

#[test]
fn a_pod_whose_claim_is_missing_is_not_scheduled_until_it_is_there() {
    let sandbox = Sandbox::new();
    let mount = json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]});
    let spec = json!({"terminationGracePeriodSeconds": 1,
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "store"}}],
        "containers": [container("exec sleep 600", mount)]});
    let manifest = pod(&sandbox, "p", spec);
    sandbox.ok(&format!("create --no-wait -f {manifest}"));
    let scheduled = || condition(&sandbox.pod("p"), "PodScheduled");
    sandbox.until("it is not scheduled", || {
        scheduled() == "False Unschedulable"
    });
    let waits = sandbox.pod("p")["status"].clone();
    assert_eq!(
        (&waits["startTime"], &waits["containerStatuses"]),
        (&Value::Null, &Value::Null)
    );
    sandbox.until_says(
        "describe pod p",
        "persistentvolumeclaim \"store\" not found",
    );
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "store"}, "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}}}});
    let claim = sandbox.manifest("claim.yaml", &claim.to_string());
    sandbox.ok(&format!("create -f {claim}"));
    sandbox.ok("wait pod/p --for condition=Ready");
    let shown = sandbox.pod("p");
    assert_eq!(condition(&shown, "PodScheduled"), "True");
    let mounts = json!([{"mountPath": "/v", "name": "v", "readOnly": true,
        "recursiveReadOnly": "Disabled"}]);
    assert_eq!(
        shown["status"]["containerStatuses"][0]["volumeMounts"],
        mounts
    );
    sandbox.events_say(&["FailedScheduling", "Scheduled"]);
}

#[test]
fn a_pod_shows_its_class_its_node_and_which_generation_its_conditions_are_of() {
    let sandbox = Sandbox::new();
    let limits = json!({"resources": {"limits": {"cpu": "10m", "memory": "20Mi"}}});
    let spec = json!({"terminationGracePeriodSeconds": 60,
        "containers": [container("trap '' TERM; while :; do sleep 0.1; done", limits)]});
    let manifest = pod(&sandbox, "p", spec);
    sandbox.ok(&format!("create -f {manifest}"));
    let shown = sandbox.pod("p");
    assert_eq!(shown["status"]["qosClass"], "Guaranteed");
    assert_eq!(shown["spec"]["nodeName"], "localhost");
    assert_eq!(condition(&shown, "PodReadyToStartContainers"), "True");
    let generations = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned();
        let observed = conditions.unwrap_or_default().into_iter();
        let same = observed.map(|it| it["observedGeneration"].as_i64());
        let mut all: Vec<_> = same.collect();
        all.dedup();
        (pod["metadata"]["generation"].as_i64(), all)
    };
    assert_eq!(generations(&shown), (Some(1), vec![Some(1)]));
    // What is printed can be applied: the node is no change.
    let printed = sandbox.manifest("printed.json", &shown.to_string());
    assert_eq!(
        sandbox.ok(&format!("apply -f {printed}")).out,
        "pod/p unchanged\n"
    );
    sandbox.ok("delete pod/p --wait=false");
    sandbox.until("the deletion is a generation", || {
        generations(&sandbox.pod("p")) == (Some(2), vec![Some(2)])
    });
    sandbox.ok("delete pod/p --force");
}

#[test]
fn a_made_sub_path_has_the_mode_of_its_volume_and_a_missing_working_directory_is_made() {
    let sandbox = Sandbox::new();
    let mounts = json!([{"name": "v", "mountPath": "/one", "subPath": "a/b"},
        {"name": "v", "mountPath": "/all"}]);
    let script = "echo here > f; stat -c %a ../../a/b; cat ../../in/side/f";
    let works = container(
        script,
        json!({"workingDir": "/all/in/side", "volumeMounts": mounts}),
    );
    let spec = json!({"restartPolicy": "Never", "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [works]});
    let manifest = pod(&sandbox, "p", spec);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.until_pet_is("p", "Completed");
    assert_eq!(sandbox.ok("logs p").out, "777\nhere\n");
}

#[test]
fn a_variable_comes_from_a_file_that_an_init_container_wrote() {
    let sandbox = Sandbox::new();
    let mut writes = container(
        "printf \"# note\\nA='one word'\\n\" > conf/vars; ln -s /etc/passwd conf/away",
        json!({"volumeMounts": [{"name": "v", "mountPath": "/conf"}]}),
    );
    writes["name"] = "init".into();
    let from = |path: &str, key: &str, optional: bool| json!({"fileKeyRef": {"volumeName": "v", "path": path, "key": key, "optional": optional}});
    let reads = |path: &str| {
        let env = json!([{"name": "A", "valueFrom": from(path, "A", false)},
            {"name": "B", "valueFrom": from(path, "B", true)}]);
        json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "v", "emptyDir": {}}], "initContainers": [writes],
            "containers": [container("echo \"$A|${B-none}\"", json!({"env": env}))]})
    };
    let manifest = pod(&sandbox, "p", reads("vars"));
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.until_pet_is("p", "Completed");
    assert_eq!(sandbox.ok("logs p").out, "one word|none\n");
    // A link out of the volume is not followed.
    let manifest = pod(&sandbox, "q", reads("away"));
    sandbox.ok(&format!("create --no-wait -f {manifest}"));
    sandbox.until_pet_is("q", "CreateContainerConfigError");
}

#[test]
fn pods_are_deleted_by_their_labels() {
    let sandbox = Sandbox::new();
    for name in ["p", "q"] {
        let spec = json!({"terminationGracePeriodSeconds": 1,
            "containers": [container("exec sleep 600", json!({}))]});
        let manifest = pod(&sandbox, name, spec);
        sandbox.ok(&format!("create -f {manifest}"));
    }
    let none = sandbox.ok("delete pod -l app=none");
    assert_eq!(none.out, "No resources found\n");
    assert_eq!(sandbox.ok("delete pods -l app=p").out, "pod/p deleted\n");
    assert_eq!(sandbox.pets(), ["q"]);
    sandbox.fails(2, "delete q -l app=q");
    assert_eq!(sandbox.pets(), ["q"]);
}

#[test]
fn a_pod_for_another_system_is_rejected_and_stays_so() {
    let sandbox = Sandbox::new();
    let spec = json!({"os": {"name": "windows"},
        "containers": [container("echo ran", json!({}))]});
    is_rejected(&sandbox, "p", spec, "PodOSNotSupported");
    sandbox.ok("stop");
    sandbox.ok("start");
    assert_eq!(sandbox.pod("p")["status"]["reason"], "PodOSNotSupported");
    sandbox.ok("delete pod/p");
}

#[test]
fn an_image_name_that_none_can_have_and_one_that_is_never_pulled_are_told() {
    let sandbox = Sandbox::new();
    for (name, image, word) in [
        ("p", "Not/An/Image:::x", "InvalidImageName"),
        ("q", "nothere.invalid/no/such-thing:9", "ErrImageNeverPull"),
    ] {
        let container = json!({"name": "c", "image": image, "imagePullPolicy": "Never"});
        let manifest = pod(&sandbox, name, json!({"containers": [container]}));
        sandbox.ok(&format!("create --no-wait -f {manifest}"));
        sandbox.until_pet_is(name, word);
    }
}

#[test]
fn what_a_cluster_would_not_take_is_refused_in_its_words() {
    let sandbox = Sandbox::new();
    let plain = |more: Value| json!({"containers": [container("true", more)]});
    let mount = |more: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/v"});
        mount
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        let mut spec = plain(json!({"volumeMounts": [mount]}));
        spec["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
        spec
    };
    let with = |field: &str, value: Value| {
        let mut spec = plain(json!({}));
        spec[field] = value;
        spec
    };
    let rule = json!([{"action": "Explode", "exitCodes": {"operator": "In", "values": [1]}}]);
    let mut both = with("hostnameOverride", json!("a.b"));
    both["setHostnameAsFQDN"] = true.into();
    for (spec, words) in [
        (
            both,
            "hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true",
        ),
        (
            with("runtimeClassName", json!("none")),
            "pod rejected: RuntimeClass \"none\" not found",
        ),
        (
            with(
                "securityContext",
                json!({"fsGroupChangePolicy": "Sometimes"}),
            ),
            "securityContext.fsGroupChangePolicy: Unsupported value: \"Sometimes\"",
        ),
        (
            mount(json!({"mountPropagation": "Bidirectional"})),
            "mountPropagation: Forbidden: Bidirectional mount propagation is available only to",
        ),
        (
            mount(json!({"recursiveReadOnly": "Enabled"})),
            "recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        ),
        (
            plain(json!({"restartPolicy": "Never", "restartPolicyRules": rule})),
            "restartPolicyRules[0].action: Unsupported value: \"Explode\"",
        ),
    ] {
        let manifest = pod(&sandbox, "p", spec);
        let outcome = sandbox.fails(2, &format!("create -f {manifest}"));
        assert!(outcome.err.contains(words), "{}", outcome.err);
    }
}

#[test]
fn a_container_with_tty_has_a_terminal_and_one_with_stdin_waits_for_words() {
    let sandbox = Sandbox::new();
    let asks = "[ -t 0 ] && [ -t 1 ] && echo terminal || echo pipe";
    let spec = json!({"restartPolicy": "Never",
        "containers": [container(asks, json!({"tty": true}))]});
    let manifest = pod(&sandbox, "p", spec);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.until_pet_is("p", "Completed");
    assert_eq!(sandbox.ok("logs p").out.trim_end(), "terminal");
    let mut reads = container("", json!({"stdin": true}));
    reads["command"] = json!(["sh"]);
    let spec = json!({"terminationGracePeriodSeconds": 1, "containers": [reads]});
    let manifest = pod(&sandbox, "q", spec);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.ok("wait pod/q --for condition=Ready");
    assert_eq!(
        sandbox.pod("q")["status"]["containerStatuses"][0]["restartCount"],
        0
    );
    sandbox.ok("delete pod/q");
}

/// Runs a script in a pod with these fields, and returns what it says.
fn said(sandbox: &Sandbox, script: &str, of_pod: Value, of_container: Value) -> String {
    let more = json!({"securityContext": of_container});
    let mut spec = json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
        "containers": [container(script, more)]});
    spec.as_object_mut()
        .unwrap()
        .extend(of_pod.as_object().cloned().unwrap());
    let manifest = pod(sandbox, "p", spec);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.until_pet_is("p", "Completed");
    let said = sandbox.ok("logs p").out;
    sandbox.ok("delete pod/p");
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn capabilities_and_seccomp_hold_in_an_isolated_pet() {
    if !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    let bounds = "grep CapBnd /proc/self/status";
    let none = json!({"capabilities": {"drop": ["ALL"]}});
    assert_eq!(
        said(&sandbox, bounds, json!({}), none),
        "CapBnd: 0000000000000000"
    );
    let one = json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}});
    assert_eq!(
        said(&sandbox, bounds, json!({}), one),
        "CapBnd: 0000000000000400"
    );
    let mode = "grep ^Seccomp: /proc/self/status; unshare -m true 2>/dev/null || echo refused";
    let profile = |kind: &str| json!({"seccompProfile": {"type": kind}});
    assert_eq!(
        said(&sandbox, mode, json!({}), profile("RuntimeDefault")),
        "Seccomp: 2 refused"
    );
    let of_pod = json!({"securityContext": profile("RuntimeDefault")});
    let own = said(
        &sandbox,
        "grep ^Seccomp: /proc/self/status",
        of_pod,
        profile("Unconfined"),
    );
    assert_eq!(own, "Seccomp: 0");
}

#[test]
fn a_seccomp_profile_of_the_users_is_acted_on_and_a_missing_one_waited_for() {
    if !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    let file = sandbox.file("seccomp/profiles/strict.json");
    let own = json!({"seccompProfile": {"type": "Localhost",
        "localhostProfile": "profiles/strict.json"}});
    let script = "grep ^Seccomp: /proc/self/status; mkdir /tmp/d 2>/dev/null || echo refused; \
                  touch /tmp/f && echo made; exec sleep 600";
    let plain = json!({"securityContext": {"allowPrivilegeEscalation": false}});
    let mut plain = container(script, plain);
    plain["name"] = "plain".into();
    let spec = json!({"terminationGracePeriodSeconds": 1, "securityContext": own,
        "containers": [container(script, json!({})), plain]});
    let manifest = pod(&sandbox, "p", spec);
    sandbox.fails(5, &format!("create -f {manifest}"));
    sandbox.until_pet_is("p", "CreateContainerError");
    let shown = "$STATE/seccomp/profiles/strict.json";
    let why = format!(
        "Error: failed to create containerd container: cannot load seccomp profile \"{shown}\": \
         open {shown}: no such file or directory"
    );
    sandbox.ok("describe pod p").says(&why);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "{}").unwrap();
    let why = "decoding seccomp profile failed: missing field `defaultAction`";
    sandbox.until_says("describe pod p", why);
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]});
    std::fs::write(&file, profile.to_string()).unwrap();
    sandbox.until_pet_is("p", "Running");
    for name in ["main", "plain"] {
        sandbox.until_says(&format!("logs p -c {name}"), "made");
        let said = sandbox.ok(&format!("logs p -c {name}")).out;
        let said: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(said, ["Seccomp:", "2", "refused", "made"]);
        let words = format!("exec p -c {name} -- sh -c 'mkdir /tmp/e 2>/dev/null || echo refused'");
        sandbox.ok(&words).says("refused");
    }
}

/// What a privileged container does within its pet, by a word for each success.
const WITHIN: &str = "mkdir /m; mount -t tmpfs none /m && echo mounted; \
    ip addr add 198.51.100.9/32 dev lo && echo addressed; \
    touch /v/own && ls -ln /v/own | { read _ _ uid _; echo uid $uid; }; \
    grep CapEff /proc/self/status | cut -f 2";
/// What would reach beyond it, by a word for each success.
const BEYOND: &str = "(for dir in /proc/sys /sys; do mount -o remount,bind,rw $dir && echo remounted $dir; \
      umount $dir && echo uncovered $dir; done; mkdir /n; \
    mount -t proc none /n && echo proc; mount -t sysfs none /n && echo sysfs; \
    mount --bind /proc /n && echo bound; \
    unshare -C mount -t cgroup2 none /n && echo cgroup; \
    unshare -Cm mount -t cgroup2 none /n && echo cgroup; \
    unshare -Ur true && unshare -UrC true && echo nested; \
    mknod /dev/disk b 254 0 && cat /dev/disk | head -c 1 && echo disk; \
    echo 1 > /proc/sys/vm/drop_caches && echo sysctl; \
    echo 1 > /sys/kernel/profiling && echo sys; \
    echo h > /proc/sysrq-trigger && echo sysrq) 2>/dev/null; echo end";

/// Of these words, those that nobody must be able to say.
const MATTERS: [&str; 4] = ["disk", "sysctl", "sys", "sysrq"];

#[test]
fn a_privileged_container_can_do_everything_within_its_pet_and_nothing_beyond() {
    if !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    let more = json!({"securityContext": {"privileged": true},
        "lifecycle": {"postStart": {"exec": {"command":
            ["sh", "-c", "mkdir /h; mount -t tmpfs none /h && echo hooked > /v/hook"]}}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let mut plain = container("exec sleep 600", json!({}));
    plain["name"] = "plain".into();
    let spec = json!({"terminationGracePeriodSeconds": 1, "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [container(&format!("{WITHIN}; {BEYOND}; exec sleep 600"), more), plain]});
    let manifest = pod(&sandbox, "p", spec);
    sandbox.ok(&format!("create -f {manifest}"));
    if sandbox.diagnosis("user ids")["verdict"] != "ok" {
        let why = "privileged has no effect on programs that run as you";
        sandbox.ok("describe pod p").says(why);
        return;
    }
    sandbox.until_says("logs p -c main", "end");
    let said = sandbox.ok("logs p -c main").out;
    let said: Vec<&str> = said.lines().collect();
    let every = said.get(3).copied().unwrap_or_default();
    assert_eq!(said[..3], ["mounted", "addressed", "uid 0"], "{said:?}");
    assert!(every.ends_with("ffffffff"), "{said:?}");
    // Where it is not root of the machine, what it can mount gives it nothing.
    let root = rustix::process::getuid().is_root();
    let harmless = |word: &&str| !root && !MATTERS.contains(word);
    let beyond = said[4..].iter().copied();
    let beyond: Vec<&str> = beyond.filter(|it| !harmless(it)).collect();
    let none: &[&str] = if root { &["end"] } else { &[] };
    assert_eq!(beyond, none, "{said:?}");
    sandbox.until_says("exec p -c main -- cat /v/hook", "hooked");
    sandbox
        .ok("exec p -c main -- sh -c 'mkdir /e && mount -t tmpfs none /e && echo entered'")
        .says("entered");
    sandbox
        .ok("exec p -c plain -- sh -c 'mkdir /e; mount -t tmpfs none /e 2>/dev/null || echo refused'")
        .says("refused");
    sandbox.ok("delete pod/p");
    sandbox.assert_nothing_left_but_pets();
}

#[test]
fn safe_sysctls_are_set_and_others_rejected() {
    if !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    let asks = |name: &str, value: &str| json!({"securityContext": {"sysctls": [{"name": name, "value": value}]}});
    let script = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
    let safe = asks("net.ipv4.ip_unprivileged_port_start", "80");
    assert_eq!(said(&sandbox, script, safe, json!({})), "80");
    let mut spec = asks("kernel.msgmax", "65536");
    spec["containers"] = json!([container("true", json!({}))]);
    is_rejected(&sandbox, "q", spec, "SysctlForbidden");
}

#[test]
fn a_volume_in_memory_is_shared_and_as_large_as_its_limit() {
    if !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    let mount = |more: Value| {
        let mut mount = json!({"name": "v", "mountPath": "/v"});
        mount
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().cloned().unwrap());
        json!({"volumeMounts": [mount]})
    };
    let mut writes = container("echo word > v/f", mount(json!({"subPath": "a/b"})));
    writes["name"] = "init".into();
    let script = "cat v/a/b/f; df -k /v | grep -o ' 1024 ' | head -n 1; \
                  dd if=/dev/zero of=v/big bs=1024 count=2000 2>/dev/null || echo full";
    let spec = json!({"restartPolicy": "Never", "initContainers": [writes],
        "volumes": [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
        "containers": [container(script, mount(json!({})))]});
    let manifest = pod(&sandbox, "p", spec);
    sandbox.ok(&format!("create -f {manifest}"));
    sandbox.until_pet_is("p", "Completed");
    let said = sandbox.ok("logs p").out;
    assert_eq!(
        said.split_whitespace().collect::<Vec<_>>(),
        ["word", "1024", "full"]
    );
}

#[test]
fn a_variable_comes_from_a_file_in_memory_as_well() {
    let sandbox = Sandbox::new();
    for medium in ["Memory", ""] {
        let mount = json!({"volumeMounts": [{"name": "v", "mountPath": "/conf"}]});
        let mut writes = container("echo \"WORD='one word'\" > conf/vars.env", mount);
        writes["name"] = "init".into();
        let from = json!({"fileKeyRef": {"volumeName": "v", "path": "vars.env", "key": "WORD"}});
        let reads = json!({"env": [{"name": "WORD", "valueFrom": from}]});
        let spec = json!({"restartPolicy": "Never", "initContainers": [writes],
            "volumes": [{"name": "v", "emptyDir": {"medium": medium}}],
            "containers": [container("echo $WORD", reads)]});
        let manifest = pod(&sandbox, "p", spec);
        sandbox.ok(&format!("create -f {manifest}"));
        sandbox.until_pet_is("p", "Completed");
        sandbox.ok("logs p").prints("one word\n");
        sandbox.ok("delete pod/p");
    }
}
