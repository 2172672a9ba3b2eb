//! Cron jobs: jobs at the times of a schedule.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::Sandbox;
use crate::{apply, object};

/// Writes the manifest of a cron job whose times are each minute, with lines for its spec.
fn cron_job(sandbox: &Sandbox, script: &str, more: &str) -> String {
    let text = format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: tick}}\nspec:\n  schedule: '* * * * \
         *'\n{more}  jobTemplate:\n    spec:\n      template:\n        spec:\n          \
         restartPolicy: Never\n          terminationGracePeriodSeconds: 5\n          containers:\n\
         \x20         - {{name: main, image: busybox, command: [sh, -c, {script:?}]}}\n"
    );
    sandbox.manifest("tick.yaml", &text)
}

fn file(sandbox: &Sandbox) -> PathBuf {
    sandbox.file("wanted/default/cronjob/tick.yaml")
}

/// Changes the cron job by hand, and makes it some minutes old, so that times have passed.
fn change(sandbox: &Sandbox, from: &str, to: &str) {
    let text = fs::read_to_string(file(sandbox)).unwrap();
    let made = text
        .lines()
        .find(|it| it.contains("creationTimestamp"))
        .unwrap();
    let old = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(5);
    let text = text.replace(made, &format!("  creationTimestamp: '{old:.0}'"));
    assert!(text.contains(from), "{text}");
    let new = sandbox.scratch().join("new");
    fs::write(&new, text.replace(from, to)).unwrap();
    fs::rename(new, file(sandbox)).unwrap();
}

fn jobs(sandbox: &Sandbox) -> Vec<Value> {
    let list = object(sandbox, "jobs");
    list["items"].as_array().cloned().unwrap_or_default()
}

#[test]
fn a_time_that_has_passed_makes_one_job_and_the_supervisor_stays_for_the_next() {
    // CJ04, CJ08, CJ13
    let sandbox = Sandbox::new();
    let path = cron_job(&sandbox, "journal ticked", "  suspend: true\n");
    apply(&sandbox, &path).prints("cronjob.batch/tick created\n");
    sandbox.assert_nothing_left();
    change(&sandbox, "suspend: true", "suspend: false");
    sandbox.ok("start");
    sandbox.until("it has ticked", || sandbox.count("ticked") > 0);
    let made = jobs(&sandbox);
    // The next minute may have come meanwhile.
    assert!(made.len() <= 2, "{made:?}");
    let owner = &made[0]["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["name"]),
        (&"CronJob".into(), &"tick".into())
    );
    sandbox.until("the job is complete", || {
        jobs(&sandbox)[0]["status"]["succeeded"] == 1
    });
    let tick = object(&sandbox, "cronjob/tick");
    assert!(tick["status"]["lastScheduleTime"].is_string());
    assert!(sandbox.supervisor().is_some());
    sandbox.until("its success is noted", || {
        object(&sandbox, "cronjob/tick")["status"]["lastSuccessfulTime"].is_string()
    });
    sandbox
        .ok("delete cronjob/tick")
        .prints("cronjob.batch/tick deleted\n");
    assert!(jobs(&sandbox).is_empty() && sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
}

#[test]
fn a_job_that_runs_is_not_joined_by_another_where_that_is_forbidden() {
    // CJ11
    // CF-apps-04
    let sandbox = Sandbox::new();
    let more = "  suspend: true\n  concurrencyPolicy: Forbid\n";
    let path = cron_job(&sandbox, "journal ticked; exec sleep 1000", more);
    let even = fs::read_to_string(&path).unwrap();
    fs::write(&path, even.replace("'* * *", "'*/2 * *")).unwrap();
    apply(&sandbox, &path);
    change(&sandbox, "suspend: true", "suspend: false");
    sandbox.ok("start");
    sandbox.until("it has ticked", || sandbox.count("ticked") == 1);
    let active = || object(&sandbox, "cronjob/tick")["status"]["active"].clone();
    sandbox.until("the job is active", || active()[0]["uid"].is_string());
    // Other minutes are meant now, and the last time is forgotten, so that one is due.
    sandbox.kill(sandbox.supervisor());
    change(&sandbox, "*/2 * * * *", "1-59/2 * * * *");
    let seen = sandbox.file("seen/default/workloads/cronjob/tick.json");
    let mut status: Value = serde_json::from_slice(&fs::read(&seen).unwrap()).unwrap();
    status["status"]
        .as_object_mut()
        .unwrap()
        .remove("lastScheduleTime");
    fs::write(&seen, status.to_string()).unwrap();
    let _ = sandbox.run("start");
    sandbox.until("it is told", || {
        sandbox.run("events tick").out.contains("JobAlreadyActive")
    });
    assert_eq!(jobs(&sandbox).len(), 1);
    sandbox.ok("delete cronjob/tick");
    sandbox.assert_nothing_left();
}

#[test]
fn what_jobs_leave_goes_with_them_and_each_is_deleted_once() {
    // CJ14
    let sandbox = Sandbox::new();
    let text = "{apiVersion: batch/v1, kind: CronJob, metadata: {name: tick}, spec: {schedule: '0 0 1 \
                1 *', successfulJobsHistoryLimit: 1, jobTemplate: {spec: {template: {spec: \
                {restartPolicy: Never, containers: [{name: c, image: busybox, command: \
                ['true']}]}}}}}}\n";
    apply(&sandbox, &sandbox.manifest("tick.yaml", text));
    for number in 0..6 {
        sandbox.ok(&format!("create job run-{number} --from cronjob/tick"));
    }
    sandbox.until("one is left", || jobs(&sandbox).len() == 1);
    sandbox.until("its pod is left", || sandbox.pets().len() == 1);
    let events = fs::read_to_string(sandbox.file("seen/default/events/tick.jsonl")).unwrap();
    assert_eq!(events.matches("SuccessfulDelete").count(), 5, "{events}");
    for folder in [
        "seen/default/workloads/job",
        "pets/default",
        "view/pets/default",
    ] {
        let left = fs::read_dir(sandbox.file(folder)).unwrap().count();
        assert_eq!(left, 1, "{folder}");
    }
    sandbox.ok("delete cronjob/tick");
    sandbox.assert_nothing_left();
}
