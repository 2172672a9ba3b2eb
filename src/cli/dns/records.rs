//! The records of services, with the current readiness of each pet.
//!
//! The supervisor writes the record of a service when something changes. While no supervisor runs,
//! the readiness in it may be outdated, but the names of the endpoints are not.

use std::net::IpAddr;

use anyhow::Context;
use k8s_openapi::api::core::v1::{Pod, Service};

use crate::cli::shared::inside;
use crate::cli::shared::pods;
use crate::cli::shared::session::Session;
use crate::dns::Dependency;
use crate::model::endpoints::{ServiceRecord, endpoints};
use crate::model::kind::ObjectKind;
use crate::model::pod::is_ready;
use crate::model::{Namespace, SetName};
use crate::problem::Result;
use crate::store::{self, endpoints as endpoint_files};

/// Returns the record of one service; `None` if it does not exist.
pub(super) fn of_service(
    session: &Session,
    namespace: &Namespace,
    name: &str,
) -> Result<Option<ServiceRecord>> {
    let layout = session.store.layout();
    let record = endpoint_files::read(layout, namespace, name);
    let record = record.with_context(|| {
        let path = layout.service_record(namespace, name);
        format!("cannot read {}", path.display())
    })?;
    record
        .map(|record| current(session, namespace, inside::record(record)))
        .transpose()
}

/// Updates the endpoints of a record from the current state of their pods.
fn current(
    session: &Session,
    namespace: &Namespace,
    mut record: ServiceRecord,
) -> Result<ServiceRecord> {
    let mut kept = Vec::new();
    let mut pod: Option<Pod> = None;
    for mut endpoint in std::mem::take(&mut record.endpoints) {
        if endpoint.is_by_hand() {
            kept.push(endpoint);
            continue;
        }
        let known = pod.as_ref().and_then(|pod| pod.metadata.name.as_deref());
        if known != Some(&endpoint.pod) {
            pod = pods::find_in(session, namespace, &endpoint.pod)?;
        }
        let Some(pod) = &pod else { continue };
        endpoint.serving = is_ready(pod);
        endpoint.terminating = pod.metadata.deletion_timestamp.is_some();
        endpoint.ready = record.publish_not_ready || (endpoint.serving && !endpoint.terminating);
        if !pods::has_ended(pod) {
            kept.push(endpoint);
        }
    }
    record.endpoints = kept;
    Ok(record)
}

/// Returns the records of every service of every namespace.
pub(super) fn all(session: &Session) -> Result<Vec<ServiceRecord>> {
    let namespaces = session.store.namespaces()?;
    let found = namespaces
        .iter()
        .map(|namespace| of_namespace(session, namespace));
    let found: Vec<Vec<ServiceRecord>> = found.collect::<Result<_>>()?;
    Ok(found.into_iter().flatten().collect())
}

fn of_namespace(session: &Session, namespace: &Namespace) -> Result<Vec<ServiceRecord>> {
    let names = names_in(session, namespace)?;
    let found = names
        .iter()
        .map(|name| of_service(session, namespace, name));
    found.filter_map(Result::transpose).collect()
}

fn names_in(session: &Session, namespace: &Namespace) -> Result<Vec<String>> {
    let layout = session.store.layout();
    endpoint_files::services(layout, namespace).with_context(|| {
        let dir = layout.endpoints(namespace);
        format!("cannot list {}", dir.display())
    })
}

/// Returns the records of the services that select the pets of a set, with only those endpoints.
pub(super) fn of_set(session: &Session, set: &SetName) -> Result<Vec<ServiceRecord>> {
    let object = session.expect_set(set)?;
    let spec = object.spec.unwrap_or_default();
    let labels = spec
        .template
        .metadata
        .and_then(|meta| meta.labels)
        .unwrap_or_default();
    let mut found = Vec::new();
    for name in session
        .store
        .names(&session.namespace, ObjectKind::Service)?
    {
        let service: Option<Service> = session.store.find(&session.namespace, &name)?;
        let Some(service) = service else { continue };
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone());
        let selector = selector.unwrap_or_default();
        let selects = !selector.is_empty()
            && selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value));
        if !selects && spec.service_name.as_deref() != Some(name.as_str()) {
            continue;
        }
        let record = of_service(session, &session.namespace, name.as_str())?;
        let mut record = record.unwrap_or_else(|| endpoints(&service, &[]));
        record
            .endpoints
            .retain(|endpoint| is_of(&endpoint.pod, set));
        found.push(record);
    }
    Ok(found)
}

fn is_of(pod: &str, set: &SetName) -> bool {
    let pet: Result<crate::model::PetName, _> = pod.parse();
    pet.is_ok_and(|pet| pet.set() == set)
}

/// Returns only the records that an answer needs.
pub(super) fn needed(session: &Session, need: &Dependency) -> Result<Vec<ServiceRecord>> {
    match need {
        Dependency::Service(namespace, name) => {
            let found = of_service(session, namespace, name.as_str())?;
            Ok(found.into_iter().collect())
        }
        Dependency::Namespace(namespace) => {
            let names = names_in(session, namespace)?;
            let first = names
                .first()
                .map(|name| of_service(session, namespace, name));
            Ok(first.transpose()?.flatten().into_iter().collect())
        }
        Dependency::ByAddress(ip) => by_address(session, *ip),
    }
}

/// Returns the records with an address: the list of addresses names its namespace.
fn by_address(session: &Session, ip: IpAddr) -> Result<Vec<ServiceRecord>> {
    let given = store::addresses_given(&session.store.layout().addresses())?;
    let owner = given
        .into_iter()
        .find(|given| inside::ip(IpAddr::V4(given.ip)) == ip);
    let found = match owner {
        Some(owner) => of_namespace(session, &owner.namespace.parse()?)?,
        // It may be the address of a service.
        None => all(session)?,
    };
    let has = |record: &ServiceRecord| {
        let endpoint = record.endpoints.iter().any(|endpoint| endpoint.ip == ip);
        let own = match &record.kind {
            crate::model::endpoints::ServiceKind::ClusterIp { addresses } => {
                addresses.contains(&ip)
            }
            crate::model::endpoints::ServiceKind::Headless
            | crate::model::endpoints::ServiceKind::ExternalName { .. } => false,
        };
        endpoint || own
    };
    Ok(found.into_iter().filter(has).collect())
}
