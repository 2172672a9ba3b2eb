//! Workloads, beside what kubectl prints of them: every recorded command is played, or stands in
//! [`NOT_PLAYED`] with the reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{self, Outcome, Sandbox};
use crate::words;

const DELETED: &str = "petset prints `kind/name deleted`, as for sets";
const NO_VERB: &str = "petset has no such verb";
const AMENDED: &str = "it is played in `fields_are_changed_as_kubectl_does`";
const NO_IMAGES: &str = "it is about images that cannot be pulled, and petset pulls none";
const NO_VERB_NOTES: &str = "petset notes no manifest in an annotation";
const OWN_WORDS: &str = "petset has words of its own";

/// Section, how the command begins, and the reason; `*` stands for a whole section.
const NOT_PLAYED: &[(&str, &str, &str)] = &[
    (DEPLOYMENT, "annotate", AMENDED),
    (DEPLOYMENT, "autoscale", NO_VERB),
    (DEPLOYMENT, "create deployment cmd", "a name is made up"),
    (DEPLOYMENT, "create deployment noimage", OWN_WORDS),
    (DEPLOYMENT, "delete -f", DELETED),
    (DEPLOYMENT, "delete deploy", DELETED),
    (DEPLOYMENT, "delete hpa", NO_VERB),
    (DEPLOYMENT, "delete rs --all", DELETED),
    (DEPLOYMENT, "delete svc", NO_VERB),
    (
        DEPLOYMENT,
        "describe deploy",
        "its pods were changed by other verbs before",
    ),
    (DEPLOYMENT, "diff", OWN_WORDS),
    (DEPLOYMENT, "expose", NO_VERB),
    (DEPLOYMENT, "get deploy web", NO_IMAGES),
    (DEPLOYMENT, "get rs", NO_IMAGES),
    (DEPLOYMENT, "patch", AMENDED),
    (DEPLOYMENT, "replace", NO_VERB),
    (DEPLOYMENT, "rollout status", NO_IMAGES),
    (DEPLOYMENT, "rollout undo", OWN_WORDS),
    (DEPLOYMENT, "scale deploy/web --replicas=-1", OWN_WORDS),
    (DEPLOYMENT, "set", AMENDED),
    (
        DEPLOYMENT,
        "wait --for=condition=Progressing=False",
        OWN_WORDS,
    ),
    (REPLICAS, "delete", DELETED),
    ("DaemonSet", "create daemonset", OWN_WORDS),
    ("DaemonSet", "delete", DELETED),
    (
        "DaemonSet",
        "get controllerrevisions",
        "its template has a command, and so another name",
    ),
    ("DaemonSet", "patch", AMENDED),
    ("DaemonSet", "scale", OWN_WORDS),
    ("DaemonSet", "set", AMENDED),
    (
        "Job",
        "apply",
        "it changes a Job that was created otherwise",
    ),
    ("Job", "delete", DELETED),
    ("Job", "describe job idx", "its pods begin in any order"),
    ("Job", "describe pod", OWN_WORDS),
    ("Job", "get job susp", NO_VERB),
    ("Job", "patch", AMENDED),
    ("Job", "scale", OWN_WORDS),
    ("Job", "set", AMENDED),
    (
        "Job",
        "wait --for=condition=Complete job/bad",
        "petset says at once that it has failed",
    ),
    ("CronJob", "create cronjob c2 --image=img:v1", OWN_WORDS),
    ("CronJob", "delete", DELETED),
    (
        "CronJob",
        "get job hand",
        "petset notes how pods are isolated",
    ),
    ("CronJob", "patch", NO_VERB),
    (VOLUMES, "delete", DELETED),
    (VOLUMES, "describe sc wait", NO_VERB_NOTES),
];

const DEPLOYMENT: &str = "Deployment";
const VOLUMES: &str = "volumes";
const REPLICAS: &str = "ReplicaSet, ReplicationController";

/// The recorded commands, and which of them were played.
struct Book {
    commands: Vec<(String, Value)>,
    played: BTreeSet<usize>,
}

