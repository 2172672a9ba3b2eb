//! `kill -9` of anything at any moment: the next command carries on, no identity runs twice, and
//! nothing is left over.
//!
//! That no identity runs twice is checked by every program here: `serve` holds a lock that whatever
//! is left of its predecessor would hold, too, and the sandbox looks for violations at its end.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;
use support::{Sandbox, processes};

/// A sandbox with three pets that run.
fn with_three() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/three-ordered.yaml");
    sandbox
}

fn started_once(sandbox: &Sandbox) {
    for ordinal in 0..3 {
        assert_eq!(sandbox.count(&format!("started web-{ordinal}")), 1);
    }
}

#[test]
fn pets_run_on_without_their_supervisor_and_the_next_command_starts_another() {
    let sandbox = with_three();
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("get pods").says("web-2");
    started_once(&sandbox);
    sandbox.ok("scale web --replicas 2");
    sandbox.journal_says(&["stopped web-2"]);
    started_once(&sandbox);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_supervisor_killed_while_create_waits_is_replaced_by_the_waiting_command() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    sandbox.journal_says(&["started web-0"]);
    for ordinal in 0..3 {
        sandbox.kill(sandbox.supervisor());
        sandbox.open(&format!("ready-web-{ordinal}"));
        if ordinal < 2 {
            sandbox.journal_says(&[&format!("started web-{}", ordinal + 1)]);
            sandbox.until("there is a supervisor", || sandbox.supervisor().is_some());
        }
    }
    let outcome = sandbox.finish("create", create);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    started_once(&sandbox);
}

#[test]
fn a_supervisor_killed_while_a_set_is_deleted_is_replaced_and_the_deletion_goes_on() {
    let sandbox = with_three();
    sandbox.ok("delete web --no-wait");
    if let Some(supervisor) = sandbox.supervisor() {
        sandbox.kill(Some(supervisor));
    }
    sandbox.ok("delete web --ignore-not-found");
    sandbox.assert_nothing_left();
    assert!(sandbox.pets().is_empty());
}

#[test]
fn a_supervisor_killed_again_and_again_while_it_starts_pets_starts_each_once() {
    let sandbox = Sandbox::new();
    let words = "create -f manifests/eight-parallel.yaml --if-not-exists --no-wait";
    for delay in 0..12 {
        // It fails where its supervisor is killed again and again; the next one carries on.
        sandbox.run(words);
        thread::sleep(Duration::from_millis(delay * 3));
        sandbox.supervisor().into_iter().for_each(processes::kill);
    }
    sandbox.ok("create -f manifests/eight-parallel.yaml --if-not-exists");
    let mut started = sandbox.journal();
    started.sort();
    started.dedup();
    assert_eq!(
        started.len(),
        sandbox.journal().len(),
        "{:?}",
        sandbox.journal()
    );
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_whose_runner_is_killed_is_started_again_with_its_identity() {
    let sandbox = with_three();
    let uid = sandbox.pod("web-1")["metadata"]["uid"].clone();
    sandbox.kill(sandbox.runner("web-1"));
    sandbox.until("it was started again", || {
        sandbox.count("started web-1") == 2
    });
    sandbox.until_pet_is("web-1", "Running");
    assert_eq!(sandbox.pod("web-1")["metadata"]["uid"], uid);
    assert_eq!(sandbox.count("started web-0"), 1);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_runner_killed_before_its_pet_is_ready_is_replaced() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    sandbox.journal_says(&["started web-0"]);
    sandbox.kill(sandbox.runner("web-0"));
    sandbox.until("it was started again", || {
        sandbox.count("started web-0") == 2
    });
    (0..3).for_each(|ordinal| sandbox.open(&format!("ready-web-{ordinal}")));
    assert_eq!(sandbox.finish("create", create).code, 0);
}

#[test]
fn a_runner_killed_during_an_init_step_runs_the_steps_again() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/init-three-steps.yaml");
    sandbox.open("go-first");
    sandbox.journal_says(&["step second of web-0"]);
    sandbox.kill(sandbox.runner("web-0"));
    sandbox.until("it begins again", || {
        sandbox.count("step first of web-0") == 2
    });
    sandbox.open("go-second");
    sandbox.open("go-third");
    assert_eq!(sandbox.finish("create", create).code, 0);
    assert_eq!(sandbox.count("started web-0"), 1);
}

#[test]
fn a_runner_killed_while_it_stops_its_pet_is_replaced_by_one_that_ends_it() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create -f {}", slow_to_stop(&sandbox)));
    sandbox.journal_says(&["started web-0"]);
    let delete = sandbox.start("delete web");
    sandbox.journal_says(&["ignored web-0"]);
    sandbox.kill(sandbox.runner("web-0"));
    let outcome = sandbox.finish("delete", delete);
    assert_eq!(outcome.code, 0, "{}", outcome.transcript());
    assert_eq!(sandbox.count("started web-0"), 1);
    sandbox.assert_nothing_left();
}

