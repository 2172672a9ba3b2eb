//! Probes and hooks.

use k8s_openapi::api::core::v1::{
    Container, ExecAction, GRPCAction, HTTPGetAction, Lifecycle, PodSpec, Probe, SleepAction,
    TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::fault::Faults;
use super::at_least_zero;
use super::names::numbered;
use super::names::{note, port_name};

/// The actions of a probe or a hook; the first one given counts.
struct Actions<'a> {
    exec: Option<&'a ExecAction>,
    http_get: Option<&'a HTTPGetAction>,
    tcp_socket: Option<&'a TCPSocketAction>,
    grpc: Option<&'a GRPCAction>,
    sleep: Option<&'a SleepAction>,
    grace: Option<i64>,
}

/// Checks the three probes of a container.
pub(super) fn probes(faults: &mut Faults, path: &str, container: &Container) {
    if let Some(liveness) = &container.liveness_probe {
        let path = format!("{path}.livenessProbe");
        probe(faults, &path, liveness);
        one_success(faults, &path, liveness);
    }
    if let Some(readiness) = &container.readiness_probe {
        let path = format!("{path}.readinessProbe");
        probe(faults, &path, readiness);
        if let Some(seconds) = readiness.termination_grace_period_seconds {
            let path = format!("{path}.terminationGracePeriodSeconds");
            faults.invalid(&path, seconds, "must not be set for readinessProbes");
        }
    }
    if let Some(startup) = &container.startup_probe {
        let path = format!("{path}.startupProbe");
        probe(faults, &path, startup);
        one_success(faults, &path, startup);
    }
}

fn one_success(faults: &mut Faults, path: &str, probe: &Probe) {
    if let Some(threshold) = probe.success_threshold.filter(|threshold| *threshold != 1) {
        faults.invalid(&format!("{path}.successThreshold"), threshold, "must be 1");
    }
}

fn probe(faults: &mut Faults, path: &str, probe: &Probe) {
    let actions = Actions {
        exec: probe.exec.as_ref(),
        http_get: probe.http_get.as_ref(),
        tcp_socket: probe.tcp_socket.as_ref(),
        grpc: probe.grpc.as_ref(),
        sleep: None,
        grace: None,
    };
    action(faults, path, &actions);
    for (field, number) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        at_least_zero(faults, &format!("{path}.{field}"), number.map(i64::from));
    }
    if let Some(seconds) = probe
        .termination_grace_period_seconds
        .filter(|seconds| *seconds <= 0)
    {
        let path = format!("{path}.terminationGracePeriodSeconds");
        faults.invalid(&path, seconds, "must be greater than 0");
    }
}

/// Checks both hooks of a container.
pub(super) fn lifecycle(faults: &mut Faults, path: &str, hooks: &Lifecycle, spec: &PodSpec) {
    for (field, hook) in [
        ("postStart", &hooks.post_start),
        ("preStop", &hooks.pre_stop),
    ] {
        let Some(hook) = hook else { continue };
        let actions = Actions {
            exec: hook.exec.as_ref(),
            http_get: hook.http_get.as_ref(),
            tcp_socket: hook.tcp_socket.as_ref(),
            grpc: None,
            sleep: hook.sleep.as_ref(),
            grace: spec.termination_grace_period_seconds,
        };
        action(faults, &format!("{path}.{field}"), &actions);
    }
    if hooks.stop_signal.is_some() && spec.os.is_none() {
        let detail = "may not be set for containers with empty `spec.os.name`";
        faults.forbidden(&format!("{path}.stopSignal"), detail);
    }
}

fn action(faults: &mut Faults, path: &str, actions: &Actions<'_>) {
    let given = [
        ("exec", actions.exec.is_some()),
        ("httpGet", actions.http_get.is_some()),
        ("tcpSocket", actions.tcp_socket.is_some()),
        ("grpc", actions.grpc.is_some()),
        ("sleep", actions.sleep.is_some()),
    ];
    let mut given = given.iter().filter(|(_, is_given)| *is_given);
    let Some((first, _)) = given.next() else {
        return faults.required(path, "must specify a handler type");
    };
    only(faults, &format!("{path}.{first}"), first, actions);
    for (name, _) in given {
        let detail = "may not specify more than 1 handler type";
        faults.forbidden(&format!("{path}.{name}"), detail);
    }
}

fn only(faults: &mut Faults, path: &str, name: &str, actions: &Actions<'_>) {
    match (name, actions) {
        (
            "exec",
            Actions {
                exec: Some(exec), ..
            },
        ) if exec.command.as_deref().unwrap_or_default().is_empty() => {
            faults.required(&format!("{path}.command"), "");
        }
        (
            "httpGet",
            Actions {
                http_get: Some(get),
                ..
            },
        ) => http_get(faults, path, get),
        (
            "tcpSocket",
            Actions {
                tcp_socket: Some(socket),
                ..
            },
        ) => {
            port(faults, &format!("{path}.port"), &socket.port);
        }
        (
            "grpc",
            Actions {
                grpc: Some(grpc), ..
            },
        ) => {
            numbered(faults, &format!("{path}.port"), grpc.port);
        }
        (
            "sleep",
            Actions {
                sleep: Some(sleep),
                grace,
                ..
            },
        ) => {
            let seconds = sleep.seconds;
            if let Some(grace) = grace.filter(|grace| !(0..=*grace).contains(&seconds)) {
                let limit = "must be non-negative and less than terminationGracePeriodSeconds";
                faults.invalid(path, seconds, &format!("{limit} ({grace})"));
            }
        }
        _ => {}
    }
}

fn http_get(faults: &mut Faults, path: &str, get: &HTTPGetAction) {
    port(faults, &format!("{path}.port"), &get.port);
    let scheme = get.scheme.as_deref().unwrap_or_default();
    if !matches!(scheme, "HTTP" | "HTTPS") {
        faults.unsupported(&format!("{path}.scheme"), scheme, &["HTTP", "HTTPS"]);
    }
    for header in get.http_headers.iter().flatten() {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if header.name.is_empty() || !header.name.bytes().all(allowed) {
            let detail = "a valid HTTP header must consist of alphanumeric characters or '-' \
                 (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
            faults.invalid_text(&format!("{path}.httpHeaders"), &header.name, detail);
        }
    }
}

/// Checks a port given by number or by name.
pub(super) fn port(faults: &mut Faults, path: &str, port: &IntOrString) {
    match port {
        IntOrString::Int(number) => numbered(faults, path, *number),
        IntOrString::String(name) => note(faults, path, name, port_name(name)),
    }
}
