//! Replica sets and replication controllers: so many pods, whatever their names.

use std::collections::BTreeSet;
use std::fs;

use crate::support::{Sandbox, is_full};
use crate::{address, apply, object, pods, until_ready};

/// Writes the manifest of a replica set of servers.
fn replica_set(sandbox: &Sandbox, name: &str, replicas: usize) -> String {
    let text = format!(
        "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {{name: {name}}}\nspec:\n  replicas: \
         {replicas}\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    metadata: \
         {{labels: {{app: {name}}}}}\n    spec:\n      terminationGracePeriodSeconds: 10\n      \
         containers:\n      - {{name: main, image: example/serve, command: [serve], \
         readinessProbe: {{periodSeconds: 1, exec: {{command: [is-up]}}}}}}\n"
    );
    sandbox.manifest(&format!("{name}.yaml"), &text)
}

/// Waits until this many pods of a name have been started.
#[track_caller]
fn until_started(sandbox: &Sandbox, prefix: &str, count: usize) {
    let line = format!("started {prefix}");
    sandbox.until(&format!("{count} pods of {prefix} have started"), || {
        let journal = sandbox.journal();
        journal.iter().filter(|it| it.starts_with(&line)).count() == count
    });
}

#[track_caller]
fn no_pod_ran_twice(sandbox: &Sandbox) {
    let journal = sandbox.journal();
    let violations: Vec<_> = journal
        .iter()
        .filter(|it| it.contains("violation"))
        .collect();
    assert!(violations.is_empty(), "{violations:?}");
}

#[test]
fn pods_get_names_of_their_own_and_another_takes_the_place_of_one_that_is_lost() {
    // RS01, RS03, RS05, RS14, RS25
    let sandbox = Sandbox::new();
    let file = replica_set(&sandbox, "front", 3);
    apply(&sandbox, &file).prints("replicaset.apps/front created\n");
    let first = until_ready(&sandbox, "front-", 3);
    assert!(first.iter().all(|name| name.len() == "front-".len() + 5));
    let addresses: BTreeSet<String> = first.iter().map(|it| address(&sandbox, it)).collect();
    assert_eq!(addresses.len(), 3);
    let set = object(&sandbox, "rs/front");
    assert_eq!(set["status"]["replicas"], 3);
    assert_eq!(set["status"]["availableReplicas"], 3);
    let owner = &sandbox.pod(&first[0])["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["uid"]),
        (&"ReplicaSet".into(), &set["metadata"]["uid"])
    );
    sandbox
        .ok(&format!("exec {} -- sh -c 'echo $POD_NAME'", first[0]))
        .prints(&format!("{}\n", first[0]));
    apply(&sandbox, &file).prints("replicaset.apps/front unchanged\n");

    sandbox
        .ok(&format!("delete pod/{}", first[0]))
        .says("deleted");
    let second = until_ready(&sandbox, "front-", 3);
    assert!(!second.contains(&first[0]));
    assert_eq!(second.iter().filter(|name| first.contains(name)).count(), 2);
    assert!(!sandbox.file(&format!("pets/default/{}", first[0])).exists());
    sandbox
        .ok("events front")
        .says(&format!("Created pod: {}", first[0]));

    sandbox
        .ok("delete rs front")
        .prints("replicaset.apps/front deleted\n");
    assert!(sandbox.pets().is_empty());
    no_pod_ran_twice(&sandbox);
    sandbox.fails(3, "delete rs/front").says("not found");
    sandbox.assert_nothing_left();
}

#[test]
fn a_changed_number_of_replicas_makes_and_deletes_pods_and_a_changed_template_none() {
    // RS05, RS07
    let sandbox = Sandbox::new();
    let file = replica_set(&sandbox, "front", 1);
    sandbox.ok(&format!("create -f {file}"));
    let one = until_ready(&sandbox, "front-", 1);
    apply(&sandbox, &replica_set(&sandbox, "front", 3)).says("configured");
    let three = until_ready(&sandbox, "front-", 3);
    assert!(three.contains(&one[0]));
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("Seconds: 10", "Seconds: 9")).unwrap();
    apply(&sandbox, &file).says("configured");
    assert_eq!(until_ready(&sandbox, "front-", 3), three);
    apply(&sandbox, &replica_set(&sandbox, "front", 1)).says("configured");
    let left = until_ready(&sandbox, "front-", 1);
    assert!(three.contains(&left[0]));
    apply(&sandbox, &replica_set(&sandbox, "front", 0));
    sandbox.until("no pod is left", || sandbox.pets().is_empty());
    // Without pods nobody has to look after it.
    sandbox.assert_nothing_left();
    sandbox
        .ok("get rs front -o name")
        .prints("replicaset.apps/front\n");
}

