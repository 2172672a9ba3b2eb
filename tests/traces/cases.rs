//! What the end-to-end tests of Kubernetes check of sets (E01-E30), in the simulated cluster.
//!
//! E16, which writes a status, has no case: here the supervisor alone does that. E01 and E34 run
//! real pets (`tests/volumes.rs`), E28 is a rule of the controller, E31 is in
//! `tests/real_servers.rs`.
//!
//! The recordings hold much of it; here it is by its own names, in combinations of its own.

use serde_json::{Value, json};

use crate::recording::{Recording, Step};
use crate::world::{Race, World, image_of, owner_words};

/// A set `web`, and the events since the last request.
struct Cluster {
    world: World,
    events: Vec<Value>,
}

impl Cluster {
    /// Creates the set and waits until it rests; `change` is put into its spec.
    fn of(replicas: u32, change: Value) -> Self {
        Self::gated(replicas, change, "default")
    }

    fn gated(replicas: u32, change: Value, gates: &str) -> Self {
        let recording = json!({"scenario": "case", "featureGates": gates, "readyDelayMs": 150,
            "deleteDelayMs": 150, "steps": [], "revisionNames": {}});
        let recording: Recording = serde_json::from_value(recording).unwrap();
        let mut cluster = Self {
            world: World::of(&recording, false),
            events: Vec::new(),
        };
        cluster.request("POST", "statefulsets", set(replicas, change));
        cluster
    }

    fn request(&mut self, api: &str, path: &str, body: Value) {
        self.play(json!([{"api": api, "path": path, "body": body}]));
    }

    /// Merges a change into the spec of the set.
    fn change(&mut self, spec: Value) {
        self.request("PATCH", "statefulsets/web", json!({"spec": spec}));
    }

    fn image(&mut self, image: &str) {
        let containers = json!([{"name": "c", "image": image}]);
        self.change(json!({"template": {"spec": {"containers": containers}}}));
    }

    fn kubelet(&mut self, order: &str, pod: &str, value: Value) {
        self.play(json!([{"kubelet": order, "pod": pod, "value": value}]));
    }

    fn play(&mut self, actions: Value) {
        let step = json!({"do": "a case", "actions": actions, "events": [], "k8sEvents": [],
            "status": null, "pods": [], "pvcs": [], "revisions": []});
        let step: Step = serde_json::from_value(step).unwrap();
        self.events = self.world.play(&step, Race::Requests);
    }

