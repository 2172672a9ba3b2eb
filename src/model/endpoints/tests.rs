//! Who is behind a service, from services and pods as Kubernetes writes them.

use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::{Value, json};

use super::*;

fn service(spec: Value) -> Service {
    let metadata = json!({"name": "nginx", "namespace": "default"});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// A pod of the set web: `state` is a phase, `Ready`, or `Terminating` (and still ready).
fn pod(name: &str, ip: &str, state: &str) -> Pod {
    let ready = matches!(state, "Ready" | "Terminating");
    let phase = if ready { "Running" } else { state };
    let deleted = (state == "Terminating").then_some("2026-01-01T00:00:00Z");
    serde_json::from_value(json!({
        "metadata": {
            "name": name, "namespace": "default", "labels": {"app": "nginx", "more": "x"},
            "deletionTimestamp": deleted,
        },
        "spec": {
            "hostname": name, "subdomain": "nginx",
            "containers": [{"name": "c", "ports": [
                {"name": "web", "containerPort": 8080},
                {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            ]}],
            "initContainers": [
                {"name": "once", "ports": [{"name": "side", "containerPort": 1}]},
                {"name": "side", "restartPolicy": "Always",
                 "ports": [{"name": "side", "containerPort": 9090}]},
            ],
        },
        "status": {
            "phase": phase, "podIP": ip,
            "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
        },
    }))
    .unwrap()
}

fn headless() -> Value {
    json!({"clusterIP": "None", "selector": {"app": "nginx"}})
}

fn behind(spec: Value, pods: &[Pod]) -> ServiceRecord {
    endpoints(&service(spec), &pods.iter().collect::<Vec<_>>())
}

/// Shows each endpoint as its pod, with a mark where no name resolves to it.
fn seen(record: &ServiceRecord) -> String {
    let show = |endpoint: &Endpoint| {
        let mark = if endpoint.ready { "" } else { "?" };
        format!("{}{mark}", endpoint.pod)
    };
    record
        .endpoints
        .iter()
        .map(show)
        .collect::<Vec<_>>()
        .join(" ")
}

fn some_pods() -> Vec<Pod> {
    vec![
        pod("web-10", "127.5.1.11", "Ready"),
        pod("web-2", "127.5.1.3", "Running"),
        pod("web-1", "127.5.1.2", "Terminating"),
        pod("web-0", "127.5.1.1", "Ready"),
        pod("web-3", "", "Pending"),
        pod("web-4", "127.5.1.5", "Failed"),
        pod("web-5", "127.5.1.6", "Succeeded"),
    ]
}

#[test]
fn ready_pods_that_stay_are_ready_endpoints_in_the_order_of_their_ordinals() {
    let record = behind(headless(), &some_pods());
    assert_eq!(seen(&record), "web-0 web-1? web-2? web-10");
    assert!(record.endpoints[1].serving && record.endpoints[1].terminating);
    assert_eq!(record.endpoints[0].hostname.as_deref(), Some("web-0"));
}

#[test]
fn addresses_may_be_published_before_they_are_ready() {
    let mut spec = headless();
    spec["publishNotReadyAddresses"] = json!(true);
    assert_eq!(
        seen(&behind(spec, &some_pods())),
        "web-0 web-1 web-2 web-10"
    );
    for key in TOLERATE_UNREADY {
        let mut old = service(headless());
        old.metadata.annotations = Some([(key.to_owned(), "true".to_owned())].into());
        let pods = some_pods();
        let record = endpoints(&old, &pods.iter().collect::<Vec<_>>());
        assert_eq!(seen(&record), "web-0 web-1 web-2 web-10", "{key}");
    }
}

#[test]
fn a_service_selects_pods_of_its_own_namespace_that_have_all_its_labels() {
    let mut elsewhere = pod("web-0", "127.5.1.1", "Ready");
    elsewhere.metadata.namespace = Some("other".to_owned());
    assert_eq!(seen(&behind(headless(), &[elsewhere])), "");
    let with = |selector: Value| json!({"clusterIP": "None", "selector": selector});
    let pods = [pod("web-0", "127.5.1.1", "Ready")];
    assert_eq!(
        seen(&behind(with(json!({"app": "nginx", "more": "x"})), &pods)),
        "web-0"
    );
    assert_eq!(
        seen(&behind(with(json!({"app": "nginx", "more": "y"})), &pods)),
        ""
    );
    assert_eq!(seen(&behind(with(json!({})), &pods)), "");
    assert_eq!(seen(&behind(json!({"clusterIP": "None"}), &pods)), "");
}

#[test]
fn a_hostname_counts_only_below_its_own_service() {
    let mut other = pod("web-0", "127.5.1.1", "Ready");
    other.spec.as_mut().unwrap().subdomain = Some("other".to_owned());
    let record = behind(headless(), &[other]);
    assert_eq!(record.endpoints[0].hostname, None);
    assert_eq!(record.endpoints[0].host(), "127-5-1-1");
    assert_eq!(dashed("fd00::".parse().unwrap()), "fd00--0");
}

#[test]
fn named_target_ports_are_resolved_pod_by_pod() {
    // CF-net-13, CF-net-27
    let mut spec = headless();
    spec["ports"] = json!([
        {"name": "http", "port": 80, "targetPort": "web"},
        {"name": "udp-only", "port": 81, "targetPort": "dns"},
        {"name": "dns", "port": 82, "targetPort": "dns", "protocol": "UDP"},
        {"name": "sidecar", "port": 83, "targetPort": "side"},
        {"name": "plain", "port": 84},
        {"name": "number", "port": 85, "targetPort": 8500},
    ]);
    let record = behind(spec, &[pod("web-0", "127.5.1.1", "Ready")]);
    let ports = record.endpoints[0].ports.iter();
    let ports: Vec<String> = ports
        .map(|port| format!("{}={}", port.name, port.port))
        .collect();
    assert_eq!(
        ports.join(" "),
        "http=8080 dns=53 sidecar=9090 plain=84 number=8500"
    );
}

#[test]
fn the_kinds_of_service_are_told_apart() {
    let kind = |spec| behind(spec, &[]).kind;
    assert_eq!(kind(headless()), ServiceKind::Headless);
    let name = "db.example.org".to_owned();
    let external = json!({"type": "ExternalName", "externalName": "db.example.org."});
    assert_eq!(kind(external), ServiceKind::ExternalName { name });
    let both = json!({"clusterIP": "10.0.0.3", "clusterIPs": ["10.0.0.3", "fd00::3"]});
    let addresses = ["10.0.0.3", "fd00::3"]
        .map(|ip| ip.parse().unwrap())
        .to_vec();
    assert_eq!(kind(both), ServiceKind::ClusterIp { addresses });
    assert_eq!(
        kind(json!({})),
        ServiceKind::ClusterIp {
            addresses: Vec::new()
        }
    );
}

#[test]
fn a_record_is_read_back_as_it_was_written() {
    let mut spec = headless();
    spec["ports"] = json!([{"port": 80, "targetPort": "web"}, {"name": "a", "port": 81}]);
    let record = behind(spec, &some_pods());
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(
        serde_json::from_str::<ServiceRecord>(&text).unwrap(),
        record
    );
}
