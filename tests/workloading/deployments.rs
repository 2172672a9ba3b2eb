//! Deployments: from one template to the next.

use std::fs;

use serde_json::Value;

use crate::support::Sandbox;
use crate::{address, apply, object, pods, until_ready};

/// Writes the manifest of a deployment of servers, with lines that are added to its spec.
fn deployment(sandbox: &Sandbox, replicas: usize, word: &str, more: &str) -> String {
    let text = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: front}}\nspec:\n  replicas: \
         {replicas}\n{more}  selector: {{matchLabels: {{app: front}}}}\n  template:\n    metadata: \
         {{labels: {{app: front}}}}\n    spec:\n      terminationGracePeriodSeconds: 10\n      \
         containers:\n      - {{name: main, image: example/serve, command: [{word}], env: [{{name: \
         WORD, value: {word}}}], readinessProbe: {{periodSeconds: 1, exec: {{command: \
         [is-up]}}}}}}\n"
    );
    sandbox.manifest("front.yaml", &text)
}

/// The replica sets that there are, oldest first, with the number of pods that each wants.
fn sets(sandbox: &Sandbox) -> Vec<(String, u64)> {
    let list = object(sandbox, "rs");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let revision = |set: &Value| {
        let number = set["metadata"]["annotations"]["deployment.kubernetes.io/revision"].clone();
        number.as_str().and_then(|it| it.parse::<u64>().ok())
    };
    let mut items = items;
    items.sort_by_key(revision);
    let row = |set: &Value| {
        let name = set["metadata"]["name"].as_str().unwrap().to_owned();
        (name, set["spec"]["replicas"].as_u64().unwrap())
    };
    items.iter().map(row).collect()
}

#[test]
fn a_deployment_makes_a_replica_set_whose_pods_are_named_after_it() {
    // DP02, DP08, DP50
    let sandbox = Sandbox::new();
    let file = deployment(&sandbox, 2, "serve", "");
    apply(&sandbox, &file).prints("deployment.apps/front created\n");
    let [(set, 2)] = &sets(&sandbox)[..] else {
        panic!("{:?}", sets(&sandbox));
    };
    let front = until_ready(&sandbox, &format!("{set}-"), 2);
    let hash = set.strip_prefix("front-").unwrap();
    let pod = sandbox.pod(&front[0]);
    assert_eq!(pod["metadata"]["labels"]["pod-template-hash"], hash);
    assert_ne!(address(&sandbox, &front[0]), address(&sandbox, &front[1]));
    let seen = object(&sandbox, "deploy/front");
    assert_eq!(seen["status"]["availableReplicas"], 2);
    assert_eq!(
        seen["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
        "1"
    );
    apply(&sandbox, &file).prints("deployment.apps/front unchanged\n");
    sandbox
        .ok("delete deploy front")
        .prints("deployment.apps/front deleted\n");
    assert!(sandbox.pets().is_empty() && sets(&sandbox).is_empty());
    sandbox.assert_nothing_left();
}

#[test]
fn a_new_template_replaces_the_pods_step_by_step_and_never_too_many_at_once() {
    // DP20, DP21, DP22
    let sandbox = Sandbox::new();
    apply(&sandbox, &deployment(&sandbox, 4, "serve", ""));
    let before = until_ready(&sandbox, "front-", 4);
    let bounds = "  strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}\n";
    let file = deployment(&sandbox, 4, "serve", bounds);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("value: serve", "value: new")).unwrap();
    let mut applying = sandbox.start(&format!("apply -f {file}"));
    let (mut least, mut most) = (usize::MAX, 0);
    while applying.runs() {
        let there = sandbox.pets();
        let up = pods(&sandbox, "front-");
        let ready = up.iter().filter(|name| crate::is_ready(&sandbox.pod(name)));
        // One may have gone between the two looks.
        if there == sandbox.pets() {
            (least, most) = (least.min(ready.count()), most.max(up.len()));
        }
    }
    sandbox.finish("apply", applying).says("configured");
    assert!(least >= 3 && most <= 5, "{least} to {most}");
    let after = until_ready(&sandbox, "front-", 4);
    assert!(after.iter().all(|name| !before.contains(name)));
    let [(old, 0), (_, 4)] = &sets(&sandbox)[..] else {
        panic!("{:?}", sets(&sandbox));
    };
    // Back to the first template is a rollout to the first replica set.
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("value: new", "value: serve")).unwrap();
    apply(&sandbox, &file);
    assert_eq!(sets(&sandbox).last(), Some(&(old.clone(), 4)));
    until_ready(&sandbox, &format!("{old}-"), 4);
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

