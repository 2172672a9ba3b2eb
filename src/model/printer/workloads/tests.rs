use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T00:01:00Z";
const CREATED: &str = "2026-01-01T00:00:55Z";

/// The rows of a workload, as kubectl prints them with `-o wide`.
fn table(workload: &Workload) -> String {
    let (narrow, wide) = workload_headings(workload.kind());
    let headings = narrow.iter().chain(wide).copied().collect::<Vec<_>>();
    let (cells, more) = workload_cells(workload, NOW.parse().unwrap());
    assert_eq!((cells.len(), more.len()), (narrow.len(), wide.len()));
    let cells = cells.into_iter().chain(more).collect::<Vec<_>>();
    format!("{}\n{}", headings.join("|"), cells.join("|"))
}

fn object(name: &str, spec: &Value, status: &Value) -> Value {
    json!({"metadata": {"name": name, "creationTimestamp": CREATED}, "spec": spec,
        "status": status})
}

fn template(container: &str, image: &str) -> Value {
    json!({"spec": {"containers": [{"name": container, "image": image}]}})
}

fn deployment_of(value: Value) -> Workload {
    Workload::Deployment(serde_json::from_value(value).unwrap())
}

fn job_of(spec: &Value, status: &Value) -> Workload {
    let mut spec = spec.clone();
    spec["template"] = template("one", "img:exit0");
    Workload::Job(serde_json::from_value(object("one", &spec, status)).unwrap())
}

#[test]
fn rows_of_deployments_and_their_sets_are_those_of_kubectl() {
    let spec = json!({"replicas": 5, "selector": {"matchLabels": {"app": "web"}},
        "template": template("c", "img:v2")});
    let status = json!({"replicas": 7, "readyReplicas": 4, "updatedReplicas": 3,
        "availableReplicas": 4});
    let web = deployment_of(object("web", &spec, &status));
    let text = "NAME|READY|UP-TO-DATE|AVAILABLE|AGE|CONTAINERS|IMAGES|SELECTOR
web|4/5|3|4|5s|c|img:v2|app=web";
    assert_eq!(table(&web), text);
    let empty = deployment_of(object("web", &spec, &json!({})));
    assert!(table(&empty).contains("web|0/5|0|0|5s"));

    let hash = json!({"app": "web", "pod-template-hash": "7fdd4db9cb"});
    let spec = json!({"replicas": 3, "selector": {"matchLabels": hash},
        "template": template("c", "img:v2")});
    let status = json!({"replicas": 3, "readyReplicas": 2});
    let set = object("web-7fdd4db9cb", &spec, &status);
    let set = Workload::ReplicaSet(serde_json::from_value(set).unwrap());
    let text = "NAME|DESIRED|CURRENT|READY|AGE|CONTAINERS|IMAGES|SELECTOR
web-7fdd4db9cb|3|3|2|5s|c|img:v2|app=web,pod-template-hash=7fdd4db9cb";
    assert_eq!(table(&set), text);

    let spec = json!({"replicas": 2, "selector": {"app": "web"},
        "template": template("c", "img:v1")});
    let status = json!({"replicas": 2, "readyReplicas": 2});
    let old = object("web", &spec, &status);
    let old = Workload::ReplicationController(serde_json::from_value(old).unwrap());
    assert!(table(&old).ends_with("web|2|2|2|5s|c|img:v1|app=web"));
}

#[test]
fn a_row_of_a_daemon_set_names_its_nodes() {
    let mut made = template("c", "img:v1");
    let mut row = |selector: Value| {
        made["spec"]["nodeSelector"] = selector;
        let spec = json!({"selector": {"matchLabels": {"app": "agent"}}, "template": made});
        let status = json!({"desiredNumberScheduled": 1, "currentNumberScheduled": 1,
            "numberReady": 1, "updatedNumberScheduled": 1, "numberAvailable": 1,
            "numberMisscheduled": 0});
        let set = object("agent", &spec, &status);
        table(&Workload::DaemonSet(serde_json::from_value(set).unwrap()))
    };
    let text = "NAME|DESIRED|CURRENT|READY|UP-TO-DATE|AVAILABLE|NODE SELECTOR|AGE|CONTAINERS|\
        IMAGES|SELECTOR\nagent|1|1|1|1|1|<none>|5s|c|img:v1|app=agent";
    assert_eq!(row(Value::Null), text);
    assert!(row(json!({"disk": "ssd"})).contains("|1|disk=ssd|5s|"));
}

#[test]
fn a_row_of_a_job_tells_how_far_it_is() {
    let uid = json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "UID"}});
    let one = json!({"completions": 1, "parallelism": 1, "selector": uid});
    let condition = |kind: &str| json!([{"type": kind, "status": "True"}]);
    let done = json!({"succeeded": 1, "startTime": "2026-01-01T00:00:56Z",
        "completionTime": "2026-01-01T00:00:57Z", "conditions": condition("Complete")});
    let text = "NAME|STATUS|COMPLETIONS|DURATION|AGE|CONTAINERS|IMAGES|SELECTOR
one|Complete|1/1|1s|5s|one|img:exit0|batch.kubernetes.io/controller-uid=UID";
    assert_eq!(table(&job_of(&one, &done)), text);
    let running = json!({"active": 1, "startTime": "2026-01-01T00:00:56Z"});
    let queue = json!({"parallelism": 3});
    for (spec, status, row) in [
        (&one, running.clone(), "|Running|0/1|4s|"),
        (&queue, running.clone(), "|Running|0/1 of 3|4s|"),
        (&json!({"parallelism": 1}), running, "|Running|0/1|4s|"),
        (
            &one,
            json!({"conditions": condition("Suspended")}),
            "|Suspended|0/1||",
        ),
        (
            &one,
            json!({"conditions": condition("FailureTarget")}),
            "|FailureTarget|0/1||",
        ),
        (
            &one,
            json!({"conditions": condition("SuccessCriteriaMet")}),
            "|SuccessCriteriaMet|",
        ),
        (
            &one,
            json!({"conditions": condition("Failed")}),
            "|Failed|0/1||",
        ),
    ] {
        let told = table(&job_of(spec, &status));
        assert!(told.contains(row), "{told}");
    }
}

#[test]
fn a_row_of_a_cron_job_tells_when_it_ran_last() {
    let row = |spec: Value, status: Value| {
        let mut spec = spec;
        spec["jobTemplate"] = json!({"spec": {"template": template("tick", "img:exit0")}});
        let job = object("tick", &spec, &status);
        table(&Workload::CronJob(serde_json::from_value(job).unwrap()))
    };
    let spec = json!({"schedule": "*/5 * * * *", "suspend": false});
    let text = "NAME|SCHEDULE|TIMEZONE|SUSPEND|ACTIVE|LAST SCHEDULE|AGE|CONTAINERS|IMAGES|SELECTOR
tick|*/5 * * * *|<none>|False|0|<none>|5s|tick|img:exit0|<none>";
    assert_eq!(row(spec, json!({})), text);
    let spec = json!({"schedule": "0 3 * * *", "timeZone": "Europe/Zurich", "suspend": true});
    let status = json!({"active": [{"name": "tick-1"}],
        "lastScheduleTime": "2026-01-01T00:00:20Z"});
    assert!(row(spec, status).contains("|0 3 * * *|Europe/Zurich|True|1|40s|5s|"));
}
