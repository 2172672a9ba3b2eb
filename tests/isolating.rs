//! `--isolation full`: pets that have what a container has, from the host's own files.
//!
//! The tests are the same for root and for an ordinary user, and run as the user who starts them.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{PATIENCE, Sandbox, is_full, is_installed, processes, wait_until};

/// Three hello pets, which listen on one port, with a volume where the host has nothing.
const HELLO: &str = "create web --replicas 3 --image petset/hello --port http=8080 \
                     --volume data:/petset-test/data --ready http:/healthz --isolation full";

fn inside(sandbox: &Sandbox, pet: &str, script: &str) -> String {
    let words = ["exec", pet, "--", "sh", "-c", script];
    let mut command = sandbox.command_of(&words);
    let outcome = sandbox.finish(script, sandbox.start_command(&mut command));
    assert_eq!(outcome.code, 0, "{script}: {}{}", outcome.out, outcome.err);
    outcome.out.trim_end().to_owned()
}

/// Waits until a script succeeds in a pet.
fn until_inside(sandbox: &Sandbox, pet: &str, script: &str) {
    let words = ["exec", pet, "--", "sh", "-c", script];
    let well = || {
        sandbox
            .command_of(&words)
            .output()
            .unwrap()
            .status
            .success()
    };
    assert!(
        wait_until(well, PATIENCE),
        "{script} does not succeed in {pet}"
    );
}

/// The address at which the host finds a pet of the first set of a sandbox.
fn door(sandbox: &Sandbox, pet: u8) -> String {
    let block = fs::read_to_string(sandbox.file("seen/block")).unwrap();
    format!("127.{}.1.{}", block.trim(), pet + 1)
}

