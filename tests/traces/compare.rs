//! What of a recording has to come out the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::recording::Step;
use crate::world::{World, image_of, owner_words, phase_of};

/// How far the order of events is the controller's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Every event of a pod has its place.
    Exact,
    /// Several pods are replaced at a time: the order of the requests counts, not when each ends.
    Several,
    /// Pods are handled in parallel: what happens to each counts, and the order of a roll.
    Parallel,
    /// A deleted set: petset stops its pets in order, the garbage collector does not (C36).
    SetDeleted,
}

/// Compares what was observed.
///
/// Events about revisions and about the end of claims run beside those about pods: their order
/// among themselves counts, not how they interleave, which is a matter of the API's speed.
pub(crate) fn events(step: &Step, happened: &[Value], order: Order) -> Vec<String> {
    let recorded = lanes(&step.events, order);
    let happened = lanes(happened, order);
    if recorded == happened {
        return Vec::new();
    }
    let lanes: Vec<_> = recorded.keys().chain(happened.keys()).collect();
    let different = lanes
        .into_iter()
        .filter(|lane| recorded.get(*lane) != happened.get(*lane));
    let shown = different.map(|lane| {
        let show = |events: Option<&Vec<String>>| {
            events
                .map(|events| events.join("\n    "))
                .unwrap_or_default()
        };
        let (one, two) = (show(recorded.get(lane)), show(happened.get(lane)));
        format!("{lane} ({order:?}):\n  recorded\n    {one}\n  happened\n    {two}")
    });
    let mut shown: Vec<_> = shown.collect();
    shown.dedup();
    shown
}

type Lanes = BTreeMap<String, Vec<String>>;

fn lanes(events: &[Value], order: Order) -> Lanes {
    let mut lanes = Lanes::new();
    let shrinks = shrinks(events);
    for event in events {
        let kind = event["ev"].as_str().unwrap();
        for lane in lanes_of(event, kind, order, shrinks) {
            lanes.entry(lane).or_default().push(words(event));
        }
    }
    for (lane, events) in &mut lanes {
        if lane.starts_with("any order") {
            events.sort();
        }
    }
    lanes
}

/// Returns whether pods are removed for good: then a parallel set stops them in any order.
fn shrinks(events: &[Value]) -> bool {
    let count = |kind: &str| events.iter().filter(|event| event["ev"] == kind).count();
    count("pod-terminating") > count("pod-created")
}

fn lanes_of(event: &Value, kind: &str, order: Order, shrinks: bool) -> Vec<String> {
    let pod = event["pod"].as_str().unwrap_or_default();
    let claim = event["pvc"].as_str().unwrap_or_default();
    let about = |thing: &str| vec![format!("about {thing}")];
    match kind {
        "sts-terminating" => Vec::new(),
        "sts-spec-changed" if order == Order::SetDeleted => Vec::new(),
        "sts-created" | "sts-spec-changed" | "sts-deleted" => vec!["the set".to_owned()],
        "rev-deleted" | "rev-owners" => vec!["any order: revisions".to_owned()],
        "rev-created" | "rev-renumbered" => vec!["revisions".to_owned()],
        "pvc-owners" | "pvc-terminating" | "pvc-deleted" => about(claim),
        "pod-owners" => about(pod),
        "pvc-created" if order == Order::Exact => vec!["pets".to_owned(), format!("about {claim}")],
        "pvc-created" => about(claim),
        _ => match order {
            Order::Exact => vec!["pets".to_owned()],
            Order::Several => match kind {
                "pod-terminating" => vec!["stopping".to_owned(), format!("about {pod}")],
                "pod-created" => vec!["starting".to_owned(), format!("about {pod}")],
                _ => about(pod),
            },
            Order::Parallel if kind == "pod-terminating" && !shrinks => {
                vec!["stopping".to_owned(), format!("about {pod}")]
            }
            Order::Parallel | Order::SetDeleted => about(pod),
        },
    }
}

