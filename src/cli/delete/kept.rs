//! What stays when a set is deleted: its volumes, its services and its configuration.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cli::shared::session::{Session, say};
use crate::cli::shared::volumes::OwnClaims;
use crate::model::environment::references;
use crate::model::kind::ObjectKind;
use crate::model::{Keep, Namespace, ObjectRef, Set};
use crate::problem::Result;
use crate::sorted::SortedSet;

/// Prints the volumes that are kept, why, and how to remove them.
pub(super) fn say_volumes(
    session: &Session,
    namespace: &Namespace,
    set: &StatefulSet,
    purged: bool,
) -> Result<()> {
    let wanted = Set::of(set)?;
    let go = purged || wanted.retention.when_deleted == Keep::Delete;
    let OwnClaims {
        free,
        in_use,
        shared,
    } = OwnClaims::of(session, namespace, &wanted)?;
    for (claim, other) in shared {
        say(format!(
            "Kept the volume {claim}, which set {other} has too."
        ));
    }
    for (claim, pod) in in_use {
        let fate = match go {
            true => "It goes with the last pod that uses it.",
            false => "`petset volume rm` removes it when the pod is gone.",
        };
        say(format!(
            "Kept the volume {claim}, which pod {pod} uses. {fate}"
        ));
    }
    if free.is_empty() || go {
        return Ok(());
    }
    let name = &wanted.name;
    let dir = session.store.layout().volumes(namespace);
    say(format!(
        "Kept the volumes {} below {}.",
        free.join(", "),
        dir.display()
    ));
    say(format!(
        "hint: `petset create` finds them again; `petset volume rm --set {name}` removes them"
    ));
    Ok(())
}

/// Prints the services, config maps and secrets of a set that stay, and how to remove them. Those
/// that another set or pod needs, and those that go too, are not named.
pub(super) fn say_objects(
    session: &Session,
    namespace: &Namespace,
    set: &StatefulSet,
    leaving: &[(ObjectKind, ObjectRef)],
) -> Result<()> {
    let services: Vec<Service> = session.readable(namespace)?;
    let mut kept = needs_of(set, &services);
    for other in other_pods(session, namespace, set)? {
        kept.retain(|need| !other.contains(need));
    }
    for (kind, ObjectRef { name, .. }) in leaving {
        kept.remove(&(*kind, name.to_string()));
    }
    let mut names = Vec::new();
    for (kind, name) in kept {
        let known = session.store.names(namespace, kind)?;
        if known.iter().any(|known| known.as_str() == name) {
            names.push(format!("{}/{name}", short(kind)));
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    say(format!("Kept {}.", names.join(", ")));
    let option = match namespace.as_str() {
        "default" => String::new(),
        other => format!(" -n {other}"),
    };
    say(format!(
        "hint: `petset delete{option} {}` removes what is left",
        names.join(" ")
    ));
    Ok(())
}

/// A kind and the name of an object of it.
type Need = (ObjectKind, String);

const fn short(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Service => "svc",
        ObjectKind::ConfigMap => "cm",
        ObjectKind::Secret
        | ObjectKind::PersistentVolumeClaim
        | ObjectKind::StatefulSet
        | ObjectKind::Pod
        | ObjectKind::Endpoints
        | ObjectKind::EndpointSlice
        | ObjectKind::ControllerRevision
        | ObjectKind::Workload(_)
        | ObjectKind::PersistentVolume
        | ObjectKind::StorageClass
        | ObjectKind::Eviction
        | ObjectKind::Overlay => kind.singular(),
    }
}

/// Returns what the pods that other sets make, and pods without a set, need.
fn other_pods(
    session: &Session,
    namespace: &Namespace,
    set: &StatefulSet,
) -> Result<Vec<SortedSet<Need>>> {
    let services: Vec<Service> = session.readable(namespace)?;
    let sets: Vec<StatefulSet> = session.readable(namespace)?;
    let pods: Vec<Pod> = session.readable(namespace)?;
    let stays = |meta: &ObjectMeta| meta.deletion_timestamp.is_none();
    let sets = sets
        .iter()
        .filter(|other| other.metadata.name != set.metadata.name && stays(&other.metadata));
    let pods = pods.iter().filter(|pod| stays(&pod.metadata));
    let of_sets = sets.map(|set| needs_of(set, &services));
    Ok(of_sets
        .chain(pods.map(|pod| needs_of_pod(pod, &services)))
        .collect())
}

fn needs_of(set: &StatefulSet, services: &[Service]) -> SortedSet<Need> {
    let spec = set.spec.clone().unwrap_or_default();
    let pod = Pod {
        metadata: spec.template.metadata.unwrap_or_default(),
        spec: spec.template.spec,
        ..Pod::default()
    };
    let mut needs = needs_of_pod(&pod, services);
    needs.extend(spec.service_name.map(|name| (ObjectKind::Service, name)));
    // A service that was made for the set goes with it.
    let made = |service: &&Service| {
        let mut owners = service.metadata.owner_references.iter().flatten();
        owners.any(|owner| Some(&owner.uid) == set.metadata.uid.as_ref())
    };
    for service in services.iter().filter(made) {
        let name = service.metadata.name.clone().unwrap_or_default();
        needs.remove(&(ObjectKind::Service, name));
    }
    needs
}

fn needs_of_pod(pod: &Pod, services: &[Service]) -> SortedSet<Need> {
    let named = references(pod);
    let maps = named.config_maps.into_iter();
    let maps = maps.map(|name| (ObjectKind::ConfigMap, name));
    let secrets = named.secrets.into_iter();
    let secrets = secrets.map(|name| (ObjectKind::Secret, name));
    let leads_here = |service: &&Service| {
        let spec = service.spec.as_ref();
        let selector = spec.and_then(|spec| spec.selector.as_ref());
        let labels = pod.metadata.labels.as_ref();
        let has = |(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value);
        selector.is_some_and(|selector| !selector.is_empty() && selector.iter().all(has))
    };
    let services = services.iter().filter(leads_here);
    let services = services.filter_map(|service| service.metadata.name.clone());
    let services = services.map(|name| (ObjectKind::Service, name));
    maps.chain(secrets).chain(services).collect()
}
