//! Bad surroundings: limits that are reached, file systems without locks, directories that are
//! gone. System calls are made to fail by strace.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

use jiff::Timestamp;
use serde_json::Value;
use support::{Outcome, Sandbox, copy_program, is_full, is_installed, processes, skipped};

/// Whether a system call can be made to fail here.
fn has_strace(sandbox: &Sandbox) -> bool {
    if !is_installed("strace", &["strace"]) {
        return false;
    }
    let mut traced = Command::new("strace");
    sandbox.place(traced.args(["-qq", "-o", "/dev/null", "true"]));
    let traces = traced.output().is_ok_and(|output| output.status.success());
    if !traces {
        skipped("strace may not trace here");
    }
    traces
}

/// Runs a command of petset whose system calls fail in this way.
fn failing(sandbox: &Sandbox, way: &str, words: &str) -> Outcome {
    let inject = format!("inject={way}");
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-e", &inject]);
    command.arg(env!("CARGO_BIN_EXE_petset"));
    command.args(shlex::split(words).unwrap());
    sandbox.place(&mut command);
    sandbox.finish(words, sandbox.start_command(&mut command))
}

#[test]
fn a_limit_of_processes_is_named_and_the_change_is_kept() {
    let sandbox = Sandbox::new();
    if !has_strace(&sandbox) {
        return;
    }
    let no_process = "clone,clone3,vfork,fork:error=EAGAIN";
    let created = failing(
        &sandbox,
        no_process,
        "create t --isolation none -- sleep 600",
    );
    assert_eq!(created.code, 1, "{}", created.transcript());
    created.says("(RLIMIT_NPROC").says("the change is kept");
    sandbox.ok("start");
    sandbox.until_pet_is("t-0", "Running");
}

#[test]
fn a_lock_that_a_signal_interrupts_is_taken_and_one_that_cannot_be_had_is_explained() {
    let sandbox = Sandbox::new();
    if !has_strace(&sandbox) {
        return;
    }
    let words = "create t --isolation none -- sleep 600";
    let refused = failing(&sandbox, "flock:error=ENOLCK", words);
    assert_eq!(refused.code, 1, "{}", refused.transcript());
    refused.says("its file system has no locks");
    let created = failing(&sandbox, "flock:error=EINTR:when=1", words);
    assert_eq!(created.code, 0, "{}", created.transcript());
}

#[test]
fn a_state_directory_whose_path_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::empty();
    let bytes = [sandbox.scratch().as_os_str().as_bytes(), b"/a\xff"].concat();
    let dir = std::ffi::OsStr::from_bytes(&bytes);
    for verb in ["get pods", "create t -- sleep 600", "doctor"] {
        let mut command = sandbox.command(verb);
        command.env("PETSET_STATE_DIR", dir);
        let outcome = sandbox.finish(verb, sandbox.start_command(&mut command));
        outcome.says("path is not UTF-8");
    }
    assert!(!Path::new(dir).exists());
}

#[test]
fn a_program_below_a_working_directory_that_is_gone_is_refused() {
    let sandbox = Sandbox::new();
    let script = "mkdir \"$TMPDIR/gone\" && cd \"$TMPDIR/gone\" && rmdir \"$TMPDIR/gone\" && \
                  exec \"$0\" create t -- ./server";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_petset")]);
    sandbox.place(&mut command);
    let refused = sandbox.finish("create t -- ./server", sandbox.start_command(&mut command));
    assert_eq!(refused.code, 2, "{}", refused.transcript());
    refused.says("./server cannot be found: the working directory is gone");
}

#[test]
fn a_relative_home_is_not_taken_for_a_directory_of_the_working_directory() {
    let mut sandbox = Sandbox::empty();
    sandbox.set_variable("HOME", "relative");
    let mut command = sandbox.command("doctor");
    command.env_remove("PETSET_STATE_DIR");
    let outcome = sandbox.finish("doctor", sandbox.start_command(&mut command));
    outcome.lacks("relative");
}