#[test]
fn a_dry_run_and_a_comparison_change_nothing() {
    let sandbox = Sandbox::new();
    let file = replica_set(&sandbox, "front", 2);
    for verb in ["create", "apply"] {
        sandbox
            .ok(&format!("{verb} -f {file} --dry-run"))
            .says("replicaset.apps/front created (dry run)");
    }
    sandbox
        .fails(1, &format!("diff -f {file}"))
        .says("+kind: ReplicaSet");
    assert!(sandbox.pets().is_empty());
    apply(&sandbox, &file);
    sandbox.ok(&format!("diff -f {file}")).prints("");
    let more = replica_set(&sandbox, "front", 4);
    sandbox
        .fails(1, &format!("diff -f {more}"))
        .says("+  replicas: 4");
    sandbox
        .ok(&format!("apply -f {more} --dry-run"))
        .says("replicaset.apps/front configured (dry run)");
    sandbox
        .fails(4, &format!("create -f {more}"))
        .says("already exists");
    sandbox
        .ok(&format!("create -f {more} --if-not-exists"))
        .says("unchanged");
    sandbox
        .ok("delete rs/front --dry-run")
        .says("deleted (dry run)");
    assert_eq!(pods(&sandbox, "front-").len(), 2);
    sandbox.ok(&format!("delete -f {file}"));
    sandbox.assert_nothing_left();
}

#[test]
fn a_service_leads_to_the_pods_of_a_replica_set() {
    // CF-apps-47
    let sandbox = Sandbox::new();
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: front}\nspec: {selector: {app: \
                bird}, ports: [{port: 80, targetPort: http}]}\n---\napiVersion: v1\nkind: Service\n\
                metadata: {name: nest}\nspec: {clusterIP: None, selector: {app: bird}, ports: \
                [{name: http, port: 8080}]}\n---\napiVersion: apps/v1\nkind: ReplicaSet\n\
                metadata: {name: bird}\nspec:\n  replicas: 2\n  selector: {matchLabels: {app: \
                bird}}\n  template:\n    metadata: {labels: {app: bird}}\n    spec:\n      \
                containers:\n      - {name: main, image: petset/hello, ports: [{name: http, \
                containerPort: 8080}], readinessProbe: {httpGet: {path: /healthz, port: http}}}\n";
    let file = sandbox.manifest("birds.yaml", text);
    apply(&sandbox, &file)
        .says("service/front created")
        .says("replicaset.apps/bird created");
    let birds = until_ready(&sandbox, "bird-", 2);
    let known = sandbox.ok("get endpoints front");
    for bird in &birds {
        known.says(&format!("{}:8080", address(&sandbox, bird)));
    }
    let mut addresses: Vec<String> = birds.iter().map(|it| address(&sandbox, it)).collect();
    addresses.sort();
    let named = sandbox.ok("dns query nest").out;
    let mut named: Vec<&str> = named.lines().collect();
    named.sort_unstable();
    assert_eq!(named, addresses);
    sandbox.ok(&format!("logs {}", birds[0]));
    sandbox
        .ok(&format!("describe pod {}", birds[0]))
        .says("ReplicaSet/bird");
    sandbox.ok(&format!("delete -f {file}"));
    sandbox.assert_nothing_left();
}

#[test]
fn pods_are_neither_lost_nor_doubled_when_the_supervisor_is_killed_at_any_time() {
    let sandbox = Sandbox::new();
    let file = replica_set(&sandbox, "front", 4);
    sandbox.ok(&format!("apply -f {file} --no-wait"));
    for _ in 0..8 {
        sandbox.until("a supervisor runs", || sandbox.supervisor().is_some());
        sandbox.kill(sandbox.supervisor());
        sandbox.ok("start --no-wait");
    }
    let first = until_ready(&sandbox, "front-", 4);
    // The status that is shown is that of now.
    sandbox.until("four are available", || {
        object(&sandbox, "rs/front")["status"]["availableReplicas"] == 4
    });
    sandbox.kill(sandbox.supervisor());
    sandbox.kill(sandbox.runner(&first[0]));
    let _ = sandbox.run("start");
    assert_eq!(until_ready(&sandbox, "front-", 4), first);
    sandbox.kill(sandbox.supervisor());
    sandbox.ok("delete rs/front");
    no_pod_ran_twice(&sandbox);
    sandbox.assert_nothing_left();
}