impl Book {
    fn read() -> Option<Self> {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance");
        let folder = std::env::var_os("PETSET_CONFORMANCE").map_or(default, PathBuf::from);
        let file = folder.join("kubectl-workloads.json");
        let Ok(text) = std::fs::read(&file) else {
            support::skipped(&format!("there is no {}", file.display()));
            return None;
        };
        let recorded: Value = serde_json::from_slice(&text).unwrap();
        let (mut section, mut commands) = (String::new(), Vec::new());
        for entry in recorded["commands"].as_array().unwrap() {
            match entry["section"].as_str() {
                Some(name) => name.clone_into(&mut section),
                None => commands.push((section.clone(), entry.clone())),
            }
        }
        let played = BTreeSet::new();
        Some(Self { commands, played })
    }

    /// Returns the next command of a section with this text.
    #[track_caller]
    fn next(&mut self, section: &str, command: &str) -> Value {
        let command = format!("kubectl {command}");
        let mut all = self.commands.iter().enumerate();
        let found = all.find(|(place, (of, entry))| {
            of == section && entry["cmd"] == command.as_str() && !self.played.contains(place)
        });
        let (place, (_, entry)) = found.unwrap_or_else(|| panic!("no {command} (any more)"));
        self.played.insert(place);
        entry.clone()
    }

    /// Passes over a command, for a reason.
    #[track_caller]
    fn skip(&mut self, section: &str, command: &str, _why: &str) {
        self.next(section, command);
    }

    /// Requires that all commands of a section were played or are listed, and that there is one
    /// for each that is listed.
    #[track_caller]
    fn finish(&self, section: &str) {
        let listed = NOT_PLAYED.iter().filter(|(of, _, _)| *of == section);
        let mut listed: BTreeSet<&str> = listed.map(|(_, begin, _)| *begin).collect();
        let all = listed.clone();
        for (place, (of, entry)) in self.commands.iter().enumerate() {
            if of == section && !self.played.contains(&place) {
                let command = entry["cmd"]
                    .as_str()
                    .unwrap()
                    .trim_start_matches("kubectl ");
                let reason = all.iter().find(|begin| command.starts_with(**begin));
                let reason = reason.unwrap_or_else(|| panic!("{section}: {command}"));
                listed.remove(reason);
            }
        }
        assert!(listed.is_empty(), "{section}: all played of {listed:?}");
    }
}

/// Lines whose columns may be as wide as they like, with ages, times, uids and made-up names made
/// alike.
fn lines(text: &str) -> Vec<String> {
    let moment = ["Start Time:", "Completed At:", "CreationTimestamp:"];
    let line = |line: &str| match moment.into_iter().find(|name| line.starts_with(name)) {
        Some(name) => format!("{name} <time>"),
        None => {
            let words = words(line);
            let words: Vec<String> = words.iter().map(|word| made_alike(word)).collect();
            words.join(" ")
        }
    };
    // How pods are isolated is petset's own, and where data are.
    let words = ["Isolation:", "Directory:", "Goes With:"];
    let own = |line: &String| !words.iter().any(|word| line.starts_with(word));
    let text = text.trim_end().replace("NS", "default");
    text.lines().map(line).filter(own).collect()
}

/// Replaces what is made up in a word: uids, hashes, and the ends of names.
fn made_alike(word: &str) -> String {
    if word.len() > 1 && word.trim_matches('-').is_empty() {
        return "---".to_owned();
    }
    let start = word.len().saturating_sub(36);
    let uid = word.get(start..).unwrap_or_default();
    if uid.len() == 36 && uid.matches('-').count() == 4 {
        return format!("{}UID", &word[..start]);
    }
    let part = |part: &str| {
        let is_safe = part
            .chars()
            .all(|c| "bcdfghjklmnpqrstvwxz2456789".contains(c));
        match part.len() {
            5 if is_safe => "<random>".to_owned(),
            8..=10 if is_safe => "<hash>".to_owned(),
            _ => part.to_owned(),
        }
    };
    let inner = |text: &str| text.split('-').map(part).collect::<Vec<_>>().join("-");
    word.split('=').map(inner).collect::<Vec<_>>().join("=")
}

/// One session in a section of the recording.
struct Play<'a> {
    book: &'a mut Book,
    section: &'a str,
    sandbox: &'a Sandbox,
}

