//! `wanted/<ns>/overlay/<pod>.yaml`: what users want of a running pod beside its template.

use super::directory::Store;
use super::edit::Edit;
use super::kept::{json_of_text, whole_text};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, Overlay, json};
use crate::problem::Result;

impl Store {
    /// Returns what is wanted of a running pod, if anything is.
    pub(crate) fn overlay(
        &self,
        namespace: &Namespace,
        pod: &ObjectName,
    ) -> Result<Option<Overlay>> {
        self.read_object(ObjectKind::Overlay, namespace, pod, |text| {
            Ok(serde_json::from_str(&json_of_text(text)?)?)
        })
    }
}

impl Edit<'_> {
    /// Adds to what is wanted of a running pod. A damaged request is replaced.
    pub(crate) fn overlay(
        &mut self,
        namespace: &Namespace,
        pod: &ObjectName,
        overlay: Overlay,
    ) -> Result<()> {
        let known = self.store().overlay(namespace, pod).unwrap_or_default();
        let mut all = known.unwrap_or_default();
        all.extend(overlay);
        self.put_overlay(namespace, pod, &all)
    }

    /// Replaces what is wanted of a running pod.
    pub(crate) fn put_overlay(
        &mut self,
        namespace: &Namespace,
        pod: &ObjectName,
        all: &Overlay,
    ) -> Result<()> {
        let path = self
            .layout()
            .wanted_object(namespace, ObjectKind::Overlay, pod);
        self.write(path, whole_text(&json::to_value(all)?)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_of_a_pod_is_added_up_and_ends_with_its_uid() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (namespace, pod) = (Namespace::default(), "web-0".parse().unwrap());
        let of = |uid: &str, key: &str, value: Option<&str>| Overlay {
            uid: uid.to_owned(),
            labels: [(key.to_owned(), value.map(ToOwned::to_owned))].into(),
            ..Overlay::default()
        };
        let ask = |overlay: Overlay| {
            let done = store.edit("label", None, |edit| {
                edit.overlay(&namespace, &pod, overlay)
            });
            done.unwrap();
            store.overlay(&namespace, &pod).unwrap().unwrap()
        };
        assert_eq!(store.overlay(&namespace, &pod).unwrap(), None);
        assert_eq!(ask(of("1", "a", Some("b"))), of("1", "a", Some("b")));
        assert_eq!(ask(of("1", "c", None)).labels.len(), 2);
        assert_eq!(ask(of("2", "d", None)), of("2", "d", None));
        let path = store
            .layout()
            .wanted_object(&namespace, ObjectKind::Overlay, &pod);
        std::fs::write(path, "{").unwrap();
        assert!(store.overlay(&namespace, &pod).is_err());
        assert_eq!(ask(of("2", "e", None)), of("2", "e", None));
    }
}
