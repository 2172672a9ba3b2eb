//! What processes leave that were killed in the middle of something, and what becomes of it.

use std::ffi::OsString;
use std::fs;
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use crate::support::{Sandbox, processes};

/// No process has this number: it is above the kernel's limit.
const DEAD: u32 = 1 << 23;

/// Kills the supervisor of a set `t` with a volume and a service, and lets the next one start.
fn with_dead_supervisor() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create t --volume data:/data --port http=8080 -- sleep 600");
    sandbox.ok("create u -- sleep 600");
    sandbox.kill(sandbox.supervisor());
    sandbox
}

#[test]
fn what_pets_see_is_made_right_that_a_killed_command_left_behind() {
    let sandbox = with_dead_supervisor();
    let shown = sandbox.file("view/wanted/default/statefulset/t.yaml");
    let right = fs::read_to_string(&shown).unwrap();
    fs::write(&shown, right.replace("replicas: 1", "replicas: 7")).unwrap();
    // It was written before the object was.
    let before = SystemTime::now() - Duration::from_secs(60);
    fs::File::open(&shown)
        .unwrap()
        .set_modified(before)
        .unwrap();
    let missing = [
        "wanted/default/service/t.yaml",
        "pets/default/t-0/pod.json",
        "pets/default/t-0/status.json",
    ];
    let missing = missing.map(|file| sandbox.file(&format!("view/{file}")));
    missing
        .iter()
        .for_each(|file| fs::remove_file(file).unwrap());
    let stray = [
        "wanted/default/service/ghost.yaml",
        "seen/default/endpoints/ghost.json",
    ];
    let stray = stray.map(|file| sandbox.file(&format!("view/{file}")));
    stray.iter().for_each(|file| fs::write(file, "{}").unwrap());
    sandbox.ok("scale u --replicas 2");
    assert_eq!(fs::read_to_string(&shown).unwrap(), right);
    assert!(missing.iter().all(|file| file.exists()));
    assert!(stray.iter().all(|file| !file.exists()));
    sandbox.ok("delete t u --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn temporary_files_of_killed_processes_are_swept() {
    let sandbox = with_dead_supervisor();
    let left = [
        "wanted/default/statefulset",
        "seen/default/claims",
        "pets/default/t-0",
        "view/seen/default/endpoints",
        "supervisor",
    ];
    let left = left.map(|dir| sandbox.file(&format!("{dir}/.t.json.{DEAD}.3.new")));
    left.iter()
        .for_each(|file| fs::write(file, "half").unwrap());
    let data = sandbox.file(&format!("volumes/default/data-t-0/.t.json.{DEAD}.3.new"));
    fs::write(&data, "a pet's").unwrap();
    sandbox.ok("scale u --replicas 2");
    sandbox.until("they are gone", || left.iter().all(|file| !file.exists()));
    assert!(data.exists());
    sandbox.ok("delete t u --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn the_removal_of_a_volume_that_was_killed_is_ended() {
    let sandbox = with_dead_supervisor();
    sandbox.ok("delete t");
    let volumes = sandbox.file("volumes/default");
    let hidden = volumes.join(".data-t-0.removed");
    fs::write(volumes.join("data-t-0/file"), "x").unwrap();
    fs::rename(volumes.join("data-t-0"), &hidden).unwrap();
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("scale u --replicas 2");
    let record = sandbox.file("seen/default/claims/data-t-0.json");
    sandbox.until("data and record are gone", || {
        !hidden.exists() && !record.exists()
    });
    sandbox.ok("volume ls").lacks("data-t-0");
    sandbox.ok("delete u");
    sandbox.assert_nothing_left();
}

#[test]
fn the_removal_of_a_volume_that_was_killed_is_ended_when_no_command_holds_the_lock() {
    let sandbox = with_dead_supervisor();
    sandbox.ok("delete t");
    sandbox.kill(sandbox.supervisor());
    let volumes = sandbox.file("volumes/default");
    let hidden = volumes.join(".data-t-0.removed");
    fs::rename(volumes.join("data-t-0"), &hidden).unwrap();
    let before = sandbox.file(&format!("seen/default/claims/.x.json.{DEAD}.3.new"));
    fs::write(&before, "half").unwrap();
    let lock = fs::File::open(sandbox.file("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let words = [
        OsString::from("supervisor"),
        sandbox.state().into_os_string(),
    ];
    let supervisor = sandbox.start_command(&mut sandbox.command_of(&words));
    sandbox.until("it has swept", || !before.exists());
    assert!(hidden.exists());
    flock(&lock, FlockOperation::Unlock).unwrap();
    sandbox.until("it is removed", || !hidden.exists());
    sandbox.ok("delete u");
    sandbox.finish("supervisor", supervisor);
    sandbox.assert_nothing_left();
}

#[test]
fn a_state_directory_that_is_removed_while_its_pets_fail_leaves_nothing() {
    for _ in 0..3 {
        let sandbox = Sandbox::new();
        sandbox.ok("create t --replicas 3 --volume data:/data --no-wait -- false");
        sandbox.ok("create u --no-wait -- sh -c 'sleep 0.1; exit 1'");
        sandbox.until("they fail", || {
            sandbox
                .status_of("t-0")
                .is_some_and(|status| status.contains("rror") || status.contains("Crash"))
        });
        let gone = || fs::remove_dir_all(sandbox.state()).is_ok() && !sandbox.state().exists();
        sandbox.until("the directory is removed", gone);
        sandbox.assert_nothing_left();
        assert!(!sandbox.state().exists(), "it was made again");
    }
}

#[test]
fn a_killed_runner_holds_up_no_other_set() {
    let sandbox = Sandbox::new();
    sandbox.ok("create t -- sleep 600");
    sandbox.ok("create u -- sleep 600");
    for _ in 0..3 {
        let before = sandbox.main("t-0");
        processes::kill(sandbox.runner("t-0").unwrap());
        sandbox.ok("scale u --replicas 2");
        sandbox.ok("scale u --replicas 1");
        sandbox.until("t-0 runs again", || {
            let main = sandbox.main("t-0");
            main.is_some()
                && main != before
                && sandbox.status_of("t-0").as_deref() == Some("Running")
        });
    }
    let log = fs::read_to_string(sandbox.file("supervisor/log")).unwrap_or_default();
    assert!(!log.contains("do not end"), "{log}");
    sandbox.ok("delete t u");
    sandbox.assert_nothing_left();
}

#[test]
fn the_proxy_of_a_supervisor_that_was_killed_with_nothing_left_to_run_ends() {
    let sandbox = Sandbox::new();
    let supervise = sandbox.start("supervise");
    let service = "\
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: t}, ports: [{port: 80}]}
";
    let file = sandbox.manifest("front.yaml", service);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.ok("create t -- sleep 600");
    let proxies = || {
        let processes = sandbox.processes().into_iter();
        let proxies = processes.filter(|it| it.command.contains("petset proxy"));
        proxies.count()
    };
    sandbox.until("a proxy serves", || proxies() == 1);
    // It serves on while there are pets.
    sandbox.kill(sandbox.supervisor());
    sandbox.finish("supervise", supervise);
    assert_eq!(proxies(), 1);
    let supervise = sandbox.start("supervise");
    sandbox.until("a second proxy waits", || proxies() == 2);
    sandbox.ok("delete t --purge --timeout 20s");
    sandbox.kill(sandbox.supervisor());
    sandbox.finish("supervise", supervise);
    sandbox.until("no proxy is left", || proxies() == 0);
}
