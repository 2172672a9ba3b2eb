//! Manifests: Kubernetes objects from text, complete and checked.
//!
//! Text is read as Kubernetes reads it (`tree`, `scalar`), decoded strictly (`decode`), old
//! forms are brought up to date (`old`), defaults filled in (`defaults`), and the result is
//! checked by the API server's rules (`validate`). What petset will not act on is named in
//! warnings. Nothing here knows the state directory.

#[cfg(test)]
mod corpus;
mod decode;
mod defaults;
mod fault;
mod go;
mod load;
mod object;
mod quantity;
mod scalar;
mod source;
mod tree;
pub(crate) mod yaml;

pub(crate) use defaults::{
    default_claim, default_pod, default_secret, default_service, default_stateful_set,
};
pub(crate) use load::{Loaded, load};
pub(crate) use object::{Object, ObjectKind};
pub(crate) use source::{Source, sources};

// STUBS until the generator lands
use crate::model::{Namespace, SetName};
pub(crate) struct Wish {
    pub(crate) name: SetName,
    pub(crate) namespace: Namespace,
    pub(crate) replicas: u32,
    pub(crate) image: Option<String>,
    pub(crate) ports: Vec<String>,
    pub(crate) volumes: Vec<String>,
    pub(crate) envs: Vec<String>,
    pub(crate) inits: Vec<String>,
    pub(crate) ready: Option<String>,
    pub(crate) parallel: bool,
    pub(crate) command: Vec<String>,
}
pub(crate) fn generate(w: &Wish) -> crate::Result<Vec<Object>> {
    let c = serde_json::to_string(&w.command).unwrap_or_default();
    let y = format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: {n}}}\nspec:\n  serviceName: {n}\n  replicas: {r}\n  podManagementPolicy: {p}\n  selector: {{matchLabels: {{app: {n}}}}}\n  template:\n    metadata: {{labels: {{app: {n}}}}}\n    spec:\n      containers:\n      - {{name: c, image: x, command: {c}}}\n",
        n = w.name,
        r = w.replicas,
        p = if w.parallel {
            "Parallel"
        } else {
            "OrderedReady"
        }
    );
    Ok(load(
        &[Source {
            name: "x".into(),
            text: y,
        }],
        &w.namespace,
    )?
    .objects)
}
pub(crate) fn check(_: &k8s_openapi::api::apps::v1::StatefulSet) -> Result<(), crate::Problem> {
    Ok(())
}
pub(crate) fn check_update(
    _: &k8s_openapi::api::apps::v1::StatefulSet,
    _: &k8s_openapi::api::apps::v1::StatefulSet,
) -> Result<(), crate::Problem> {
    Ok(())
}
