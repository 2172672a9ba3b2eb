//! What the supervisor tells its users: the events of sets, pets and claims.

use jiff::Timestamp;

use super::world::{Key, set_key};
use super::{Supervisor, log};
use crate::store::journal::{self, Severity};

impl Supervisor {
    /// Writes an event of a set.
    pub(super) fn set_event(&self, key: &Key, severity: Severity, reason: &str, message: &str) {
        self.event(
            key,
            key.1.as_str(),
            format!("statefulset/{}", key.1),
            severity,
            reason,
            message,
        );
    }

    /// Writes an event of a pet.
    pub(super) fn pet_event(&self, key: &Key, severity: Severity, reason: &str, message: &str) {
        let set = set_key(key).1;
        let owner = if self.is_bare(key) { &key.1 } else { &set };
        self.event(
            key,
            owner.as_str(),
            format!("pod/{}", key.1),
            severity,
            reason,
            message,
        );
    }

    /// Writes an event of a claim of a set, or of one of its pets.
    pub(super) fn claim_event(&self, key: &Key, claim: &str, message: &str) {
        let set = key
            .1
            .as_str()
            .rsplit_once('-')
            .filter(|(_, end)| end.parse::<u32>().is_ok());
        let owner = set.map_or(key.1.as_str(), |(set, _)| set);
        let object = format!("persistentvolumeclaim/{claim}");
        let severity = Severity::Normal;
        self.event(key, owner, object, severity, "Deleted", message);
    }

    pub(super) fn event(
        &self,
        key: &Key,
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
            object,
            message: message.to_owned(),
        };
        let path = self.store.layout().journal(&key.0, owner);
        if let Err(error) = journal::append(&path, &event) {
            log(&format!("cannot write {}: {error}", path.display()));
        }
    }
}
