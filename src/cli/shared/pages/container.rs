//! The description of a container: its manifest, and how it really runs.

use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerState, ContainerStateTerminated, ContainerStatus, EnvVar,
    EnvVarSource, Pod, Probe, ResourceFieldSelector,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::page::Page;
use crate::cli::shared::words::{NONE, date, or_none};
use crate::model::fields::{self, Capacity};
use crate::sorted::sort_by_key;
use crate::store::Launch;

/// What is known of a pet's container beyond its manifest.
pub(crate) struct ContainerFacts<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) status: Option<&'a ContainerStatus>,
    pub(crate) launch: Option<Launch>,
    pub(crate) log: &'a Path,
}

/// Writes a container as a template has it.
pub(crate) fn write_template(spec: &Container, level: usize, page: &mut Page) {
    page.field(level, "Image", or_none(spec.image.clone()));
    write_ports(spec, level, page);
    write_profile(spec, level, page);
    write_command(spec, level, page);
    write_resources(spec, level, page);
    write_probes(spec, level, page);
    write_environment(spec, None, level, page);
    write_mounts(spec, level, page);
}

/// Writes a container of a pet: what kubectl says, in its order, and how it really runs.
pub(crate) fn write(spec: &Container, facts: &ContainerFacts<'_>, level: usize, page: &mut Page) {
    let status = facts.status;
    let id = status.and_then(|status| status.container_id.as_deref());
    page.field(level, "Container ID", id.unwrap_or_default());
    page.field(level, "Image", or_none(spec.image.clone()));
    write_ports(spec, level, page);
    write_profile(spec, level, page);
    write_command(spec, level, page);
    let state = status.and_then(|status| status.state.as_ref());
    let runs = state.is_some_and(|state| state.running.is_some());
    if let Some(launch) = &facts.launch {
        write_launch(launch, runs, level, page);
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
    page.field(level, "Log", facts.log.display().to_string());
    write_resources(spec, level, page);
    write_probes(spec, level, page);
    write_environment(spec, Some(facts.pod), level, page);
    write_mounts(spec, level, page);
    if let Some(launch) = &facts.launch {
        write_places(spec, launch, level, page);
    }
}

/// Writes the ports in the container, and those of the host that it asks for.
fn write_ports(spec: &Container, level: usize, page: &mut Page) {
    let ports = spec.ports.as_deref().unwrap_or_default();
    let list = |number: fn(&ContainerPort) -> i32| {
        let ports = ports.iter().map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let name = port.name.as_ref().map(|name| format!(" ({name})"));
            format!("{}/{protocol}{}", number(port), name.unwrap_or_default())
        });
        or_none(Some(ports.collect::<Vec<_>>().join(", ")))
    };
    let (own, host) = match ports.len() {
        0 | 1 => ("Port", "Host Port"),
        _ => ("Ports", "Host Ports"),
    };
    page.field(level, own, list(|port| port.container_port));
    page.field(level, host, list(|port| port.host_port.unwrap_or(0)));
}

fn write_profile(spec: &Container, level: usize, page: &mut Page) {
    let context = spec.security_context.as_ref();
    let Some(profile) = context.and_then(|context| context.seccomp_profile.as_ref()) else {
        return;
    };
    page.field(level, "SeccompProfile", &profile.type_);
    if let Some(file) = &profile.localhost_profile {
        page.field(level + 1, "LocalhostProfile", file);
    }
}

/// Writes command and arguments of the manifest, a word a line.
fn write_command(spec: &Container, level: usize, page: &mut Page) {
    for (name, words) in [("Command", &spec.command), ("Args", &spec.args)] {
        let Some(words) = words.as_ref().filter(|words| !words.is_empty()) else {
            continue;
        };
        page.heading(level, name);
        for line in words.iter().flat_map(|word| word.split('\n')) {
            page.row(level + 1, &[line]);
        }
    }
}

/// Writes what the process was really started with, and where.
fn write_launch(launch: &Launch, runs: bool, level: usize, page: &mut Page) {
    let words = launch.argv.iter().map(String::as_str);
    let quoted =
        shlex::try_join(words.clone()).unwrap_or_else(|_| words.collect::<Vec<_>>().join(" "));
    page.field(level, "Runs", quoted);
    page.field(level, "In Directory", launch.cwd.display().to_string());
    if runs {
        page.field(level, "PID", launch.pid.to_string());
    }
}

