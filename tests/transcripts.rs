//! Whole sessions, as a user sees them: each command, what it prints, and its exit code, compared
//! with a file of `testdata/golden`.
//!
//! `PETSET_ACCEPT=1 cargo test --test transcripts` writes the files anew; read what has changed.
//! What differs from run to run is made equal before (`Session::plain`, `plain_line`). Pets have no
//! isolation here, so that every machine shows the same.
//!
//! Each test names the level of isolation of its pets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::{Outcome, Sandbox, free_block, testdata};

#[test]
fn a_set_that_runs_is_shown() {
    let session = Session::new();
    session.golden_when_done("create -f manifests/shop.yaml", "create-shop");
    session.sandbox.until_pet_is("alone", "Running");
    session.golden("get sts,pods,svc -o wide", "get-wide");
    session.golden("describe web", "describe-set");
    session.golden("describe pod web-0", "describe-pet");
    session.golden("describe service front", "describe-service");
    session.golden("describe pvc data-web-0", "describe-claim");
    session.golden("events web", "events");
    session.golden("dns web", "dns");
    session.golden("dns query web-1.web", "dns-query");
    session.golden("discover web", "discover");
    session.golden("volume ls", "volume-ls");
    let mut doctor = session.sandbox.ok("doctor");
    doctor.out = state_checks(&doctor.out);
    session.compare(doctor, "doctor");
}

#[test]
fn a_dry_run_shows_the_steps_to_come() {
    let session = Session::new();
    let generated = "create db --replicas 2 --image petset/hello --port http=8080 --volume data";
    session.golden(&format!("{generated} --dry-run"), "create-dry-run");
    session.golden(&format!("{generated} --dry-run -o yaml"), "create-yaml");
    session.sandbox.ok("create -f manifests/shop.yaml");
    session.golden("scale web --replicas 5 --dry-run", "scale-dry-run");
    let upgrade = "upgrade web --env SIZE=large --dry-run";
    session.golden(upgrade, "upgrade-dry-run");
    let other = "-f manifests/three-ordered.yaml";
    session.golden(&format!("apply {other} --dry-run"), "apply-dry-run");
    session.golden(&format!("diff {other}"), "diff");
    session.golden("delete web --purge --dry-run", "delete-dry-run");
}

#[test]
fn a_rollout_is_told_from_its_canary_to_its_failure() {
    let session = Session::new();
    let ready = "--ready http:/healthz --port http=8080";
    let create = "create web --replicas 2 --image petset/hello";
    session.sandbox.ok(&format!("{create} {ready}"));
    session.golden_when_done("upgrade web --env SIZE=large --canary 1", "upgrade-canary");
    session.golden("rollout status web", "rollout-status");
    session.golden("rollout history web", "rollout-history");
    session.golden("rollout history web --revision 2", "rollout-revision");
    session.golden_when_done("rollout promote web", "rollout-promote");
    session.golden("upgrade web --image example/unknown:v2", "upgrade-refused");
    let halted = "upgrade web --image example/unknown:v2 --allow-missing";
    session.golden_when_done(halted, "upgrade-halted");
    session.golden("get sts web", "get-halted");
    session.golden_when_done("rollout undo web", "rollout-undo");
    session.golden_when_done("delete web --purge", "delete-purge");
}

#[test]
fn a_wait_that_takes_too_long_says_for_what() {
    let session = Session::new();
    session
        .sandbox
        .ok("create -f manifests/gated.yaml --no-wait");
    session.sandbox.until_pet_is("web-0", "Running");
    let why = "readiness probe has not succeeded: command exited with 1";
    session.sandbox.until_says("describe web", why);
    session.golden("wait web --timeout 2s", "wait-timeout");
    session.golden("wait web --for delete --timeout 0s", "wait-delete-timeout");
}

#[test]
fn what_is_refused_says_why_and_what_to_do() {
    let session = Session::new();
    let manifest = session.sandbox.manifest("faulty.yaml", FAULTY);
    let create = format!("create -f {manifest}");
    session.golden(&create, "manifest-unknown-fields");
    let manifest = session.sandbox.manifest("invalid.yaml", INVALID);
    let validate = format!("validate -f {manifest}");
    session.golden(&validate, "manifest-invalid");
    session.golden("image explain petset/hello", "image-explain");
    let unknown = "image explain example/unknown:v2";
    session.golden(unknown, "image-explain-unknown");
    session.golden("scale web --replicas 3", "not-found");
}

