//! Config maps and secrets that say `immutable: true`, and slices of endpoints: what may change of
//! them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::fault::Faults;
use super::validate::names;
use crate::model::environment::secret_entries;
use crate::problem::Problem;

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

/// Checks that `new` may take the place of the config map `old`.
pub(crate) fn check_config_map(old: &ConfigMap, new: &ConfigMap) -> Result<(), Problem> {
    let mut faults = Faults::default();
    if old.immutable == Some(true) {
        let fields = [
            ("immutable", new.immutable == Some(true)),
            ("data", same(&old.data, &new.data)),
            ("binaryData", same(&old.binary_data, &new.binary_data)),
        ];
        forbid(&mut faults, &fields);
    }
    conclude(&faults, "ConfigMap", new.metadata.name.as_deref())
}

/// Checks that `new` may take the place of the secret `old`, whose type stays in any case.
pub(crate) fn check_secret(old: &Secret, new: &Secret) -> Result<(), Problem> {
    let mut faults = Faults::default();
    if old.immutable == Some(true) {
        let fields = [
            ("immutable", new.immutable == Some(true)),
            ("data", secret_entries(old) == secret_entries(new)),
        ];
        forbid(&mut faults, &fields);
    }
    let kind = |secret: &Secret| secret.type_.clone().filter(|kind| !kind.is_empty());
    let kind = |secret: &Secret| kind(secret).unwrap_or_else(|| "Opaque".to_owned());
    if kind(old) != kind(new) {
        faults.invalid_text("type", &kind(new), "field is immutable");
    }
    conclude(&faults, "Secret", new.metadata.name.as_deref())
}

/// Checks the labels and annotations of an object that has been checked without them.
pub(crate) fn check_notes(kind: &str, meta: &ObjectMeta) -> Result<(), Problem> {
    let mut faults = Faults::default();
    names::labels(&mut faults, "metadata.labels", meta.labels.as_ref());
    let annotations = meta.annotations.as_ref();
    names::annotations(&mut faults, "metadata.annotations", annotations);
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Problem::invalid(
            faults.about(kind, meta.name.as_deref().unwrap_or_default()),
        )),
    }
}

/// Checks that `new` may take the place of the slice of endpoints `old`.
pub(crate) fn check_slice(old: &EndpointSlice, new: &EndpointSlice) -> Result<(), Problem> {
    let mut faults = Faults::default();
    if old.address_type != new.address_type {
        faults.invalid_text("addressType", &new.address_type, "field is immutable");
    }
    let kind = "EndpointSlice.discovery.k8s.io";
    let message = faults.about(kind, new.metadata.name.as_deref().unwrap_or_default());
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Problem::invalid(message).hint("delete it and create it again")),
    }
}

/// An empty map is as good as none.
fn same<K: Ord, V: PartialEq>(old: &Option<BTreeMap<K, V>>, new: &Option<BTreeMap<K, V>>) -> bool {
    let given = |map: &Option<BTreeMap<K, V>>| map.as_ref().is_some_and(|map| !map.is_empty());
    old == new || !given(old) && !given(new)
}

fn forbid(faults: &mut Faults, fields: &[(&str, bool)]) {
    for (field, _) in fields.iter().filter(|(_, same)| !same) {
        faults.forbidden(field, IMMUTABLE);
    }
}

fn conclude(faults: &Faults, kind: &str, name: Option<&str>) -> Result<(), Problem> {
    if faults.is_empty() {
        return Ok(());
    }
    let again = "delete it and create it again; pets read the new one when they start";
    let message = faults.about(kind, name.unwrap_or_default());
    Err(Problem::invalid(message).hint(again))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn map(immutable: Value, text: &str) -> ConfigMap {
        let map = json!({"metadata": {"name": "m"}, "immutable": immutable, "data": {"k": text}});
        serde_json::from_value(map).unwrap()
    }

    fn secret(immutable: Value, kind: Value) -> Secret {
        let secret = json!({"metadata": {"name": "s"}, "immutable": immutable, "type": kind,
                            "data": {"k": "b25l"}});
        serde_json::from_value(secret).unwrap()
    }

    #[test]
    fn an_immutable_config_map_stays_as_it_is() {
        let (yes, no) = (json!(true), Value::Null);
        assert!(check_config_map(&map(no.clone(), "a"), &map(yes.clone(), "b")).is_ok());
        assert!(check_config_map(&map(yes.clone(), "a"), &map(yes.clone(), "a")).is_ok());
        let other = check_config_map(&map(yes.clone(), "a"), &map(yes.clone(), "b")).unwrap_err();
        let words = "ConfigMap \"m\" is invalid: data: Forbidden: field is immutable when \
                     `immutable` is set";
        assert_eq!(other.message, words);
        let mutable = check_config_map(&map(yes, "a"), &map(no, "a")).unwrap_err();
        assert!(mutable.message.contains("immutable: Forbidden"));
    }

    #[test]
    fn the_type_of_a_secret_stays_and_an_immutable_one_wholly() {
        let (yes, no) = (json!(true), Value::Null);
        let plain = secret(no.clone(), no.clone());
        assert!(check_secret(&plain, &secret(yes.clone(), json!("Opaque"))).is_ok());
        assert!(check_secret(&plain, &secret(no.clone(), json!("a/b"))).is_err());
        assert!(check_secret(&secret(yes, no.clone()), &plain).is_err());
    }
}