    /// Every pod and its image: `?` is not ready, `-` terminating, `~` without a controller.
    fn pods(&self) -> String {
        let pods = self.world.pods.iter().map(|(name, pod)| {
            let status = pod.status.clone().unwrap_or_default();
            let mut conditions = status.conditions.iter().flatten();
            let ready = conditions.any(|condition| condition.status == "True");
            let owners = pod.metadata.owner_references.as_deref();
            let marks = [
                (!ready, "?"),
                (pod.metadata.deletion_timestamp.is_some(), "-"),
                (owners.is_none_or(<[_]>::is_empty), "~"),
            ];
            let marks = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark);
            format!("{name}:{}{}", image_of(pod), marks.collect::<String>())
        });
        pods.collect::<Vec<_>>().join(" ")
    }

    /// Every claim and its owners.
    fn claims(&self) -> Vec<String> {
        let claims = self.world.claims.iter().map(|(name, claim)| {
            let owners = claim.metadata.owner_references.as_deref();
            let owners = owner_words(owners.unwrap_or_default()).join(",");
            format!("{name} {owners}").trim_end().to_owned()
        });
        claims.collect()
    }

    /// The pods that were made (`+`) and asked to stop (`-`), in that order.
    fn happened(&self) -> String {
        let words = self.events.iter().filter_map(|event| {
            let pod = event["pod"].as_str()?;
            match event["ev"].as_str()? {
                "pod-created" => Some(format!("+{pod}")),
                "pod-terminating" => Some(format!("-{pod}")),
                _ => None,
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    fn status(&self) -> k8s_openapi::api::apps::v1::StatefulSetStatus {
        self.world.sets["web"].status.clone().unwrap()
    }
}

fn set(replicas: u32, change: Value) -> Value {
    let mut set = json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas,
        "serviceName": "web", "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "v1"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}});
    let fields = set["spec"].as_object_mut().unwrap();
    fields.extend(change.as_object().unwrap().clone());
    set
}

#[test]
fn pods_are_adopted_and_released_by_their_labels() {
    // E02
    let mut it = Cluster::of(2, json!({}));
    let nobody = json!({"metadata": {"ownerReferences": []}});
    it.request("PATCH", "pods/web-0", nobody);
    assert_eq!(it.pods(), "web-0:v1 web-1:v1", "it is adopted again");
    let stranger = json!({"metadata": {"labels": {"app": null}}});
    it.request("PATCH", "pods/web-0", stranger);
    assert_eq!(it.pods(), "web-0:v1~ web-1:v1", "it is released");
    it.request(
        "PATCH",
        "pods/web-0",
        json!({"metadata": {"labels": {"app": "web"}}}),
    );
    assert_eq!(it.pods(), "web-0:v1 web-1:v1");
    assert_eq!(it.happened(), "");
}

#[test]
fn a_pet_comes_back_although_a_higher_one_is_not_ready() {
    // E03, R12
    let mut it = Cluster::of(2, json!({}));
    it.kubelet("set-ready", "web-1", json!(false));
    it.request("DELETE", "pods/web-0", Value::Null);
    assert_eq!(it.happened(), "-web-0 +web-0");
    assert_eq!(it.pods(), "web-0:v1 web-1:v1?");
}

#[test]
fn an_update_goes_down_waits_for_a_broken_pet_and_comes_back_by_its_old_name() {
    // E04, E05, R09
    let mut it = Cluster::of(3, json!({}));
    let first = it.status().current_revision;
    it.kubelet("set-ready", "web-1", json!(false));
    it.image("v2");
    assert_eq!(it.happened(), "", "it waits for web-1");
    it.kubelet("set-ready", "web-1", json!(true));
    assert_eq!(it.happened(), "-web-2 +web-2 -web-1 +web-1 -web-0 +web-0");
    assert_eq!(it.status().current_revision, it.status().update_revision);
    it.image("v1");
    assert_eq!(it.status().current_revision, first);
    assert_eq!(it.claims(), ["data-web-0", "data-web-1", "data-web-2"]);
}

#[test]
fn a_partition_moves_down_and_each_pet_comes_back_at_its_revision() {
    // E06
    let rolling =
        |partition| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
    let mut it = Cluster::of(3, json!({"updateStrategy": rolling(3)}));
    it.image("v2");
    assert_eq!(
        (it.happened(), it.world.revisions.len()),
        (String::new(), 2)
    );
    it.change(json!({"updateStrategy": rolling(2)}));
    assert_eq!(it.pods(), "web-0:v1 web-1:v1 web-2:v2");
    it.request("DELETE", "pods/web-0", Value::Null);
    it.request("DELETE", "pods/web-2", Value::Null);
    assert_eq!(it.pods(), "web-0:v1 web-1:v1 web-2:v2");
    it.change(json!({"updateStrategy": rolling(1)}));
    assert_eq!(it.pods(), "web-0:v1 web-1:v2 web-2:v2");
    it.change(json!({"updateStrategy": rolling(0)}));
    assert_eq!(it.pods(), "web-0:v2 web-1:v2 web-2:v2");
    assert_eq!(it.status().current_revision, it.status().update_revision);
}

#[test]
fn below_the_partition_a_pet_that_ends_slowly_or_badly_comes_back_as_it_was() {
    // E07, E08
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
    let mut it = Cluster::of(3, json!({"updateStrategy": strategy}));
    it.kubelet("hold-delete", "web-0", Value::Null);
    it.request("DELETE", "pods/web-0", Value::Null);
    it.image("v2");
    it.kubelet("set-phase", "web-0", json!("Failed"));
    assert!(it.pods().starts_with("web-0:v1?-"), "{}", it.pods());
    it.kubelet("release-delete", "web-0", Value::Null);
    assert_eq!(it.pods(), "web-0:v1 web-1:v2 web-2:v2");
}

#[test]
fn no_more_pets_are_down_than_may_be() {
    // E09, R15
    let gates = "MaxUnavailableStatefulSet=true";
    for bound in [json!(2), json!("50%")] {
        let rolling = json!({"maxUnavailable": bound});
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        let mut it = Cluster::gated(5, json!({"updateStrategy": strategy}), gates);
        it.image("v2");
        let (mut down, mut most) = (0, 0);
        for event in &it.events {
            match event["ev"].as_str().unwrap() {
                "pod-terminating" => down += 1,
                "pod-ready" => down -= 1,
                _ => {}
            }
            most = most.max(down);
        }
        assert_eq!((down, most), (0, 2));
    }
}

#[test]
fn on_delete_pets_change_when_they_are_deleted() {
    // E10
    let mut it = Cluster::of(3, json!({"updateStrategy": {"type": "OnDelete"}}));
    it.request("DELETE", "pods/web-1", Value::Null);
    it.image("v2");
    assert_eq!(it.pods(), "web-0:v1 web-1:v1 web-2:v1");
    it.request("DELETE", "pods", Value::Null);
    assert_eq!(it.pods(), "web-0:v2 web-1:v2 web-2:v2");
    assert_ne!(it.status().current_revision, it.status().update_revision);
}

#[test]
fn ordered_scaling_halts_and_parallel_scaling_does_not() {
    // E11, E12
    let mut it = Cluster::of(1, json!({}));
    it.kubelet("set-ready", "web-0", json!(false));
    it.request(
        "PATCH",
        "statefulsets/web/scale",
        json!({"spec": {"replicas": 3}}),
    );
    assert_eq!(it.pods(), "web-0:v1?");
    it.kubelet("set-ready", "web-0", json!(true));
    assert_eq!(it.happened(), "+web-1 +web-2");
    it.kubelet("set-ready", "web-1", json!(false));
    it.kubelet("set-ready", "web-2", json!(false));
    it.change(json!({"replicas": 0}));
    assert_eq!(it.happened(), "");
    it.kubelet("set-ready", "web-1", json!(true));
    assert_eq!(it.happened(), "-web-2 -web-1 -web-0");

    let mut it = Cluster::of(2, json!({"podManagementPolicy": "Parallel"}));
    it.kubelet("set-ready", "web-0", json!(false));
    it.change(json!({"replicas": 4}));
    assert_eq!(it.happened(), "+web-2 +web-3");
    it.change(json!({"replicas": 0}));
    assert_eq!(it.pods(), "");
}

#[test]
fn a_pet_that_failed_is_replaced_until_it_runs() {
    // E13
    let mut it = Cluster::of(1, json!({}));
    for phase in ["Failed", "Succeeded", "Failed"] {
        it.kubelet("set-phase", "web-0", json!(phase));
        assert_eq!(
            (it.happened(), it.pods()),
            ("-web-0 +web-0".to_owned(), "web-0:v1".to_owned())
        );
    }
}

#[test]
fn scale_replace_and_collection_requests_do_what_they_say() {
    // E14, E15
    let mut it = Cluster::of(1, json!({}));
    let scale = |replicas| json!({"spec": {"replicas": replicas}});
    it.request("PUT", "statefulsets/web/scale", scale(2));
    it.request("PATCH", "statefulsets/web/scale", scale(4));
    assert_eq!(it.status().replicas, 4);
    let mut other = set(2, json!({}));
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "v2".into();
    it.request("PUT", "statefulsets/web", other);
    assert_eq!(it.pods(), "web-0:v2 web-1:v2");
    it.request("DELETE", "statefulsets", Value::Null);
    assert_eq!((it.pods(), it.world.sets.len()), (String::new(), 0));
}

#[test]
fn pets_count_as_available_after_a_while_only() {
    // E21, R14
    let mut it = Cluster::of(2, json!({"minReadySeconds": 30}));
    assert_eq!(it.status().available_replicas, Some(2));
    it.change(json!({"minReadySeconds": 3600, "replicas": 3}));
    assert_eq!(it.happened(), "+web-2");
    it.change(json!({"minReadySeconds": 0}));
    it.image("v2");
    assert_eq!(it.pods(), "web-0:v2 web-1:v2 web-2:v2");
}

fn keep(when_deleted: &str, when_scaled: &str) -> Value {
    json!({"persistentVolumeClaimRetentionPolicy":
        {"whenDeleted": when_deleted, "whenScaled": when_scaled}})
}

#[test]
fn claims_go_with_the_set_or_the_pet_where_the_policy_says_so() {
    // E23, E24
    let mut it = Cluster::of(2, keep("Delete", "Retain"));
    let owned = "StatefulSet/web:controller";
    let all = [format!("data-web-0 {owned}"), format!("data-web-1 {owned}")];
    assert_eq!(it.claims(), all);
    it.request("DELETE", "statefulsets/web", Value::Null);
    assert!(it.claims().is_empty());

    let mut it = Cluster::of(3, keep("Retain", "Delete"));
    it.change(json!({"replicas": 1}));
    assert_eq!(it.claims(), ["data-web-0"]);
    it.change(keep("Retain", "Retain"));
    it.change(json!({"replicas": 2}));
    it.change(json!({"replicas": 1}));
    assert_eq!(it.claims(), ["data-web-0", "data-web-1"]);
}

#[test]
fn a_claim_that_somebody_else_controls_stays() {
    // E25, E27
    let other = json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap",
        "name": "other", "uid": "other", "controller": true}]}});
    let mut it = Cluster::of(3, keep("Retain", "Delete"));
    it.request("PATCH", "persistentvolumeclaims/data-web-2", other.clone());
    it.change(json!({"replicas": 1}));
    assert_eq!(
        it.claims(),
        ["data-web-0", "data-web-2 ConfigMap/other:controller"]
    );

    let mut it = Cluster::of(3, keep("Delete", "Retain"));
    it.request("PATCH", "persistentvolumeclaims/data-web-1", other);
    let stale = json!({"metadata": {"name": "data-web-3"}});
    it.request("POST", "persistentvolumeclaims", stale);
    it.request("DELETE", "statefulsets/web", Value::Null);
    let kept = ["data-web-1 ConfigMap/other:controller", "data-web-3"];
    assert_eq!(it.claims(), kept);
}

