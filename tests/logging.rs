//! `petset logs` of several at once, and the shell of `petset exec`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::process::Stdio;

use support::Sandbox;

fn with_sets() -> Sandbox {
    let sandbox = Sandbox::new();
    for set in ["web", "db"] {
        let words = ["create", set, "--replicas", "2", "--", "sh", "-c"];
        let words = words
            .into_iter()
            .chain(["echo hi from $POD_NAME; exec sleep 600"]);
        let made = sandbox
            .command_of(&words.collect::<Vec<_>>())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    for pet in ["web-0", "web-1", "db-0", "db-1"] {
        sandbox.until_says(&format!("logs {pet}"), "hi from");
    }
    sandbox
}

fn done(sandbox: &Sandbox) {
    sandbox.ok("delete web db --purge --now");
    sandbox.assert_nothing_left();
}

#[test]
fn logs_of_several_are_shown_with_the_name_of_each() {
    let sandbox = with_sets();
    let line = |set: &str, pet: &str| format!("[pod/{pet}/{set}] hi from {pet}\n");
    let all = |pets: &[(&str, &str)]| {
        pets.iter()
            .map(|(set, pet)| line(set, pet))
            .collect::<String>()
    };
    let web = [("web", "web-0"), ("web", "web-1")];
    let cases = [
        ("logs web-0 db-1", all(&[("web", "web-0"), ("db", "db-1")])),
        ("logs pod web-0 web-1", all(&web)),
        ("logs -l app=web", all(&web)),
        (
            "logs sts/web pod/db-0",
            all(&[web[0], web[1], ("db", "db-0")]),
        ),
        ("logs web-0", "hi from web-0\n".to_owned()),
        ("logs pod web-0", "hi from web-0\n".to_owned()),
        ("logs -l app=none", String::new()),
    ];
    for (words, wanted) in cases {
        assert_eq!(sandbox.ok(words).out, wanted, "{words}");
    }
    sandbox
        .fails(2, "logs -f -l app=web --max-log-requests 1")
        .says("--max-log-requests 2");
    for refused in [
        "--since 5m",
        "--since-time 2026-01-01T00:00:00Z",
        "--timestamps",
    ] {
        sandbox
            .fails(2, &format!("logs web-0 {refused}"))
            .says("logs have no times");
    }
    sandbox.fails(2, "logs");
    sandbox.fails(3, "logs web-0 nobody-0");
    sandbox.fails(3, "logs wbe").says("did you mean web?");
    sandbox
        .fails(2, "create x --image redsi")
        .says("did you mean \"redis\"?");

    // Pods that come later are followed too.
    let mut follow = sandbox.command("logs -f -l app=web");
    let follow = sandbox.start_command(follow.stdout(Stdio::piped()));
    sandbox.ok("scale web --replicas 3");
    sandbox.until_says("logs web-2", "hi from web-2");
    sandbox.kill(Some(follow.pid()));
    done(&sandbox);
}

#[test]
fn exec_without_a_program_is_a_shell() {
    let sandbox = with_sets();
    let mut exec = sandbox.command("exec web-1");
    let mut exec = exec
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = exec.stdin.take().unwrap();
    input.write_all(b"echo I am $POD_NAME; exit 7\n").unwrap();
    drop(input);
    let output = exec.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "I am web-1\n");
    done(&sandbox);
}
