//! However settings, catalogues, messages and files of a state directory are mangled, they are read
//! or refused.

use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde::de::DeserializeOwned;

use super::control::RunnerRequest;
use super::journal::Event;
use super::network::{AttachReply, AttachRequest, Greeting, receive};
use super::record::RunnerRecord;
use super::{SetReport, Settings, addresses};
use crate::mangling::read_mangled;
use crate::model::image::{Catalogue, Disk};
use crate::yaml;

/// Reads it as a record is read.
fn record<T: DeserializeOwned>(bytes: &[u8]) {
    drop(serde_json::from_slice::<T>(bytes));
}

#[test]
fn any_settings_are_read_or_refused() {
    let example = b"cluster-domain = 'cluster.local'\naddress-block = 7\nlock-timeout = '1m30s'\n\
        back-off = { start = '10s', cap = '300s' }\ndns-listen = '127.0.0.1:5353'\n\
        dns-forward = ['127.0.0.53']\nisolation = 'full'\negress = 'none'\n\
        shared-paths = ['/srv']\nstrict = true\n";
    read_mangled("settings", 2_000, &[example], &mut |bytes| {
        drop(Settings::parse(&String::from_utf8_lossy(bytes)));
    });
}

#[test]
fn any_catalogue_is_read_or_refused() {
    let example = b"['alpine']\nlike = 'busybox'\n\n['mydb']\nprogram = '/opt/db'\nargs = ['-x']\n\
        env = { A = 'b' }\n[mydb.files]\n'/etc/x' = 'y'\n\n['k']\nentrypoint = ['{petset}', 'k']\n\
        user = '5:6'\nworkdir = '/w'\nscript = 'exec $1'\n";
    let disk = Disk {
        exists: &|_| true,
        on_path: &|name| Some(Path::new("/bin").join(name)),
        names: &|_| Vec::new(),
    };
    read_mangled("images.toml", 2_000, &[example], &mut |bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        if let Ok(catalogue) = Catalogue::new(&[(PathBuf::from("i"), text)], "i", "/petset") {
            for image in ["mydb", "alpine:3", "k"] {
                drop(catalogue.resolve(image, &[], &[], &disk));
            }
        }
    });
}

#[test]
fn any_message_is_read_or_passed_over() {
    let examples: [&[u8]; 6] = [
        br#"{"stop":{"graceSeconds":30}}"#,
        br#"{"visit":{"container":"c","main":7,"visitor":{"pid":9,"start":12}}}"#,
        br#"{"pid":7,"tid":8}"#,
        br#"{"init":7,"ip":"127.5.1.1","ports":[80],"udp":[53],"egress":true}"#,
        br#"ok {"moved":["80=10080"],"missing":[],"closed":null}"#,
        b"no address is left",
    ];
    read_mangled("messages", 5_000, &examples, &mut |bytes| {
        record::<RunnerRequest>(bytes);
        drop(receive::<Greeting>(bytes));
        drop(receive::<AttachRequest>(bytes));
        drop(AttachReply::receive(bytes));
    });
}

#[test]
fn any_file_of_a_state_directory_is_read_or_damaged() {
    let pod = br#"{"metadata":{"name":"web-0","uid":"u","deletionTimestamp":"2026-01-02T03:04:05Z"},
        "spec":{"containers":[{"name":"c","image":"x","ports":[{"containerPort":80}],
        "resources":{"limits":{"memory":"1Gi"}}}]},"status":{"phase":"Running","podIP":"127.5.1.1"}}"#;
    let report = br#"{"uid":"u","status":{"replicas":1},"settled":false,"stopped":true,"waiting":
        [{"pet":"web-0","why":"w","since":"2026-01-02T03:04:05Z","stuck":true}]}"#;
    let runner = br#"{"pid":7,"start":12,"bootId":"b","clean":true,"brand":99,"containers":
        [{"name":"c","pid":8,"start":13,"pgid":8}]}"#;
    let event = br#"{"time":"2026-01-02T03:04:05Z","type":"Normal","reason":"R","object":"pod/x",
        "message":"m","count":2}"#;
    let claim = br#"{"metadata":{"name":"data-web-0"},"spec":{"resources":{"requests":
        {"storage":"1Gi"}}}}"#;
    let wanted =
        b"apiVersion: apps/v1\nkind: StatefulSet\nmetadata:\n  name: web\n  annotations:\n\
        \x20   petset.dev/isolation: full\nspec:\n  replicas: 3\n  serviceName: 'web'\n";
    let examples: [&[u8]; 7] = [
        pod,
        report,
        runner,
        event,
        claim,
        wanted,
        b"127.5.1.1 default web-0 .",
    ];
    read_mangled("state files", 2_000, &examples, &mut |bytes| {
        record::<Pod>(bytes);
        record::<SetReport>(bytes);
        record::<RunnerRecord>(bytes);
        record::<Event>(bytes);
        record::<PersistentVolumeClaim>(bytes);
        record::<ControllerRevision>(bytes);
        let text = String::from_utf8_lossy(bytes);
        drop(addresses::parse(&text));
        if let Ok(json) = yaml::to_json(&text) {
            record::<StatefulSet>(json.as_bytes());
        }
    });
}