fn write_resources(spec: &Container, level: usize, page: &mut Page) {
    let resources = spec.resources.clone().unwrap_or_default();
    for (name, amounts) in [
        ("Limits", resources.limits),
        ("Requests", resources.requests),
    ] {
        let amounts = amounts.unwrap_or_default();
        if amounts.is_empty() {
            continue;
        }
        page.heading(level, name);
        for (resource, amount) in amounts {
            page.field(level + 1, &resource, amount.0);
        }
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
        let path = path.replace('?', "%3F");
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

fn write_environment(spec: &Container, pod: Option<&Pod>, level: usize, page: &mut Page) {
    let from = spec.env_from.as_deref().unwrap_or_default();
    if !from.is_empty() {
        page.heading(level, "Environment Variables from");
    }
    for source in from {
        let (sort, name, optional) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(map), _) => ("ConfigMap", &map.name, map.optional),
            (None, Some(secret)) => ("Secret", &secret.name, secret.optional),
            (None, None) => continue,
        };
        let prefix = source.prefix.as_ref().filter(|prefix| !prefix.is_empty());
        let prefix = prefix.map(|prefix| format!(" with prefix '{prefix}'"));
        let sort = format!("{sort}{}", prefix.unwrap_or_default());
        let optional = format!("Optional: {}", optional.unwrap_or(false));
        page.row(level + 1, &[name, &sort, &optional]);
    }
    let variables = spec.env.as_deref().unwrap_or_default();
    if variables.is_empty() {
        return page.field(level, "Environment", NONE);
    }
    page.heading(level, "Environment");
    for variable in variables {
        page.field(level + 1, &variable.name, value_text(spec, pod, variable));
    }
}

/// Returns the value of a variable, or its source: the values of secrets are not shown.
fn value_text(spec: &Container, pod: Option<&Pod>, variable: &EnvVar) -> String {
    match &variable.value_from {
        Some(source) => source_text(spec, pod, source),
        None => variable.value.clone().unwrap_or_default(),
    }
}

fn source_text(spec: &Container, pod: Option<&Pod>, source: &EnvVarSource) -> String {
    let key_of = |key: &str, sort: &str, name: &str, optional: Option<bool>| {
        let optional = optional.unwrap_or(false);
        format!("<set to the key '{key}' {sort} '{name}'>  Optional: {optional}")
    };
    if let Some(key) = &source.secret_key_ref {
        return key_of(&key.key, "in secret", &key.name, key.optional);
    }
    if let Some(key) = &source.config_map_key_ref {
        return key_of(&key.key, "of config map", &key.name, key.optional);
    }
    if let Some(key) = &source.file_key_ref {
        let place = format!("{}/{}", key.volume_name, key.path);
        return key_of(&key.key, "in file", &place, key.optional);
    }
    if let Some(field) = &source.field_ref {
        let version = field.api_version.as_deref().unwrap_or("v1");
        let path = field.field_path.as_str();
        // kubectl knows these two values, and no others.
        let known = pod.filter(|_| matches!(path, "metadata.name" | "metadata.namespace"));
        let value = known.and_then(|pod| fields::field(pod, path).ok());
        return format!("{} ({version}:{path})", value.unwrap_or_default());
    }
    match &source.resource_field_ref {
        Some(asked) => format!("{} ({})", resource_text(spec, asked), asked.resource),
        None => NONE.to_owned(),
    }
}

/// Returns a request or limit of the container; a limit that is not set is the machine's.
fn resource_text(spec: &Container, asked: &ResourceFieldSelector) -> String {
    let nothing = Capacity {
        cpus: 0,
        memory: 0,
        storage: 0,
    };
    let own = ResourceFieldSelector {
        container_name: None,
        ..asked.clone()
    };
    let value = fields::resource(&Pod::default(), Some(spec), &own, nothing);
    match value.unwrap_or_default() {
        value if value == "0" && asked.resource.starts_with("limits.") => {
            "node allocatable".to_owned()
        }
        value => value,
    }
}

/// Writes the mounts of the manifest by their paths.
fn write_mounts(spec: &Container, level: usize, page: &mut Page) {
    let mut mounts: Vec<_> = spec.volume_mounts.iter().flatten().collect();
    if mounts.is_empty() {
        return page.field(level, "Mounts", NONE);
    }
    sort_by_key(&mut mounts, |mount| &mount.mount_path);
    page.heading(level, "Mounts");
    for mount in mounts {
        let mode = match mount.read_only == Some(true) {
            true => "ro",
            false => "rw",
        };
        let sub = mount.sub_path.as_deref().filter(|sub| !sub.is_empty());
        let sub = sub.map_or(String::new(), |sub| format!(",path={sub:?}"));
        let text = format!("{} from {} ({mode}{sub})", mount.mount_path, mount.name);
        page.row(level + 1, &[&text]);
    }
}

/// Writes where the content of the mounts really is.
fn write_places(spec: &Container, launch: &Launch, level: usize, page: &mut Page) {
    let asked = |path: &str| {
        let mut mounts = spec.volume_mounts.iter().flatten();
        mounts.any(|mount| mount.mount_path == path)
    };
    let own = launch.mounts.iter().filter(|made| asked(&made.mount_path));
    let mut own = own.peekable();
    if own.peek().is_some() {
        page.heading(level, "Mounted From");
    }
    for made in own {
        let path = made.path.display().to_string();
        page.row(level + 1, &[&made.mount_path, "is", &path]);
    }
}