impl Play<'_> {
    /// Plays a command that prints the same.
    #[track_caller]
    fn same(&mut self, command: &str) {
        let outcome = self.sandbox.ok(command);
        self.printed(command, &outcome);
    }

    /// Requires that a command printed what was recorded of this one.
    #[track_caller]
    fn printed(&mut self, command: &str, outcome: &Outcome) {
        let recorded = self.book.next(self.section, command);
        let wanted = recorded["stdout"].as_str().unwrap();
        assert_eq!(lines(&outcome.out), lines(wanted), "{command}");
    }

    /// Plays a command that ends with the same line.
    #[track_caller]
    fn ends_alike(&mut self, command: &str) {
        let outcome = self.sandbox.ok(command);
        let recorded = self.book.next(self.section, command);
        let last = |text: &str| lines(text).pop();
        let wanted = recorded["stdout"].as_str().unwrap();
        assert_eq!(last(&outcome.out), last(wanted), "{command}");
    }

    /// Plays a command that finds nothing.
    #[track_caller]
    fn finds_nothing(&mut self, command: &str) {
        let recorded = self.book.next(self.section, command);
        let wanted = recorded["stderr"]
            .as_str()
            .unwrap()
            .replace("NS", "default");
        assert_eq!(self.sandbox.ok(command).err, wanted);
    }

    /// Plays a command that is refused for the same fault, with petset's exit code.
    #[track_caller]
    fn refused(&mut self, code: i32, command: &str) {
        let outcome = self.sandbox.fails(code, command);
        let recorded = self.book.next(self.section, command);
        let wanted = recorded["stderr"].as_str().unwrap();
        let fault = wanted.lines().next_back().unwrap();
        let fault = fault.split_once(": ").map_or(fault, |(_, fault)| fault);
        let fault = match fault.strip_prefix("failed to create ") {
            Some(rest) => rest.split_once(": ").map_or(rest, |(_, fault)| fault),
            None => fault,
        };
        let said = outcome.err.contains(fault);
        assert!(said, "{fault}\n{}", outcome.transcript());
    }

    /// Writes a manifest and applies it.
    #[track_caller]
    fn apply(&mut self, text: &str) {
        let file = self.sandbox.manifest("it.yaml", text);
        let outcome = self.sandbox.ok(&format!("apply -f {file}"));
        self.printed("apply -f FILE", &outcome);
    }
}

/// A manifest as that of the recordings, of pods that stay up.
fn replicas(version: &str, kind: &str, head: &str, selector: &str) -> String {
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\nspec:\n  {head}\n  \
         selector: {selector}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      \
         terminationGracePeriodSeconds: 1\n      containers: [{{name: c, image: img:v1, \
         command: [sleep, infinity]}}]\n"
    )
}

/// Removes the command from a description, which the pods of the recordings do not have.
fn without_command(page: &Outcome) -> Outcome {
    let mut page = page.clone();
    let words = ["Command:", "sleep", "infinity", "true", "false"];
    let is_command = |line: &&str| words.contains(&line.trim());
    let kept: Vec<&str> = page.out.lines().filter(|line| !is_command(line)).collect();
    page.out = kept.join("\n");
    page
}

#[test]
fn replica_sets_are_shown_and_changed_as_kubectl_does() {
    // CF-cli-02
    let Some(mut book) = Book::read() else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut play = Play {
        book: &mut book,
        section: REPLICAS,
        sandbox: &sandbox,
    };
    let labels = "{matchLabels: {app: web}}";
    play.apply(&replicas("apps/v1", "ReplicaSet", "replicas: 3", labels));
    play.same("get rs");
    play.same("get rs -o wide");
    let page = without_command(&sandbox.ok("describe rs web"));
    play.printed("describe rs web", &page);
    play.same("scale rs/web --replicas=1");
    play.refused(2, "rollout status rs/web");
    play.refused(2, "rollout history rs/web");
    play.refused(2, "rollout restart rs/web");
    let command = "wait '--for=jsonpath={.status.readyReplicas}=1' rs/web --timeout=3s";
    play.same(command);
    sandbox.ok("delete rs web");

    let plain = "{app: web}";
    play.apply(&replicas(
        "v1",
        "ReplicationController",
        "replicas: 2",
        plain,
    ));
    play.same("get rc");
    play.same("get rc -o wide");
    let page = without_command(&sandbox.ok("describe rc web"));
    play.printed("describe rc web", &page);
    play.same("scale rc/web --replicas=3");
    play.refused(2, "rollout status rc/web");
    sandbox.ok("delete rc web");
    play.finds_nothing("get rc");
    book.finish(REPLICAS);
}

