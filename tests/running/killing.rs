//! What is killed, and what is left of it.

use super::*;

#[test]
fn a_daemon_in_a_session_of_its_own_is_stopped_with_its_pod() {
    let mut pod = running(json!({
        "containers": [shell("main", "setsid -f sh -c 'setsid -f sleep 1001'; \
            env -i setsid -f sleep 1002; echo up > $F/up; exec sleep 1000")],
    }));
    pod.until_text("up", |text| !text.is_empty());
    pod.until_ready();
    let runner = pod.runner_pid();
    let all = wait_for(|| Some(descendants(runner)).filter(|all| all.len() == 3));
    let all = all.expect("three processes");
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
    assert!(all.iter().all(|&pid| !is_alive(pid)), "{all:?}");
}

#[test]
fn a_crash_takes_the_rest_of_the_tree_with_it_before_the_restart() {
    let pod = running(json!({
        "containers": [shell("main", "echo run >> $F/runs; \
            test $(wc -l < $F/runs) = 1 || exec sleep 1000; \
            (trap '' TERM; sleep 1001) & setsid -f sleep 1001; exit 3")],
    }));
    pod.until_text("runs", |text| text.lines().count() == 2);
    let one = |pod: &Sandbox| descendants(pod.runner_pid()).len() == 1;
    assert!(wait_for(|| one(&pod).then_some(())).is_some());
}

#[test]
fn a_small_fork_bomb_is_stopped() {
    // It doubles ten times and no more: on a busy machine nothing could end it otherwise.
    let bomb = "echo up > $F/up; f() { test $1 -lt 10 || exec sleep 1000; sleep 0.05; \
        (f $(($1 + 1))) & (f $(($1 + 1))) & wait; }; trap '' TERM; f 0";
    let mut pod = running(json!({"containers": [shell("main", bomb)]}));
    pod.until_text("up", |text| !text.is_empty());
    let runner = pod.runner_pid();
    assert!(wait_for(|| (descendants(runner).len() > 20).then_some(())).is_some());
    pod.stop(0);
    assert_eq!(pod.ended(), 0);
    pod.until_no_process_is_left();
}

#[test]
fn a_killed_runner_takes_the_main_process_along_and_its_successor_the_rest() {
    let mut pod = running(json!({
        "initContainers": [shell("init", "echo init >> $F/inits")],
        "containers": [shell("main", "setsid -f sleep 1001; env -i sleep 1002 & echo run >> $F/runs; \
            exec sleep 1000")],
    }));
    pod.until_text("runs", |text| text == "run\n");
    pod.until_ready();
    let all = wait_for(|| Some(descendants(pod.runner_pid())).filter(|all| all.len() == 3));
    let all = all.expect("three processes");
    pod.kill_runner();
    pod.start();
    pod.until_text("runs", |text| text == "run\nrun\n");
    let status = pod.until("ready again", |status| {
        condition(status, "Ready") == "True" && status["containerStatuses"][0]["restartCount"] == 1
    });
    assert!(all.iter().all(|&pid| !is_alive(pid)), "{all:?}");
    assert_eq!(pod.text("inits"), "init\ninit\n");
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    pod.stop(5);
    assert_eq!(pod.ended(), 0);
    pod.until_no_process_is_left();
}

/// Lists what is below a process now.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while next < all.len() {
        let path = format!("/proc/{}/task/{}/children", all[next], all[next]);
        let text = fs::read_to_string(path).unwrap_or_default();
        all.extend(text.split_whitespace().flat_map(str::parse::<u32>));
        next += 1;
    }
    all.split_off(1)
}

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

#[test]
fn a_runner_may_be_killed_at_any_moment() {
    let main = shell(
        "main",
        "flock -n $F/lock sleep 1000 || echo twice >> $F/twice",
    );
    let init = shell(
        "init",
        "flock -n $F/init sleep 0.01 || echo twice >> $F/twice",
    );
    let mut pod = Sandbox::new(json!({"containers": []}));
    let spec = json!({"initContainers": [init], "containers": [main]});
    pod.write_pod(json!({}), with_files(&pod, spec));
    for moment in 0..30 {
        pod.start();
        // Not a wait for something: the moment at which it is killed.
        std::thread::sleep(Duration::from_millis(moment));
        pod.kill_runner();
    }
    pod.start();
    let status = pod.until("ready", |status| {
        condition(status, "Ready") == "True" && main_state(status)["running"].is_object()
    });
    assert!(status["containerStatuses"][0]["restartCount"].as_i64() < Some(31));
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    pod.until_no_process_is_left();
    assert_eq!(pod.text("twice"), "");
}

#[test]
fn a_killed_main_process_is_started_again() {
    let mut pod = running(json!({
        "containers": [shell("main", "echo run >> $F/runs; exec sleep 1000")],
    }));
    pod.until_ready();
    let main = descendants(pod.runner_pid())[0];
    let killed = Command::new("kill")
        .args(["-9", &main.to_string()])
        .status();
    assert!(killed.unwrap().success());
    pod.until_text("runs", |text| text.lines().count() == 2);
    let status = pod.until("restarted", |status| {
        status["containerStatuses"][0]["restartCount"] == 1 && condition(status, "Ready") == "True"
    });
    let last = &status["containerStatuses"][0]["lastState"]["terminated"];
    assert_eq!(last["exitCode"], 137);
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
}
