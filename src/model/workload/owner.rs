//! Whose an object is: adoption and release, the same for every controller.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::model::Selector;

/// What a controller has to do about an object that it may own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is its own.
    Own,
    /// It belongs to nobody and matches: it becomes its own (RS08).
    Adopt,
    /// It is its own, but does not match any more: it is let go (RS09).
    Release,
    /// It is none of its business.
    Foreign,
}

impl Claim {
    /// Returns whether the object counts for the controller.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Own | Self::Adopt)
    }

    /// Returns the controller that the object gets: this one, or none; nothing if it keeps the one
    /// that it has.
    #[must_use]
    pub fn new_owner(self, owner: &OwnerReference) -> Option<Option<OwnerReference>> {
        match self {
            Self::Own | Self::Foreign => None,
            Self::Adopt => Some(Some(owner.clone())),
            Self::Release => Some(None),
        }
    }
}

/// Says whose an object is; a controller that is being deleted neither adopts nor releases.
#[must_use]
pub fn claim(object: &ObjectMeta, owner: &ObjectMeta, selector: &Selector) -> Claim {
    let controller = controller_of(object);
    if controller.is_some_and(|reference| Some(&reference.uid) != owner.uid.as_ref()) {
        return Claim::Foreign;
    }
    let none = BTreeMap::new();
    let matches = selector.matches(object.labels.as_ref().unwrap_or(&none));
    let is_deleted = owner.deletion_timestamp.is_some();
    match controller {
        Some(_) if matches => Claim::Own,
        Some(_) if is_deleted => Claim::Foreign,
        Some(_) => Claim::Release,
        None if matches && !is_deleted && object.deletion_timestamp.is_none() => Claim::Adopt,
        None => Claim::Foreign,
    }
}

/// Returns whether an object says that `owner` controls it.
#[must_use]
pub fn is_controlled_by(object: &ObjectMeta, owner: &ObjectMeta) -> bool {
    controller_of(object).is_some_and(|reference| Some(&reference.uid) == owner.uid.as_ref())
}

/// Returns the reference to the controller of an object.
#[must_use]
pub fn controller_of(object: &ObjectMeta) -> Option<&OwnerReference> {
    let mut owners = object.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

/// Returns the reference by which an object says that `owner` controls it.
#[must_use]
pub fn owner_reference(owner: &ObjectMeta, api_version: &str, kind: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: owner.name.clone().unwrap_or_default(),
        uid: owner.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn labels_and_owner_decide_whose_an_object_is() {
        // RS08, RS09
        // CF-apps-38, CF-apps-44
        let owner = |deleted: bool| -> ObjectMeta {
            let time = deleted.then_some("2026-01-01T00:00:00Z");
            let owner = json!({"name": "web", "uid": "u", "deletionTimestamp": time});
            serde_json::from_value(owner).unwrap()
        };
        let wanted = json!({"matchLabels": {"app": "web"}});
        let selector = Selector::of(&serde_json::from_value(wanted).unwrap()).unwrap();
        let object = |app: &str, uid: Option<&str>, deleted: bool| -> ObjectMeta {
            let mut object = json!({"name": "it", "labels": {"app": app}});
            if let Some(uid) = uid {
                let of = json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": uid,
                    "controller": true});
                object["ownerReferences"] = Value::from(vec![of]);
            }
            if deleted {
                object["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            }
            serde_json::from_value(object).unwrap()
        };
        for (app, uid, deleted, by_living, by_deleted) in [
            ("web", Some("u"), false, Claim::Own, Claim::Own),
            ("web", None, false, Claim::Adopt, Claim::Foreign),
            ("web", None, true, Claim::Foreign, Claim::Foreign),
            ("db", None, false, Claim::Foreign, Claim::Foreign),
            ("db", Some("u"), false, Claim::Release, Claim::Foreign),
            ("web", Some("other"), false, Claim::Foreign, Claim::Foreign),
        ] {
            let object = object(app, uid, deleted);
            let found = [false, true].map(|deleted| claim(&object, &owner(deleted), &selector));
            assert_eq!(found, [by_living, by_deleted], "{app} {uid:?} {deleted}");
        }
    }
}
