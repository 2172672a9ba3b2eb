//! Rolling out, holding, taking back: what happens to a set when a new template comes, and what
//! becomes of it when the template is bad or a process dies in between.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::Value;
use support::{Sandbox, processes};

/// Three servers that are ready when they answer.
fn three_servers() -> Sandbox {
    let sandbox = Sandbox::new();
    let ready = "--ready http:/healthz --port http=8080";
    sandbox.ok(&format!(
        "create web --replicas 3 --image petset/hello {ready}"
    ));
    sandbox
}

/// Tells at which revision each pet is, by the place of that revision in the order given.
fn revisions(sandbox: &Sandbox) -> Vec<String> {
    let pets = ["web-0", "web-1", "web-2"];
    let revision = |pet: &&str| {
        let label = &sandbox.pod(pet)["metadata"]["labels"]["controller-revision-hash"];
        label.as_str().unwrap_or_default().to_owned()
    };
    pets.iter().map(revision).collect()
}

fn set(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.ok("get sts web -o json").out).unwrap()
}

/// A build that ends at once, saying why.
const CRASH: &str = "-- sh -c 'echo cannot open the database; exit 3'";

#[test]
fn an_upgrade_to_a_build_that_crashes_halts_at_the_highest_pet_and_says_its_last_words() {
    let sandbox = three_servers();
    let lower = (sandbox.main("web-0"), sandbox.main("web-1"));
    let upgraded = sandbox.fails(
        5,
        &format!("upgrade web --on-failure halt --progress-deadline 5s {CRASH}"),
    );
    upgraded.says("web-2").says("| cannot open the database");
    assert_eq!((sandbox.main("web-0"), sandbox.main("web-1")), lower);
    sandbox.fails(5, "rollout status web --timeout 20s");
    sandbox
        .ok("rollout undo web")
        .says("statefulset.apps/web rolled back");
    sandbox
        .ok("rollout status web")
        .says("partitioned roll out complete: 3 new pods");
    assert_eq!((sandbox.main("web-0"), sandbox.main("web-1")), lower);
}

#[test]
fn a_failed_upgrade_goes_back_by_itself_with_exit_code_6() {
    let sandbox = three_servers();
    let before = revisions(&sandbox);
    let lower = (sandbox.main("web-0"), sandbox.main("web-1"));
    let upgraded = sandbox.fails(
        6,
        &format!("upgrade web --on-failure rollback --progress-deadline 5s {CRASH}"),
    );
    upgraded
        .says("web went back from")
        .says("| cannot open the database");
    assert_eq!(revisions(&sandbox), before);
    assert_eq!((sandbox.main("web-0"), sandbox.main("web-1")), lower);
    sandbox.events_say(&["RolledBack"]);
    // The revision keeps its name and gets the next number (C27).
    let history = sandbox.ok("rollout history web").out;
    assert!(
        history.contains("\n2 ") && history.contains("\n3 "),
        "{history}"
    );
}

#[test]
fn a_rollback_happens_although_command_and_supervisor_are_killed() {
    let sandbox = three_servers();
    let before = revisions(&sandbox);
    let words = format!("upgrade web --on-failure rollback --progress-deadline 5s {CRASH}");
    let mut upgrade = sandbox.start(&words);
    sandbox.until("the highest pet was replaced", || {
        revisions(&sandbox)[2] != before[2] && !revisions(&sandbox)[2].is_empty()
    });
    assert!(upgrade.runs());
    drop(upgrade);
    processes::kill(sandbox.supervisor().unwrap());
    sandbox.ok("wait web --for settled");
    sandbox.until("it went back", || revisions(&sandbox) == before);
    sandbox.ok("wait web --for settled");
    let note = &set(&sandbox)["metadata"]["annotations"]["petset.dev/rolled-back"];
    assert!(note.as_str().unwrap().contains("cannot open the database"));
}

#[test]
fn a_corrected_template_replaces_the_broken_pet_first() {
    let sandbox = three_servers();
    let lower = sandbox.main("web-0");
    sandbox.fails(5, "upgrade web --image example/unknown:v2 --allow-missing");
    assert_eq!(sandbox.main("web-0"), lower);
    sandbox.ok("upgrade web --image petset/hello --env COLOUR=green");
    sandbox.ok("rollout status web");
    assert_ne!(sandbox.main("web-0"), lower);
}

