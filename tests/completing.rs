//! Completions, as the shells themselves ask for them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use support::{Sandbox, is_installed, skipped};

const DEPLOYMENT: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      initContainers:
      - {name: first, image: busybox, command: ['true']}
      containers:
      - {name: main, image: busybox, command: [sleep, '600']}
      - {name: sidecar, image: busybox, command: [sleep, '600']}
";

/// Command lines, and what is to be among that which completes them.
const LINES: [(&str, &[&str]); 12] = [
    ("petset ro", &["rollout"]),
    ("petset scale w", &["web"]),
    ("petset describe pod w", &["web-0"]),
    ("petset get deplo", &["deployment", "deployments"]),
    ("petset get sts/w", &["sts/web"]),
    ("petset logs web-0 -c ", &["first", "main", "sidecar"]),
    ("petset get -n sh", &["shop"]),
    ("petset rollout undo web --to-revision ", &["1"]),
    ("petset upgrade web --image re", &["redis"]),
    ("petset wait web --for set", &["settled"]),
    ("petset wait w", &["web"]),
    ("petset pause w", &["web-0"]),
];

fn with_objects() -> Sandbox {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("all.yaml", DEPLOYMENT);
    sandbox.ok(&format!("apply -f {file}"));
    sandbox
}

/// Runs a script of a shell that prints the completions of each line, and compares them.
fn check(shell: &str, script: impl Fn(&str) -> String) {
    if !is_installed(shell, &[shell]) {
        return skipped(&format!("{shell} is not installed"));
    }
    let sandbox = with_objects();
    let program = env!("CARGO_BIN_EXE_petset");
    let folder = std::path::Path::new(program).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    for (line, wanted) in LINES {
        let mut command = Command::new(shell);
        if shell == "zsh" {
            command.arg("-f");
        }
        sandbox.place(&mut command);
        let output = command
            .arg("-c")
            .arg(script(line))
            .env("PATH", &path)
            .output()
            .unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        let found: Vec<&str> = out.split_whitespace().collect();
        for word in wanted {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(
                found.contains(word),
                "{shell}: {line}: {word} is not in {out}; {told}"
            );
        }
    }
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn bash_completes_what_there_is() {
    check("bash", |line| {
        let words: Vec<&str> = line.split(' ').collect();
        let last = words.last().unwrap();
        format!(
            "source <(petset completions bash); COMP_WORDS=({}); COMP_CWORD={}; \
             _clap_complete_petset petset '{last}' ''; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words
                .iter()
                .map(|word| format!("'{word}'"))
                .collect::<Vec<_>>()
                .join(" "),
            words.len() - 1,
        )
    });
}

#[test]
fn zsh_completes_what_there_is() {
    check("zsh", |line| {
        let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
        format!(
            "compdef() {{ : }}; _describe() {{ print -l ${{(P)3}} | sed 's/:.*//' }}; \
             source <(petset completions zsh); words=({}); CURRENT={}; \
             _clap_dynamic_completer_petset",
            words.join(" "),
            words.len(),
        )
    });
}

#[test]
fn fish_completes_what_there_is() {
    check("fish", |line| {
        format!("petset completions fish | source; complete -C '{line}' | string split -f1 \\t")
    });
}
