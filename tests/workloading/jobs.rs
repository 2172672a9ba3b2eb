//! Jobs: pods that run until enough of them have succeeded.

use std::fs;

use serde_json::Value;

use crate::support::Sandbox;
use crate::{apply, object};

/// Writes the manifest of a job of a script, with lines that are added to its spec.
fn job(sandbox: &Sandbox, name: &str, script: &str, more: &str) -> String {
    let text = format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: {name}}}\nspec:\n{more}  template:\n    \
         spec:\n      restartPolicy: Never\n      terminationGracePeriodSeconds: 5\n      \
         containers:\n      - {{name: main, image: busybox, command: [sh, -c, {script:?}]}}\n"
    );
    sandbox.manifest(&format!("{name}.yaml"), &text)
}

fn conditions(job: &Value) -> Vec<String> {
    let all = job["status"]["conditions"].as_array().cloned();
    let all = all.unwrap_or_default();
    let kinds = all.iter().filter(|it| it["status"] == "True");
    kinds
        .map(|it| it["type"].as_str().unwrap().to_owned())
        .collect()
}

fn succeeded(sandbox: &Sandbox, name: &str) -> u64 {
    let job = object(sandbox, &format!("job/{name}"));
    job["status"]["succeeded"].as_u64().unwrap_or_default()
}

#[test]
fn a_job_runs_until_enough_pods_have_succeeded_and_needs_nobody_then() {
    // JB02, JB06, JB08, JB10
    let sandbox = Sandbox::new();
    let more = "  completions: 5\n  parallelism: 2\n";
    let file = job(
        &sandbox,
        "work",
        "echo done by $POD_NAME; journal ran",
        more,
    );
    sandbox
        .ok(&format!("create -f {file}"))
        .says("job.batch/work created");
    let work = object(&sandbox, "job/work");
    assert_eq!(work["status"]["succeeded"], 5);
    assert!(conditions(&work).contains(&"Complete".to_owned()));
    assert_eq!(sandbox.count("ran"), 5);
    sandbox.assert_nothing_left();
    let pods = sandbox.pets();
    assert_eq!(pods.len(), 5);
    assert_eq!(sandbox.status_of(&pods[0]).as_deref(), Some("Completed"));
    sandbox
        .ok(&format!("logs {}", pods[0]))
        .prints(&format!("done by {}\n", pods[0]));
    // Nothing runs it again.
    sandbox.ok("stop");
    sandbox.ok("start");
    apply(&sandbox, &file).prints("job.batch/work unchanged\n");
    assert_eq!(sandbox.count("ran"), 5);
    sandbox
        .ok("delete job/work")
        .prints("job.batch/work deleted\n");
    assert!(sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
}

#[test]
fn a_job_that_fails_says_so_with_its_last_words() {
    // JB13
    let sandbox = Sandbox::new();
    let file = job(
        &sandbox,
        "bad",
        "echo it is broken; exit 3",
        "  backoffLimit: 0\n",
    );
    sandbox
        .fails(5, &format!("create -f {file}"))
        .says("backoff limit")
        .says("it is broken");
    let bad = object(&sandbox, "job/bad");
    assert!(conditions(&bad).contains(&"Failed".to_owned()));
    assert_eq!(bad["status"]["failed"], 1);
    sandbox.assert_nothing_left();
    sandbox.ok(&format!("delete -f {file}"));
    sandbox.assert_nothing_left();
}

#[test]
fn an_indexed_job_gives_each_pod_its_number() {
    // JB25
    let sandbox = Sandbox::new();
    let more = "  completions: 3\n  parallelism: 3\n  completionMode: Indexed\n";
    let file = job(
        &sandbox,
        "parts",
        "journal part $JOB_COMPLETION_INDEX",
        more,
    );
    apply(&sandbox, &file);
    for index in 0..3 {
        assert_eq!(sandbox.count(&format!("part {index}")), 1, "{index}");
    }
    let parts = object(&sandbox, "job/parts");
    assert_eq!(parts["status"]["completedIndexes"], "0-2");
    sandbox.ok("delete job/parts");
    sandbox.assert_nothing_left();
}

#[test]
fn a_suspended_job_runs_nothing_until_it_is_resumed() {
    // JB22
    // CF-apps-40
    let sandbox = Sandbox::new();
    let file = job(&sandbox, "later", "journal ran", "  suspend: true\n");
    apply(&sandbox, &file);
    assert!(sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("suspend: true", "suspend: false")).unwrap();
    apply(&sandbox, &file).says("configured");
    assert_eq!((sandbox.count("ran"), succeeded(&sandbox, "later")), (1, 1));
    sandbox.ok("delete job/later");
    sandbox.assert_nothing_left();
}

#[test]
fn a_job_that_takes_too_long_fails_and_a_finished_one_goes_when_its_time_is_over() {
    // JB19, JB20
    let sandbox = Sandbox::new();
    let late = job(
        &sandbox,
        "late",
        "exec sleep 1000",
        "  activeDeadlineSeconds: 1\n",
    );
    sandbox
        .fails(5, &format!("create -f {late}"))
        .says("deadline");
    assert!(sandbox.pets().is_empty());
    sandbox.ok("delete job/late");
    let brief = job(&sandbox, "brief", "true", "  ttlSecondsAfterFinished: 1\n");
    sandbox.ok(&format!("create -f {brief} --no-wait"));
    sandbox.until("the job is gone", || {
        !sandbox.file("wanted/default/job/brief.yaml").exists() && sandbox.pets().is_empty()
    });
    sandbox.assert_nothing_left();
}

#[test]
fn each_part_of_a_job_is_counted_once_whatever_is_killed() {
    // JB08
    let sandbox = Sandbox::new();
    let more = "  completions: 12\n  parallelism: 4\n";
    let file = job(&sandbox, "work", "journal ran $POD_NAME; sleep 0.1", more);
    sandbox.ok(&format!("create -f {file} --no-wait"));
    let is_complete = || conditions(&object(&sandbox, "job/work")).contains(&"Complete".to_owned());
    for _ in 0..6 {
        // Once the job is complete, none has anything to do.
        let mut runs = None;
        sandbox.until("a supervisor runs, or the job is complete", || {
            runs = sandbox.supervisor();
            runs.is_some() || is_complete()
        });
        if runs.is_some() {
            sandbox.kill(runs);
        }
        sandbox.ok("start --no-wait");
    }
    sandbox.until("the job is complete", is_complete);
    let work = object(&sandbox, "job/work");
    assert_eq!(work["status"]["succeeded"], 12);
    assert_eq!(work["status"]["failed"], Value::Null);
    assert_eq!(sandbox.pets().len(), 12);
    sandbox.ok("delete job/work");
    sandbox.assert_nothing_left();
}

#[test]
fn a_stop_fails_no_job_and_start_goes_on_with_it() {
    let sandbox = Sandbox::new();
    let more = "  completions: 2\n  parallelism: 2\n  backoffLimit: 0\n";
    let script = "journal began; wait-for go; journal ended";
    let file = job(&sandbox, "work", script, more);
    sandbox.ok(&format!("create -f {file} --no-wait"));
    sandbox.until("both have begun", || sandbox.count("began") == 2);
    sandbox.ok("stop").prints("stopped 0 sets and 1 workload\n");
    sandbox.assert_nothing_left();
    sandbox.open("go");
    sandbox.ok("start");
    sandbox.until("the job is complete", || succeeded(&sandbox, "work") == 2);
    assert_eq!((sandbox.count("began"), sandbox.count("ended")), (4, 2));
    sandbox.ok("delete job/work");
    sandbox.assert_nothing_left();
}
