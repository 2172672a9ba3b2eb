//! Finding what is to be deleted by its labels.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{Metadata, Resource};

use super::super::shared::names::NamedObject;
use super::super::shared::render;
use super::super::shared::selector::selects;
use super::super::shared::session::Session;
use super::{Args, Doomed};
use crate::model::kind::ObjectKind;
use crate::model::{ObjectRef, Selector};
use crate::problem::{Problem, Result};
use crate::store::{self, Kept};

impl Doomed {
    /// Finds the objects of a kind that have these labels; that there is none is no error.
    pub(super) fn labelled(session: &Session, args: &Args, selector: &Selector) -> Result<Self> {
        let mut doomed = Self::default();
        for kind in kinds(&args.targets)? {
            for meta in every(session, kind)? {
                if selects(selector, meta.labels.as_ref()) {
                    doomed.put(session, kind, ObjectRef::of(&meta)?)?;
                }
            }
        }
        if doomed.is_empty() {
            render::line("No resources found")?;
        }
        Ok(doomed)
    }
}

fn kinds(words: &[NamedObject]) -> Result<Vec<ObjectKind>, Problem> {
    let kind = |word: &NamedObject| {
        let named = ObjectKind::of_word(word.name.as_str());
        let kind = named.filter(|_| word.kind.is_none());
        let name = word.name.as_str();
        let fault = || {
            let message = format!(
                "{name} is a name, which cannot be given together with a selector or --all"
            );
            Problem::invalid(message).hint("name a kind: petset delete pod -l app=web")
        };
        kind.ok_or_else(fault)
    };
    words.iter().map(kind).collect()
}

fn every(session: &Session, kind: ObjectKind) -> Result<Vec<ObjectMeta>> {
    match kind {
        ObjectKind::Pod => pods(session),
        ObjectKind::StatefulSet => kept::<StatefulSet>(session),
        ObjectKind::Service => kept::<Service>(session),
        ObjectKind::ConfigMap => kept::<ConfigMap>(session),
        ObjectKind::Secret => kept::<Secret>(session),
        ObjectKind::PersistentVolumeClaim => kept::<PersistentVolumeClaim>(session),
        ObjectKind::Endpoints => kept::<Endpoints>(session),
        ObjectKind::EndpointSlice => kept::<EndpointSlice>(session),
        ObjectKind::Workload(kind) => {
            let all = session.workloads(kind, &session.namespace)?;
            Ok(all.iter().map(|it| it.metadata().clone()).collect())
        }
        ObjectKind::PersistentVolume => kept::<PersistentVolume>(session),
        ObjectKind::StorageClass => kept::<StorageClass>(session),
        ObjectKind::ControllerRevision | ObjectKind::Eviction | ObjectKind::Overlay => {
            let message = format!("{} are not deleted by hand", kind.plural());
            Err(Problem::invalid(message).into())
        }
    }
}

fn kept<T>(session: &Session) -> Result<Vec<ObjectMeta>>
where
    T: Kept + Resource + Metadata<Ty = ObjectMeta>,
{
    let all: Vec<T> = session.readable(&session.namespace)?;
    Ok(all.iter().map(|object| object.metadata().clone()).collect())
}

/// Lists the pets that there are, and the pods that are only wanted so far.
fn pods(session: &Session) -> Result<Vec<ObjectMeta>> {
    let layout = session.store.layout();
    let mut all = kept::<Pod>(session)?;
    for name in store::names_in(&layout.pets_of(&session.namespace))? {
        let known = all.iter().any(|meta| meta.name.as_ref() == Some(&name));
        // Of one that is damaged no label is known.
        let pod = store::pod_record(&layout.pet(&session.namespace, &name)).unwrap_or_default();
        all.extend(pod.filter(|_| !known).map(|pod| pod.metadata));
    }
    Ok(all)
}
