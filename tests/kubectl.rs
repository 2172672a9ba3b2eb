//! What petset prints, beside what kubectl prints of the same (C34, C35).
//!
//! A recorded session of the real kubectl is played with petset. Exit codes are petset's own, ages
//! differ, and where petset means to say something else the recorded command is left out.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "kubectl/workloads.rs"]
mod workloads;

use std::path::{Path, PathBuf};

use serde_json::Value;
use support::{Outcome, Sandbox};

/// The commands of the recorded session, in order.
struct Session(Vec<Value>);

impl Session {
    fn read() -> Option<Self> {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
        let folder = std::env::var_os("PETSET_CONFORMANCE").map_or(default, PathBuf::from);
        let file = folder.join("kubectl.json");
        let Ok(text) = std::fs::read(&file) else {
            support::skipped(&format!("there is no {}", file.display()));
            return None;
        };
        let recorded: Value = serde_json::from_slice(&text).unwrap();
        Some(Self(recorded["commands"].as_array().unwrap().clone()))
    }

    /// Returns the next command of this text, and passes over what comes before it.
    fn next(&mut self, command: &str) -> Value {
        let at = self.0.iter().position(|one| one["cmd"] == command);
        let at = at.unwrap_or_else(|| panic!("no {command} (any more)"));
        let found = self.0[at].clone();
        self.0.drain(..=at);
        found
    }

    /// Requires the same words on standard output, ages aside.
    #[track_caller]
    fn same(&mut self, command: &str, outcome: &Outcome) {
        let recorded = self.next(command);
        assert_eq!(
            words(&outcome.out),
            words(recorded["stdout"].as_str().unwrap())
        );
    }

    /// Requires that a command ends with the same last line.
    #[track_caller]
    fn ends_alike(&mut self, command: &str, outcome: &Outcome) {
        let recorded = self.next(command);
        let last = |text: &str| text.lines().next_back().unwrap_or_default().to_owned();
        assert_eq!(
            last(&outcome.out),
            last(recorded["stdout"].as_str().unwrap())
        );
    }

    /// Requires that the same fault is named.
    #[track_caller]
    fn fails_alike(&mut self, command: &str, outcome: &Outcome) {
        let recorded = self.next(command);
        let fault = recorded["stderr"]
            .as_str()
            .unwrap()
            .lines()
            .next_back()
            .unwrap();
        let fault = fault.split_once(": ").map_or(fault, |(_, fault)| fault);
        assert!(outcome.err.contains(fault), "{fault}\n{}", outcome.err);
    }
}

/// The words of a text; an age counts as an age, whatever it is.
fn words(text: &str) -> Vec<String> {
    let is_age = |word: &str| {
        let number = word.trim_end_matches(['s', 'm', 'h', 'd']);
        number.len() < word.len()
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    };
    let words = text.split_whitespace();
    let words = words.map(|word| if is_age(word) { "<age>" } else { word });
    words.map(str::to_owned).collect()
}

/// Replaces the causes of a history, which petset fills in and kubectl does not.
fn without_causes(history: &str) -> String {
    let line = |line: &str| match line.split_once(' ') {
        Some((revision, _)) if revision.parse::<u32>().is_ok() => format!("{revision} <none>\n"),
        _ => format!("{line}\n"),
    };
    history.lines().map(line).collect()
}

fn set(sandbox: &Sandbox, image: &str, strategy: &str) -> String {
    let text = format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: web}}\nspec:\n  replicas: 3\n  \
         serviceName: web\n  selector: {{matchLabels: {{app: web}}}}\n{strategy}  template:\n    \
         metadata: {{labels: {{app: web}}}}\n    spec:\n      terminationGracePeriodSeconds: 1\n      \
         containers: [{{name: c, image: {image}, command: [sleep, infinity]}}]\n"
    );
    sandbox.manifest("web.yaml", &text)
}

#[test]
fn results_are_worded_as_those_of_kubectl() {
    let Some(mut real) = Session::read() else {
        return;
    };
    let ours = Sandbox::new();
    let file = set(&ours, "img:v1", "");
    let created = ours.ok(&format!("apply -f {file}"));
    real.same("kubectl apply -f FILE", &created);
    let status = "rollout status sts/web --timeout=30s";
    real.ends_alike(&format!("kubectl {status}"), &ours.ok(status));
    real.next("kubectl apply -f FILE");
    set(&ours, "img:v2", "");
    let differs = ours.fails(1, &format!("diff -f {file}"));
    differs.says("-        image: img:v1\n+        image: img:v2\n");
    real.same(
        "kubectl apply -f FILE",
        &ours.ok(&format!("apply -f {file}")),
    );
    real.ends_alike(&format!("kubectl {status}"), &ours.ok(status));
    let history = "rollout history sts/web";
    let mut shown = ours.ok(history);
    shown.out = without_causes(&shown.out);
    real.same(&format!("kubectl {history}"), &shown);
    let none = "rollout history sts/web --revision=9";
    real.fails_alike(&format!("kubectl {none}"), &ours.fails(3, none));
    real.same(
        "kubectl rollout undo sts/web",
        &ours.ok("rollout undo sts/web"),
    );
    let none = "rollout undo sts/web --to-revision=99";
    real.fails_alike(&format!("kubectl {none}"), &ours.fails(3, none));
    let same = "rollout undo sts/web --to-revision=3";
    real.same(&format!("kubectl {same}"), &ours.ok(same));
    let mut shown = ours.ok(history);
    shown.out = without_causes(&shown.out);
    real.same(&format!("kubectl {history}"), &shown);
    let restart = "rollout restart sts/web";
    real.same(&format!("kubectl {restart}"), &ours.ok(restart));
    for get in ["get sts", "get sts -o wide", "get pods"] {
        real.same(&format!("kubectl {get}"), &ours.ok(get));
    }
    let scale = "scale sts/web --replicas=4";
    real.same(&format!("kubectl {scale}"), &ours.ok(scale));

    ours.ok("upgrade web --image c=img:v10 --partition 2");
    let held = "rollout status sts/web --timeout=3s";
    real.ends_alike(&format!("kubectl {held}"), &ours.ok(held));
    set(&ours, "img:v10", "  updateStrategy: {type: OnDelete}\n");
    ours.ok(&format!("apply -f {file}"));
    real.next("kubectl patch sts web -p {\"spec\":{\"updateStrategy\":{\"type\":\"OnDelete\",\"rollingUpdate\":null}}}");
    real.fails_alike(&format!("kubectl {held}"), &ours.fails(1, held));
    real.next("kubectl scale sts web --replicas=0");
    ours.ok("scale sts/web --replicas=0");
    real.same("kubectl get sts", &ours.ok("get sts"));
    let none = real.next("kubectl get pods");
    let none = none["stderr"].as_str().unwrap().replace("NS", "default");
    assert_eq!(ours.ok("get pods").err, none);
    real.fails_alike("kubectl get sts nope", &ours.fails(3, "get sts nope"));
}
