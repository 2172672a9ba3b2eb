//! What was found damaged of the records of a namespace.

use k8s_openapi::api::core::v1::PodStatus;

use crate::model::ObjectRef;
use crate::store::salvage::Damaged;
use crate::store::{PetLayout, RunnerRecord, is_socket, read_json};

/// A damaged record of a namespace, by what it was about.
#[derive(Debug)]
pub(super) enum LostRecord {
    Claim(String),
    Revisions(ObjectRef),
    DaemonRevisions(ObjectRef),
    Pod(ObjectRef),
}

/// All that was found damaged in a namespace.
#[derive(Debug, Default)]
pub(super) struct DamagedRecords {
    pub(super) records: Vec<(LostRecord, Damaged)>,
    /// Pets whose runner is to write its files again.
    pub(super) unreadable: Vec<ObjectRef>,
}

impl DamagedRecords {
    /// Notes that a record was damaged, if it was.
    pub(super) fn note(&mut self, lost: Vec<Damaged>, record: impl FnOnce() -> LostRecord) {
        if let Some(damaged) = lost.into_iter().next() {
            self.records.push((record(), damaged));
        }
    }
}

/// Returns whether a runner is to write files of its pet again, or to listen anew.
pub(super) fn has_damaged_files(files: &PetLayout) -> bool {
    let status = read_json::<PodStatus>(&files.status());
    match RunnerRecord::read(files) {
        Ok(Some(record)) if record.is_alive() && !is_socket(&files.control()) => true,
        record => status.is_err() || record.is_err(),
    }
}
