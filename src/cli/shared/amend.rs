//! Changing objects that exist, field by field: as kubectl's `label`, `patch`, `set` and `edit` do.

use k8s_openapi::api::core::v1::{PersistentVolume, PodSpec};

use super::compare::{Applied, as_given};
use super::config::{ChangedConfig, ConfigReaders};
use super::declare;
use super::files;
use super::preview::{DryRunArgs, show_object};
use super::render::{self, Document};
use super::session::{Session, say};
use super::startable::MissingArgs;
use super::storage::claim_of;
use super::waiting::{Goal, WaitArgs};
use super::{bare, overlay, workloads};
use crate::manifest::{self, Source};
use crate::model::object::Object;
use crate::model::patch::Patch;
use crate::model::workload::edit;
use crate::model::{Notes, ObjectRef, Overlay, pod_of};
use crate::problem::{Kind, Problem, Result};
use crate::yaml;

/// How an object is changed.
#[derive(Clone, Copy)]
pub(crate) enum Amendment<'a> {
    Patch(&'a Patch),
    /// Labels or annotations, by the field that has them, which are set or removed. Those of pods
    /// that have an owner change until the pod ends.
    Notes(&'a str, &'a Notes),
    /// The pods that it makes, or the pod that it is.
    Pods(&'a dyn Fn(&mut PodSpec) -> Result<(), Problem>),
    /// The object as it is to be, as YAML, and the version that its user has seen.
    Text(&'a str, &'a Document),
}

/// Objects that were changed, and what became of each.
#[derive(Debug, Default)]
pub(crate) struct Amended {
    pub(crate) objects: Vec<Object>,
    pub(crate) words: Vec<Applied>,
    pub(crate) readers: ConfigReaders,
}

impl Session {
    /// Changes objects that exist, all or none of them.
    pub(crate) fn amend(
        &self,
        verb: &str,
        found: &[Object],
        amendment: Amendment<'_>,
        missing: MissingArgs,
    ) -> Result<Amended> {
        let mut amended = Amended::default();
        let mut changed = ChangedConfig::default();
        self.edit(verb, |edit| {
            for found in found {
                let mut object = self.amended(found, amendment)?;
                if let Some((pod, overlay)) = self.overlay_of(found, amendment)? {
                    edit.overlay(&pod.namespace, &pod.name, overlay)?;
                    amended.words.push(Applied::Configured);
                    amended.objects.push(object);
                    continue;
                }
                changed.note(edit, &object)?;
                amended
                    .words
                    .push(declare::put(self, edit, &mut object, missing)?);
                amended.objects.push(object);
            }
            Ok(())
        })?;
        amended.readers = changed.readers(self)?;
        Ok(amended)
    }

    /// Returns the request that changes a pod which has an owner; `None` for other objects.
    fn overlay_of(
        &self,
        found: &Object,
        amendment: Amendment<'_>,
    ) -> Result<Option<(ObjectRef, Overlay)>> {
        let Amendment::Notes(field, notes) = amendment else {
            return Ok(None);
        };
        let Some(pod) = overlay::owned_pod(self, found)? else {
            return Ok(None);
        };
        let request = overlay::of_notes(pod, field, notes)?;
        Ok(Some((ObjectRef::of(&pod.metadata)?, request)))
    }

    /// Waits until pods that have an owner are changed.
    pub(crate) fn wait_for_overlays(
        &self,
        found: &[Object],
        amendment: Amendment<'_>,
    ) -> Result<()> {
        for found in found {
            if let Some((pod, overlay)) = self.overlay_of(found, amendment)? {
                self.wait_for_overlay(&pod, &overlay, |_| true)?;
            }
        }
        Ok(())
    }

    /// Says what became of the objects, and waits until they are as they are wanted. Without a word
    /// for an object that is as it was, that is said on standard error.
    pub(crate) fn conclude(
        &self,
        amended: Amended,
        (done, unchanged): (&str, Option<&str>),
        wait: &WaitArgs,
    ) -> Result<()> {
        for (object, word) in amended.objects.iter().zip(&amended.words) {
            let title = files::title(object);
            match (word, unchanged) {
                (Applied::Unchanged, Some(done)) => render::line(&format!("{title} {done}"))?,
                (Applied::Unchanged, None) => say(format!("{title} is so already.")),
                (Applied::Created | Applied::Configured, _) => {
                    render::line(&format!("{title} {done}"))?;
                }
            }
        }
        self.wait(&Goal::all_of(&amended.objects), wait)?;
        amended.readers.say(self)
    }

    /// Shows what [`amend`](Self::amend) would do: of sets the steps.
    pub(crate) fn preview_amended(
        &self,
        found: &[Object],
        amendment: Amendment<'_>,
        dry_run: &DryRunArgs,
        done: &str,
    ) -> Result<()> {
        for found in found {
            let object = self.amended(found, amendment)?;
            if let Object::StatefulSet(set) = &object {
                let (wanted, _) = declare::wanted_set(self, set)?;
                dry_run.show(vec![self.plan(wanted, self.store.is_stopped())?])?;
            } else {
                show_object(dry_run, &object, done)?;
            }
        }
        Ok(())
    }

    /// Returns an object as it would be, complete and checked.
    pub(crate) fn amended(&self, found: &Object, amendment: Amendment<'_>) -> Result<Object> {
        let full = ObjectRef::of(found.metadata())?;
        // Others may have changed it since it was found.
        let current = self.item(found.kind(), &full.namespace, &full.name)?;
        let gone = || self.not_found(found.kind().plural(), full.name.as_str());
        if let (Some(current), Some((_, overlay))) = (&current, self.overlay_of(found, amendment)?)
        {
            let mut changed = current.clone();
            overlay.lay_over(changed.metadata_mut());
            return Ok(changed);
        }
        let mut current = self.given(&current.ok_or_else(gone)?)?;
        let now = Document::of_object(&current)?.without_status();
        let text = match amendment {
            Amendment::Patch(patch) => yaml::to_string(&now.patched(patch)?)?,
            Amendment::Notes(field, notes) => {
                yaml::to_string(&now.patched(&Patch::of_notes(field, notes))?)?
            }
            Amendment::Pods(change) => {
                change(pod_spec_of(&mut current)?)?;
                yaml::to_string(&Document::of_object(&current)?.without_status())?
            }
            Amendment::Text(_, seen) if *seen != now => {
                let message = format!("{} was changed by somebody else", found.full_name());
                return Err(Problem::new(Kind::Conflict, message).into());
            }
            Amendment::Text(text, _) => text.to_owned(),
        };
        let name = format!("{} with the change", found.full_name());
        let loaded = manifest::load(&[Source { name, text }], &full.namespace)?;
        let one = <[Object; 1]>::try_from(loaded.objects);
        let same = |it: &Object| {
            let (kind, name, namespace) = (it.kind(), it.name(), it.namespace());
            (kind, name, namespace) == (found.kind(), found.name(), found.namespace())
        };
        match one {
            Ok([object]) if same(&object) => Ok(object),
            Ok(_) | Err(_) => {
                let message = format!(
                    "the kind, the name and the namespace of {} cannot be changed",
                    found.full_name()
                );
                let hint = "create another object, and delete this one";
                Err(Problem::invalid(message).hint(hint).into())
            }
        }
    }

    /// Returns an object as its user declares it.
    pub(crate) fn given(&self, object: &Object) -> Result<Object> {
        let full = ObjectRef::of(object.metadata())?;
        Ok(match object {
            Object::StatefulSet(set) => Object::StatefulSet(as_given(set.as_ref()).into()),
            Object::Service(service) => Object::Service(as_given(service.as_ref()).into()),
            Object::ConfigMap(map) => Object::ConfigMap(as_given(map.as_ref()).into()),
            Object::Secret(secret) => Object::Secret(as_given(secret.as_ref()).into()),
            Object::PersistentVolumeClaim(claim) => {
                Object::PersistentVolumeClaim(as_given(claim.as_ref()).into())
            }
            Object::EndpointSlice(slice) => Object::EndpointSlice(as_given(slice.as_ref()).into()),
            Object::Workload(workload) => workloads::as_given(workload),
            Object::Pod(pod) => match bare::find_named(self, &full)? {
                Some(own) => Object::Pod(as_given(&own).into()),
                None => return Err(refuse_pet(pod.metadata.name.as_deref()).into()),
            },
            Object::PersistentVolume(volume) => {
                let kept: Option<PersistentVolume> =
                    self.store.find(&full.namespace, &full.name)?;
                if kept.is_none() {
                    let message = format!("{} stands for a directory", object.full_name());
                    let hint =
                        format!("change its claim, {}", claim_of(volume).unwrap_or_default());
                    return Err(Problem::invalid(message).hint(hint).into());
                }
                // Its claim is shown, so that it can be taken off.
                let mut volume = volume.clone();
                (volume.status, volume.metadata.finalizers) = (None, None);
                Object::PersistentVolume(volume)
            }
            Object::StorageClass(class) => Object::StorageClass(as_given(class.as_ref()).into()),
            Object::Endpoints(_) | Object::ControllerRevision(_) => {
                let message = format!("{} cannot be changed by this verb", object.full_name());
                let hint = "write a manifest, and say `petset apply -f FILE`";
                return Err(Problem::invalid(message).hint(hint).into());
            }
        })
    }
}

fn refuse_pet(name: Option<&str>) -> Problem {
    let message = format!(
        "pod/{} is as the template of its owner says",
        name.unwrap_or_default()
    );
    let hint = "change the template: its owner replaces its pods, as its strategy says; `petset \
                label` and `petset annotate` change this pod alone";
    Problem::new(Kind::Conflict, message).hint(hint)
}

/// Returns the spec of the pods of an object, to change it.
fn pod_spec_of(object: &mut Object) -> Result<&mut PodSpec, Problem> {
    let title = object.full_name();
    match object {
        Object::StatefulSet(set) => pod_of(set),
        Object::Workload(workload) => edit::pod_of(workload),
        Object::Pod(pod) => Ok(pod.spec.get_or_insert_default()),
        Object::Service(_)
        | Object::ConfigMap(_)
        | Object::Secret(_)
        | Object::PersistentVolumeClaim(_)
        | Object::Endpoints(_)
        | Object::EndpointSlice(_)
        | Object::ControllerRevision(_)
        | Object::PersistentVolume(_)
        | Object::StorageClass(_) => Err(Problem::invalid(format!("{title} has no containers"))),
    }
}