#[test]
fn stop_ends_the_pods_of_a_replica_set_and_start_makes_new_ones() {
    let sandbox = Sandbox::new();
    let file = replica_set(&sandbox, "front", 2);
    apply(&sandbox, &file);
    let first = until_ready(&sandbox, "front-", 2);
    sandbox.ok("stop").prints("stopped 0 sets and 1 workload\n");
    sandbox.assert_nothing_left();
    assert!(sandbox.pets().is_empty());
    sandbox
        .ok("stop")
        .prints("0 sets and 1 workload already stopped\n");
    sandbox
        .ok("start")
        .prints("started 0 sets and 1 workload\n");
    let second = until_ready(&sandbox, "front-", 2);
    assert!(second.iter().all(|name| !first.contains(name)));
    sandbox
        .ok("start")
        .prints("0 sets and 1 workload already running\n");
    sandbox.ok("delete rs/front");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pod_without_owner_is_adopted_and_one_with_other_labels_is_let_go() {
    // RS08, RS09
    // CF-apps-48
    let sandbox = Sandbox::new();
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: stray, labels: {app: front}}\nspec: \
                {terminationGracePeriodSeconds: 10, containers: [{name: main, image: \
                example/serve, command: [serve]}]}\n";
    let stray = sandbox.manifest("stray.yaml", text);
    sandbox.ok(&format!("create -f {stray}"));
    apply(&sandbox, &replica_set(&sandbox, "front", 2));
    let owner = sandbox.pod("stray")["metadata"]["ownerReferences"][0]["name"].clone();
    assert_eq!(owner, "front");
    assert_eq!(pods(&sandbox, "front-").len(), 1);
    assert!(!sandbox.file("wanted/default/pod/stray.yaml").exists());
    // Its pods outlive it.
    sandbox
        .ok("delete rs/front --cascade=orphan")
        .says("deleted");
    sandbox.until("the pods are wanted by themselves", || {
        fs::read_dir(sandbox.file("wanted/default/pod"))
            .unwrap()
            .count()
            == 2
    });
    until_started(&sandbox, "front-", 1);
    assert_eq!(sandbox.count("started stray"), 1);
    let own = pods(&sandbox, "front-");
    sandbox.ok(&format!("delete pod stray {}", own[0]));
    sandbox.assert_nothing_left();
}

#[test]
fn what_was_made_goes_when_the_file_of_its_owner_was_removed_by_hand() {
    let sandbox = Sandbox::new();
    apply(&sandbox, &replica_set(&sandbox, "front", 2));
    until_ready(&sandbox, "front-", 2);
    fs::remove_file(sandbox.file("wanted/default/replicaset/front.yaml")).unwrap();
    sandbox.until("no pod is left", || sandbox.pets().is_empty());
    sandbox.assert_nothing_left();
}

#[test]
fn a_replica_set_whose_pods_cannot_start_says_why() {
    let sandbox = Sandbox::new();
    let file = replica_set(&sandbox, "front", 1);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("[serve]", "[no-such-program]")).unwrap();
    let failed = sandbox.fails(5, &format!("create -f {file}"));
    failed.says("front-").says("no-such-program");
    sandbox.ok("delete rs/front");
    sandbox.assert_nothing_left();
}

#[test]
fn replica_sets_run_at_both_levels_of_isolation() {
    for level in ["none", "full"] {
        if level == "full" && !is_full() {
            continue;
        }
        let sandbox = Sandbox::new();
        let file = replica_set(&sandbox, "front", 2);
        sandbox.ok(&format!("apply -f {file} --isolation {level}"));
        let front = until_ready(&sandbox, "front-", 2);
        let notes = sandbox.pod(&front[0])["metadata"]["annotations"].clone();
        assert_eq!(
            notes["petset.dev/isolation"].as_str(),
            (level == "full").then_some("full"),
        );
        sandbox.ok(&format!("delete -f {file}"));
        sandbox.assert_nothing_left();
    }
}

#[test]
fn a_replication_controller_runs_as_a_replica_set_does() {
    // RS20
    // CF-apps-41, CF-cli-01
    let sandbox = Sandbox::new();
    let text = "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: old}\nspec:\n  \
                replicas: 2\n  template:\n    metadata: {labels: {app: old}}\n    spec:\n      \
                terminationGracePeriodSeconds: 10\n      containers: [{name: main, image: \
                example/serve, command: [serve]}]\n";
    let file = sandbox.manifest("old.yaml", text);
    apply(&sandbox, &file).prints("replicationcontroller/old created\n");
    let first = until_ready(&sandbox, "old-", 2);
    assert_eq!(object(&sandbox, "rc/old")["status"]["availableReplicas"], 2);
    sandbox.ok(&format!("delete pod/{}", first[0]));
    let second = until_ready(&sandbox, "old-", 2);
    assert_ne!(first, second);
    sandbox
        .ok("delete rc/old")
        .prints("replicationcontroller/old deleted\n");
    sandbox.assert_nothing_left();
}
