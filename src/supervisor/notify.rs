//! Writing the events of sets, pets and claims.

use jiff::Timestamp;

use super::log::log;
use super::state::Supervisor;
use crate::model::pod::controller_of;
use crate::model::{Namespace, ObjectName, ObjectRef};
use crate::store::journal::{self, Severity};

impl Supervisor {
    /// Writes an event of a set.
    pub(super) fn set_event(
        &self,
        key: &ObjectRef,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        self.event(
            key,
            key.name.as_str(),
            format!("statefulset/{}", key.name),
            severity,
            reason,
            message,
        );
    }

    /// Writes an event of a pet.
    pub(super) fn pet_event(
        &self,
        key: &ObjectRef,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        let set = key.set_by_name().name;
        let place = self.world.place(&key.namespace);
        let pet = place.and_then(|place| place.pets.get(&key.name));
        let owner = pet.and_then(|pet| controller_of(&pet.pod.metadata));
        let owner = match owner {
            Some(owner) => &owner.name,
            None if self.is_bare(key) => key.name.as_str(),
            None => set.as_str(),
        };
        self.event(
            key,
            owner,
            format!("pod/{}", key.name),
            severity,
            reason,
            message,
        );
    }

    /// Writes an event of a claim of a set, or of one of its pets.
    pub(super) fn claim_event(&self, key: &ObjectRef, claim: &str, reason: &str, message: &str) {
        let set = key
            .name
            .as_str()
            .rsplit_once('-')
            .filter(|(_, end)| end.parse::<u32>().is_ok());
        let owner = set.map_or(key.name.as_str(), |(set, _)| set);
        let object = format!("persistentvolumeclaim/{claim}");
        let severity = Severity::Normal;
        self.event(key, owner, object, severity, reason, message);
    }

    /// Writes an event of the supervisor itself, about one of its parts.
    pub(super) fn own_event(&self, part: &str, severity: Severity, reason: &str, message: &str) {
        if let Ok(own) = "supervisor".parse::<ObjectName>() {
            let object = format!("supervisor/{part}");
            let key = ObjectRef::new(Namespace::default(), own);
            self.event(&key, "supervisor", object, severity, reason, message);
        }
    }

    /// Returns the uid of the pod that is meant, if it is a pod that exists.
    fn uid_of(&self, key: &ObjectRef, object: &str) -> Option<String> {
        let name: ObjectName = object.strip_prefix("pod/")?.parse().ok()?;
        let pet = self.world.place(&key.namespace)?.pets.get(&name)?;
        pet.pod.metadata.uid.clone()
    }

    pub(super) fn event(
        &self,
        key: &ObjectRef,
        owner: &str,
        object: String,
        severity: Severity,
        reason: &str,
        message: &str,
    ) {
        let event = journal::Event {
            time: Timestamp::now(),
            severity,
            reason: reason.to_owned(),
            uid: self.uid_of(key, &object),
            object,
            field: None,
            message: message.to_owned(),
            count: 1,
        };
        let path = self.store.layout().journal(&key.namespace, owner);
        if let Err(error) = journal::append(&path, &event) {
            log(&format!("cannot write {}: {error}", path.display()));
        }
    }
}
