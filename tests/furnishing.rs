//! What a pet with `--isolation full` sees and who it is: users, volumes, the root, terminals.
//!
//! The tests are the same for root and for an ordinary user, and run as the user who starts them;
//! only root can give a pet another user.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Sandbox, terminal};

fn inside(sandbox: &Sandbox, script: &str) -> String {
    let words = ["exec", "db-0", "--", "sh", "-c", script];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(script, sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{script}: {}{}", outcome.out, outcome.err);
    outcome.out.trim_end().to_owned()
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Returns whether pets can have another user than the test: `mapping` tests those of an ordinary
/// user.
fn has_subordinates(sandbox: &Sandbox) -> bool {
    sandbox.diagnosis("user ids")["verdict"] == "ok" && !is_root()
}

/// A set `db` of one pet, with what a pod and its container ask for, and a claim `data`.
fn db(pod: &Value, container: &Value) -> Value {
    let mut container = container.clone();
    let own = container.as_object_mut().unwrap();
    own.entry("name").or_insert(json!("c"));
    own.entry("image").or_insert(json!("c"));
    own.entry("command").or_insert(json!(["sleep", "1000"]));
    let mut pod = pod.clone();
    pod["containers"] = json!([container]);
    pod["terminationGracePeriodSeconds"] = json!(5);
    json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
        "spec": {"serviceName": "db", "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": pod},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "1Gi"}}}}]}})
}

fn create(sandbox: &Sandbox, objects: &[Value]) -> String {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let path = sandbox.manifest("list.json", &list.to_string());
    format!("create -f {path} --isolation full")
}

fn config() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"},
        "data": {"one": "1", "two": "2", "run.sh": "#!/bin/sh\necho ran\n"}})
}