#[test]
fn claims_follow_the_policy_again_after_their_pets_were_adopted() {
    // E26, R17
    let orphan = json!({"propagationPolicy": "Orphan"});
    let mut it = Cluster::of(2, keep("Delete", "Delete"));
    it.request("DELETE", "statefulsets/web", orphan);
    assert_eq!(it.pods(), "web-0:v1~ web-1:v1~");
    assert_eq!(it.claims(), ["data-web-0", "data-web-1"]);
    it.request("POST", "statefulsets", set(2, keep("Delete", "Delete")));
    assert_eq!(
        (it.pods(), it.happened()),
        ("web-0:v1 web-1:v1".to_owned(), String::new())
    );
    it.change(json!({"replicas": 1}));
    assert_eq!(it.claims(), ["data-web-0 StatefulSet/web:controller"]);
    it.request("DELETE", "statefulsets/web", Value::Null);
    assert!(it.claims().is_empty());
}

#[test]
fn ordinals_follow_their_start() {
    // E29, E30, R13
    let mut it = Cluster::of(2, json!({}));
    it.change(json!({"replicas": 3, "ordinals": {"start": 2}}));
    assert_eq!(it.pods(), "web-2:v1 web-3:v1 web-4:v1");
    assert_eq!(it.happened(), "+web-2 +web-3 +web-4 -web-1 -web-0");
    for (start, pods) in [
        (4, "web-4:v1 web-5:v1 web-6:v1"),
        (3, "web-3:v1 web-4:v1 web-5:v1"),
    ] {
        it.change(json!({"ordinals": {"start": start}}));
        assert_eq!(it.pods(), pods);
    }
    it.change(json!({"ordinals": null}));
    assert_eq!(it.pods(), "web-0:v1 web-1:v1 web-2:v1");
}

