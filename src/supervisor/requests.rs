//! The requests in the annotations of a set: rolling back, and running a command in a pet before it
//! is removed.

use std::io;
use std::process::Stdio;

use anyhow::Context;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use rustix::process::{Pid, WaitStatus};

use super::log::log;
use super::state::{RunningHook, Supervisor};
use crate::model::kind::ObjectKind;
use crate::model::rollout::{self, RolledBack};
use crate::model::{HOOK_ANNOTATION, HookOutcome, ObjectRef, Ordinal, PetSeen, ScaleDownHook, Set};
use crate::problem::{Problem, Result};
use crate::role::Role;
use crate::store;
use crate::store::damage::{open_to_append, read_whole};
use crate::store::journal::Severity;

impl Supervisor {
    /// Restores the template of an earlier revision after a pet of the new one has failed.
    ///
    /// A set that a command has changed meanwhile is left as it is.
    pub(super) fn roll_back(
        &mut self,
        key: &ObjectRef,
        set: &Set,
        to: &str,
        (ordinal, why): (Ordinal, &str),
        now: Timestamp,
    ) -> Result<()> {
        let pet = set.pet_name(ordinal);
        let place = self.world.place(&key.namespace);
        let pod = place.and_then(|place| place.pets.get(pet.as_str()));
        let files = self.store.layout().pet(&key.namespace, &pet);
        let words = pod.map(|pet| store::last_words(&files, &pet.pod));
        let revisions = place.and_then(|place| place.revisions.get(&key.name));
        let mut revisions = revisions.into_iter().flatten();
        let revision = revisions
            .find(|one| one.metadata.name.as_deref() == Some(to))
            .cloned()
            .with_context(|| format!("{} has lost its revision {to}", key.name))?;
        let from = self.reports.get(key).map(|report| &report.status);
        let from = from.and_then(|status| status.update_revision.clone());
        let note = RolledBack {
            generation: set.generation,
            from: from.unwrap_or_default(),
            to: to.to_owned(),
            pet,
            why: why.to_owned(),
            log: words.unwrap_or_default(),
            time: now,
        };
        let done = self.edit_set(key, set, |set| {
            rollout::roll_back(set, &revision, &note)?;
            set.metadata.generation = Some(note.generation + 1);
            Ok(())
        })?;
        if done {
            let message = format!("{why}; going back to {to}");
            self.set_event(key, Severity::Warning, "RolledBack", &message);
        }
        Ok(())
    }

    /// Removes an annotation of the set whose request is fulfilled.
    pub(super) fn fulfil(&mut self, key: &ObjectRef, set: &Set, annotation: &str) -> Result<()> {
        self.edit_set(key, set, |set| {
            rollout::annotate(set, annotation, None);
            Ok(())
        })?;
        Ok(())
    }

    /// Changes a wanted set, unless it has changed since it was read; returns whether it did.
    fn edit_set(
        &mut self,
        key: &ObjectRef,
        seen: &Set,
        change: impl FnOnce(&mut StatefulSet) -> Result<(), Problem>,
    ) -> Result<bool> {
        let store = self.store.clone();
        let changed = store.edit("supervise", None, |edit| {
            let wanted: Option<StatefulSet> = edit.find(&key.namespace, &key.name)?;
            let same = |wanted: &StatefulSet| {
                let meta = &wanted.metadata;
                meta.uid.as_ref() == Some(&seen.uid) && meta.generation == Some(seen.generation)
            };
            let Some(mut wanted) = wanted.filter(same) else {
                return Ok(None);
            };
            change(&mut wanted)?;
            edit.put(&wanted)?;
            Ok(Some(wanted))
        })?;
        self.due.insert(key.clone());
        let done = changed.is_some();
        match changed {
            Some(wanted) => {
                let place = self.world.place_mut(&key.namespace);
                place.sets.insert(key.name.clone(), wanted);
            }
            // The set in memory is outdated.
            None => drop(self.world.refresh(&store, ObjectKind::StatefulSet, key)?),
        }
        Ok(done)
    }