#[test]
fn verbs_choose_a_pod_of_a_workload_and_know_it_by_its_bare_name() {
    let sandbox = Sandbox::new();
    let labels = "{matchLabels: {app: web}}";
    let text = replicas("apps/v1", "ReplicaSet", "replicas: 2", labels);
    let text = text.replace(
        "[sleep, infinity]",
        "[sh, -c, 'echo here; exec sleep infinity']",
    );
    let file = sandbox.manifest("web.yaml", &text);
    sandbox.ok(&format!("apply -f {file}"));
    let chosen = sandbox.ok("exec rs/web -- true");
    chosen.says("Found 2 pods, using pod/web-");
    sandbox.ok("logs web").says("here\n");
    sandbox
        .ok("wait web --timeout 30s")
        .says("replicaset.apps/web condition met");
    sandbox
        .ok("scale web --replicas 3 --dry-run")
        .says("replicaset.apps/web: 2 steps (dry run)")
        .says("  1. start 1 pod of web\n");
    sandbox
        .fails(4, "scale web --replicas 3 --current-replicas 7")
        .says("Expected replicas to be 7, was 2");
    sandbox
        .ok("upgrade web --image img:v2")
        .says("replicaset.apps/web upgraded");
    sandbox.ok("get rs/web -o wide").says("img:v2");
    sandbox
        .fails(2, "upgrade web --image img:v3 --canary 1")
        .says("--canary is for sets and Deployments");
    sandbox.ok("describe web").says("Pods Status:");
    sandbox.fails(3, "exec rs/other -- true").says("not found");
    sandbox
        .ok("delete web")
        .prints("replicaset.apps/web deleted\n");
}

#[test]
fn the_one_node_is_this_machine() {
    let sandbox = Sandbox::new();
    sandbox.settings("node-labels = {disk = \"ssd\"}\n");
    let shown = sandbox.ok("get nodes --show-labels");
    let headings = ["NAME", "STATUS", "ROLES", "AGE", "VERSION", "LABELS"];
    assert_eq!(words(&shown.out)[..6], headings);
    shown.says("disk=ssd,kubernetes.io/arch=");
    sandbox
        .ok("get node/localhost -o name")
        .prints("node/localhost\n");
    sandbox
        .ok("get nodes -o 'jsonpath={.items[*].metadata.labels.disk}'")
        .prints("ssd");
    sandbox
        .fails(3, "get node other")
        .says("nodes \"other\" not found");
}

/// A Deployment as that of the recordings.
fn deployment(image: &str, cause: &str) -> String {
    let labels = "{matchLabels: {app: web}}";
    let text = replicas("apps/v1", "Deployment", "replicas: 3", labels);
    let text = text.replace("img:v1", image);
    match cause {
        "" => text,
        cause => text.replace(
            "{name: web}",
            &format!("{{name: web, annotations: {{kubernetes.io/change-cause: {cause}}}}}"),
        ),
    }
}

