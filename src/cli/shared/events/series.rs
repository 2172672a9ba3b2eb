//! Equal events as one series, as Kubernetes counts them.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use crate::model::kind::ObjectKind;
use crate::model::{Namespace, printer};
use crate::sorted::sort_by_key;
use crate::store::journal::{Event, Severity};

/// An event that was seen once or several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventSeries {
    event: Event,
    first: Timestamp,
    pub(super) last: Timestamp,
    count: usize,
    /// The place of the last one among the events.
    place: usize,
}

/// Object, uid, part of the object, reason and message: what makes events equal.
type SeriesKey = (String, Option<String>, Option<String>, String, String);

/// Groups equal events into series, in the order in which each was written last.
pub(crate) fn aggregate(events: Vec<Event>) -> Vec<EventSeries> {
    let mut all: Vec<EventSeries> = Vec::new();
    let mut places: HashMap<SeriesKey, usize> = HashMap::new();
    for (at, event) in events.into_iter().enumerate() {
        let key = (
            event.object.clone(),
            event.uid.clone(),
            event.field.clone(),
            event.reason.clone(),
            event.message.clone(),
        );
        match places.get(&key) {
            Some(&place) => {
                let seen = &mut all[place];
                seen.count += event.count as usize;
                (seen.last, seen.place) = (event.time, at);
            }
            None => {
                places.insert(key, all.len());
                all.push(EventSeries {
                    place: at,
                    ..EventSeries::once(event)
                });
            }
        }
    }
    sort_by_key(&mut all, |seen| seen.place);
    all
}

impl EventSeries {
    /// Returns the series of a single event.
    pub(super) fn once(event: Event) -> Self {
        Self {
            first: event.time,
            last: event.time,
            count: event.count as usize,
            place: 0,
            event,
        }
    }

    /// Returns the age: `3s`, or `3s (x4 over 10s)`.
    pub(crate) fn age(&self, now: Timestamp) -> String {
        let ago = |time| printer::age(now.duration_since(time));
        if self.count == 1 {
            return ago(self.last);
        }
        format!(
            "{} (x{} over {})",
            ago(self.last),
            self.count,
            ago(self.first)
        )
    }

    /// Returns the first event of the series.
    pub(crate) const fn event(&self) -> &Event {
        &self.event
    }

    /// Returns the type of the event in Kubernetes' word.
    pub(crate) const fn severity(&self) -> &'static str {
        match self.event.severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }

    /// Returns who tells of it, as on a cluster.
    pub(crate) fn component(&self) -> &'static str {
        let (kind, _) = self.event.object.split_once('/').unwrap_or_default();
        match (kind, self.event.reason.as_str()) {
            ("pod", "Scheduled" | "FailedScheduling") => "default-scheduler",
            ("pod", _) => "kubelet",
            ("persistentvolumeclaim", "Deleting" | "Deleted") | ("statefulset", _) => {
                "statefulset-controller"
            }
            ("persistentvolumeclaim" | "persistentvolume", _) => "persistentvolume-controller",
            ("deployment", _) => "deployment-controller",
            ("replicaset", _) => "replicaset-controller",
            ("replicationcontroller", _) => "replication-controller",
            ("daemonset", _) => "daemonset-controller",
            ("job", _) => "job-controller",
            ("cronjob", _) => "cronjob-controller",
            _ => "petset",
        }
    }

    /// Returns the cells of the series' row.
    pub(super) fn row(&self, now: Timestamp) -> Vec<String> {
        let Event { reason, object, .. } = &self.event;
        let (age, severity) = (self.age(now), self.severity().to_owned());
        vec![
            age,
            severity,
            reason.clone(),
            object.clone(),
            self.event.text(),
        ]
    }

    /// Returns the series as a Kubernetes event.
    pub(super) fn to_core(&self, namespace: &Namespace) -> CoreEvent {
        let (kind, name) = self.event.object.split_once('/').unwrap_or_default();
        let (kind, version) = match ObjectKind::of_folder(kind) {
            Some(known) => (known.as_str(), known.api_version()),
            None => (kind, "v1"),
        };
        CoreEvent {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", self.first.as_nanosecond())),
                namespace: Some(namespace.to_string()),
                creation_timestamp: Some(Time(self.first)),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(version.to_owned()),
                kind: Some(kind.to_owned()),
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_string()),
                uid: self.event.uid.clone(),
                field_path: self.event.field.clone(),
                ..ObjectReference::default()
            },
            type_: Some(self.severity().to_owned()),
            reason: Some(self.event.reason.clone()),
            message: Some(self.event.message.clone()),
            count: i32::try_from(self.count).ok(),
            first_timestamp: Some(Time(self.first)),
            last_timestamp: Some(Time(self.last)),
            source: Some(EventSource {
                component: Some(self.component().to_owned()),
                ..EventSource::default()
            }),
            ..CoreEvent::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: i64, object: &str, message: &str) -> Event {
        Event {
            time: Timestamp::from_second(second).unwrap(),
            severity: Severity::Normal,
            reason: "Started".to_owned(),
            object: object.to_owned(),
            uid: None,
            field: None,
            message: message.to_owned(),
            count: 1,
        }
    }

    #[test]
    fn events_stay_in_the_order_of_their_writing_when_the_clock_is_put_back() {
        let mut again = event(50, "pod/web-0", "started c");
        again.count = 11;
        let events = vec![
            event(100, "pod/web-0", "started c"),
            event(105, "pod/web-1", "started c"),
            again,
        ];
        let seen = aggregate(events);
        let now = Timestamp::from_second(112).unwrap();
        let rows: Vec<String> = seen.iter().map(|seen| seen.row(now).join("|")).collect();
        assert_eq!(rows[0], "7s|Normal|Started|pod/web-1|started c");
        assert!(rows[1].contains("(x12 over "), "{rows:?}");
    }

    #[test]
    fn what_happened_to_two_pods_of_one_name_is_two_lines() {
        let of = |uid: &str| Event {
            uid: Some(uid.to_owned()),
            ..event(100, "pod/web-0", "started c")
        };
        assert_eq!(aggregate(vec![of("u1"), of("u2"), of("u1")]).len(), 2);
    }

    #[test]
    fn what_happened_several_times_is_one_line() {
        let events = vec![
            event(100, "pod/web-0", "started c"),
            event(105, "pod/web-1", "started c"),
            event(110, "pod/web-0", "started c"),
        ];
        let seen = aggregate(events);
        let now = Timestamp::from_second(112).unwrap();
        let rows: Vec<String> = seen.iter().map(|seen| seen.row(now).join("|")).collect();
        assert_eq!(
            rows,
            [
                "7s|Normal|Started|pod/web-1|started c",
                "2s (x2 over 12s)|Normal|Started|pod/web-0|started c",
            ]
        );
    }
}
