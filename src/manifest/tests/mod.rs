//! Manifests as a whole: recordings of a real API server, a corpus of real files, bad ones.

mod bad;
mod conformance;
mod corpus;
mod good;
mod mangled;
mod recorded;
mod workloads;
mod written;

use super::{LoadedObjects, Source, load};
use crate::model::Namespace;
use crate::model::object::Object;

/// A sound set, to be changed by each case.
const WEB: &str = "\
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: web
spec:
  replicas: 3
  serviceName: web
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: c
        image: img:v1
        ports:
        - name: http
          containerPort: 80
        volumeMounts:
        - name: data
          mountPath: /data
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
";

/// Loads one text as `x.yaml`; a refusal is its message.
/// Lists the texts of the warnings.
fn texts(loaded: &LoadedObjects) -> Vec<&str> {
    let warnings = loaded.warnings.iter();
    warnings.map(|warning| warning.text.as_str()).collect()
}

fn load_text(text: &str) -> Result<LoadedObjects, String> {
    let source = Source {
        name: "x.yaml".to_owned(),
        text: text.to_owned(),
    };
    load(&[source], &Namespace::default()).map_err(|error| error.to_string())
}

/// Replaces what must be there once.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from:?} in {text}");
    text.replace(from, to)
}

/// Loads a text that holds one object.
fn only(text: &str) -> Object {
    let mut loaded = load_text(text).unwrap();
    assert_eq!(loaded.objects.len(), 1);
    loaded.objects.remove(0)
}
