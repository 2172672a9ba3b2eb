//! Pausing pets for as long as a command copies their data.

use k8s_openapi::api::core::v1::Pod;

use super::overlay::note_of;
use super::pods::has_ended;
use super::session::Session;
use crate::model::pod::is_paused;
use crate::model::{FROZEN_ANNOTATION, ObjectRef, freeze_while, is_frozen};
use crate::problem::Result;
use crate::sys::proc::ProcessId;

/// Pets that are paused until this is ended. If the command is killed, their runners notice.
pub(crate) struct HeldPets<'a> {
    session: &'a Session,
    pods: Vec<Pod>,
    lease: String,
}

impl<'a> HeldPets<'a> {
    /// Pauses those pods that run and are not paused already, all before the first is copied.
    pub(crate) fn begin(session: &'a Session, verb: &str, pods: Vec<Pod>) -> Result<Self> {
        let own = ProcessId::of(std::process::id())?;
        let lease = freeze_while(own.pid, own.start);
        let runs = |pod: &Pod| {
            let meta = &pod.metadata;
            meta.deletion_timestamp.is_none() && !has_ended(pod) && !is_frozen(meta)
        };
        let pods: Vec<Pod> = pods.into_iter().filter(runs).collect();
        let held = Self {
            session,
            pods,
            lease,
        };
        if held.pods.is_empty() {
            return Ok(held);
        }
        session.edit(verb, |edit| {
            for pod in &held.pods {
                let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
                let note = note_of(pod, FROZEN_ANNOTATION, Some(&held.lease));
                edit.overlay(&namespace, &name, note)?;
            }
            Ok(())
        })?;
        for pod in &held.pods {
            let note = note_of(pod, FROZEN_ANNOTATION, Some(&held.lease));
            session.wait_for_overlay(&ObjectRef::of(&pod.metadata)?, &note, is_paused)?;
        }
        Ok(held)
    }

    /// Lets them go on, but for those that somebody else has paused meanwhile.
    pub(crate) fn end(self, verb: &str) -> Result<()> {
        if self.pods.is_empty() {
            return Ok(());
        }
        self.session.edit(verb, |edit| {
            for pod in &self.pods {
                let ObjectRef { namespace, name } = ObjectRef::of(&pod.metadata)?;
                let known = self.session.store.overlay(&namespace, &name)?;
                let known = known
                    .as_ref()
                    .and_then(|it| it.annotations.get(FROZEN_ANNOTATION));
                if known == Some(&Some(self.lease.clone())) {
                    edit.overlay(&namespace, &name, note_of(pod, FROZEN_ANNOTATION, None))?;
                }
            }
            Ok(())
        })
    }
}