#[test]
fn what_is_observed_is_made_again_when_somebody_removes_it() {
    let sandbox = Sandbox::new();
    let words = "create t --replicas 2 --volume data:/data --isolation none -- sleep 600";
    sandbox.ok(words);
    let kept = ["seen/addresses", "seen/block"].map(|file| sandbox.file(file));
    let before = kept
        .each_ref()
        .map(|file| fs::read_to_string(file).unwrap());
    let records = [
        "seen/default/sets/t.json",
        "seen/default/revisions/t.json",
        "seen/default/claims/data-t-0.json",
        "seen/default/endpoints/t.json",
    ];
    assert!(records.iter().all(|file| sandbox.file(file).exists()));
    support::remove(&sandbox.file("seen"));
    sandbox.until("all is there again", || {
        let records = records.iter().map(|file| sandbox.file(file));
        records.chain(kept.clone()).all(|file| file.exists())
    });
    let after = kept
        .each_ref()
        .map(|file| fs::read_to_string(file).unwrap());
    assert_eq!(after, before);
    sandbox.ok("get pvc").says("data-t-1");
    sandbox.ok("rollout history t").says("1");
    // Renamed is as bad as removed.
    fs::rename(sandbox.file("seen"), sandbox.scratch().join("seen")).unwrap();
    sandbox.until("all is there again", || {
        let records = records.iter().map(|file| sandbox.file(file));
        records.chain(kept.clone()).all(|file| file.exists())
    });
    support::remove(&sandbox.file("view"));
    let shown = sandbox.file("view/pets/default/t-0/pod.json");
    sandbox.until("the view is there again", || shown.exists());
    sandbox.ok("scale t --replicas 1");
    sandbox.ok("delete t --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn what_petset_removes_itself_is_not_called_removed_by_somebody() {
    let sandbox = Sandbox::new();
    let stubborn = "sh -c 'trap \"\" TERM; while :; do sleep 0.2; done'";
    sandbox.ok(&format!(
        "create t --isolation none --volume data:/data -- {stubborn}"
    ));
    sandbox.ok("create u --isolation none --volume data:/data --port http=8080 -- sleep 600");
    sandbox.ok("delete u --purge");
    sandbox.ok("delete svc t");
    // This takes longer than a loss needs to be noted.
    sandbox.ok("delete pod/t-0 --grace-period 1 --wait-ready");
    sandbox.ok("delete t --purge --grace-period 1");
    sandbox.assert_nothing_left();
    let log = fs::read_to_string(sandbox.file("supervisor/log")).unwrap_or_default();
    assert!(!log.contains("made them again"), "{log}");
}

#[test]
fn a_program_is_executed_and_a_log_goes_on_when_somebody_has_removed_their_files() {
    let sandbox = Sandbox::new();
    let script = "until [ -e \"$TMPDIR/go\" ]; do sleep 0.1; done; echo gone on; exec sleep 600";
    sandbox.ok(&format!("create t --isolation none -- sh -c '{script}'"));
    let pet = sandbox.file("pets/default/t-0");
    for folder in ["logs", "run"] {
        let _ = fs::remove_dir_all(pet.join(folder));
    }
    sandbox.ok("exec t-0 -- echo executed").says("executed");
    sandbox.open("go");
    sandbox.until_says("logs t-0", "gone on");
}

#[test]
fn a_pet_whose_record_is_damaged_is_not_called_a_leftover_to_kill() {
    let sandbox = Sandbox::new();
    sandbox.ok("create t -- sleep 600");
    fs::write(sandbox.file("pets/default/t-0/pod.json"), "").unwrap();
    sandbox.run("doctor").lacks("kill");
}

/// What a pet of the set `t` asks petset, by each of its names.
const ASKS: &str = "$PETSET discover t --all && petset discover t --all && \
                    peer-finder --help >/dev/null 2>&1 && echo all names lead to petset";

#[test]
fn pets_get_petset_though_its_file_was_removed_moved_or_replaced() {
    type Way = (&'static str, fn(&Path));
    let ways: [Way; 3] = [
        ("removed", |program| fs::remove_file(program).unwrap()),
        ("moved", |program| {
            fs::rename(program, program.with_file_name("moved")).unwrap();
        }),
        ("replaced", |program| {
            // One of another version, as far as the file tells.
            let new = program.with_file_name("new");
            copy_program(&new, "newer");
            fs::rename(&new, program).unwrap();
        }),
    ];
    let levels: &[&str] = if is_full() {
        &["full", "none"]
    } else {
        &["none"]
    };
    for ((way, happen), level) in ways
        .iter()
        .flat_map(|way| levels.iter().map(move |it| (way, it)))
    {
        let sandbox = Sandbox::new();
        let program = sandbox.scratch().join("petset");
        copy_program(&program, "");
        let words = format!("create t --isolation {level} --image busybox -- sleep 600");
        let mut command = Command::new(&program);
        sandbox.place(command.args(words.split(' ')));
        let created = sandbox.finish(&words, sandbox.start_command(&mut command));
        assert_eq!(created.code, 0, "{way}, {level}: {}", created.transcript());
        happen(&program);
        sandbox.ok("scale t --replicas 2");
        sandbox.kill(sandbox.main("t-0"));
        let status = || sandbox.pod("t-0")["status"]["containerStatuses"][0].clone();
        sandbox.until("t-0 was restarted", || {
            status()["restartCount"] == 1 && status()["ready"] == true
        });
        for pet in ["t-0", "t-1"] {
            let asked = sandbox.ok(&format!("exec {pet} -- sh -c '{ASKS}'"));
            asked
                .says("t-0.t.")
                .says("t-1.t.")
                .says("all names lead to petset");
        }
        sandbox.ok("delete t");
    }
}

#[test]
fn a_supervisor_leaves_a_directory_of_a_newer_layout_to_the_petset_that_wrote_it() {
    let sandbox = Sandbox::new();
    sandbox.ok("create t --isolation none -- sleep 600");
    let main = sandbox.main("t-0");
    let format = sandbox.file("format");
    let own = fs::read_to_string(&format).unwrap();
    fs::write(&format, "99\n").unwrap();
    // Each tells the other: the older command, and the older supervisor when it is spoken to.
    let said = "it has layout 99, and this petset knows layout 1";
    sandbox.fails(4, "scale t --replicas 2").says(said);
    let socket = UnixDatagram::unbound().unwrap();
    socket
        .send_to(b"", sandbox.file("supervisor/socket"))
        .unwrap();
    sandbox.until("the supervisor ends", || sandbox.supervisor().is_none());
    let log = fs::read_to_string(sandbox.file("supervisor/log")).unwrap();
    assert!(log.contains(said), "{log}");
    assert!(log.contains("starts a supervisor of its own"), "{log}");
    assert!(main.is_some_and(support::processes::is_alive));
    fs::write(&format, own).unwrap();
    sandbox.ok("scale t --replicas 2");
    assert_eq!(sandbox.main("t-0"), main);
}

#[test]
fn a_network_whose_folder_somebody_removes_stays_one() {
    if !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create t --image petset/hello --isolation full");
    let folder = sandbox.file("network");
    let pid = fs::read_to_string(folder.join("pid")).unwrap();
    for round in 2..4 {
        match round {
            // It may be there again before the removal is over.
            2 => drop(fs::remove_dir_all(&folder)),
            _ => fs::rename(&folder, sandbox.scratch().join("elsewhere")).unwrap(),
        }
        let there = || folder.join("socket").exists() && folder.join("pid").exists();
        sandbox.until("the folder is there again", there);
        assert_eq!(fs::read_to_string(folder.join("pid")).unwrap(), pid);
        sandbox.ok(&format!("scale t --replicas {round}"));
        let (first, last) = ("t-0", format!("t-{}", round - 1));
        for (from, to) in [(first, last.as_str()), (last.as_str(), first)] {
            let ask = format!("exec {from} -- $PETSET discover t --all");
            sandbox.ok(&ask.replace("$PETSET", "petset")).says(to);
            let visit = format!("exec {from} -- busybox wget -qO- http://{to}.t:8080/");
            if is_installed("busybox", &["busybox"]) {
                sandbox.ok(&visit).says(&format!("Hello from {to}"));
            }
        }
    }
    fs::remove_file(folder.join("socket")).unwrap();
    sandbox.until("the socket is there again", || {
        folder.join("socket").exists()
    });
    sandbox.ok("delete t");
    sandbox.assert_nothing_left();
}

#[test]
fn a_network_that_cannot_be_joined_again_is_tried_less_and_less_often() {
    if !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create t --isolation full -- sleep 1000");
    let (folder, kept) = (sandbox.file("network"), sandbox.scratch().join("kept"));
    let holder = fs::read_to_string(folder.join("pid")).unwrap();
    fs::rename(&folder, &kept).unwrap();
    // It makes its folder again, and cannot once that is a file.
    let is_blocked = || {
        let _ = fs::remove_dir_all(&folder);
        fs::write(&folder, "in the way").is_ok()
    };
    sandbox.until("a file is in the way", is_blocked);
    processes::kill(holder.trim().parse().unwrap());
    let attempts = || -> Vec<Timestamp> {
        let journal = sandbox.file("seen/default/events/t.jsonl");
        let text = fs::read_to_string(journal).unwrap_or_default();
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let failed = events.filter(|event: &Value| event.to_string().contains("network"));
        let times = failed.map(|event| event["time"].as_str().unwrap().parse().unwrap());
        times.collect()
    };
    sandbox.until("it was tried six times", || attempts().len() >= 6);
    let times = attempts();
    // A busy machine only makes the delays longer.
    let pause = times[5].duration_since(times[4]).as_millis();
    assert!(pause >= 1000, "{pause} ms after the fifth: {times:?}");
    fs::remove_file(&folder).unwrap();
    sandbox.until_says("exec t-0 -- petset discover t", "t-0.t.");
    sandbox.until("it is there again", || folder.join("socket").exists());
    sandbox.ok("delete t");
    sandbox.assert_nothing_left();
}

/// What somebody removes below the state directory.
const REMOVED: [&str; 11] = [
    "seen",
    "seen/default",
    "seen/default/endpoints",
    "seen/default/endpoints/t.json",
    "seen/default/sets",
    "seen/addresses",
    "seen/block",
    "view",
    "view/seen",
    "pets/default/t-0/run",
    "pets/default/t-0/logs",
];

#[test]
fn whatever_somebody_removes_of_what_is_observed_pets_go_on() {
    let sandbox = Sandbox::new();
    sandbox.ok("create t --image busybox -- sh -c 'echo up; exec sleep 600'");
    sandbox.until_says("logs t-0", "up");
    let main = sandbox.main("t-0");
    for path in REMOVED {
        let place = sandbox.file(path);
        sandbox.until(&format!("{path} is there"), || place.exists());
        support::remove(&place);
        sandbox.until_says("exec t-0 -- echo executed", "executed");
        sandbox.until_says("exec t-0 -- petset discover t", "t-0.t.");
        sandbox.ok("scale t --replicas 2");
        sandbox.until_says("exec t-0 -- petset discover t", "t-1.t.");
        sandbox.ok("scale t --replicas 1");
        sandbox.until(&format!("{path}: t-0 is shown as running"), || {
            sandbox.status_of("t-0").as_deref() == Some("Running")
        });
        assert_eq!(sandbox.main("t-0"), main, "{path}");
    }
    sandbox.ok("delete t");
    sandbox.assert_nothing_left();
}

/// Runs a script where this user may have so many inotify instances; `None` where that cannot be
/// limited.
fn with_instances(sandbox: &Sandbox, number: u32, script: &str) -> Option<Outcome> {
    let limit = format!("echo {number} >/proc/sys/user/max_inotify_instances");
    let mut tried = Command::new("unshare");
    let tried = tried.args(["-r", "sh", "-c", &limit]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skipped("this user may not limit inotify instances in a user namespace");
        return None;
    }
    let petset = env!("CARGO_BIN_EXE_petset");
    let script = format!("{limit}\npetset() {{ {petset} \"$@\"; }}\n{script}");
    let mut command = Command::new("unshare");
    sandbox.place(command.args(["-r", "sh", "-c", &script]));
    Some(sandbox.finish("(few instances)", sandbox.start_command(&mut command)))
}

#[test]
fn the_number_of_pets_does_not_depend_on_inotify_instances() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web --replicas 2 -- sleep 600");
    for pet in ["web-0", "web-1"] {
        let open = format!("/proc/{}/fd", sandbox.runner(pet).unwrap());
        let open = fs::read_dir(open).unwrap().flatten();
        let mut open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        assert!(!open.any(|it| it.to_string_lossy().contains("inotify")));
    }
    sandbox.ok("delete web");
}

#[test]
fn without_an_inotify_instance_pets_run_and_the_reason_is_said() {
    let sandbox = Sandbox::empty();
    let script = "petset create web --replicas 2 --isolation none -- sleep 600 || exit 9
        petset get sts web && petset delete web";
    if let Some(outcome) = with_instances(&sandbox, 0, script) {
        assert_eq!(outcome.code, 0, "{}", outcome.transcript());
        outcome.says("2/2").says("fs.inotify.max_user_instances");
    }
}
