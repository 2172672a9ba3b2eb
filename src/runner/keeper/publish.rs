//! Telling the world: the status, the record, the journal, and the supervisor.

use std::time::Duration;

use jiff::Timestamp;

use super::{Keeper, LONGEST_NUDGE, NUDGE, REWRITE};
use crate::model::lifecycle::Report;
use crate::runner::control;
use crate::store::{self, Sync, journal};

impl Keeper {
    pub(super) fn warn(&self, warnings: Vec<String>) {
        for message in warnings {
            let (warning, reason) = (true, "Incomplete");
            self.report(Report {
                warning,
                reason,
                message,
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
            message: report.message,
        };
        // A journal that cannot be written must not stop the pet.
        let _ = journal::append(&self.journal, &event);
    }

    /// Writes what changed: once a turn, and tells the supervisor.
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

    pub(super) fn write_status(&mut self) {
        let status = self.machine.status();
        if store::replace_json(&self.pet.status(), status, Sync::No).is_ok() {
            self.written = Some(status.clone());
        }
        self.nudge_supervisor(NUDGE);
    }

    /// Tells the supervisor to look; one that is too busy to listen is told again later.
    pub(super) fn nudge_supervisor(&mut self, pause: Duration) {
        let words = format!("pod {}/{}", self.namespace, self.name);
        let sent = control::send(&self.layout.supervisor_socket(), words.as_bytes());
        let busy = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        self.nudge = sent.is_err_and(busy).then(|| {
            let longer = (pause * 2).min(LONGEST_NUDGE);
            (self.now().mono + pause, longer)
        });
    }
}