#[test]
fn a_pet_runs_as_the_user_and_in_the_groups_it_asks_for() {
    let sandbox = Sandbox::new();
    if has_subordinates(&sandbox) {
        return;
    }
    let pod = json!({"securityContext": {"runAsUser": 12345, "runAsGroup": 23456,
            "supplementalGroups": [45678], "fsGroup": 34567},
        "volumes": [{"name": "conf", "configMap": {"name": "conf", "defaultMode": 0o400}},
            {"name": "room", "emptyDir": {}}]});
    let probe = json!({"exec": {"command": ["sh", "-c", "id -u > /room/probe; cat /data/there"]}});
    let container = json!({"readinessProbe": probe,
        "command": ["sh", "-c", "echo loud > /dev/stdout; echo x > /data/there; exec sleep 1000"],
        "volumeMounts": [{"name": "data", "mountPath": "/data"},
            {"name": "conf", "mountPath": "/conf"}, {"name": "room", "mountPath": "/room"}]});
    sandbox.ok(&create(&sandbox, &[config(), db(&pod, &container)]));
    sandbox.ok("logs db-0").says("loud");
    let own = (
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    let (uid, gid) = if is_root() { (12345, 23456) } else { own };
    assert_eq!(inside(&sandbox, "id -u; id -g"), format!("{uid}\n{gid}"));
    assert_eq!(inside(&sandbox, "cat /room/probe"), uid.to_string());
    inside(
        &sandbox,
        "whoami; getent group $(id -g); cat /conf/one; touch /room/x /data/y",
    );
    inside(&sandbox, "petset discover db");
    if is_root() {
        assert_eq!(inside(&sandbox, "id -G"), "23456 34567 45678");
        let there = fs::metadata(sandbox.file("volumes/default/data-db-0/there")).unwrap();
        assert_eq!((there.uid(), there.gid()), (12345, 34567));
        assert_eq!(inside(&sandbox, "echo $HOME"), "/");
        inside(&sandbox, "! touch /etc/x && ! ls /root");
    } else {
        for field in ["runAsUser 12345", "runAsGroup 23456", "fsGroup 34567"] {
            sandbox
                .ok("describe pod db-0")
                .says(&format!("{field} is ignored"));
        }
    }
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn who_must_not_be_root_does_not_start_as_root() {
    let sandbox = Sandbox::new();
    let pod = json!({"securityContext": {"runAsNonRoot": true}});
    let create = create(&sandbox, &[db(&pod, &json!({}))]);
    if is_root() {
        sandbox.ok(&format!("{create} --no-wait"));
        sandbox.until_pet_is("db-0", "CreateContainerConfigError");
        let described = sandbox.ok("describe pod db-0");
        described.says("container has runAsNonRoot and image will run as root");
    } else {
        sandbox.ok(&create);
    }
    sandbox.ok("delete db --purge");
}

#[test]
fn a_closed_root_cannot_be_changed_and_its_volumes_can() {
    let sandbox = Sandbox::new();
    let context = json!({"readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false});
    let container = json!({"securityContext": context,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    sandbox.ok(&create(&sandbox, &[db(&json!({}), &container)]));
    for path in ["/x", "/tmp/x", "/etc/x", "/run/x", "/var/tmp/x"] {
        inside(&sandbox, &format!("! touch {path} 2>/dev/null"));
    }
    inside(&sandbox, "touch /data/x /dev/shm/x && echo > /dev/null");
    inside(&sandbox, "grep -q '^NoNewPrivs:.1' /proc/self/status");
    sandbox.ok("delete db --purge");
}

#[test]
fn volumes_are_where_and_as_the_manifest_says() {
    let sandbox = Sandbox::new();
    let shared = sandbox.scratch().join("shared");
    fs::create_dir(&shared).unwrap();
    let made = sandbox.scratch().join("made/here");
    let pod = json!({"volumes": [
        {"name": "conf", "configMap": {"name": "conf", "defaultMode": 0o440,
            "items": [{"key": "one", "path": "one"}, {"key": "run.sh", "path": "bin/run", "mode": 0o755}]}},
        {"name": "room", "emptyDir": {"sizeLimit": "1Mi"}},
        {"name": "shared", "hostPath": {"path": shared, "type": "Directory"}},
        {"name": "made", "hostPath": {"path": made, "type": "DirectoryOrCreate"}}]});
    let mounts = json!([
        // The inner ones come first.
        {"name": "room", "mountPath": "/data/inner", "subPathExpr": "of/$(POD_NAME)"},
        {"name": "conf", "mountPath": "/data/inner/deeper/one", "subPath": "one", "readOnly": true},
        {"name": "data", "mountPath": "/data"},
        {"name": "data", "mountPath": "/var/run/db", "subPath": "run"},
        {"name": "room", "mountPath": "/var/log", "subPath": "log"},
        {"name": "conf", "mountPath": "/etc/conf.d/db"},
        {"name": "conf", "mountPath": "/etc/hostname-too", "subPath": "one"},
        {"name": "shared", "mountPath": "/shared", "readOnly": true, "mountPropagation": "HostToContainer"},
        {"name": "made", "mountPath": "/opt/made"}]);
    let container = json!({"volumeMounts": mounts});
    let created = sandbox.ok(&create(&sandbox, &[config(), db(&pod, &container)]));
    created.says("mountPropagation");
    // That is acted on here, and is not warned of.
    created.lacks("readOnly");
    inside(
        &sandbox,
        "echo a > /data/a; echo b > /data/inner/b; echo c > /run/db/c; echo d > /var/log/d",
    );
    let claim = sandbox.file("volumes/default/data-db-0");
    assert_eq!(fs::read_to_string(claim.join("a")).unwrap(), "a\n");
    assert_eq!(fs::read_to_string(claim.join("run/c")).unwrap(), "c\n");
    let room = sandbox.file("pets/default/db-0/volumes/room");
    assert_eq!(fs::read_to_string(room.join("of/db-0/b")).unwrap(), "b\n");
    assert_eq!(fs::read_to_string(room.join("log/d")).unwrap(), "d\n");
    assert_eq!(fs::metadata(&room).unwrap().mode() & 0o7777, 0o777);
    assert_eq!(
        inside(&sandbox, "cat /data/inner/deeper/one /etc/hostname-too"),
        "11"
    );
    assert_eq!(inside(&sandbox, "/etc/conf.d/db/bin/run"), "ran");
    assert_eq!(
        inside(
            &sandbox,
            "stat -Lc %a /etc/conf.d/db/one /etc/conf.d/db/bin/run"
        ),
        "440\n755"
    );
    for path in ["/etc/conf.d/db/x", "/shared/x", "/data/inner/deeper/one"] {
        inside(&sandbox, &format!("! (echo x >> {path}) 2>/dev/null"));
    }
    fs::write(shared.join("news"), "later").unwrap();
    assert_eq!(inside(&sandbox, "cat /shared/news"), "later");
    inside(&sandbox, "touch /opt/made/x");
    assert!(made.join("x").exists());
    sandbox.ok("restart db-0");
    assert_eq!(inside(&sandbox, "cat /data/a /run/db/c"), "a\nc");
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn the_hosts_files_can_be_changed_and_stay_what_they_are() {
    let sandbox = Sandbox::new();
    sandbox.ok(&create(&sandbox, &[db(&json!({}), &json!({}))]));
    let etc = fs::metadata("/etc/passwd").unwrap();
    let before = (etc.len(), etc.mtime_nsec(), etc.mode(), etc.ino());
    inside(
        &sandbox,
        "rm /etc/hosts && ! test -e /etc/hosts && echo mine > /etc/hosts",
    );
    inside(
        &sandbox,
        "mkdir -p /opt/a/b && mv /opt/a /opt/c && rm -r /opt/c",
    );
    inside(&sandbox, "cp /etc/passwd /etc/p && mv /etc/p /etc/passwd");
    if is_root() {
        // As a package's scripts do.
        inside(
            &sandbox,
            "mv /usr/share/doc /usr/share/doc.old && rm -rf /usr/share/doc.old",
        );
        inside(
            &sandbox,
            "! test -e /usr/share/doc && mkdir /usr/share/doc && touch /usr/share/doc/x",
        );
        inside(
            &sandbox,
            "chown 12345 /etc/passwd && chmod 600 /etc/shells && rm -rf /var/cache",
        );
        inside(
            &sandbox,
            "chown 12345:12345 /opt && setpriv --reuid 12345 --regid 12345 --clear-groups touch /opt/x",
        );
    }
    assert!(Path::new("/usr/share/doc").is_dir());
    let etc = fs::metadata("/etc/passwd").unwrap();
    assert_eq!((etc.len(), etc.mtime_nsec(), etc.mode(), etc.ino()), before);
    sandbox.ok("delete db --purge");
}

#[test]
fn orphans_are_reaped_and_daemons_end_with_their_pet() {
    let sandbox = Sandbox::new();
    let script = "trap '' TERM; (setsid sh -c \"trap '' TERM; sleep 4444\" &); \
                  (sleep 0.01 &); while :; do sleep 1; done";
    let container = json!({"command": ["sh", "-c", script]});
    sandbox.ok(&create(&sandbox, &[db(&json!({}), &container)]));
    sandbox.until("the daemon is pid 1's, and no zombie is left", || {
        let script = "cat /proc/[0-9]*/stat";
        let all = inside(&sandbox, script);
        !all.lines().any(|line| line.contains(") Z "))
    });
    let processes = inside(&sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert!(processes.contains("sleep 4444"), "{processes}");
    sandbox.ok("delete db --purge --timeout 60s");
    sandbox.assert_nothing_left();
}

#[test]
fn an_image_may_be_a_root_of_its_own() {
    let sandbox = Sandbox::new();
    let root = sandbox.scratch().join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("etc/motd"), "another root").unwrap();
    for name in ["sh", "cat", "ls", "sleep", "hostname", "touch", "id"] {
        install(&root, name);
    }
    sandbox.ok("get all");
    fs::create_dir_all(sandbox.state()).unwrap();
    fs::write(
        sandbox.file("images.toml"),
        format!("[\"tiny\"]\nrootfs = {root:?}\nentrypoint = [\"sh\", \"-c\"]\n"),
    )
    .unwrap();
    let probe = json!({"exec": {"command": ["sh", "-c", "test -e /data/x"]}});
    let container = json!({"image": "tiny:1", "command": null, "args": ["touch /data/x; exec sleep 1000"],
        "readinessProbe": probe, "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    sandbox.ok(&create(&sandbox, &[db(&json!({}), &container)]));
    assert_eq!(
        inside(&sandbox, "cat /etc/motd; ! ls /usr 2>/dev/null"),
        "another root"
    );
    assert_eq!(inside(&sandbox, "hostname"), "db-0");
    assert_eq!(
        inside(&sandbox, "id -u"),
        rustix::process::getuid().as_raw().to_string()
    );
    inside(
        &sandbox,
        "cat /etc/hosts /etc/resolv.conf && touch /etc/x /bin/x /tmp/x",
    );
    assert!(!root.join("etc/x").exists());
    assert!(sandbox.file("volumes/default/data-db-0/x").exists());
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

/// Copies a program of the host, and the libraries that it needs, to a root.
fn install(root: &Path, name: &str) {
    let program = format!("/bin/{name}");
    let needed = Command::new("ldd").arg(&program).output().unwrap();
    let needed = String::from_utf8(needed.stdout).unwrap();
    let libraries = needed.split_whitespace().filter(|it| it.starts_with('/'));
    for path in libraries.chain([program.as_str()]) {
        let copy = root.join(&path[1..]);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(path, &copy).unwrap();
    }
}

#[test]
fn exec_gives_a_terminal_and_passes_on_keys_and_the_exit_code() {
    for level in ["full", "none"] {
        let sandbox = Sandbox::new();
        sandbox.ok(&format!("create db --isolation {level} -- sleep 1000"));
        let words = "exec -it db-0 -- sh -c 'tty; stty size; exit 5'";
        let (text, code) = terminal::typed(&sandbox, words, &[]);
        assert!(
            text.contains("/dev/pts/") && text.contains("33 77"),
            "{text}"
        );
        assert_eq!(code, 5, "{text}");
        let script = "trap \"echo stopped; exit 9\" INT; echo rea\"\"dy; read word; \
                      echo $word heard; while :; do sleep 0.05; done";
        let words = format!("exec -it db-0 -c db -- sh -c '{script}'");
        let keys: [(&str, &[u8]); 2] = [("ready", b"hello\n"), ("hello heard", b"\x03")];
        let (text, code) = terminal::typed(&sandbox, &words, &keys);
        assert!(text.contains("stopped"), "{text}");
        assert_eq!(code, 9, "{text}");
        sandbox.ok("delete db --purge");
        sandbox.assert_nothing_left();
    }
}

#[test]
fn exec_passes_on_bytes_as_they_are() {
    for level in ["full", "none"] {
        let sandbox = Sandbox::new();
        sandbox.ok(&format!("create db --isolation {level} -- sleep 1000"));
        let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut command = sandbox.command("exec -i db-0 -- cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let sent = bytes.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&sent));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(output.stdout == bytes, "{} bytes", output.stdout.len());
        sandbox.ok("delete db --purge");
    }
}