#[test]
fn a_canary_is_promoted_or_taken_back() {
    let sandbox = three_servers();
    let before = revisions(&sandbox);
    let canary = sandbox.ok("upgrade web --env COLOUR=green --canary 1");
    canary.says("petset rollout promote web");
    let now = revisions(&sandbox);
    assert!(now[2] != before[2] && now[..2] == before[..2]);
    sandbox.ok("rollout undo web");
    assert_eq!(revisions(&sandbox), before);
    sandbox.ok("upgrade web --env COLOUR=green --canary 1");
    sandbox.ok("rollout promote web").says("promoted");
    assert_eq!(revisions(&sandbox), vec![now[2].clone(); 3]);
    sandbox.fails(4, "rollout promote web");
}

#[test]
fn a_pause_holds_the_roll_and_lets_scaling_and_replacement_go_on() {
    let sandbox = three_servers();
    let before = revisions(&sandbox);
    let paused = sandbox.ok("upgrade web --env COLOUR=green --pause-after 1");
    paused.says("petset rollout resume web");
    sandbox.ok("restart web-0");
    assert_eq!(revisions(&sandbox)[..2], before[..2]);
    sandbox.ok("scale web --replicas 4");
    sandbox.ok("scale web --replicas 3");
    processes::kill(sandbox.supervisor().unwrap());
    sandbox.ok("rollout pause web");
    sandbox.ok("wait web --for settled");
    assert_eq!(revisions(&sandbox)[..2], before[..2]);
    sandbox.fails(4, "rollout pause web");
    sandbox.ok("rollout resume web");
    assert_eq!(revisions(&sandbox)[0], revisions(&sandbox)[2]);
    assert_ne!(revisions(&sandbox)[0], before[0]);
}

#[test]
fn a_dry_run_shows_the_steps_and_takes_none() {
    let sandbox = three_servers();
    let before = set(&sandbox);
    let plan = sandbox.ok("scale web --replicas 1 --dry-run");
    plan.prints(
        "statefulset.apps/web: 2 steps (dry run)\n  1. stop web-2: the set was scaled down\n  \
         2. stop web-1: the set was scaled down\n",
    );
    let plan = sandbox.ok("upgrade web --env A=1 --dry-run -o json").out;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan[0]["steps"][1]["step"], "stopPet");
    assert_eq!(plan[0]["steps"][1]["object"], "web-2");
    for words in [
        "restart web",
        "restart web --parallel",
        "restart web-1",
        "delete web",
        "delete pod/web-1",
        "stop",
        "start",
        "rollout restart web",
        "rollout pause web",
        "create other --image petset/hello",
    ] {
        sandbox.ok(&format!("{words} --dry-run")).says("(dry run)");
    }
    sandbox
        .ok("upgrade web --env A=1 --pause-after 1 --dry-run")
        .says("then it waits: it is paused");
    assert_eq!(set(&sandbox), before);
    sandbox.fails(3, "get sts other");
}

#[test]
fn a_dry_run_of_create_shows_steps_and_of_objects_what_kubectl_shows() {
    let sandbox = Sandbox::new();
    let create = "create -f manifests/three-ordered.yaml";
    let plan = sandbox.ok(&format!("{create} --dry-run")).out;
    let lines: Vec<&str> = plan.lines().collect();
    assert_eq!(lines[0], "service/web created (dry run)");
    assert_eq!(lines[1], "statefulset.apps/web: 10 steps (dry run)");
    assert_eq!(lines[3], "   2. make claim data-web-0");
    assert!(lines[11].ends_with("wait until web-2 is ready"), "{plan}");
    let json = |words: &str| serde_json::from_str::<Value>(&sandbox.ok(words).out).unwrap();
    let steps = json(&format!("{create} --dry-run -o json"));
    assert_eq!(steps[0]["steps"][2]["step"], "startPet");
    let list = json(&format!("{create} --dry-run=client -o json"));
    assert_eq!(list["items"][1]["kind"], "StatefulSet");
    let names = sandbox.ok(&format!("{create} --dry-run -o name"));
    names.prints("service/web\nstatefulset.apps/web\n");
    let applied = sandbox.ok("apply -f manifests/three-ordered.yaml --dry-run");
    applied.says("service/web created (dry run)");

    sandbox.ok("create web --image petset/hello --volume data");
    sandbox.fails(4, &format!("{create} --dry-run")).prints("");
    sandbox
        .ok("delete web --purge --dry-run")
        .says("remove claim data-web-0 and what is in it");
    let scaled = json("scale web --replicas 4 --dry-run=client -o json");
    assert_eq!(scaled["spec"]["replicas"], 4);
    sandbox
        .ok("scale web --replicas 4 --dry-run -o yaml")
        .says("replicas: 4");
}