#[test]
fn a_set_that_is_being_deleted_makes_no_pet_however_it_is_scaled() {
    // C65
    let mut it = Cluster::of(2, json!({}));
    it.kubelet("hold-delete", "web-1", Value::Null);
    let foreground = json!({"propagationPolicy": "Foreground"});
    it.request("DELETE", "statefulsets/web", foreground);
    it.change(json!({"replicas": 5}));
    assert_eq!(it.happened(), "");
    it.kubelet("release-delete", "web-1", Value::Null);
    assert_eq!((it.pods(), it.world.sets.len()), (String::new(), 0));
}

#[test]
fn fewer_revisions_are_kept_when_the_limit_shrinks() {
    // C61, R19
    let mut it = Cluster::of(1, json!({}));
    for image in ["v2", "v3", "v4", "v5"] {
        it.image(image);
    }
    assert_eq!(it.world.revisions.len(), 5);
    it.change(json!({"revisionHistoryLimit": 1}));
    assert_eq!(it.world.revisions.len(), 2);
}

#[test]
fn what_a_recording_does_that_nobody_knows_is_named() {
    let recording = json!({"scenario": "odd", "featureGates": "default", "readyDelayMs": 1,
        "deleteDelayMs": 1, "revisionNames": {}, "steps": [{"do": "odd things",
            "actions": [{"kubelet": "explode", "pod": "web-0"}, {"api": "POST", "path": "nodes"}],
            "events": [{"ev": "pod-sang"}], "k8sEvents": [], "status": null, "pods": [],
            "pvcs": [], "revisions": []}]});
    let recording: Recording = serde_json::from_value(recording).unwrap();
    let faults = recording.unknown().join("\n");
    for name in ["\"explode\"", "POST nodes", "pod-sang", "odd things"] {
        assert!(faults.contains(name), "{faults}");
    }
}