#[test]
fn with_recreate_no_old_pod_runs_beside_a_new_one() {
    // DP40
    // CF-apps-15
    let sandbox = Sandbox::new();
    let how = "  strategy: {type: Recreate}\n";
    let file = deployment(&sandbox, 2, "serve", how);
    apply(&sandbox, &file);
    let before = until_ready(&sandbox, "front-", 2);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("value: serve", "value: new")).unwrap();
    apply(&sandbox, &file);
    let after = until_ready(&sandbox, "front-", 2);
    let journal = sandbox.journal();
    let at = |line: String| journal.iter().position(|it| *it == line).unwrap();
    let last_stop = before.iter().map(|it| at(format!("stopped {it}"))).max();
    let first_start = after.iter().map(|it| at(format!("started {it}"))).min();
    assert!(last_stop < first_start, "{journal:?}");
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

#[test]
fn a_paused_deployment_is_scaled_but_not_rolled_until_it_is_resumed() {
    // DP47
    let sandbox = Sandbox::new();
    apply(&sandbox, &deployment(&sandbox, 1, "serve", ""));
    let paused = deployment(&sandbox, 2, "serve", "  paused: true\n");
    let text = fs::read_to_string(&paused).unwrap();
    let text = text.replace("value: serve", "value: new");
    fs::write(&paused, &text).unwrap();
    apply(&sandbox, &paused).says("configured");
    until_ready(&sandbox, "front-", 2);
    assert_eq!(sets(&sandbox).len(), 1);
    fs::write(&paused, text.replace("paused: true", "paused: false")).unwrap();
    apply(&sandbox, &paused);
    let [(_, 0), (new, 2)] = &sets(&sandbox)[..] else {
        panic!("{:?}", sets(&sandbox));
    };
    until_ready(&sandbox, &format!("{new}-"), 2);
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

#[test]
fn a_broken_template_takes_no_old_pod_away_and_is_mended_by_the_next_one() {
    // DP24, DP25
    let sandbox = Sandbox::new();
    let file = deployment(&sandbox, 2, "serve", "");
    apply(&sandbox, &file);
    let before = until_ready(&sandbox, "front-", 2);
    let broken = deployment(&sandbox, 2, "no-such-program", "");
    sandbox
        .fails(5, &format!("apply -f {broken}"))
        .says("no-such-program");
    let there = sandbox.pets();
    assert!(before.iter().all(|name| there.contains(name)));
    apply(&sandbox, &deployment(&sandbox, 2, "serve", ""));
    assert_eq!(until_ready(&sandbox, "front-", 2), before);
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

#[test]
fn old_replica_sets_are_kept_as_many_as_the_history_is_long() {
    // DP33
    let sandbox = Sandbox::new();
    let short = "  revisionHistoryLimit: 1\n";
    for word in ["serve", "one", "two"] {
        let file = deployment(&sandbox, 1, "serve", short);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(
            &file,
            text.replace("value: serve", &format!("value: {word}")),
        )
        .unwrap();
        apply(&sandbox, &file);
    }
    sandbox.until("one old replica set is left", || sets(&sandbox).len() == 2);
    sandbox.ok("delete deploy/front --cascade=orphan");
    sandbox.until("the replica sets stay", || {
        let list = object(&sandbox, "rs");
        let owned = |it: &Value| !it["metadata"]["ownerReferences"].is_null();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.len() == 2 && !items.iter().any(owned)
    });
    until_ready(&sandbox, "front-", 1);
    for (set, _) in sets(&sandbox) {
        sandbox.ok(&format!("delete rs/{set}"));
    }
    sandbox.assert_nothing_left();
}

#[test]
fn a_rollout_goes_on_whatever_is_killed() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &deployment(&sandbox, 3, "serve", ""));
    let before = until_ready(&sandbox, "front-", 3);
    let file = deployment(&sandbox, 3, "serve", "");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("value: serve", "value: new")).unwrap();
    sandbox.ok(&format!("apply -f {file} --no-wait"));
    for _ in 0..6 {
        sandbox.until("a supervisor runs", || sandbox.supervisor().is_some());
        sandbox.kill(sandbox.supervisor());
        sandbox.ok("start --no-wait");
    }
    sandbox.until("only new pods are left", || {
        let there = sandbox.pets();
        there.len() == 3 && !there.iter().any(|name| before.contains(name))
    });
    until_ready(&sandbox, "front-", 3);
    assert_eq!(sets(&sandbox).len(), 2);
    let journal = sandbox.journal();
    assert!(
        !journal.iter().any(|it| it.contains("violation")),
        "{journal:?}"
    );
    sandbox.ok("stop").prints("stopped 0 sets and 1 workload\n");
    sandbox.assert_nothing_left();
    sandbox
        .ok("start")
        .prints("started 0 sets and 1 workload\n");
    until_ready(&sandbox, "front-", 3);
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