#[test]
fn apply_creates_scales_upgrades_and_repeats_without_effect() {
    let sandbox = Sandbox::new();
    let file = "manifests/three-ordered.yaml";
    sandbox.fails(1, &format!("diff -f {file}"));
    let applied = sandbox.ok(&format!("apply -f {file}"));
    applied
        .says("service/web created")
        .says("statefulset.apps/web created");
    let again = sandbox.ok(&format!("apply -f {file}"));
    again
        .says("service/web unchanged")
        .says("statefulset.apps/web unchanged");
    sandbox.ok(&format!("diff -f {file}")).prints("");
    sandbox.ok("restart web");
    sandbox
        .ok(&format!("apply -f {file}"))
        .says("statefulset.apps/web unchanged");
    let text = std::fs::read_to_string(support::testdata().join(file)).unwrap();
    let text = text
        .replace("replicas: 3", "replicas: 2")
        .replace("storage: 1Gi", "storage: 2Gi");
    let changed = sandbox.manifest("changed.yaml", &text);
    let differs = sandbox.fails(1, &format!("diff -f {changed}"));
    differs.says("-  replicas: 3\n+  replicas: 2");
    sandbox
        .ok(&format!("apply -f {changed}"))
        .says("statefulset.apps/web configured");
    assert_eq!(sandbox.pets(), ["web-0", "web-1"]);
    let smaller = text.replace("storage: 2Gi", "storage: 1Gi");
    let smaller = sandbox.manifest("smaller.yaml", &smaller);
    sandbox
        .fails(2, &format!("apply -f {smaller}"))
        .says("are forbidden");
}