#[test]
fn deployments_are_shown_and_rolled_as_kubectl_does() {
    let Some(mut book) = Book::read() else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut play = Play {
        book: &mut book,
        section: DEPLOYMENT,
        sandbox: &sandbox,
    };
    play.finds_nothing("get deploy");
    play.apply(&deployment("img:v1", ""));
    play.ends_alike("rollout status deploy/web --timeout=30s");
    play.apply(&deployment("img:v1", ""));
    play.same("rollout status deploy/web");
    play.apply(&deployment("img:v2", ""));
    play.ends_alike("rollout status deploy/web --timeout=30s");
    play.same("get deploy");
    play.same("get deploy -o wide");
    play.same("get rs");
    play.same("get rs -o wide");
    play.same("get pods");
    play.same("get pods --show-labels");
    play.same("get deploy/web -o name");
    play.same("get all");
    let page = without_command(&sandbox.ok("describe deploy web"));
    play.printed("describe deploy web", &page);
    play.same("rollout history deploy/web");
    let command = "rollout history deploy/web --revision=1";
    play.printed(command, &without_command(&sandbox.ok(command)));
    play.refused(3, "rollout history deploy/web --revision=9");

    let file = sandbox.manifest("it.yaml", &deployment("img:v2", "second version"));
    sandbox.ok(&format!("apply -f {file}"));
    play.same("rollout history deploy/web");
    play.same("rollout undo deploy/web");
    play.same("rollout history deploy/web");
    play.refused(3, "rollout undo deploy/web --to-revision=99");
    play.same("rollout undo deploy/web --to-revision=3");
    play.same("rollout undo deploy/web --to-revision=2");
    play.same("rollout restart deploy/web");
    play.same("rollout pause deploy/web");
    play.refused(4, "rollout pause deploy/web");
    sandbox
        .ok("upgrade deploy/web --image c=img:v3")
        .prints("deployment.apps/web upgraded\n");
    play.refused(124, "rollout status deploy/web --timeout=3s");
    sandbox
        .fails(4, "rollout undo deploy/web")
        .says("you cannot rollback a paused deployment; resume it first");
    play.refused(4, "rollout restart deploy/web");
    play.same("rollout resume deploy/web");
    play.refused(4, "rollout resume deploy/web");
    play.same("scale deploy/web --replicas=5");
    play.refused(4, "scale deploy web --replicas=2 --current-replicas=3");
    play.refused(3, "scale deploy/nope --replicas=1");
    play.same("scale deploy/web --replicas=5");
    play.same("wait --for=condition=Available deploy/web --timeout=5s");
    play.same("wait '--for=jsonpath={.status.readyReplicas}=5' deploy/web --timeout=3s");
    play.same("scale deploy/web --replicas=0");
    play.same("get deploy");
    let stuck = "a deadline that is over";
    play.book
        .skip(DEPLOYMENT, "rollout status deploy/web", stuck);
    play.same("rollout status deploy/web");
    sandbox.ok("delete deploy web --cascade=orphan");
    sandbox.ok("delete rs --all");
    play.refused(3, "delete deploy web");
    play.refused(3, "get deploy nope");
    play.refused(3, "rollout status deploy/nope");
    play.refused(3, "rollout history deploy/nope");

    let command = "create deployment made --image=img:v1 --replicas=2";
    play.printed(command, &sandbox.ok(&format!("{command} --no-wait")));
    play.refused(4, "create deployment made --image=img:v1");
    play.same(
        "create deployment two --image=img:v1 --image=other:v1 --port=80 --dry-run=client -o yaml",
    );
    sandbox.ok("delete deploy made");
    let file = sandbox.manifest("it.yaml", &deployment("img:v1", ""));
    let created = sandbox.ok(&format!("create -f {file}"));
    play.printed("create -f FILE", &created);
    sandbox.ok(&format!("delete -f {file}"));
    book.finish(DEPLOYMENT);
}

/// A DaemonSet as that of the recordings; `more` is of its spec, `pod` of its pods'.
fn daemon_set(image: &str, more: &str, pod: &str) -> String {
    let labels = "{matchLabels: {app: agent}}";
    let text = replicas("apps/v1", "DaemonSet", more, labels);
    let text = text
        .replace("app: web", "app: agent")
        .replace("img:v1", image);
    let text = text.replace("{name: web}", "{name: agent}");
    text.replace(
        "      containers:",
        &format!("      {pod}\n      containers:"),
    )
}

