//! Publishing the status, the record and the events of a pet.

use jiff::Timestamp;

use super::{Keeper, REWRITE};
use crate::model::lifecycle::Report;
use crate::store::{self, journal};

impl Keeper {
    pub(super) fn warn(&self, warnings: Vec<String>) {
        for message in warnings {
            let (warning, reason) = (true, "Incomplete");
            self.report(Report {
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
        if !self.done && !told {
            self.write_status();
        }
        let now = self.now().mono;
        let told = self.written.as_ref() == Some(self.machine.status());
        self.rewrite = (!told || !self.recorded).then_some(now + REWRITE);
    }

    /// Replaces the status file; the supervisor, if one runs, watches for that.
    pub(super) fn write_status(&mut self) {
        let status = self.machine.status();
        let path = self.pet.status();
        if store::publish(&self.layout, &path, status).is_ok() {
            self.written = Some(status.clone());
        }
    }
}