/// Fields of a wrong name, and one of a wrong type.
const FAULTY: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: web
spec:
  replica: 3
  serviceName: web
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: main
        image: example/serve
        comand: [serve]
        env:
        - name: COLOUR
          value: yes
";

/// Fields whose values the API server would refuse, and some that petset does not act on.
const INVALID: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: Web
spec:
  serviceName: web
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: shop}
    spec:
      restartPolicy: Never
      nodeSelector: {disk: ssd}
      containers:
      - name: main
        image: example/serve
        ports:
        - containerPort: 80800
        volumeMounts:
        - name: data
          mountPath: /data
";

/// Keeps the checks of the state directory: those of the machine differ.
fn state_checks(page: &str) -> String {
    let rows = page.lines().take_while(|row| !row.starts_with("addresses"));
    let rows = rows.filter(|row| !row.starts_with("free space"));
    rows.map(|row| format!("{}\n", row.trim_end_matches("ADVICE").trim_end()))
        .collect()
}

/// A state directory whose commands print the same in each run.
struct Session {
    sandbox: Sandbox,
    /// The number of its block of addresses, of three digits.
    block: u8,
}

impl Session {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let block = free_block(100..220);
        let settings = format!("isolation = \"none\"\naddress-block = {block}\n");
        sandbox.settings(&settings);
        Self { sandbox, block }
    }

    /// Runs a command and compares what it prints with a file.
    #[track_caller]
    fn golden(&self, words: &str, file: &str) {
        self.compare(self.sandbox.run(words), file);
    }

    /// Does the same with a command that waits: on a busy machine it says meanwhile for what.
    #[track_caller]
    fn golden_when_done(&self, words: &str, file: &str) {
        let mut said = self.sandbox.run(words);
        let lines = said.err.split_inclusive('\n');
        let meanwhile = |line: &&str| line.starts_with("web: ") && line.contains(" ready; ");
        said.err = lines.filter(|line| !meanwhile(line)).collect();
        self.compare(said, file);
    }

    #[track_caller]
    fn compare(&self, said: Outcome, file: &str) {
        let lines = |text: &str| {
            self.plain(text)
                .split_inclusive('\n')
                .map(plain_line)
                .collect()
        };
        let plain = Outcome {
            words: self.plain(&said.words),
            out: lines(&said.out),
            err: lines(&said.err),
            code: said.code,
        };
        plain.matches(&format!("{file}.txt"));
    }

    /// Replaces the paths, addresses and sizes that differ from run to run.
    fn plain(&self, text: &str) -> String {
        let scratch = self.sandbox.scratch().display().to_string();
        let block = self.block;
        text.replace(&scratch, "$SCRATCH")
            .replace(testdata().to_str().unwrap(), "$TESTDATA")
            .replace(env!("CARGO_BIN_EXE_petset"), "$PETSET")
            .replace(&format!("127.{block}."), "127.100.")
            .replace(&format!("127-{block}-"), "127-100-")
            .replace(" 4 KiB", " 8 KiB")
    }
}

/// Replaces the pid, the date and the ages of a line.
fn plain_line(line: &str) -> String {
    if let Some((label, _)) = line.split_once("petset://") {
        return format!("{label}petset://4321\n");
    }
    if let Some((label, _)) = line.split_once(" pvc-") {
        return format!("{label} pvc-UID\n");
    }
    if let Some((label, _)) = line.split_once("PID: ") {
        return format!("{label}PID:            4321\n");
    }
    if let Some((text, _)) = line.split_once("runs as process ") {
        return format!("{text}runs as process 4321\n");
    }
    let date = "Thu, 01 Jan 1970 00:00:00";
    if let Some(begin) = line
        .find(" +0000")
        .and_then(|at| at.checked_sub(date.len()))
    {
        return format!("{}{date} +0000\n", &line[..begin]);
    }
    let mut plain = Vec::new();
    let mut words = line.split(' ').peekable();
    while let Some(word) = words.next() {
        let is_age = word.trim_end().strip_suffix('s').is_some_and(is_number);
        if !is_age {
            plain.push(word);
            continue;
        }
        plain.push(if word.ends_with('\n') { "0s\n" } else { "0s" });
        // A column stays where it is.
        let fill = words.peek().is_some_and(|next| next.is_empty());
        plain.extend((2..word.len()).filter(|_| fill).map(|_| ""));
    }
    plain.join(" ")
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
