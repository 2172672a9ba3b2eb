//! Probes and hooks over the network: what to ask, and asking it (V44, V45).
//!
//! What is executed instead is the keeper's business, for it has to reap it.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::http::{self, Request};
use super::isolation::Dialer;
use crate::model::environment::probe_command;
use crate::model::lifecycle::{ProbeKind, ProbeOutcome};

/// One way to look at a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    Exec(Vec<String>),
    Http(Request),
    /// Connecting is enough: TCP, and for now HTTPS and gRPC.
    Tcp {
        host: String,
        port: u16,
    },
}

/// Returns the probe of this kind that a container has.
pub(super) fn spec(container: &core::Container, kind: ProbeKind) -> Option<&core::Probe> {
    match kind {
        ProbeKind::Startup => container.startup_probe.as_ref(),
        ProbeKind::Liveness => container.liveness_probe.as_ref(),
        ProbeKind::Readiness => container.readiness_probe.as_ref(),
    }
}

/// Returns how long a probe may take.
pub(super) fn timeout(probe: &core::Probe) -> Duration {
    let seconds = probe.timeout_seconds.and_then(|it| u64::try_from(it).ok());
    Duration::from_secs(seconds.filter(|&it| it > 0).unwrap_or(1))
}

/// Returns what a probe looks at, or why it cannot.
pub(super) fn check(
    probe: &core::Probe,
    container: &core::Container,
    ip: &str,
) -> Result<Check, String> {
    if let Some(exec) = &probe.exec {
        let command = exec.command.as_deref().unwrap_or_default();
        return Ok(Check::Exec(probe_command(container, command)));
    }
    if let Some(http) = &probe.http_get {
        return http_check(http, container, ip);
    }
    if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.clone().filter(|host| !host.is_empty());
        return Ok(Check::Tcp {
            host: host.unwrap_or_else(|| ip.to_owned()),
            port: number(&tcp.port, container)?,
        });
    }
    let Some(grpc) = &probe.grpc else {
        return Err("missing probe handler".to_owned());
    };
    Ok(Check::Tcp {
        host: ip.to_owned(),
        port: number(&IntOrString::Int(grpc.port), container)?,
    })
}

/// Returns what an HTTP probe or hook asks.
pub(super) fn http_check(
    http: &core::HTTPGetAction,
    container: &core::Container,
    ip: &str,
) -> Result<Check, String> {
    let host = http.host.clone().filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| ip.to_owned());
    let port = number(&http.port, container)?;
    if http
        .scheme
        .as_deref()
        .is_some_and(|it| it.eq_ignore_ascii_case("HTTPS"))
    {
        return Ok(Check::Tcp { host, port });
    }
    let path = http.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let headers = http.http_headers.iter().flatten();
    Ok(Check::Http(Request {
        host,
        port,
        path: format!("{slash}{path}"),
        headers: headers
            .map(|it| (it.name.clone(), it.value.clone()))
            .collect(),
    }))
}

/// Returns the number of a port that may be given by the name it has in the container.
fn number(port: &IntOrString, container: &core::Container) -> Result<u16, String> {
    let number = match port {
        IntOrString::Int(number) => Some(*number),
        IntOrString::String(name) => {
            let mut ports = container.ports.iter().flatten();
            let named = ports.find(|port| port.name.as_deref() == Some(name));
            named.map(|port| port.container_port).or(name.parse().ok())
        }
    };
    let number = number.and_then(|number| u16::try_from(number).ok());
    let words = match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    };
    number
        .filter(|&number| number > 0)
        .ok_or_else(|| format!("couldn't find port: {words}"))
}

/// Looks once; what is executed cannot come here.
pub(super) fn look(check: &Check, timeout: Duration, dialer: Option<&Dialer>) -> ProbeOutcome {
    let until = Instant::now() + timeout;
    match check {
        Check::Exec(_) => ProbeOutcome::Error("not a probe over the network".to_owned()),
        Check::Tcp { host, port } => match http::connect(host, *port, until, dialer) {
            Ok(_) => ProbeOutcome::Success,
            Err(fault) => ProbeOutcome::Failure(fault),
        },
        Check::Http(request) => match http::fetch(request, timeout, dialer) {
            Ok(response) if (200..400).contains(&response.status) => ProbeOutcome::Success,
            Ok(response) => ProbeOutcome::Failure(format!(
                "HTTP probe failed with statuscode: {}",
                response.status
            )),
            Err(fault) => ProbeOutcome::Failure(fault),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(probe: serde_json::Value) -> Result<Check, String> {
        let probe: core::Probe = serde_json::from_value(probe).unwrap();
        let container = json!({"name": "c", "ports": [{"name": "web", "containerPort": 8080}]});
        let container: core::Container = serde_json::from_value(container).unwrap();
        check(&probe, &container, "127.0.0.9")
    }

    #[test]
    fn a_command_is_expanded_as_the_kubelet_does() {
        let container = json!({"name": "c", "env": [
            {"name": "TWICE", "value": "first"},
            {"name": "TWICE", "value": "last"},
            {"name": "FROM", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]});
        let container: core::Container = serde_json::from_value(container).unwrap();
        let probe = json!({"exec": {"command": ["test", "$(TWICE)", "<$(FROM)>", "$(date)"]}});
        let probe: core::Probe = serde_json::from_value(probe).unwrap();
        let words = ["test", "last", "<>", "$(date)"].map(str::to_owned);
        assert_eq!(
            check(&probe, &container, "127.0.0.9"),
            Ok(Check::Exec(words.to_vec()))
        );
    }

    #[test]
    fn the_host_is_the_pods_address_and_ports_may_have_names() {
        let tcp = |host: &str, port| {
            let host = host.to_owned();
            Ok(Check::Tcp { host, port })
        };
        assert_eq!(
            checked(json!({"tcpSocket": {"port": "web"}})),
            tcp("127.0.0.9", 8080)
        );
        let elsewhere = json!({"tcpSocket": {"port": 1, "host": "localhost"}});
        assert_eq!(checked(elsewhere), tcp("localhost", 1));
        let https = json!({"httpGet": {"port": "web", "scheme": "HTTPS"}});
        assert_eq!(checked(https), tcp("127.0.0.9", 8080));
        let fault = checked(json!({"tcpSocket": {"port": "nope"}})).unwrap_err();
        assert_eq!(fault, "couldn't find port: nope");
        let Ok(Check::Http(request)) = checked(json!({"httpGet": {"port": 80, "path": "ok"}}))
        else {
            panic!("not an HTTP check");
        };
        assert_eq!((request.path.as_str(), request.port), ("/ok", 80));
    }
}