fn words(event: &Value) -> String {
    let mut event = event.clone();
    let fields = event.as_object_mut().unwrap();
    fields.remove("t");
    if fields["ev"] == "pod-labels" {
        fields.retain(|key, _| key == "ev" || key == "pod");
    }
    event.to_string()
}

/// Compares the objects that are left when the step has settled.
pub(crate) fn objects(step: &Step, world: &World) -> Vec<String> {
    let parts = [
        ("status", statuses(&step.status, world), step.status.clone()),
        ("pods", pods(world), sorted(&step.pods, "pod")),
        ("claims", claims(world), sorted(&step.pvcs, "pvc")),
        (
            "revisions",
            revisions(world),
            sorted(&step.revisions, "name"),
        ),
    ];
    let different = parts
        .into_iter()
        .filter(|(_, happened, recorded)| happened != recorded);
    let shown = different.map(|(part, happened, recorded)| {
        format!("{part}:\n  recorded {recorded}\n  happened {happened}")
    });
    shown.collect()
}

fn sorted(list: &[Value], key: &str) -> Value {
    let mut list = list.to_vec();
    list.sort_by_key(|item| item[key].as_str().unwrap_or_default().to_owned());
    Value::Array(list)
}

fn statuses(recorded: &Value, world: &World) -> Value {
    let mut all = world
        .sets
        .keys()
        .map(|name| (name.clone(), status(world, name)));
    match world.sets.len() {
        0 => Value::Null,
        1 if recorded.get("replicas").is_some() => all.next().unwrap().1,
        _ => all.collect(),
    }
}

fn status(world: &World, name: &str) -> Value {
    let set = &world.sets[name];
    let status = set.status.clone().unwrap();
    let alias = |name: &Option<String>| world.alias(name.as_deref().unwrap_or_default());
    json!({
        "replicas": status.replicas,
        "ready": status.ready_replicas,
        "current": status.current_replicas,
        "updated": status.updated_replicas,
        "available": status.available_replicas,
        "currentRevision": alias(&status.current_revision),
        "updateRevision": alias(&status.update_revision),
        "observedGeneration": status.observed_generation,
        "collisionCount": status.collision_count,
        "currentEqualsUpdate": status.current_revision == status.update_revision,
        "generation": set.metadata.generation,
        "specReplicas": set.spec.as_ref().unwrap().replicas,
    })
}

fn pods(world: &World) -> Value {
    let pods = world.pods.iter().map(|(name, pod)| {
        let conditions = pod
            .status
            .as_ref()
            .unwrap()
            .conditions
            .clone()
            .unwrap_or_default();
        let ready = conditions
            .iter()
            .any(|condition| condition.status == "True");
        let mut shown = json!({"pod": name, "rev": world.revision_of(pod), "image": image_of(pod),
            "phase": phase_of(pod), "ready": ready});
        if pod.metadata.deletion_timestamp.is_some() {
            shown["terminating"] = true.into();
        }
        if pod
            .metadata
            .owner_references
            .as_ref()
            .is_none_or(Vec::is_empty)
        {
            shown["orphan"] = true.into();
        }
        shown
    });
    sorted(&pods.collect::<Vec<_>>(), "pod")
}

fn claims(world: &World) -> Value {
    let claims = world.claims.iter().map(|(name, claim)| {
        let owners = claim.metadata.owner_references.clone().unwrap_or_default();
        let mut shown = json!({"pvc": name, "owners": owner_words(&owners)});
        if claim.metadata.deletion_timestamp.is_some() {
            shown["terminating"] = true.into();
        }
        shown
    });
    claims.collect()
}

fn revisions(world: &World) -> Value {
    let revisions = world.revisions.iter().map(|revision| {
        let name = revision.metadata.name.as_deref().unwrap();
        let mut shown = json!({"name": world.alias(name), "revision": revision.revision});
        if revision
            .metadata
            .owner_references
            .as_ref()
            .is_none_or(Vec::is_empty)
        {
            shown["orphan"] = true.into();
        }
        shown
    });
    sorted(&revisions.collect::<Vec<_>>(), "name")
}