/// A template whose program ends at once.
const CRASH: &str = "-- sh -c 'echo cannot open the index; exit 3'";

/// The environment variable that tells templates apart, of each pod.
fn colours(sandbox: &Sandbox) -> Vec<String> {
    let colour = |name: &String| {
        let pod = sandbox.pod(name);
        let env = pod["spec"]["containers"][0]["env"].as_array().cloned();
        let of = |it: &Value| it["name"] == "COLOUR";
        let found = env.into_iter().flatten().find(of);
        found.map_or_else(String::new, |it| it["value"].as_str().unwrap().to_owned())
    };
    let mut all: Vec<String> = pods(sandbox, "front-").iter().map(colour).collect();
    all.sort();
    all
}

#[test]
fn a_failed_upgrade_of_a_deployment_goes_back_by_itself_with_exit_code_6() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &deployment(&sandbox, 2, "serve", ""));
    let before = until_ready(&sandbox, "front-", 2);
    let rollback = "upgrade deploy/front --on-failure rollback --progress-deadline 5s";
    let upgraded = sandbox.fails(6, &format!("{rollback} {CRASH}"));
    upgraded
        .says("front went back from front-")
        .says("| cannot open the index");
    assert_eq!(until_ready(&sandbox, "front-", 2), before);
    sandbox.events_say(&["RolledBack"]);
    let history = sandbox.ok("rollout history deploy/front").out;
    let rows: Vec<_> = history.lines().map(str::trim_end).collect();
    assert!(rows.iter().any(|row| row.ends_with("(failed)")), "{rows:?}");
    // One that never becomes ready has its time, and is taken back too.
    let slow = format!("{rollback} -- sleep 1000");
    sandbox.fails(6, &slow).says("is not ready");
    assert_eq!(until_ready(&sandbox, "front-", 2), before);
    // Without the option it halts, and the next upgrade goes back beyond the one that failed.
    sandbox.fails(
        5,
        &format!("upgrade deploy/front --progress-deadline 5s {CRASH}"),
    );
    sandbox.fails(6, &format!("{rollback} -- sh -c 'exit 4'"));
    assert_eq!(until_ready(&sandbox, "front-", 2), before);
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

