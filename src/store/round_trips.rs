//! Every format that has no logic of its own: read as it was written, under the names that earlier
//! versions used.

use std::fmt::Debug;
use std::path::Path;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSetStatus};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::journal::{self, Event, Severity};
use super::{Ability, Layout, SetReport, Settings, Sync, Waiting, read_json, replace_json};
use crate::model::{Egress, Isolation, Namespace};

fn in_a_state_directory(test: impl FnOnce(&Layout, &Namespace)) {
    let dir = tempfile::tempdir().unwrap();
    test(&Layout::new(dir.path()), &"default".parse().unwrap());
}

/// Writes a value, compares the file with its text, and reads the value back.
fn comes_back<T>(path: &Path, value: &T, text: &Value)
where
    T: Serialize + DeserializeOwned + PartialEq + Debug,
{
    assert_eq!(read_json::<T>(path).unwrap(), None);
    replace_json(path, value, Sync::No).unwrap();
    assert_eq!(read_json::<Value>(path).unwrap().as_ref(), Some(text));
    assert_eq!(read_json::<T>(path).unwrap().as_ref(), Some(value));
}

#[test]
fn the_report_of_a_set() {
    let waiting = Waiting {
        pet: Some("web-0".to_owned()),
        why: "web-0 is not ready".to_owned(),
        since: "2026-01-02T03:04:05Z".parse().unwrap(),
        stuck: true,
    };
    let report = SetReport {
        uid: "u".to_owned(),
        status: StatefulSetStatus {
            replicas: 1,
            ..StatefulSetStatus::default()
        },
        waiting: vec![waiting],
        settled: false,
        stopped: true,
    };
    let text = json!({
        "uid": "u", "status": {"replicas": 1}, "settled": false, "stopped": true,
        "waiting": [{"pet": "web-0", "why": "web-0 is not ready",
                     "since": "2026-01-02T03:04:05Z", "stuck": true}],
    });
    in_a_state_directory(|layout, namespace| {
        comes_back(&layout.set_status(namespace, "web"), &report, &text);
    });
    let old = json!({"uid": "u", "status": {"replicas": 0}, "waiting": [], "settled": true});
    let old: SetReport = serde_json::from_value(old).unwrap();
    assert!(old.settled && !old.stopped);
}

#[test]
fn claims_and_revisions() {
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "data-web-0"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}},
    }))
    .unwrap();
    let revision: ControllerRevision = serde_json::from_value(json!({
        "metadata": {"name": "web-1"}, "revision": 1, "data": {"spec": {}},
    }))
    .unwrap();
    in_a_state_directory(|layout, namespace| {
        let text = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data-web-0"},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        });
        comes_back(&layout.claim(namespace, "data-web-0"), &claim, &text);
        let text = json!([{
            "apiVersion": "apps/v1", "kind": "ControllerRevision",
            "metadata": {"name": "web-1"}, "revision": 1, "data": {"spec": {}},
        }]);
        comes_back(&layout.revisions(namespace, "web"), &vec![revision], &text);
    });
}

#[test]
fn whether_this_machine_can_isolate_pets() {
    in_a_state_directory(|layout, _| {
        assert_eq!(Ability::read(layout).unwrap(), None);
        for lack in [None, Some("no user namespaces".to_owned())] {
            let circumstances = "boot 1000".to_owned();
            let ability = Ability {
                circumstances,
                lack,
            };
            ability.write(layout).unwrap();
            assert_eq!(Ability::read(layout).unwrap(), Some(ability));
        }
        let text = json!({"circumstances": "boot 1000", "lack": "no user namespaces"});
        assert_eq!(read_json(&layout.isolation()).unwrap(), Some(text));
    });
}

#[test]
fn events_in_the_order_they_happened_without_a_torn_line() {
    let event = |severity, reason: &str, count| Event {
        uid: Some("u1".to_owned()).filter(|_| count > 1),
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        severity,
        reason: reason.to_owned(),
        object: "pod/web-0".to_owned(),
        field: Some("spec.containers{c}".to_owned()),
        message: "a message\nof two lines".to_owned(),
        count,
    };
    let all = [
        event(Severity::Normal, "SuccessfulCreate", 1),
        event(Severity::Warning, "BackOff", 3),
    ];
    in_a_state_directory(|layout, namespace| {
        let path = layout.journal(namespace, "web");
        for event in &all {
            journal::append(&path, event).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&first["type"], first.get("count")),
            (&json!("Normal"), None)
        );
        std::fs::write(&path, format!("{text}{{\"time\":\"2026")).unwrap();
        assert_eq!(journal::events(&path).unwrap(), all);
    });
}

#[test]
fn every_setting() {
    let text = "
        cluster-domain = 'home.arpa'
        address-block = 7
        lock-timeout = '3s'
        back-off = { start = '2s', cap = '9s' }
        dns-listen = '127.0.0.1:5300'
        dns-forward = true
        isolation = 'none'
        egress = 'none'
        shared-paths = ['/srv/x']
        strict = true
        reclaim-policy = 'Delete'
        node-labels = { disk = 'ssd' }";
    let Settings {
        cluster_domain,
        address_block,
        lock_timeout,
        back_off,
        dns_listen,
        dns_forward,
        isolation,
        egress,
        shared_paths,
        strict,
        reclaim_policy,
        node_labels,
    } = Settings::parse(text).unwrap();
    assert_eq!(
        (cluster_domain.as_str(), address_block),
        ("home.arpa", Some(7))
    );
    let times = [lock_timeout, back_off.start, back_off.cap];
    assert_eq!(times.map(|time| time.as_secs()), [3, 2, 9]);
    assert_eq!(dns_listen, "127.0.0.1:5300".parse().ok());
    assert_eq!(dns_forward, super::DnsForward::Switch(true));
    assert_eq!((isolation, egress), (Isolation::None, Egress::None));
    assert_eq!((shared_paths, strict), (vec!["/srv/x".into()], true));
    assert_eq!(reclaim_policy, super::ReclaimPolicy::Delete);
    assert_eq!(node_labels["disk"], "ssd");
}