fn fetch(host: &str, port: u16) -> String {
    let mut stream = TcpStream::connect((host, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    text
}

/// Lists the pids of a role's processes of this sandbox.
fn of_role(sandbox: &Sandbox, role: &str) -> Vec<i32> {
    let state = sandbox.state();
    let wanted = format!("{role} {}", state.display());
    let all = processes::of(&state).into_iter();
    all.filter(|it| it.command.contains(&wanted))
        .map(|it| it.pid)
        .collect()
}

#[test]
fn a_pet_has_a_name_files_and_processes_of_its_own() {
    // CF-net-04, CF-net-07
    let sandbox = Sandbox::new();
    sandbox.ok(HELLO);
    assert_eq!(inside(&sandbox, "web-1", "hostname"), "web-1");
    let full = "web-1.web.default.svc.cluster.local";
    assert_eq!(inside(&sandbox, "web-1", "hostname -f"), full);
    let count = inside(&sandbox, "web-1", "ls /proc | grep -c '^[0-9]'");
    assert!(count.parse::<u32>().unwrap() < 10, "{count} processes");
    inside(
        &sandbox,
        "web-1",
        "test -d /run/lock && ! test -e /run/systemd",
    );
    let user = rustix::process::getuid().as_raw().to_string();
    assert_eq!(inside(&sandbox, "web-1", "id -u"), user);
    inside(
        &sandbox,
        "web-1",
        "echo 1 > /etc/petset-test && echo 2 > /petset-new",
    );
    assert!(!Path::new("/etc/petset-test").exists());
    assert!(!Path::new("/petset-new").exists());
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn every_pet_binds_the_same_port_and_finds_the_others_by_name() {
    let sandbox = Sandbox::new();
    sandbox.ok(HELLO);
    let found = inside(&sandbox, "web-0", "getent hosts web-2.web");
    assert!(
        found.starts_with("10.") && found.contains("web-2.web.default.svc"),
        "{found}"
    );
    let own = inside(&sandbox, "web-0", "hostname -i; echo $POD_IP");
    let (first, second) = own.split_once('\n').unwrap();
    assert_eq!(first, second);
    for pet in 0..3 {
        let page = fetch(&door(&sandbox, pet), 8080);
        assert!(page.contains(&format!("web-{pet}")), "{page}");
    }
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_comes_back_although_the_kernel_still_keeps_the_network_it_had() {
    let sandbox = Sandbox::new();
    sandbox.ok(HELLO);
    let pets = processes::of(&sandbox.state()).into_iter();
    let pets = pets.filter(|process| process.command.contains("hello"));
    let network = |pid: i32| fs::File::open(format!("/proc/{pid}/ns/net")).unwrap();
    let kept: Vec<fs::File> = pets.map(|pet| network(pet.pid)).collect();
    assert!(kept.len() >= 3);
    sandbox.ok("restart web --timeout 30s");
    let page = fetch(&door(&sandbox, 1), 8080);
    assert!(page.contains("web-1"), "{page}");
    drop(kept);
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn root_of_a_user_namespace_of_one_user_isolates_as_an_ordinary_user_does() {
    if !is_full() || !is_installed("unshare", &["unshare"]) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut doctor = Command::new("unshare");
    doctor.args(["--map-root-user", "--mount"]);
    doctor.args([env!("CARGO_BIN_EXE_petset"), "doctor", "-o", "json"]);
    sandbox.place(&mut doctor);
    let found = doctor.output().unwrap().stdout;
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
    let mut found = found.as_array().unwrap().iter();
    let isolation = found.find(|it| it["check"] == "isolation").unwrap();
    assert_eq!(isolation["verdict"], "ok", "{isolation}");
}

#[test]
fn a_home_that_is_reached_by_a_link_hides_no_claim() {
    let mut sandbox = Sandbox::new();
    let usual = sandbox.scratch().join("real/.local/state");
    fs::create_dir_all(&usual).unwrap();
    std::os::unix::fs::symlink(sandbox.state(), usual.join("petset")).unwrap();
    let link = sandbox.scratch().join("link");
    std::os::unix::fs::symlink(sandbox.scratch().join("real"), &link).unwrap();
    sandbox.set_variable("HOME", link.to_str().unwrap());
    sandbox.ok(&format!(
        "{} --timeout 30s",
        HELLO.replace("replicas 3", "replicas 1")
    ));
    inside(&sandbox, "web-0", "test -w /petset-test/data");
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn a_claim_is_at_its_mount_path_and_keeps_its_files() {
    let sandbox = Sandbox::new();
    sandbox.ok(HELLO);
    assert!(!Path::new("/petset-test").exists());
    inside(&sandbox, "web-0", "echo kept > /petset-test/data/note");
    sandbox.ok("delete web");
    sandbox.ok(HELLO);
    assert_eq!(
        inside(&sandbox, "web-0", "cat /petset-test/data/note"),
        "kept"
    );
    sandbox.ok("delete web --purge");
}

#[test]
fn a_pet_sees_of_the_state_directory_only_what_discover_needs() {
    let sandbox = Sandbox::new();
    let other = Sandbox::new();
    other.ok("create quiet --isolation none -- sleep 1000");
    let manifest = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "word"},
        "stringData": {"word": "petset-hush"}}"#;
    let path = sandbox.manifest("secret.json", manifest);
    sandbox.ok(&format!("create -f {path}"));
    sandbox.ok(
        "create db --isolation full --env WORD=petset-hush --volume data:/data \
                -- sh -c 'echo petset-hush; echo petset-hush > /data/word; exec sleep 1000'",
    );
    sandbox.ok(HELLO);
    let state = sandbox.state();
    let state = state.display();
    let seen = inside(
        &sandbox,
        "web-0",
        &format!("ls {state} {state}/pets/default"),
    );
    for hidden in ["volumes", "supervisor", "network", "images.toml", "lock"] {
        assert!(!seen.split_whitespace().any(|it| it == hidden), "{seen}");
    }
    let script = format!("! grep -rl petset-hush {state}");
    inside(&sandbox, "web-0", &script);
    inside(
        &sandbox,
        "web-0",
        &format!("! touch {state}/pets/default/db-0/pod.json {state}/wanted/x"),
    );
    let script = format!("! ls {}/pets 2>/dev/null", other.state().display());
    inside(&sandbox, "web-0", &script);
    // What comes later is seen as well.
    sandbox.ok("scale web --replicas 4");
    let found = inside(
        &sandbox,
        "web-0",
        "petset discover web; petset get pets; petset get sets; petset dns",
    );
    for word in ["web-3", "db-0", "Running", "web.default.svc"] {
        assert!(found.contains(word), "{word}: {found}");
    }
    inside(
        &sandbox,
        "web-0",
        "petset discover web --min 4 --timeout 20s",
    );
    sandbox.ok("delete web db --purge");
    assert!(!sandbox.file("view/pets/default/db-0").exists());
    assert!(
        !sandbox
            .file("view/wanted/default/statefulset/db.yaml")
            .exists()
    );
}

/// Lists what is below a directory: path, size, time of change and mode.
fn listing(path: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(path) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        let (size, time, mode) = (found.size(), found.mtime_nsec(), found.mode());
        lines.push(format!("{} {size} {time} {mode:o}", path.display()));
        if found.is_dir() {
            lines.extend(listing(&path));
        }
    }
    lines
}

#[test]
fn nothing_a_hook_deletes_or_overwrites_is_the_hosts() {
    let sandbox = Sandbox::new();
    let other = Sandbox::new();
    other.ok("create quiet --volume data:/data --isolation none -- sleep 1000");
    let outside = tempfile::tempdir().unwrap();
    let mut places = vec![
        PathBuf::from("/tmp"),
        PathBuf::from("/var/tmp"),
        outside.path().join("home"),
        other.file("volumes/default/data-quiet-0"),
        sandbox.file("volumes/default/data-other-0"),
    ];
    if rustix::process::getuid().is_root() {
        places.extend([
            PathBuf::from("/var/run"),
            PathBuf::from("/var/lib"),
            PathBuf::from("/root"),
        ]);
    }
    let mut canaries = Vec::new();
    let mut script = "true".to_owned();
    for place in places {
        fs::create_dir_all(&place).unwrap();
        let canary = place.join(format!("petset-canary-{}", std::process::id()));
        fs::write(&canary, "alive").unwrap();
        let path = canary.display();
        script.push_str(&format!(
            "; echo dead > {path}; rm -rf {path}; rm -rf {path}*"
        ));
        canaries.push(canary);
    }
    let state = other.state();
    script.push_str(&format!(
        "; rm -rf {0} {1}/volumes {1}/wanted /etc/* /opt /var/spool; echo tried > /data/tried",
        outside.path().display(),
        state.display()
    ));
    let listed = [
        outside.path().to_owned(),
        state.join("volumes"),
        PathBuf::from("/etc"),
    ];
    let before: Vec<String> = listed.iter().flat_map(|path| listing(path)).collect();
    let manifest = format!(
        r#"{{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {{"name": "db"}},
        "spec": {{"serviceName": "db", "replicas": 1, "selector": {{"matchLabels": {{"a": "b"}}}},
        "template": {{"metadata": {{"labels": {{"a": "b"}}}}, "spec": {{"containers": [{{
          "name": "c", "image": "c", "command": ["sleep", "1000"],
          "volumeMounts": [{{"name": "data", "mountPath": "/data"}}],
          "lifecycle": {{"preStop": {{"exec": {{"command": ["sh", "-c", "{script}"]}}}}}}}}],
          "terminationGracePeriodSeconds": 5}}}},
        "volumeClaimTemplates": [{{"metadata": {{"name": "data"}}, "spec": {{
          "accessModes": ["ReadWriteOnce"], "resources": {{"requests": {{"storage": "1Gi"}}}}}}}}]}}}}"#
    );
    let path = sandbox.manifest("db.json", &manifest);
    sandbox.ok(&format!("create -f {path} --isolation full"));
    sandbox.ok("delete db");
    assert!(sandbox.file("volumes/default/data-db-0/tried").exists());
    let after: Vec<String> = listed.iter().flat_map(|path| listing(path)).collect();
    assert_eq!(after, before);
    other.ok("delete quiet --purge");
    canaries.retain(|canary| !canary.starts_with(&state));
    for canary in canaries {
        assert_eq!(
            fs::read_to_string(&canary).unwrap(),
            "alive",
            "{}",
            canary.display()
        );
        fs::remove_file(&canary).unwrap();
    }
}

#[test]
fn a_volume_below_a_link_is_mounted_where_the_link_leads() {
    let sandbox = Sandbox::new();
    let volume = "--volume data:/var/run/petset-test";
    sandbox.ok(&format!(
        "create db {volume} --isolation full -- sleep 1000"
    ));
    inside(&sandbox, "db-0", "echo kept > /run/petset-test/note");
    let kept = fs::read_to_string(sandbox.file("volumes/default/data-db-0/note"));
    assert_eq!(kept.unwrap(), "kept\n");
    sandbox.ok("delete db --purge");
}

#[test]
fn the_network_and_its_pets_survive_who_holds_it() {
    let sandbox = Sandbox::new();
    sandbox.ok(HELLO);
    let holder = of_role(&sandbox, "network");
    assert_eq!(holder.len(), 1);
    processes::kill(holder[0]);
    let again = || {
        let now = of_role(&sandbox, "network");
        !now.is_empty() && now != holder
    };
    assert!(wait_until(again, PATIENCE), "no process holds the network");
    let found = || {
        let words = ["exec", "web-0", "--", "getent", "hosts", "web-1.web"];
        let outcome = sandbox.command_of(&words).output().unwrap();
        outcome.status.success()
    };
    assert!(wait_until(found, PATIENCE), "web-0 finds no peer");
    let page = || TcpStream::connect((door(&sandbox, 1).as_str(), 8080)).is_ok();
    assert!(wait_until(page, PATIENCE), "the host does not find web-1");
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn a_runner_that_is_killed_takes_its_pet_along_and_both_come_back() {
    let sandbox = Sandbox::new();
    sandbox.ok("create db --isolation full -- sh -c 'setsid sleep 3333 & exec sleep 3334'");
    let runner = of_role(&sandbox, "runner");
    runner.iter().for_each(|pid| processes::kill(*pid));
    let back = || {
        let now = of_role(&sandbox, "runner");
        !now.is_empty() && !now.iter().any(|pid| runner.contains(pid))
    };
    assert!(wait_until(back, PATIENCE), "no new runner");
    until_inside(&sandbox, "db-0", "pidof sleep");
    let count = inside(&sandbox, "db-0", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '");
    assert_eq!(count.matches("sleep 3333").count(), 1, "{count}");
    sandbox.ok("delete db");
    sandbox.assert_nothing_left();
}

#[test]
fn nothing_is_left_when_everything_is_killed_and_the_next_command_carries_on() {
    let sandbox = Sandbox::new();
    sandbox.ok(HELLO);
    let everything = || {
        let all = processes::of(&sandbox.state());
        all.iter().for_each(processes::Process::kill);
        all.is_empty()
    };
    assert!(wait_until(everything, PATIENCE));
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(sandbox.state().to_str().unwrap()));
    sandbox.ok("start --timeout 30s");
    until_inside(&sandbox, "web-0", "getent hosts web-1.web | grep ^10");
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn two_state_directories_have_the_same_set_at_once() {
    let (one, other) = (Sandbox::new(), Sandbox::new());
    let started = [one.start(HELLO), other.start(HELLO)];
    for (sandbox, command) in [&one, &other].into_iter().zip(started) {
        assert_eq!(sandbox.finish(HELLO, command).code, 0);
    }
    assert_ne!(door(&one, 0), door(&other, 0));
    for (sandbox, word) in [(&one, "of one"), (&other, "of the other")] {
        inside(
            sandbox,
            "web-1",
            &format!("echo {word} > /petset-test/data/whose"),
        );
        let own = inside(sandbox, "web-2", "getent hosts web-1.web");
        let address = own.split_whitespace().next().unwrap();
        assert_eq!(inside(sandbox, "web-1", "echo $POD_IP"), address);
        assert!(fetch(&door(sandbox, 1), 8080).contains("web-1"));
    }
    // What becomes of one is nothing to the other.
    one.ok("delete web --purge");
    one.assert_nothing_left();
    let whose = inside(&other, "web-1", "cat /petset-test/data/whose");
    assert_eq!(whose, "of the other");
    inside(&other, "web-0", "getent hosts web-1.web");
    other.ok("delete web --purge");
    other.assert_nothing_left();
}

#[test]
fn a_hundred_pets_find_each_other_in_one_network() {
    let sandbox = Sandbox::new();
    let script = "next=web-$(( (${HOSTNAME##*-} + 1) % 100 )); \
                  until getent hosts $next.web >/dev/null; do sleep 1; done; \
                  journal \"$HOSTNAME found $next\"; exec sleep 1000";
    let words = "create web --replicas 100 --parallel --no-wait --isolation full -- sh -c";
    let words: Vec<&str> = words.split(' ').chain([script]).collect();
    let mut command = sandbox.command_of(&words);
    let created = sandbox.finish("create web", sandbox.start_command(&mut command));
    assert_eq!(created.code, 0, "{}", created.err);
    let all_found = || sandbox.journal().len() == 100;
    assert!(
        wait_until(all_found, 10 * PATIENCE),
        "{:?}",
        sandbox.journal()
    );
    sandbox.ok("delete web --force --no-wait");
    let gone = || sandbox.processes().is_empty();
    assert!(wait_until(gone, 10 * PATIENCE), "pets are left");
}

#[test]
fn an_exec_ends_as_its_program_does() {
    let sandbox = Sandbox::new();
    sandbox.ok("create db --isolation full -- sleep 1000");
    sandbox.fails(7, "exec db-0 -- sh -c 'exit 7'");
    sandbox.fails(127, "exec db-0 -- petset-no-such-program");
    sandbox.ok("delete db");
}

#[test]
fn discover_and_dns_tell_a_pet_the_addresses_that_hold_inside() {
    let sandbox = Sandbox::new();
    sandbox.ok(HELLO);
    let own = inside(
        &sandbox,
        "web-0",
        "petset dns query web-1.web; petset discover web",
    );
    let mut addresses = own.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    assert!(!addresses.any(|it| it.starts_with("127.")), "{own}");
    assert!(own.contains("10."), "{own}");
    let outside = sandbox.ok("dns query web-1.web");
    assert!(outside.out.contains("127."), "{}", outside.out);
    sandbox.ok("delete web --purge");
}

#[test]
fn three_redis_pets_bind_everything_and_replicate() {
    if Command::new("redis-server")
        .arg("--version")
        .output()
        .is_err()
    {
        return;
    }
    let sandbox = Sandbox::new();
    let server = "redis-server --bind 0.0.0.0 --port 6379 --dir /data --protected-mode no";
    sandbox.ok(&format!(
        "create db --replicas 3 --port redis=6379 --volume data:/data --ready tcp \
         --isolation full -- {server}"
    ));
    inside(&sandbox, "db-1", "redis-cli replicaof db-0.db 6379");
    inside(&sandbox, "db-0", "redis-cli set word heard");
    let heard = || inside(&sandbox, "db-1", "redis-cli get word") == "heard";
    assert!(wait_until(heard, PATIENCE));
    let seen = inside(&sandbox, "db-0", "redis-cli info replication");
    let ip = inside(&sandbox, "db-1", "hostname -i");
    assert!(seen.contains(&format!("ip={ip}")), "{seen}");
    sandbox.ok("delete db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn without_isolation_a_command_that_names_its_mount_path_is_refused() {
    let sandbox = Sandbox::new();
    let words = "create db --volume data:/petset-test --isolation none";
    let command = "-- sh -c 'rm -rf /petset-test/x; exec sleep 1000'";
    let refused = sandbox.fails(2, &format!("{words} {command}"));
    refused.says("container db names its mount path /petset-test");
    refused.says("it has no isolation").says("--host-paths");
    assert!(sandbox.pets().is_empty());
    sandbox.ok(&format!("{words} --host-paths {command}"));
    let set = sandbox.ok("get sts db -o yaml");
    set.says("petset.dev/isolation: none")
        .says("petset.dev/host-paths: 'true'");
    sandbox.ok("delete db");
}