#[test]
fn a_deployment_goes_back_although_its_supervisor_was_killed_before_it_told_of_the_rollout() {
    let sandbox = Sandbox::new();
    // Numbers of pods that grow would tell of the rollout, too.
    let recreate = "  strategy: {type: Recreate}\n";
    apply(&sandbox, &deployment(&sandbox, 2, "serve", recreate));
    let [(old, 2)] = &sets(&sandbox)[..] else {
        panic!("{:?}", sets(&sandbox));
    };
    let told = sandbox.file("seen/default/workloads/deployment/front.json");
    let is_told =
        || fs::read_to_string(&told).is_ok_and(|it| it.contains("NewReplicaSetAvailable"));
    sandbox.until("the end of the first rollout is told", is_told);
    let earlier = fs::read(&told).unwrap();
    let wish = "--on-failure rollback --progress-deadline 5s --no-wait";
    sandbox.ok(&format!("upgrade deploy/front {wish} -- sleep 1000"));
    sandbox.until("there is another replica set", || sets(&sandbox).len() == 2);
    sandbox.kill(sandbox.supervisor());
    fs::write(&told, earlier).unwrap();
    sandbox.ok("start --no-wait");
    sandbox.events_say(&["RolledBack"]);
    until_ready(&sandbox, &format!("{old}-"), 2);
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

#[test]
fn a_deployment_goes_back_although_command_and_supervisor_are_killed() {
    let sandbox = Sandbox::new();
    let recreate = "  strategy: {type: Recreate}\n";
    apply(&sandbox, &deployment(&sandbox, 2, "serve", recreate));
    let [(old, 2)] = &sets(&sandbox)[..] else {
        panic!("{:?}", sets(&sandbox));
    };
    let words = "upgrade deploy/front --on-failure rollback --progress-deadline 3s -- sleep 1000";
    let mut upgrade = sandbox.start(words);
    sandbox.until("there is another replica set", || sets(&sandbox).len() == 2);
    assert!(upgrade.runs());
    drop(upgrade);
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("start --no-wait");
    until_ready(&sandbox, &format!("{old}-"), 2);
    let note = &object(&sandbox, "deploy/front")["metadata"]["annotations"];
    let note = note["petset.dev/rolled-back"].as_str().unwrap().to_owned();
    assert!(note.contains("is not ready"), "{note}");
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

/// Waits until the pods have these colours. One that is stopping may be there for a moment.
#[track_caller]
fn until_colours(sandbox: &Sandbox, wanted: &[&str]) {
    sandbox.until(&format!("the pods are {wanted:?}"), || {
        colours(sandbox) == wanted
    });
}

#[test]
fn the_canaries_of_a_deployment_are_promoted_or_taken_back() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &deployment(&sandbox, 3, "serve", ""));
    let canary = "upgrade deploy/front --env COLOUR=green --canary 1";
    let planned = sandbox.ok(&format!("{canary} --dry-run"));
    planned
        .says("deployment.apps/front: ")
        .says("  1. make replica set front-")
        .says("then it waits: the other pods are kept back by its canaries");
    sandbox
        .ok(canary)
        .says("petset rollout promote deployment.apps/front");
    until_colours(&sandbox, &["", "", "green"]);
    sandbox
        .ok("rollout status deploy/front")
        .says("1 out of 3 replicas are updated");
    // Other sizes keep the number of canaries.
    sandbox.ok("scale deploy/front --replicas 4");
    until_colours(&sandbox, &["", "", "", "green"]);
    sandbox.ok("rollout undo deploy/front");
    until_colours(&sandbox, &["", "", "", ""]);
    sandbox
        .fails(4, "rollout promote deploy/front")
        .says("no canaries");
    sandbox.ok(canary);
    sandbox
        .ok("rollout promote deploy/front --dry-run")
        .says(" steps (dry run)");
    sandbox.ok("rollout promote deploy/front").says("promoted");
    until_colours(&sandbox, &["green", "green", "green", "green"]);
    // A canary that fails is taken back with the others untouched.
    let failing = "upgrade deploy/front --env COLOUR=red --canary 1 --on-failure rollback \
                   --progress-deadline 5s";
    sandbox.fails(6, &format!("{failing} {CRASH}"));
    sandbox.until("all are green", || {
        colours(&sandbox) == ["green", "green", "green", "green"]
    });
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}

#[test]
fn a_plan_shows_the_steps_of_a_rollout_and_changes_nothing() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &deployment(&sandbox, 2, "serve", ""));
    let before = until_ready(&sandbox, "front-", 2);
    sandbox
        .ok("rollout restart deploy/front --dry-run")
        .says("make replica set front-")
        .says(&format!("stop {}", before[0]));
    let plan = sandbox
        .ok("upgrade deploy/front --env A=1 --dry-run -o json")
        .out;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan[0]["workload"], "deployment.apps/front");
    assert_eq!(plan[0]["steps"][0]["step"], "createReplicaSet");
    sandbox
        .ok("scale deploy/front --replicas 1 --dry-run")
        .says("1 step (dry run)");
    assert_eq!(until_ready(&sandbox, "front-", 2), before);
    sandbox.fails(2, "upgrade deploy/front --env A=1 --partition 1");
    sandbox.ok("delete deploy/front");
    sandbox.assert_nothing_left();
}
