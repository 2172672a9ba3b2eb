//! Taking the failed upgrade of a Deployment back.

use anyhow::{Context, anyhow};

use super::controllers::replica_sets;
use super::state::Supervisor;
use super::work_queue::WorkloadRef;
use crate::model::rollout::RolledBack;
use crate::model::workload::Told;
use crate::model::workload::past::{past_of_sets, roll_back};
use crate::problem::Result;
use crate::store;

impl Supervisor {
    /// Restores the template of an earlier ReplicaSet after a pod of the wanted one has failed.
    ///
    /// A Deployment that a command has changed meanwhile is left as it is.
    pub(super) fn roll_back_workload(
        &mut self,
        at: &WorkloadRef,
        mut note: RolledBack,
    ) -> Result<()> {
        let Some(wanted) = self.world.workload(at) else {
            return Ok(());
        };
        let place = self.world.place(&at.key.namespace);
        let sets: Vec<_> = replica_sets(place).into_iter().cloned().collect();
        let past = past_of_sets(wanted, &sets);
        let past = past.into_iter().find(|past| past.name == note.to);
        let past = past.with_context(|| format!("{} has lost {}", at.key.name, note.to))?;
        note.generation = wanted.metadata().generation.unwrap_or_default();
        let pod = place.and_then(|place| place.pets.get(note.pet.as_str()));
        let files = self.store.layout().pet(&at.key.namespace, &note.pet);
        let words = pod.map(|pet| store::last_words(&files, &pet.pod));
        note.log = words.unwrap_or_default();
        let mut done = Ok(false);
        self.change_workload(at, &mut |there| {
            done = roll_back(there, &past, &note).map(|()| true);
        })?;
        if done.map_err(|problem| anyhow!(problem))? {
            let message = format!("{}; going back to {}", note.why, note.to);
            self.workload_event(at, &Told::warning("RolledBack", message));
        }
        Ok(())
    }
}