/// A pet that takes a minute to be killed.
fn slow_to_stop(sandbox: &Sandbox) -> String {
    let text = fs::read_to_string(support::testdata().join("manifests/ignores-term.yaml"));
    let text = text
        .unwrap()
        .replace("PeriodSeconds: 1\n", "PeriodSeconds: 60\n");
    sandbox.manifest("slow-to-stop.yaml", &text)
}

#[test]
fn a_waiting_create_that_is_killed_leaves_its_work_to_the_supervisor() {
    let sandbox = Sandbox::new();
    let create = sandbox.start("create -f manifests/gated.yaml");
    sandbox.journal_says(&["started web-0"]);
    sandbox.kill(Some(create.pid()));
    (0..3).for_each(|ordinal| sandbox.open(&format!("ready-web-{ordinal}")));
    sandbox.ok("wait web");
    started_once(&sandbox);
}

#[test]
fn a_create_killed_at_any_moment_leaves_nothing_half_done() {
    let sandbox = Sandbox::new();
    for delay in 0..12 {
        let name = format!("web{delay}");
        let words = format!("create {name} --image petset/hello --volume data");
        let create = sandbox.start(&words);
        thread::sleep(Duration::from_millis(delay * 2));
        processes::kill(create.pid());
        drop(create);
        sandbox.ok(&format!("{words} --if-not-exists"));
        assert_eq!(
            sandbox.status_of(&format!("{name}-0")).as_deref(),
            Some("Running")
        );
        sandbox.ok(&format!("delete {name} --purge"));
    }
    sandbox.assert_nothing_left();
}

#[test]
fn a_main_process_that_is_killed_is_started_again_where_it_was() {
    let sandbox = with_three();
    let runner = sandbox.runner("web-1");
    sandbox.kill(sandbox.main("web-1"));
    sandbox.until("it was started again", || {
        sandbox.count("started web-1") == 2
    });
    assert_eq!(sandbox.runner("web-1"), runner);
    sandbox.until_says("get sts web --no-headers", "3/3");
    sandbox.until("its restart is counted", || {
        sandbox.pod("web-1")["status"]["containerStatuses"][0]["restartCount"] == 1
    });
}

#[test]
fn a_main_process_killed_while_its_pet_stops_is_not_started_again() {
    let sandbox = Sandbox::new();
    sandbox.ok(&format!("create -f {}", slow_to_stop(&sandbox)));
    sandbox.journal_says(&["started web-0"]);
    let delete = sandbox.start("delete web");
    sandbox.journal_says(&["ignored web-0"]);
    sandbox.kill(sandbox.main("web-0"));
    assert_eq!(sandbox.finish("delete", delete).code, 0);
    assert_eq!(sandbox.count("started web-0"), 1);
}

