//! Hooks and probes.

use super::*;

#[test]
fn hooks_run_around_the_main_process() {
    let hooks = json!({
        "postStart": {"exec": {"command": ["/bin/sh", "-c", "echo started >> $F/order"]}},
        "preStop": {"exec": {"command": ["/bin/sh", "-c", "echo stopping >> $F/order"]}},
    });
    let mut main = shell(
        "main",
        "trap 'echo ended >> $F/order; exit 0' TERM; \
        while :; do sleep 0.05; done",
    );
    main["lifecycle"] = hooks;
    let next = shell("next", "echo next >> $F/order; exec sleep 1000");
    let mut pod = running(json!({"containers": [main, next]}));
    pod.until_ready();
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.text("order"), "started\nnext\nstopping\nended\n");
}

#[test]
fn a_pre_stop_may_end_the_main_process_itself_and_still_finish() {
    let pre_stop = "kill -TERM $(cat $F/pid); while kill -0 $(cat $F/pid) 2> /dev/null; \
        do sleep 0.01; done; echo finished > $F/finished";
    let mut main = shell(
        "main",
        "echo $$$$ > $F/pid.new; mv $F/pid.new $F/pid; exec sleep 1000",
    );
    main["lifecycle"] = json!({"preStop": {"exec": {"command": ["/bin/sh", "-c", pre_stop]}}});
    let mut pod = running(json!({"containers": [main]}));
    pod.until_text("pid", |text| !text.is_empty());
    pod.until_ready();
    pod.stop(10);
    assert_eq!(pod.ended(), 0);
    assert_eq!(pod.text("finished"), "finished\n");
    assert_eq!(pod.status()["containerStatuses"][0]["restartCount"], 0);
}

#[test]
fn a_sleeping_hook_is_cut_short_by_the_grace() {
    let mut main = shell("main", "exec sleep 1000");
    main["lifecycle"] = json!({"preStop": {"sleep": {"seconds": 1000}}});
    let mut pod = running(json!({"containers": [main]}));
    pod.until_ready();
    pod.stop(1);
    assert_eq!(pod.ended(), 0);
    assert_eq!(main_state(&pod.status())["terminated"]["exitCode"], 143);
    assert!(
        pod.journal().contains("FailedPreStopHook"),
        "{}",
        pod.journal()
    );
}

#[test]
fn readiness_follows_its_probe() {
    let mut main = shell("main", "exec sleep 1000");
    main["readinessProbe"] = json!({
        "exec": {"command": ["/bin/sh", "-c", "test -e $F/ready"]},
        "periodSeconds": 1, "failureThreshold": 1,
    });
    let pod = running(json!({"containers": [main]}));
    pod.until("running", |status| {
        main_state(status)["running"].is_object()
    });
    assert_eq!(condition(&pod.status(), "Ready"), "False");
    fs::write(pod.file("ready"), "").unwrap();
    pod.until_ready();
    fs::remove_file(pod.file("ready")).unwrap();
    let status = pod.until("not ready", |status| condition(status, "Ready") == "False");
    assert_eq!(status["containerStatuses"][0]["restartCount"], 0);
}

#[test]
fn a_server_is_ready_soon_after_it_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut main = shell("main", "exec sleep 1000");
    main["readinessProbe"] = json!({"httpGet": {"port": port, "path": "/healthz"}});
    let pod = running(json!({"containers": [main]}));
    let (mut stream, _) = listener.accept().unwrap();
    let mut asked = [0; 1024];
    let length = std::io::Read::read(&mut stream, &mut asked).unwrap();
    let asked = String::from_utf8_lossy(&asked[..length]);
    assert!(asked.starts_with("GET /healthz HTTP/1.1\r\n"), "{asked}");
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    drop(stream);
    pod.until_ready();
}

#[test]
fn liveness_restarts_what_hangs_and_slow_probes_count_as_failures() {
    let mut main = shell("main", "echo run >> $F/runs; exec sleep 1000");
    let probe = "test $(wc -l < $F/runs) -ge 2 || exec sleep 1000";
    main["livenessProbe"] = json!({
        "exec": {"command": ["/bin/sh", "-c", probe]},
        "periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1,
    });
    let pod = running(json!({"containers": [main]}));
    pod.until_text("runs", |text| text.lines().count() == 2);
    assert!(
        pod.journal().contains("command timed out"),
        "{}",
        pod.journal()
    );
}
