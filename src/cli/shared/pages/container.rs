//! The description of a container: its manifest, and how it really runs.

use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStatus, EnvVar, EnvVarSource,
    Probe,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::page::Page;
use crate::cli::shared::words::{NONE, date, or_none};
use crate::store::Launch;

/// What is known of a pet's container beyond its manifest.
pub(crate) struct ContainerFacts<'a> {
    pub(crate) status: Option<&'a ContainerStatus>,
    pub(crate) launch: Option<Launch>,
    pub(crate) log: &'a Path,
}

/// Writes a container as a template has it.
pub(crate) fn write_template(spec: &Container, level: usize, page: &mut Page) {
    page.field(level, "Image", or_none(spec.image.clone()));
    write_ports(spec, level, page);
    write_command(spec, None, level, page);
    write_probes(spec, level, page);
    write_environment(spec, level, page);
    write_mounts(spec, None, level, page);
}

/// Writes a container of a pet.
pub(crate) fn write(spec: &Container, facts: &ContainerFacts<'_>, level: usize, page: &mut Page) {
    let status = facts.status;
    page.field(level, "Image", or_none(spec.image.clone()));
    write_ports(spec, level, page);
    write_command(spec, facts.launch.as_ref(), level, page);
    let state = status.and_then(|status| status.state.as_ref());
    let runs = state.is_some_and(|state| state.running.is_some());
    if let Some(launch) = facts.launch.as_ref().filter(|_| runs) {
        page.field(level, "PID", launch.pid.to_string());
    }
    write_state("State", state, level, page);
    if let Some(last) = status.and_then(|status| status.last_state.as_ref())
        && last.terminated.is_some()
    {
        write_state("Last State", Some(last), level, page);
    }
    let ready = status.is_some_and(|status| status.ready);
    page.field(level, "Ready", if ready { "True" } else { "False" });
    let restarts = status.map_or(0, |status| status.restart_count);
    page.field(level, "Restart Count", restarts.to_string());
    write_probes(spec, level, page);
    page.field(level, "Log", facts.log.display().to_string());
    write_environment(spec, level, page);
    write_mounts(spec, facts.launch.as_ref(), level, page);
}

fn write_ports(spec: &Container, level: usize, page: &mut Page) {
    let ports = spec.ports.iter().flatten().map(|port| {
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        match &port.name {
            Some(name) => format!("{}/{protocol} ({name})", port.container_port),
            None => format!("{}/{protocol}", port.container_port),
        }
    });
    let ports: Vec<String> = ports.collect();
    page.field(level, "Ports", or_none(Some(ports.join(", "))));
}

/// Writes the command: the one of the running process, else the one of the manifest.
fn write_command(spec: &Container, launch: Option<&Launch>, level: usize, page: &mut Page) {
    let quoted = |words: &[String]| {
        let words = words.iter().map(String::as_str);
        shlex::try_join(words.clone()).unwrap_or_else(|_| words.collect::<Vec<_>>().join(" "))
    };
    if let Some(launch) = launch {
        page.field(level, "Runs", quoted(&launch.argv));
        page.field(level, "In Directory", launch.cwd.display().to_string());
        return;
    }
    if let Some(command) = &spec.command {
        page.field(level, "Command", quoted(command));
    }
    if let Some(args) = &spec.args {
        page.field(level, "Args", quoted(args));
    }
}

fn write_state(name: &str, state: Option<&ContainerState>, level: usize, page: &mut Page) {
    let inner = level + 1;
    let state = state.cloned().unwrap_or_default();
    if let Some(running) = state.running {
        page.field(level, name, "Running");
        if let Some(started) = running.started_at {
            page.field(inner, "Started", date(started.0));
        }
    } else if let Some(ended) = state.terminated {
        page.field(level, name, "Terminated");
        write_end(&ended, inner, page);
    } else {
        page.field(level, name, "Waiting");
        let waiting = state.waiting.unwrap_or_default();
        if let Some(reason) = waiting.reason {
            page.field(inner, "Reason", reason);
        }
        if let Some(message) = waiting.message {
            page.field(inner, "Message", message);
        }
    }
}

fn write_end(ended: &ContainerStateTerminated, level: usize, page: &mut Page) {
    if let Some(reason) = &ended.reason {
        page.field(level, "Reason", reason);
    }
    if let Some(message) = &ended.message {
        page.field(level, "Message", message);
    }
    page.field(level, "Exit Code", ended.exit_code.to_string());
    if let Some(signal) = ended.signal.filter(|signal| *signal != 0) {
        page.field(level, "Signal", signal.to_string());
    }
    // What never started has the time zero, as in Kubernetes.
    let started = ended.started_at.as_ref();
    if let Some(started) = started.filter(|time| time.0 > Timestamp::UNIX_EPOCH) {
        page.field(level, "Started", date(started.0));
    }
    if let Some(finished) = &ended.finished_at {
        page.field(level, "Finished", date(finished.0));
    }
}