#[test]
fn a_supervisor_and_a_runner_killed_together_are_both_replaced_by_the_next_command() {
    let sandbox = with_three();
    let runner = sandbox.runner("web-1");
    sandbox.kill(sandbox.supervisor());
    sandbox.kill(runner);
    sandbox.ok("scale web --replicas 4");
    sandbox.until("it was started again", || {
        sandbox.count("started web-1") == 2
    });
    assert_eq!(sandbox.count("started web-0"), 1);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn everything_killed_at_once_is_brought_back_by_the_next_command() {
    let sandbox = with_three();
    let mut doomed = vec![sandbox.supervisor()];
    for pet in ["web-0", "web-1", "web-2"] {
        doomed.extend([sandbox.runner(pet), sandbox.main(pet)]);
    }
    doomed.into_iter().flatten().for_each(processes::kill);
    sandbox.assert_nothing_left_but_pets();
    sandbox.ok("start");
    sandbox.until_says("get sts web --no-headers", "3/3");
    for ordinal in 0..3 {
        assert_eq!(sandbox.count(&format!("started web-{ordinal}")), 2);
    }
}

#[test]
fn a_daemon_of_a_pet_whose_runner_is_killed_is_ended_before_the_pet_starts_again() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/daemonizes.yaml");
    sandbox.until_daemon_runs();
    let daemon = sandbox.daemons();
    sandbox.kill(sandbox.runner("web-0"));
    sandbox.until("it was started again", || {
        sandbox.count("started web-0") == 2
    });
    sandbox.until_daemon_runs();
    let now = sandbox.daemons();
    assert!(
        daemon.iter().all(|pid| !now.contains(pid)),
        "{daemon:?} {now:?}"
    );
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_daemon_is_found_even_if_supervisor_and_runner_were_killed_together() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/daemonizes.yaml");
    sandbox.until_daemon_runs();
    let runner = sandbox.runner("web-0");
    sandbox.kill(sandbox.supervisor());
    sandbox.kill(runner);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn a_daemon_is_ended_when_the_main_process_is_killed() {
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/daemonizes.yaml");
    sandbox.until_daemon_runs();
    let daemon = sandbox.daemons();
    sandbox.kill(sandbox.main("web-0"));
    sandbox.until("it was started again", || {
        sandbox.count("started web-0") == 2
    });
    let now = sandbox.daemons();
    assert!(
        daemon.iter().all(|pid| !now.contains(pid)),
        "{daemon:?} {now:?}"
    );
}

#[test]
fn a_supervisor_that_died_between_a_pod_and_its_runner_leaves_a_pet_that_is_started() {
    let sandbox = with_three();
    let pod = sandbox.file("pets/default/web-2/pod.json");
    let text = fs::read(&pod).unwrap();
    sandbox.ok("scale web --replicas 2");
    sandbox.kill(sandbox.supervisor());
    // The pod is in its directory, and no runner was ever started for it.
    fs::create_dir_all(pod.parent().unwrap()).unwrap();
    fs::write(&pod, text).unwrap();
    sandbox.ok("scale web --replicas 3");
    sandbox.until("it was started", || sandbox.count("started web-2") == 2);
    sandbox.until_says("get sts web --no-headers", "3/3");
}

#[test]
fn commands_do_not_need_the_files_of_a_dead_supervisor() {
    let sandbox = with_three();
    sandbox.kill(sandbox.supervisor());
    for file in ["socket", "pid", "lock", "log"] {
        let _ = fs::remove_file(sandbox.file(&format!("supervisor/{file}")));
    }
    sandbox.ok("scale web --replicas 1");
    assert_eq!(sandbox.count("started web-0"), 1);
}

#[test]
fn a_wish_that_no_supervisor_saw_is_fulfilled_by_the_next_one() {
    let sandbox = with_three();
    sandbox.kill(sandbox.supervisor());
    let path = sandbox.file("wanted/default/statefulset/web.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("replicas: 3", "replicas: 1")).unwrap();
    sandbox.ok("create -f manifests/one.yaml -n other");
    sandbox.journal_says(&["stopped web-2", "stopped web-1"]);
}

/// Random numbers that a printed seed brings back.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[test]
fn a_pet_that_cannot_be_made_is_tried_again_less_and_less_often() {
    // R22
    let sandbox = Sandbox::new();
    let place = sandbox.file("pets/default/web-0");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, "in the way").unwrap();
    sandbox.ok("create -f manifests/one.yaml --no-wait");
    let failures = || -> Vec<Timestamp> {
        let journal = sandbox.file("seen/default/events/web.jsonl");
        let text = fs::read_to_string(journal).unwrap_or_default();
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        let failed = events.filter(|event: &Value| event["reason"] == "FailedCreate");
        let times = failed.map(|event| event["time"].as_str().unwrap().parse().unwrap());
        times.collect()
    };
    sandbox.until("it was tried eight times", || failures().len() >= 8);
    let times = failures();
    // Whatever wakes the supervisor meanwhile is no new attempt of this set; a busy machine only
    // makes the delays longer. The first attempts come with the news of the set itself.
    let pause = times[7].duration_since(times[6]).as_millis();
    assert!(
        pause >= 80,
        "the eighth attempt came {pause} ms after the seventh"
    );
    sandbox.ok("describe sts web").says("FailedCreate");
    fs::remove_file(&place).unwrap();
    sandbox.until_pet_is("web-0", "Running");
    sandbox.ok("wait web");
}

#[test]
fn whatever_is_killed_while_sets_come_and_go_everything_comes_to_rest() {
    let seed = std::env::var("PETSET_TEST_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()) * 7919);
    println!("PETSET_TEST_SEED={seed}");
    let mut dice = Dice(seed | 1);
    let sandbox = Sandbox::new();
    sandbox.ok("create -f manifests/eight-parallel.yaml --no-wait");
    for _ in 0..25 {
        let words = match dice.below(4) {
            0 => format!("upgrade web --env N={} --no-wait", dice.below(1000)),
            1 => format!("restart pod/web-{} --no-wait", dice.below(5)),
            _ => format!("scale web --replicas {} --no-wait", dice.below(6)),
        };
        // The pet may not be there; a supervisor may be killed while it starts.
        sandbox.run(&words);
        thread::sleep(Duration::from_millis(dice.below(60)));
        let all = sandbox.processes();
        if !all.is_empty() && dice.below(3) > 0 {
            let chosen = dice.below(all.len() as u64);
            all[usize::try_from(chosen).unwrap()].kill();
        }
    }
    sandbox.ok("scale web --replicas 3");
    sandbox.ok("wait web");
    assert_eq!(sandbox.pets(), ["web-0", "web-1", "web-2"]);
    sandbox.ok("delete web");
    sandbox.assert_nothing_left();
}

#[test]
fn removing_the_state_directory_ends_what_runs_in_it_and_nothing_comes_back() {
    let sandbox = Sandbox::new();
    sandbox
        .ok("create web --replicas 2 --image petset/hello --port http=8080 --ready http:/healthz");
    // What is being written in this moment may have to be removed once more.
    let is_gone = || fs::remove_dir_all(sandbox.state()).is_ok() || !sandbox.state().exists();
    sandbox.until("the state directory is removed", is_gone);
    sandbox.assert_nothing_left();
    sandbox.until("it is gone", || is_gone() && !sandbox.state().exists());
}

#[test]
fn removing_the_state_directory_ends_pets_that_have_lost_their_supervisor_too() {
    let sandbox = with_three();
    sandbox.kill(sandbox.supervisor());
    let is_gone = || fs::remove_dir_all(sandbox.state()).is_ok() || !sandbox.state().exists();
    sandbox.until("the state directory is removed", is_gone);
    sandbox.assert_nothing_left();
}

#[test]
fn pets_whose_set_was_removed_by_hand_do_not_keep_a_supervisor_for_ever() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web --replicas 2 --no-wait -- sh -c 'sleep 0.3; exit 1'");
    sandbox.until_pet_is("web-0", "CrashLoopBackOff");
    // As a removal of the whole directory leaves it that a new supervisor has interrupted.
    support::remove(&sandbox.file("wanted/default"));
    fs::remove_file(sandbox.file("pets/default/web-0/pod.json")).unwrap();
    sandbox.run("stop --timeout 30s");
    sandbox.assert_nothing_left();
}

#[test]
fn every_new_supervisor_serves_names_however_the_last_one_ended() {
    type Way = (&'static str, fn(&Sandbox));
    fn signal(sandbox: &Sandbox, signal: Signal) {
        if let Some(pid) = sandbox.supervisor() {
            processes::signal(pid, signal);
        }
    }
    let ways: [Way; 10] = [
        ("TERM, then a restart at once", |sandbox| {
            signal(sandbox, Signal::TERM);
            sandbox.ok("restart t");
        }),
        ("KILL, then a restart at once", |sandbox| {
            signal(sandbox, Signal::KILL);
            sandbox.ok("restart t");
        }),
        ("INT, then a scale at once", |sandbox| {
            signal(sandbox, Signal::INT);
            sandbox.ok("scale t --replicas 2");
        }),
        ("TERM, then a scale at once", |sandbox| {
            signal(sandbox, Signal::TERM);
            sandbox.ok("scale t --replicas 1");
        }),
        ("stop and start", |sandbox| {
            sandbox.ok("stop");
            sandbox.ok("start");
        }),
        ("stop --force and start", |sandbox| {
            sandbox.run("stop --force");
            sandbox.ok("start");
        }),
        ("delete and create", |sandbox| {
            sandbox.ok("delete t");
            sandbox.ok("create t --isolation none -- sleep 600");
        }),
        (
            "delete without waiting, and create of another set",
            |sandbox| {
                sandbox.ok("delete t --no-wait");
                sandbox.ok("create u --isolation none -- sleep 600");
                sandbox.ok("create t --isolation none -- sleep 600");
                sandbox.ok("delete u");
            },
        ),
        ("two commands that start one", |sandbox| {
            signal(sandbox, Signal::KILL);
            let both = ["scale t --replicas 2", "restart t"].map(|words| sandbox.start(words));
            for command in both {
                sandbox.finish("both", command);
            }
            sandbox.ok("scale t --replicas 1");
        }),
        ("TERM twice, with a command between", |sandbox| {
            signal(sandbox, Signal::TERM);
            sandbox.ok("restart t --no-wait");
            signal(sandbox, Signal::TERM);
            sandbox.ok("restart t");
        }),
    ];
    let sandbox = Sandbox::new();
    sandbox.ok("create t --isolation none -- sleep 600");
    for (way, happen) in ways {
        happen(&sandbox);
        sandbox.until(way, || {
            let found = sandbox.diagnosis("DNS server");
            found["result"]
                .as_str()
                .is_some_and(|it| it.contains("answers on "))
        });
    }
    let log = fs::read_to_string(sandbox.file("supervisor/log")).unwrap_or_default();
    assert!(!log.contains("no DNS"), "{log}");
    sandbox.ok("delete t");
    sandbox.assert_nothing_left();
}