#[test]
fn a_pet_hands_over_before_it_leaves_and_stays_if_it_cannot() {
    let sandbox = Sandbox::new();
    let text = std::fs::read_to_string(support::testdata().join("manifests/three-ordered.yaml"));
    let hook = "metadata:\n  name: web\n  annotations:\n    petset.dev/pre-scale-down: \
                'journal left $POD_NAME; test -e $HOME/may-leave'\nspec:\n  serviceName";
    let text = text
        .unwrap()
        .replace("metadata:\n  name: web\nspec:\n  serviceName", hook);
    let file = sandbox.manifest("hook.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    let failed = sandbox.fails(5, "scale web --replicas 2");
    failed.says("web-2 may not leave: its pre-scale-down hook failed with exit code 1");
    assert_eq!(sandbox.pets().len(), 3);
    failed.says("and say `petset scale web --replicas 2` again, or keep web-2");
    sandbox.journal_lacks("stopped web-2");
    sandbox.open("may-leave");
    sandbox.ok("scale web --replicas 2");
    assert_eq!(sandbox.pets(), ["web-0", "web-1"]);
    sandbox.shut("may-leave");
    sandbox.fails(5, "scale web --replicas 1");
    let mended = text.replace("test -e $HOME/may-leave", "true");
    let mended = mended.replace("replicas: 3", "replicas: 1");
    let mended = sandbox.manifest("mended.yaml", &mended);
    sandbox.ok(&format!("apply -f {mended}"));
    assert_eq!(sandbox.pets(), ["web-0"]);
    sandbox.journal_says(&["left web-2", "stopped web-2", "left web-1", "stopped web-1"]);
    sandbox.ok("restart web");
    assert_eq!(sandbox.count("left web-0"), 0, "a restart is no scale-down");
}

#[test]
fn members_that_wait_for_each_other_are_started_together() {
    let sandbox = Sandbox::new();
    // A member of a cluster that has been formed is ready when two of its members run.
    let text = std::fs::read_to_string(support::testdata().join("manifests/three-ordered.yaml"));
    let probe = "command: [sh, -c, 'is-up && { test ! -e $HOME/formed || \
                 test $($PETSET get pets web -o name | wc -l) -ge 2; }']";
    let text = text.unwrap().replace("command: [is-up]", probe);
    let file = sandbox.manifest("quorum.yaml", &text);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.open("formed");
    sandbox.ok("stop");
    let waiting = sandbox.fails(124, "start --timeout 12s");
    waiting.says("petset restart web --parallel");
    sandbox
        .ok("describe web")
        .says("ran before and start only when it is ready");
    sandbox.ok("restart web --parallel");
    assert_eq!(sandbox.pets().len(), 3);
    sandbox.ok("stop");
    sandbox.ok("start --parallel");
    let annotations = &set(&sandbox)["metadata"]["annotations"];
    assert!(annotations["petset.dev/start-together"].is_null());
}

#[test]
fn a_choice_of_pet_is_refused_with_the_reason() {
    let sandbox = three_servers();
    let refused = sandbox.fails(2, "scale web --delete web-1");
    refused.says("numbered without gaps").says("--replicas 2");
    sandbox.fails(2, "scale web");
}

#[test]
fn a_strict_set_knows_no_wishes_of_petsets_own() {
    let sandbox = Sandbox::new();
    sandbox.settings("strict = true\n");
    sandbox.ok("create web --image petset/hello");
    sandbox
        .fails(2, "rollout pause web")
        .says("pausing is not supported");
    sandbox.fails(2, "upgrade web --env A=1 --canary 1");
    sandbox.fails(2, "restart web --parallel");
    // A broken pet holds up the very template that would mend it, until a user restarts it (C16).
    sandbox.fails(5, "upgrade web --image nosuch:v1");
    let trapped = sandbox.fails(5, "upgrade web --image petset/hello");
    trapped.says("petset restart web-0");
    sandbox.ok("restart web-0");
    sandbox.ok("wait web --for settled");
}

#[test]
fn a_canary_that_crashes_is_promoted_by_force_only() {
    let sandbox = three_servers();
    let before = revisions(&sandbox);
    let canary = "upgrade web --canary 1 -- sh -c 'exit 7'";
    sandbox.ok(&format!("{canary} --no-wait").replace(
        " -- sh -c 'exit 7' --no-wait",
        " --no-wait -- sh -c 'exit 7'",
    ));
    sandbox.until_pet_is("web-2", "CrashLoopBackOff");
    let refused = sandbox.fails(4, "rollout promote web --no-wait");
    refused
        .says("the canary web-2 has not proved itself")
        .says("--force");
    assert_eq!(revisions(&sandbox)[..2], before[..2]);
    sandbox.ok("rollout promote web --force --no-wait");
    sandbox.ok("rollout undo web");
    assert_eq!(revisions(&sandbox), before);
}

#[test]
fn a_wait_right_after_a_mend_does_not_end_for_the_old_reason() {
    let sandbox = three_servers();
    sandbox.ok("upgrade web --no-wait -- sh -c 'exit 7'");
    sandbox.fails(5, "wait pod/web-2");
    sandbox.ok("rollout undo web --no-wait");
    assert_ne!(sandbox.run("wait pod/web-2 --timeout 1s").code, 5);
    sandbox.ok("wait web");
}

#[test]
fn an_upgrade_that_fails_quotes_no_earlier_program_and_names_the_way_back() {
    let sandbox = three_servers();
    let failed = "upgrade web --image example/unknown:v2 --allow-missing";
    let upgraded = sandbox.fails(5, failed);
    upgraded
        .lacks("listens on")
        .says("`petset rollout undo web`")
        .says("--on-failure rollback")
        .says("`petset describe pod/web-2`");
    let history = sandbox.ok("rollout history web");
    history
        .says("\n1          petset create web --replicas 3 --image petset/hello")
        .says(&format!("\n2          petset {failed} (failed)\n"));
    sandbox.ok("rollout undo web").lacks("failed before");
    let history = sandbox.ok("rollout history web");
    history.says(&format!("\n2          petset {failed} (failed)\n"));
    // Only the newest that is not wanted is left, and it is the one that failed.
    let again = sandbox.ok("rollout undo web --no-wait");
    again
        .says("revision 2 failed before")
        .says("petset rollout undo web --to-revision N");
    sandbox
        .ok("rollout undo web --to-revision 3")
        .lacks("failed before");
}

#[test]
fn a_program_that_cannot_start_is_not_told_by_the_last_lines_of_the_one_before() {
    let sandbox = three_servers();
    let wish = "--allow-missing --on-failure rollback --progress-deadline 5s";
    let upgraded = sandbox.fails(6, &format!("upgrade web {wish} -- /nosuchprog"));
    upgraded
        .says("/nosuchprog")
        .lacks("listens on")
        .says("`petset rollout history web`");
    let history = sandbox.ok("rollout history web");
    history.says("-- /nosuchprog (failed)\n");
}

#[test]
fn an_undo_without_an_earlier_revision_does_not_speak_of_revision_0() {
    let sandbox = Sandbox::new();
    sandbox.ok("create web -- sleep 1000");
    let undo = sandbox.fails(3, "rollout undo web");
    undo.says("there is no earlier revision")
        .lacks("revision 0");
}