#[test]
fn daemon_sets_are_shown_and_rolled_as_kubectl_does() {
    let Some(mut book) = Book::read() else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut play = Play {
        book: &mut book,
        section: "DaemonSet",
        sandbox: &sandbox,
    };
    play.apply(&daemon_set("img:v1", "", ""));
    play.ends_alike("rollout status ds/agent --timeout=20s");
    play.same("get ds");
    play.same("get ds -o wide");
    let page = without_command(&sandbox.ok("describe ds agent"));
    play.printed("describe ds agent", &page);
    sandbox.ok("upgrade ds/agent --image c=img:v2");
    play.ends_alike("rollout status ds/agent --timeout=20s");
    play.same("rollout status ds/agent");
    play.same("rollout history ds/agent");
    let command = "rollout history ds/agent --revision=1";
    play.printed(command, &without_command(&sandbox.ok(command)));
    play.refused(3, "rollout history ds/agent --revision=7");
    play.same("rollout undo ds/agent");
    play.same("rollout history ds/agent");
    play.same("rollout undo ds/agent --to-revision=3");
    play.refused(3, "rollout undo ds/agent --to-revision=9");
    play.same("rollout restart ds/agent");
    play.refused(2, "rollout pause ds/agent");
    play.refused(2, "rollout resume ds/agent");
    let waits = "updateStrategy: {type: OnDelete}";
    let file = sandbox.manifest("it.yaml", &daemon_set("img:v2", waits, ""));
    sandbox.ok(&format!("apply -f {file}"));
    let command = "rollout status ds/agent --timeout=2s";
    play.book.skip("DaemonSet", command, NO_IMAGES);
    play.refused(1, command);
    let elsewhere = daemon_set("img:v2", waits, "nodeSelector: {disk: ssd}");
    let file = sandbox.manifest("it.yaml", &elsewhere);
    sandbox.ok(&format!("apply -f {file}"));
    sandbox.until("no pod is left", || sandbox.pets().is_empty());
    play.book.skip("DaemonSet", "get ds", NO_IMAGES);
    play.same("get ds");
    sandbox.ok("delete ds agent");
    play.finds_nothing("get ds");
    book.finish("DaemonSet");
}

/// A Job as those of the recordings, which runs this.
fn job(name: &str, spec: &str, command: &str) -> String {
    let spec = spec.replace(", ", "\n  ");
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n  \
         template:\n    spec:\n      terminationGracePeriodSeconds: 1\n      restartPolicy: Never\n      \
         containers: [{{name: c, image: 'img:{}', command: [{command}]}}]\n",
        match command {
            "\"true\"" => "exit0",
            "\"false\"" => "exit1",
            _ => "v1",
        }
    )
}

#[test]
fn jobs_are_shown_as_kubectl_does() {
    let Some(mut book) = Book::read() else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut play = Play {
        book: &mut book,
        section: "Job",
        sandbox: &sandbox,
    };
    let (good, bad) = ("\"true\"", "\"false\"");
    let command = "create job one --image=img:exit0";
    play.printed(
        command,
        &sandbox.ok(&format!("{command} --no-wait -- true")),
    );
    play.book
        .skip("Job", "get jobs", "a Job that runs for a moment");
    play.same("wait --for=condition=Complete job/one --timeout=10s");
    play.same("get jobs");
    play.same("get jobs -o wide");
    let page = without_command(&sandbox.ok("describe job one"));
    play.printed("describe job one", &page);
    play.same("get pods");
    play.apply(&job("three", "completions: 3, parallelism: 2", good));
    play.book
        .skip("Job", "get job three", "a Job that runs for a moment");
    play.same("get job three");
    let page = without_command(&sandbox.ok("describe job three"));
    play.printed("describe job three", &page);
    let indexed = "completions: 3, parallelism: 3, completionMode: Indexed";
    play.apply(&job("idx", indexed, good));
    play.same("get job idx");
    play.same("get pods -l job-name=idx -L batch.kubernetes.io/job-completion-index");
    let file = sandbox.manifest("it.yaml", &job("bad", "backoffLimit: 0", bad));
    let failed = sandbox.fails(5, &format!("apply -f {file}"));
    failed.says("bad has failed: Job has reached the specified backoff limit");
    play.printed("apply -f FILE", &failed);
    sandbox.fails(5, "wait --for=condition=Complete job/bad --timeout=9s");
    play.same("wait --for=condition=Failed job/bad --timeout=5s");
    play.same("get job bad");
    let page = without_command(&sandbox.ok("describe job bad"));
    play.printed("describe job bad", &page);
    play.apply(&job("susp", "suspend: true", "sleep, infinity"));
    sandbox.ok("wait --for=condition=Suspended job/susp --timeout=9s");
    play.same("get job susp");
    let page = without_command(&sandbox.ok("describe job susp"));
    play.printed("describe job susp", &page);
    let text = job("queue", "parallelism: 3", "sleep, infinity");
    let file = sandbox.manifest("it.yaml", &text);
    let outcome = sandbox.ok(&format!("apply -f {file} --no-wait"));
    play.printed("apply -f FILE", &outcome);
    sandbox.ok("wait --for=jsonpath={.status.active}=3 job/queue");
    play.same("get job queue");
    play.refused(2, "rollout status job/queue");
    play.same("create job more --image=img:exit0 --dry-run=client -o yaml -- date");
    play.refused(4, "create job one --image=img:exit0");
    sandbox.ok("delete jobs --all");
    play.finds_nothing("get jobs");
    book.finish("Job");
}

