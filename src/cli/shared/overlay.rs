//! Changing running pods beside their templates: what is asked of one ends with it.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;

use super::bare;
use super::pods::has_ended;
use super::session::Session;
use super::watcher::Watcher;
use crate::manifest;
use crate::model::object::Object;
use crate::model::{Notes, OWN_PREFIX, ObjectRef, Overlay};
use crate::problem::{Kind, Problem, Result};
use crate::store;
use crate::supervisor;

/// How long a verb waits for the supervisor to change a pod.
const LIMIT: Duration = Duration::from_secs(10);

/// Returns the pod, if an object is one that an owner has made from a template.
pub(crate) fn owned_pod<'a>(session: &Session, object: &'a Object) -> Result<Option<&'a Pod>> {
    let Object::Pod(pod) = object else {
        return Ok(None);
    };
    let is_bare = bare::find_named(session, &ObjectRef::of(&pod.metadata)?)?.is_some();
    Ok((!is_bare).then_some(&**pod))
}

/// Returns the request to set or remove labels, or annotations, of a pod.
pub(crate) fn of_notes(pod: &Pod, field: &str, notes: &Notes) -> Result<Overlay, Problem> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if let Some(own) = notes.keys().find(|key| key.starts_with(OWN_PREFIX)) {
        let message = format!("{own} of pod/{name} is petset's own");
        let hint = "change the template, or pause it with `petset pause`";
        return Err(Problem::invalid(message).hint(hint));
    }
    let mut overlay = Overlay {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        ..Overlay::default()
    };
    match field {
        "labels" => overlay.labels.clone_from(notes),
        _ => overlay.annotations.clone_from(notes),
    }
    let mut meta = pod.metadata.clone();
    overlay.lay_over(&mut meta);
    manifest::check_notes("Pod", &meta)?;
    Ok(overlay)
}

/// Returns the request to set, or remove, an annotation of petset's own.
pub(crate) fn note_of(pod: &Pod, key: &str, value: Option<&str>) -> Overlay {
    Overlay {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        annotations: [(key.to_owned(), value.map(ToOwned::to_owned))].into(),
        ..Overlay::default()
    }
}

impl Session {
    /// Waits until the supervisor has laid a request over its pod, and that shows it, or has ended.
    pub(crate) fn wait_for_overlay(
        &self,
        pod: &ObjectRef,
        overlay: &Overlay,
        shows: impl Fn(&Pod) -> bool,
    ) -> Result<()> {
        let layout = self.store.layout();
        let files = layout.pet_of(pod);
        let mut watcher = Watcher::new()?;
        watcher.watch([&files.root().to_path_buf()])?;
        watcher.guard(supervisor::lifeline(layout));
        let until = Instant::now() + LIMIT;
        loop {
            // One that is damaged is written again.
            let there = store::read_pod(&files);
            let open = |pod: &Pod| {
                let done = overlay.is_laid_over(&pod.metadata) && shows(pod);
                pod.metadata.uid.as_deref() == Some(&overlay.uid) && !done && !has_ended(pod)
            };
            match there {
                Ok(Some(pod)) if open(&pod) => {}
                Ok(_) => return Ok(()),
                Err(_) => {}
            }
            if watcher.supervisor_ended() {
                self.wake_supervisor()?;
                watcher.guard(supervisor::lifeline(layout));
            }
            if Instant::now() >= until {
                let message = format!("pod/{} is not changed yet", pod.name);
                let hint = "the change is kept, and made when the supervisor can: look at \
                            `petset doctor`";
                return Err(Problem::new(Kind::TimedOut, message).hint(hint).into());
            }
            watcher.wait(Some(until))?;
        }
    }
}
