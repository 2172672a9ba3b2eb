//! The garbage collector: what follows its owner.

use serde_json::{Value, json};

use super::kinds::controller;
use super::*;

impl World {
    /// Looks at all objects once.
    pub(super) fn collect(&mut self) {
        let keys: Vec<_> = self.objects.keys().cloned().collect();
        for (kind, name) in keys {
            let Some(object) = self.get(kind, &name).cloned() else {
                continue;
            };
            let finalizers = object["metadata"]["finalizers"].as_array();
            let has = |finalizer: &str| {
                finalizers.is_some_and(|all| all.iter().any(|one| one == finalizer))
            };
            if has("orphan") {
                self.let_go(kind, &name, &object);
            } else if has("foregroundDeletion") {
                self.delete_dependents(kind, &name, &object);
            } else if self.has_lost_its_owner(&object) {
                self.delete(kind, &name, "Background", false);
            }
        }
    }

    fn dependents(&self, owner: &Value) -> Vec<(Kind, String)> {
        let uid = &owner["metadata"]["uid"];
        let is_dependent = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == *uid))
        };
        let all = self
            .objects
            .iter()
            .filter(|(_, object)| is_dependent(object));
        all.map(|(key, _)| key.clone()).collect()
    }

    fn let_go(&mut self, kind: Kind, name: &str, owner: &Value) {
        let dependents = self.dependents(owner);
        for (kind, name) in &dependents {
            let mut object = self.get(*kind, name).unwrap().clone();
            object["metadata"]["ownerReferences"] = json!([]);
            self.update(*kind, name, object);
        }
        match dependents.is_empty() {
            true => self.finish(kind, name),
            false => self.plan_soon(Due::Collect),
        }
    }

    fn delete_dependents(&mut self, kind: Kind, name: &str, owner: &Value) {
        let dependents = self.dependents(owner);
        for (kind, name) in &dependents {
            let object = self.get(*kind, name).unwrap().clone();
            let policy = match self.dependents(&object).is_empty() {
                true => "Background",
                false => "Foreground",
            };
            self.delete(*kind, name, policy, false);
        }
        if dependents.is_empty() {
            self.finish(kind, name);
        }
    }

    fn finish(&mut self, kind: Kind, name: &str) {
        let mut object = self.get(kind, name).unwrap().clone();
        object["metadata"]["finalizers"] = json!([]);
        self.objects.insert((kind, name.to_owned()), object); // the recorder does not show this
        self.remove(kind, name);
    }

    fn has_lost_its_owner(&self, object: &Value) -> bool {
        controller(object).is_some_and(|owner| {
            let mut all = self.objects.values();
            !all.any(|other| other["metadata"]["uid"] == owner["uid"])
        })
    }
}