    /// Runs the set's command in a pet that is about to be removed.
    pub(super) fn run_hook(&mut self, key: &ObjectRef, set: &Set, ordinal: Ordinal) -> Result<()> {
        let Some(command) = &set.options.pre_scale_down else {
            return Ok(());
        };
        let pet = ObjectRef::new(key.namespace.clone(), set.pet_name(ordinal).parse()?);
        let child = self
            .spawn_hook(&pet, command)
            .with_context(|| format!("cannot run the pre-scale-down hook of {}", pet.name))?;
        let uid = self.world.pet_mut(&pet).map(|pet| pet.uid().to_owned());
        let hook = RunningHook {
            uid: uid.unwrap_or_default(),
            generation: set.generation,
            pet,
        };
        self.note_hook(&hook, HookOutcome::Running)?;
        self.hooks.insert(child, hook);
        Ok(())
    }

    /// Starts the command by `petset exec`. Its output is written to the pet's logs.
    fn spawn_hook(&self, pet: &ObjectRef, command: &str) -> io::Result<Pid> {
        let layout = self.store.layout();
        let path = hook_log(&layout.pet_of(pet));
        store::make_dir(path.parent().unwrap_or(&path))?;
        let log = open_to_append(&path)?;
        log.set_len(0)?;
        let child = Role::Command
            .command()
            .arg("exec")
            .arg(pet.name.as_str())
            .args(["--namespace", pet.namespace.as_str(), "--state-dir"])
            .arg(layout.root())
            .args(["--", "/bin/sh", "-c", command])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Pid::from_child(&child))
    }

    /// Handles the end of a process that may be a hook; returns whether it was one.
    pub(super) fn note_hook_ended(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let Some(hook) = self.hooks.remove(&pid) else {
            return false;
        };
        let outcome = match status.exit_status() {
            Some(0) => HookOutcome::Done,
            Some(code) => HookOutcome::Failed(self.complaint(&hook.pet, code)),
            None => HookOutcome::Failed("was killed".to_owned()),
        };
        if let HookOutcome::Failed(why) = &outcome {
            let message = format!("the pre-scale-down hook {why}");
            self.pet_event(&hook.pet, Severity::Warning, "FailedPreScaleDown", &message);
        }
        if let Err(error) = self.note_hook(&hook, outcome) {
            log(&format!("{}: {error:#}", hook.pet));
        }
        self.set_of_pet_is_due(&hook.pet);
        true
    }

    fn complaint(&self, pet: &ObjectRef, code: i32) -> String {
        let path = hook_log(&self.store.layout().pet_of(pet));
        let said = read_whole(&path).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        match said.lines().rfind(|line| !line.trim().is_empty()) {
            Some(last) => format!("failed with exit code {code}: {last}"),
            None => format!("failed with exit code {code}"),
        }
    }

    /// Writes the outcome of a hook to the pet's pod.
    fn note_hook(&mut self, hook: &RunningHook, outcome: HookOutcome) -> Result<()> {
        let layout = self.store.layout().clone();
        let Some(pet) = self.world.pet_mut(&hook.pet) else {
            return Ok(());
        };
        if pet.uid() != hook.uid {
            return Ok(());
        }
        let generation = hook.generation;
        let text = serde_json::to_string(&ScaleDownHook {
            generation,
            outcome,
        })?;
        let annotations = pet.pod.metadata.annotations.get_or_insert_default();
        annotations.insert(HOOK_ANNOTATION.to_owned(), text);
        pet.write(&layout, &hook.pet)
            .with_context(|| format!("cannot write the pod {}", hook.pet.name))
    }

    /// Forgets a hook that an earlier supervisor ran, whose outcome is unknown.
    pub(super) fn forget_lost_hook(&self, pet: &mut PetSeen) {
        let running = |hook: &ScaleDownHook| hook.outcome == HookOutcome::Running;
        let mut known = self.hooks.values();
        if pet.hook.as_ref().is_some_and(running) && !known.any(|hook| hook.uid == pet.uid) {
            pet.hook = None;
        }
    }
}

fn hook_log(files: &store::PetLayout) -> std::path::PathBuf {
    files.logs().join("pre-scale-down.txt")
}