#[test]
fn cron_jobs_are_shown_as_kubectl_does() {
    let Some(mut book) = Book::read() else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut play = Play {
        book: &mut book,
        section: "CronJob",
        sandbox: &sandbox,
    };
    let command = "create cronjob tick --image=img:exit0 '--schedule=*/5 * * * *'";
    play.printed(command, &sandbox.ok(&format!("{command} -- true")));
    play.same("get cronjob");
    play.same("get cronjob -o wide");
    let page = without_command(&sandbox.ok("describe cronjob tick"));
    play.printed("describe cronjob tick", &page);
    play.same("create job hand --from=cronjob/tick");
    play.same("get jobs");
    play.refused(3, "create job x --from=cronjob/nope");
    play.refused(2, "create cronjob c2 --image=img:v1 --schedule=bad");
    play.same(
        "create cronjob c2 --image=img:v1 --schedule=@daily --restart=Never --dry-run=client -o \
         yaml -- date",
    );
    let zoned = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: zoned}\nspec:\n  schedule: 0 \
                 3 * * *\n  timeZone: Europe/Zurich\n  startingDeadlineSeconds: 60\n  jobTemplate: \
                 {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: \
                 'img:exit0', command: ['true']}]}}}}\n";
    play.apply(zoned);
    play.same("get cronjob zoned");
    let mut page = without_command(&sandbox.ok("describe cronjob zoned"));
    // A machine may know no time zones: then that is told.
    let has_zones = Path::new("/usr/share/zoneinfo/Europe/Zurich").exists();
    if let Some(events) = page.out.find("Events:").filter(|_| !has_zones) {
        page.out.replace_range(events.., "Events: <none>");
    }
    play.printed("describe cronjob zoned", &page);
    sandbox.ok("delete cronjob/tick cronjob/zoned");
    sandbox.until("the Jobs of a CronJob go with it", || {
        sandbox.run("get jobs").out.is_empty()
    });
    play.finds_nothing("get jobs");
    play.book.skip("CronJob", "get cronjob", NO_VERB);
    play.finds_nothing("get cronjob");
    book.finish("CronJob");
}

#[test]
fn fields_are_changed_as_kubectl_does() {
    let Some(mut book) = Book::read() else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut play = Play {
        book: &mut book,
        section: DEPLOYMENT,
        sandbox: &sandbox,
    };
    let file = sandbox.manifest("web.yaml", &deployment("img:v1", ""));
    sandbox.ok(&format!("apply -f {file}"));
    play.same("annotate deploy/web 'kubernetes.io/change-cause=second version'");
    play.same("set image deploy/web c=img:v3");
    play.same("set image deploy/web c=img:v3");
    play.refused(3, "set image deploy/web nosuch=img:v1");
    play.same("set image deploy/web '*=img:v4'");
    play.same("set env deploy/web A=1");
    play.same("set resources deploy/web --requests=cpu=100m");
    play.same("patch deploy web -p '{\"spec\":{\"progressDeadlineSeconds\":3}}'");
    play.same(
        "patch deploy web -p '{\"spec\":{\"strategy\":{\"type\":\"Recreate\",\
         \"rollingUpdate\":null},\"progressDeadlineSeconds\":600}}'",
    );
    play.same("set image deploy/web c=img:v9");
    sandbox.ok("delete deploy web");

    play.section = "DaemonSet";
    let agent = replicas("apps/v1", "DaemonSet", "", "{matchLabels: {app: web}}");
    let file = sandbox.manifest("agent.yaml", &agent.replace("{name: web}", "{name: agent}"));
    sandbox.ok(&format!("apply -f {file}"));
    play.same("set image ds/agent c=img:v2");
    play.same(
        "patch ds agent -p '{\"spec\":{\"updateStrategy\":{\"type\":\"OnDelete\",\
         \"rollingUpdate\":null}}}'",
    );
    play.same(
        "patch ds agent -p '{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\
         \"disk\":\"ssd\"}}}}}'",
    );
    sandbox.ok("delete ds agent");

    play.section = "Job";
    let job = "\
apiVersion: batch/v1
kind: Job
metadata: {name: susp}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: img:v1, command: [sleep, infinity]}]
";
    let file = sandbox.manifest("job.yaml", job);
    sandbox.ok(&format!("apply -f {file} --no-wait"));
    let suspend = |suspend: bool| {
        let outcome = sandbox.ok(&format!(
            "patch job susp --no-wait -p '{{\"spec\":{{\"suspend\":{suspend}}}}}'"
        ));
        (
            format!("patch job susp -p '{{\"spec\":{{\"suspend\":{suspend}}}}}'"),
            outcome,
        )
    };
    for (command, outcome) in [suspend(false), suspend(true)] {
        play.printed(&command, &outcome);
    }
    sandbox
        .fails(4, "set image job/susp c=img:v2")
        .says("immutable");
    sandbox.ok("delete job susp");
}

