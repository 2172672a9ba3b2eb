//! Process 1 of a container, and what ends with it.

use crate::Case;
use crate::kubelet::with_long_grace;
use crate::support;

/// Creates the set `t` of a case whose rule takes isolation; `None` without it.
fn isolated(case: &Case) -> Option<()> {
    if !support::is_full() {
        return None;
    }
    created(case);
    Some(())
}

fn created(case: &Case) {
    let created = case.create_changed(&with_long_grace(&case.text), "--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
}

fn deleted(case: &Case) {
    case.sandbox.ok("delete statefulset/t --timeout 80s");
    case.sandbox.assert_nothing_left_but_pets();
}

pub(super) fn signalled(case: &Case) {
    if isolated(case).is_some() {
        case.sandbox.ok("exec t-0 -- kill -HUP 1");
        case.sandbox.until_says("logs t-0", "got HUP");
        deleted(case);
    }
}

pub(super) fn written_to(case: &Case) {
    if isolated(case).is_some() {
        case.sandbox.until_says("logs t-0", "from hook");
        deleted(case);
    }
}

pub(super) fn unseen(case: &Case) {
    if isolated(case).is_some() {
        let seen = "exec t-0 -c reloader -- sh -c 'cat /proc/[0-9]*/cmdline'";
        case.sandbox.until_says(seen, "sleep\u{0}600");
        let web = case.sandbox.ok("exec t-0 -c web -- cat /proc/1/cmdline");
        assert!(web.out.contains("1111"), "{}", web.transcript());
        let status = case.sandbox.pod("t-0")["status"].clone();
        assert_eq!(
            status["containerStatuses"][0]["restartCount"], 0,
            "{status}"
        );
        deleted(case);
    }
}

pub(super) fn waited_for(case: &Case) {
    created(case);
    case.sandbox.until("all of it runs", || {
        let all = case.sandbox.processes().into_iter();
        all.filter(|it| it.command == "sleep 1000").count() == 6
    });
    deleted(case);
}

fn has_python() -> bool {
    support::is_installed("python", &["python3"])
}

pub(super) fn outlived(case: &Case) {
    if has_python() {
        case.script(&case.text).says("exec rc 137");
    }
}

pub(super) fn given_back(case: &Case) {
    if has_python() {
        let outcome = case.script(&case.text);
        for (signal, code) in [("SIGTERM", 143), ("SIGHUP", 129)] {
            let mut lines = outcome.out.lines();
            let line = lines
                .find(|line| line.starts_with(signal))
                .unwrap_or_default();
            let end = format!("'code', '{code}', 'icanon', 'echo']");
            assert!(line.ends_with(&end), "{}", outcome.transcript());
        }
    }
}
