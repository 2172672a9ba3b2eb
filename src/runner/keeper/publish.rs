//! Publishing the status, the record and the events of a pet.

use std::io;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;

use super::{Keeper, REWRITE};
use crate::model::lifecycle::Report;
use crate::store::{self, RunnerRecord, journal};

impl Keeper {
    pub(super) fn warn(&self, warnings: Vec<String>) {
        for message in warnings {
            let (warning, reason) = (true, "Incomplete");
            self.report(Report {
                field: None,
                warning,
                reason,
                message,
                count: 1,
            });
        }
    }

    pub(super) fn report(&self, report: Report) {
        let severity = match report.warning {
            true => journal::Severity::Warning,
            false => journal::Severity::Normal,
        };
        let event = journal::Event {
            time: Timestamp::now(),
            severity,
            reason: report.reason.to_owned(),
            object: format!("pod/{}", self.name),
            uid: self.pod.metadata.uid.clone(),
            field: report.field,
            message: report.message,
            count: report.count,
        };
        // A journal that cannot be written must not stop the pet.
        let _ = journal::append(&self.journal, &event);
    }

    /// Writes the record and the status if they changed; called once a turn.
    pub(super) fn publish(&mut self) {
        if !self.recorded {
            self.recorded = self.record.write(&self.pet).is_ok();
        }
        let told = self.written.as_ref() == Some(self.machine.status());
        let told_last = self.done && self.asked_to_stop;
        if !told && !told_last {
            self.write_status();
        }
        let now = self.now().mono;
        let told = self.written.as_ref() == Some(self.machine.status());
        self.rewrite = (!told || !self.recorded).then_some(now + REWRITE);
    }

    /// Lets the record and the status be written again, where somebody has damaged or removed them.
    pub(super) fn distrust_files(&mut self) {
        let record = RunnerRecord::read(&self.pet);
        self.recorded &= matches!(record, Ok(Some(_)));
        let status: io::Result<Option<PodStatus>> = store::read_json(&self.pet.status());
        if !matches!(status, Ok(Some(_))) {
            self.written = None;
        }
    }

    /// Replaces the status file for the last time, on a full disk too.
    pub(super) fn write_last_status(&self) {
        let status = self.machine.status();
        // A supervisor that runs sees how this process ends.
        let _ = store::publish_at_any_cost(&self.layout, &self.pet.status(), status);
    }

    /// Replaces the status file; the supervisor, if one runs, watches for that.
    pub(super) fn write_status(&mut self) {
        let status = self.machine.status();
        let path = self.pet.status();
        if store::publish(&self.layout, &path, status).is_ok() {
            self.written = Some(status.clone());
            self.published = self.now().mono;
        }
    }

    /// Binds the control socket anew, which somebody has damaged or removed.
    pub(super) fn listen_again(&mut self) {
        if store::is_socket(&self.pet.control()) {
            return;
        }
        if let Ok(control) = store::bind_runner(&self.pet) {
            self.control = control;
        }
    }
}