fn write_probes(spec: &Container, level: usize, page: &mut Page) {
    let probes = [
        ("Liveness", &spec.liveness_probe),
        ("Readiness", &spec.readiness_probe),
        ("Startup", &spec.startup_probe),
    ];
    for (name, probe) in probes {
        if let Some(probe) = probe {
            page.field(level, name, probe_text(probe));
        }
    }
}

/// Writes a probe as kubectl does: `http-get http://:8080/ delay=0s timeout=1s period=10s ...`.
fn probe_text(probe: &Probe) -> String {
    let number = |port: &IntOrString| match port {
        IntOrString::Int(port) => port.to_string(),
        IntOrString::String(port) => port.clone(),
    };
    let what = if let Some(exec) = &probe.exec {
        format!(
            "exec [{}]",
            exec.command.clone().unwrap_or_default().join(" ")
        )
    } else if let Some(http) = &probe.http_get {
        let scheme = http.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
        let host = http.host.as_deref().unwrap_or_default();
        let path = http.path.as_deref().unwrap_or("/").trim_start_matches('/');
        format!("http-get {scheme}://{host}:{}/{path}", number(&http.port))
    } else if let Some(tcp) = &probe.tcp_socket {
        let host = tcp.host.as_deref().unwrap_or_default();
        format!("tcp-socket {host}:{}", number(&tcp.port))
    } else if let Some(grpc) = &probe.grpc {
        format!("grpc <pod>:{}", grpc.port)
    } else {
        "unknown".to_owned()
    };
    format!(
        "{what} delay={}s timeout={}s period={}s #success={} #failure={}",
        probe.initial_delay_seconds.unwrap_or(0),
        probe.timeout_seconds.unwrap_or(1),
        probe.period_seconds.unwrap_or(10),
        probe.success_threshold.unwrap_or(1),
        probe.failure_threshold.unwrap_or(3),
    )
}

fn write_environment(spec: &Container, level: usize, page: &mut Page) {
    let from = spec.env_from.iter().flatten().map(|source| {
        let (sort, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(map), _) => ("ConfigMap", &map.name, map.optional),
            (None, Some(secret)) => ("Secret", &secret.name, secret.optional),
            (None, None) => return NONE.to_owned(),
        };
        let optional = optional.unwrap_or(false);
        match &source.prefix {
            Some(prefix) => format!("{name} {sort} with prefix '{prefix}' Optional: {optional}"),
            None => format!("{name} {sort} Optional: {optional}"),
        }
    });
    let from: Vec<String> = from.collect();
    if !from.is_empty() {
        page.list(level, "Environment From", &from);
    }
    let variables = spec.env.as_deref().unwrap_or_default();
    if variables.is_empty() {
        return page.field(level, "Environment", NONE);
    }
    page.heading(level, "Environment");
    for variable in variables {
        page.field(level + 1, &variable.name, value_text(variable));
    }
}

/// Returns the value of a variable, or its source: the values of secrets are not shown.
fn value_text(variable: &EnvVar) -> String {
    let Some(source) = &variable.value_from else {
        return variable.value.clone().unwrap_or_default();
    };
    source_text(source)
}

fn source_text(source: &EnvVarSource) -> String {
    if let Some(key) = &source.secret_key_ref {
        let optional = key.optional.unwrap_or(false);
        return format!(
            "<set to the key '{}' in secret '{}'> Optional: {optional}",
            key.key, key.name
        );
    }
    if let Some(key) = &source.config_map_key_ref {
        let optional = key.optional.unwrap_or(false);
        return format!(
            "<set to the key '{}' of config map '{}'> Optional: {optional}",
            key.key, key.name
        );
    }
    if let Some(field) = &source.field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        return format!("({version}:{})", field.field_path);
    }
    match &source.resource_field_ref {
        Some(resource) => resource.resource.clone(),
        None => NONE.to_owned(),
    }
}

/// Writes the mount paths of the manifest, and the real paths.
fn write_mounts(spec: &Container, launch: Option<&Launch>, level: usize, page: &mut Page) {
    let mounts = spec.volume_mounts.as_deref().unwrap_or_default();
    if mounts.is_empty() {
        return page.field(level, "Mounts", NONE);
    }
    page.heading(level, "Mounts");
    for mount in mounts {
        let mode = if mount.read_only == Some(true) {
            "ro"
        } else {
            "rw"
        };
        let sub = mount.sub_path.as_deref().or(mount.sub_path_expr.as_deref());
        let sub = sub.map_or(String::new(), |sub| format!(",path={sub:?}"));
        let text = format!("{} from {} ({mode}{sub})", mount.mount_path, mount.name);
        let real = launch.and_then(|launch| {
            let mut made = launch.mounts.iter();
            made.find(|made| made.volume == mount.name && made.mount_path == mount.mount_path)
        });
        match real {
            Some(real) => page.row(level + 1, &[&text, "is", &real.path.display().to_string()]),
            None => page.row(level + 1, &[&text]),
        }
    }
}
