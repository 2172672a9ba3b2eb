//! What users want of a running pod beside what its template says: labels, annotations, and whether
//! it is paused.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// On a pod, `"true"`: none of its processes runs until it is resumed (`petset pause`); or the
/// number and the start time of a process, as long as which that holds.
pub const FROZEN_ANNOTATION: &str = "petset.dev/frozen";

/// Values to set (`Some`) or to remove, by their keys.
pub type Notes = BTreeMap<String, Option<String>>;

/// A request to change the metadata of one pod; it ends with that pod.
///
/// It only grows: a key that was changed once stands in it with its last value, so that laying it
/// over a pod again changes nothing, and one that was laid by half is laid whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overlay {
    /// The pod's uid: its successor of the same name is as its template says.
    pub uid: String,
    /// Labels.
    #[serde(default)]
    pub labels: Notes,
    /// Annotations.
    #[serde(default)]
    pub annotations: Notes,
}

impl Overlay {
    /// Adds a later request to this one; a request about another pod takes its place.
    pub fn extend(&mut self, later: Self) {
        if self.uid != later.uid {
            *self = later;
            return;
        }
        self.labels.extend(later.labels);
        self.annotations.extend(later.annotations);
    }

    /// Returns the part of it that counts for a pod that no owner controls: what its user declares
    /// says all but whether it is paused.
    #[must_use]
    pub fn for_bare(&self) -> Self {
        let frozen = self.annotations.get_key_value(FROZEN_ANNOTATION);
        let frozen = frozen.map(|(key, value)| (key.clone(), value.clone()));
        Self {
            uid: self.uid.clone(),
            labels: Notes::new(),
            annotations: frozen.into_iter().collect(),
        }
    }

    /// Changes the metadata of the pod.
    pub fn lay_over(&self, meta: &mut ObjectMeta) {
        lay(&self.labels, &mut meta.labels);
        lay(&self.annotations, &mut meta.annotations);
    }

    /// Returns whether the metadata of a pod is as this asks.
    #[must_use]
    pub fn is_laid_over(&self, meta: &ObjectMeta) -> bool {
        let is = |asked: &Notes, there: Option<&BTreeMap<String, String>>| {
            let mut asked = asked.iter();
            asked.all(|(key, value)| there.and_then(|it| it.get(key)) == value.as_ref())
        };
        is(&self.labels, meta.labels.as_ref()) && is(&self.annotations, meta.annotations.as_ref())
    }
}

fn lay(asked: &Notes, there: &mut Option<BTreeMap<String, String>>) {
    for (key, value) in asked {
        match value {
            Some(value) => drop(
                there
                    .get_or_insert_default()
                    .insert(key.clone(), value.clone()),
            ),
            None => drop(there.as_mut().and_then(|it| it.remove(key))),
        }
    }
}

/// Whether a pod is to be paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// It is not.
    No,
    /// It is, until it is resumed.
    Yes,
    /// It is as long as a process runs.
    While {
        /// The number of the process.
        pid: u32,
        /// Its start time, in clock ticks since boot.
        start: u64,
    },
}

impl Freeze {
    /// Reads what is noted on a pod; nonsense is no pause.
    #[must_use]
    pub fn of(meta: &ObjectMeta) -> Self {
        let noted = meta.annotations.as_ref();
        let noted = noted.and_then(|notes| notes.get(FROZEN_ANNOTATION));
        let Some(noted) = noted.filter(|it| *it != "true") else {
            return if noted.is_some() { Self::Yes } else { Self::No };
        };
        let parts = noted.split_once(' ');
        let numbers = parts.and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?)));
        numbers.map_or(Self::No, |(pid, start)| Self::While { pid, start })
    }
}

/// Returns the note that pauses a pod as long as a process runs.
#[must_use]
pub fn freeze_while(pid: u32, start: u64) -> String {
    format!("{pid} {start}")
}

/// Returns whether a user has paused a pod.
#[must_use]
pub fn is_frozen(meta: &ObjectMeta) -> bool {
    let noted = meta.annotations.as_ref();
    noted
        .and_then(|notes| notes.get(FROZEN_ANNOTATION))
        .map(String::as_str)
        == Some("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(words: &[(&str, Option<&str>)]) -> Notes {
        let owned =
            |(key, value): &(&str, Option<&str>)| ((*key).to_owned(), value.map(ToOwned::to_owned));
        words.iter().map(owned).collect()
    }

    fn of(uid: &str, labels: &[(&str, Option<&str>)]) -> Overlay {
        Overlay {
            uid: uid.to_owned(),
            labels: notes(labels),
            annotations: Notes::new(),
        }
    }

    #[test]
    fn a_later_request_has_the_last_word_and_one_of_another_pod_all_of_it() {
        let mut overlay = of("1", &[("a", Some("1")), ("b", Some("1"))]);
        overlay.extend(of("1", &[("b", None), ("c", Some("2"))]));
        let both = [("a", Some("1")), ("b", None), ("c", Some("2"))];
        assert_eq!(overlay, of("1", &both));
        overlay.extend(of("2", &[("d", Some("3"))]));
        assert_eq!(overlay, of("2", &[("d", Some("3"))]));
    }

    #[test]
    fn a_pause_lasts_until_it_is_ended_or_its_process_ends() {
        let of = |note: &str| {
            Freeze::of(&ObjectMeta {
                annotations: Some([(FROZEN_ANNOTATION.to_owned(), note.to_owned())].into()),
                ..Default::default()
            })
        };
        assert_eq!(Freeze::of(&ObjectMeta::default()), Freeze::No);
        assert_eq!(of("true"), Freeze::Yes);
        assert_eq!(of("nonsense"), Freeze::No);
        assert_eq!(of(&freeze_while(7, 9)), Freeze::While { pid: 7, start: 9 });
    }

    #[test]
    fn laying_it_over_twice_is_laying_it_over_once() {
        let overlay = of("1", &[("a", Some("2")), ("b", None)]);
        let mut meta = ObjectMeta {
            labels: Some(
                [("a", "1"), ("b", "1"), ("c", "1")]
                    .map(|(k, v)| (k.into(), v.into()))
                    .into(),
            ),
            ..Default::default()
        };
        assert!(!overlay.is_laid_over(&meta));
        for _ in 0..2 {
            overlay.lay_over(&mut meta);
            assert!(overlay.is_laid_over(&meta));
            let wanted = [("a", "2"), ("c", "1")].map(|(k, v)| (k.into(), v.into()));
            assert_eq!(meta.labels, Some(wanted.into()));
        }
    }

    #[test]
    fn of_a_pod_without_an_owner_only_the_pause_counts() {
        let mut overlay = of("1", &[("a", Some("2"))]);
        overlay.annotations = notes(&[(FROZEN_ANNOTATION, Some("true")), ("x", Some("y"))]);
        let bare = overlay.for_bare();
        assert!(bare.labels.is_empty());
        assert_eq!(
            bare.annotations,
            notes(&[(FROZEN_ANNOTATION, Some("true"))])
        );
        let mut meta = ObjectMeta::default();
        bare.lay_over(&mut meta);
        assert!(is_frozen(&meta));
    }
}