/// A volume as those of the recordings.
fn volume(name: &str, size: &str, modes: &str, policy: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec:\n  capacity: \
         {{storage: {size}}}\n  accessModes: [{modes}]\n  persistentVolumeReclaimPolicy: \
         {policy}\n  storageClassName: local\n  hostPath: {{path: /data/x}}\n"
    )
}

fn claim(name: &str, size: &str, class: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec:\n  \
         accessModes: [ReadWriteOnce]\n  storageClassName: {class}\n  resources: {{requests: \
         {{storage: {size}}}}}\n"
    )
}

#[test]
fn volumes_are_shown_as_kubectl_does() {
    let Some(mut book) = Book::read() else {
        return;
    };
    let sandbox = Sandbox::new();
    let mut play = Play {
        book: &mut book,
        section: VOLUMES,
        sandbox: &sandbox,
    };
    play.finds_nothing("get pvc");
    play.apply(&volume("pv1", "2Gi", "ReadWriteOnce", "Retain"));
    play.apply(&volume(
        "pv2",
        "1Gi",
        "ReadWriteOnce, ReadOnlyMany",
        "Delete",
    ));
    play.apply(&claim("c1", "2Gi", "local"));
    play.apply(&claim("c2", "9Gi", "local"));
    sandbox.until_says("describe pvc c2", "ProvisioningFailed");
    play.same("get pv pv1 pv2");
    play.same("get pv pv1 pv2 -o wide");
    play.same("get pvc");
    play.same("get pvc -o wide");
    play.same("describe pv pv1");
    play.same("describe pvc c1");
    play.same("describe pvc c2");
    play.same("wait '--for=jsonpath={.status.phase}=Bound' pvc/c1 --timeout=3s");
    play.apply(
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: wait}\nprovisioner: \
         kubernetes.io/no-provisioner\nvolumeBindingMode: WaitForFirstConsumer\n",
    );
    play.same("get sc wait");
    play.same("get sc wait -o wide");
    sandbox.ok("describe sc wait");
    play.apply(&claim("c3", "1Gi", "wait"));
    sandbox.until_says("describe pvc c3", "WaitForFirstConsumer");
    play.same("get pvc c3");
    play.same("describe pvc c3");
    sandbox
        .ok("delete pvc c1")
        .prints("persistentvolumeclaim/c1 deleted\n");
    sandbox.until_says("get pv pv1", "Released");
    play.same("get pv pv1");
    let gone = sandbox.ok("delete pv pv1 pv2");
    gone.prints("persistentvolume/pv1 deleted\npersistentvolume/pv2 deleted\n");
    sandbox.ok("delete pvc c2 c3");
    sandbox
        .ok("delete sc wait")
        .prints("storageclass.storage.k8s.io/wait deleted\n");
    play.refused(3, "get pvc nope");
    play.refused(3, "get pv nope");
    book.finish(VOLUMES);
}
