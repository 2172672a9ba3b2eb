//! Containers: their names, ports and environment.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, ContainerRestartRule, EnvFromSource, EnvVar, EnvVarSource,
    ObjectFieldSelector, PodSpec, ResourceFieldSelector,
};

use super::super::fault::Faults;
use super::mounts::{volume_devices, volume_mounts};
use super::names::{
    KnownVolumes, config_key, label, note, note_required, numbered, port_name, qualified,
    subdomain, variable,
};
use super::probe::{lifecycle, probes};
use super::resources::resources;
use super::{one_of, security};
use crate::model::quantity::Quantity;
use crate::model::restart::RESTART_ALL;
use crate::sorted::SortedSet;

/// Checks the main containers.
pub(super) fn containers(
    faults: &mut Faults,
    path: &str,
    spec: &PodSpec,
    known: &KnownVolumes<'_>,
) {
    let path = format!("{path}.containers");
    if spec.containers.is_empty() {
        return faults.required(&path, "");
    }
    let mut names = SortedSet::new();
    let mut ports = SortedSet::new();
    let mut conflicts = Faults::default();
    for (index, container) in spec.containers.iter().enumerate() {
        let path = format!("{path}[{index}]");
        common(faults, &path, container, known);
        if !names.insert(&container.name) {
            faults.duplicate(&format!("{path}.name"), &container.name);
        }
        live(faults, &path, container, spec);
        restart_policy(faults, &path, container);
        host_ports(&mut conflicts, &path, container, &mut ports);
    }
    faults.extend(conflicts);
}

/// Checks the init containers (I03).
pub(super) fn init_containers(
    faults: &mut Faults,
    path: &str,
    spec: &PodSpec,
    known: &KnownVolumes<'_>,
) {
    let mut names: SortedSet<&String> = spec.containers.iter().map(|main| &main.name).collect();
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        let path = format!("{path}.initContainers[{index}]");
        common(faults, &path, container, known);
        restart_policy(faults, &path, container);
        if !container.name.is_empty() && !names.insert(&container.name) {
            faults.duplicate(&format!("{path}.name"), &container.name);
        }
        host_ports(faults, &path, container, &mut SortedSet::new());
        if container.restart_policy.as_deref() == Some("Always") {
            live(faults, &path, container, spec);
            continue;
        }
        for (field, given) in [
            ("lifecycle", container.lifecycle.is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
        ] {
            if given {
                let detail = "may not be set for init containers without restartPolicy=Always";
                faults.forbidden(&format!("{path}.{field}"), detail);
            }
        }
    }
}

/// Checks what only containers that stay may have: hooks and probes.
fn live(faults: &mut Faults, path: &str, container: &Container, spec: &PodSpec) {
    if let Some(hooks) = &container.lifecycle {
        lifecycle(faults, &format!("{path}.lifecycle"), hooks, spec);
    }
    probes(faults, path, container);
}

fn restart_policy(faults: &mut Faults, path: &str, container: &Container) {
    let at = format!("{path}.restartPolicy");
    let rules = container.restart_policy_rules.as_deref();
    match container.restart_policy.as_deref() {
        None if rules.is_some_and(|rules| !rules.is_empty()) => {
            faults.required(
                &at,
                "must specify restartPolicy when restart rules are used",
            );
        }
        None | Some("Always" | "Never" | "OnFailure") => {}
        Some(other) => faults.unsupported(&at, other, &["Always", "Never", "OnFailure"]),
    }
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        restart_rule(faults, &format!("{path}.restartPolicyRules[{index}]"), rule);
    }
}

fn restart_rule(faults: &mut Faults, path: &str, rule: &ContainerRestartRule) {
    let actions = ["Restart", RESTART_ALL];
    one_of(
        faults,
        &format!("{path}.action"),
        Some(&rule.action),
        &actions,
    );
    let Some(codes) = &rule.exit_codes else {
        return faults.required(&format!("{path}.exitCodes"), "must be specified");
    };
    let at = format!("{path}.exitCodes.operator");
    one_of(faults, &at, Some(&codes.operator), &["In", "NotIn"]);
    let at = format!("{path}.exitCodes.values");
    let values = codes.values.as_deref().unwrap_or_default();
    if values.is_empty() || values.len() > 255 {
        faults.invalid(&at, values.len(), "must have between 1 and 255 values");
    }
}

fn common(faults: &mut Faults, path: &str, container: &Container, known: &KnownVolumes<'_>) {
    note_required(faults, &format!("{path}.name"), &container.name, label);
    if container.image.as_deref().unwrap_or_default().is_empty() {
        faults.required(&format!("{path}.image"), "");
    }
    let policy = container.termination_message_policy.as_deref();
    let policies = ["File", "FallbackToLogsOnError"];
    one_of(
        faults,
        &format!("{path}.terminationMessagePolicy"),
        policy,
        &policies,
    );
    ports(faults, &format!("{path}.ports"), container.ports.as_deref());
    for (index, variable) in container.env.iter().flatten().enumerate() {
        env(faults, &format!("{path}.env[{index}]"), variable);
    }
    env_from(
        faults,
        &format!("{path}.envFrom"),
        container.env_from.as_deref(),
    );
    volume_mounts(faults, path, container, known);
    volume_devices(faults, path, container, known);
    let policy = container.image_pull_policy.as_deref();
    let policies = ["Always", "IfNotPresent", "Never"];
    one_of(
        faults,
        &format!("{path}.imagePullPolicy"),
        policy,
        &policies,
    );
    if let Some(wanted) = &container.resources {
        resources(faults, &format!("{path}.resources"), wanted);
    }
    if let Some(context) = &container.security_context {
        security::of_container(faults, &format!("{path}.securityContext"), context);
    }
}

fn ports(faults: &mut Faults, path: &str, ports: Option<&[ContainerPort]>) {
    let mut names = SortedSet::new();
    for (index, port) in ports.unwrap_or_default().iter().enumerate() {
        let path = format!("{path}[{index}]");
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let at = format!("{path}.name");
            let complaints = port_name(name);
            if complaints.is_empty() && !names.insert(name) {
                faults.duplicate(&at, name);
            }
            note(faults, &at, name, complaints);
        }
        let at = format!("{path}.containerPort");
        match port.container_port {
            0 => faults.required(&at, ""),
            number => numbered(faults, &at, number),
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            numbered(faults, &format!("{path}.hostPort"), number);
        }
        let protocol = port.protocol.as_deref();
        one_of(
            faults,
            &format!("{path}.protocol"),
            protocol,
            &["SCTP", "TCP", "UDP"],
        );
    }
}

fn host_ports(
    faults: &mut Faults,
    path: &str,
    container: &Container,
    taken: &mut SortedSet<String>,
) {
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let Some(number) = port.host_port.filter(|number| *number != 0) else {
            continue;
        };
        let protocol = port.protocol.as_deref().unwrap_or_default();
        let ip = port.host_ip.as_deref().unwrap_or_default();
        let key = format!("{protocol}/{ip}/{number}");
        if taken.contains(&key) {
            faults.duplicate(&format!("{path}.ports[{index}].hostPort"), &key);
        }
        taken.insert(key);
    }
}

fn env(faults: &mut Faults, path: &str, variable_given: &EnvVar) {
    let at = format!("{path}.name");
    note_required(faults, &at, &variable_given.name, variable);
    let Some(source) = &variable_given.value_from else {
        return;
    };
    let path = format!("{path}.valueFrom");
    let sources = env_source(faults, &path, source);
    let has_value = variable_given
        .value
        .as_deref()
        .is_some_and(|value| !value.is_empty());
    match sources {
        0 => {
            let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, \
                 `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`";
            faults.invalid_text(&path, "", detail);
        }
        _ if has_value => {
            faults.invalid_text(&path, "", "may not be specified when `value` is not empty");
        }
        1 => {}
        _ => {
            let detail = "may not have more than one field specified at a time";
            faults.invalid_text(&path, "", detail);
        }
    }
}

/// Checks each source that is given and returns how many there are.
fn env_source(faults: &mut Faults, path: &str, source: &EnvVarSource) -> usize {
    let mut sources = 0;
    if let Some(field) = &source.field_ref {
        sources += 1;
        field_ref(faults, &format!("{path}.fieldRef"), field, &ENV_FIELDS);
    }
    if let Some(field) = &source.resource_field_ref {
        sources += 1;
        resource_field(faults, &format!("{path}.resourceFieldRef"), field, false);
    }
    if let Some(selector) = &source.config_map_key_ref {
        sources += 1;
        key_ref(
            faults,
            &format!("{path}.configMapKeyRef"),
            &selector.name,
            &selector.key,
        );
    }
    if let Some(selector) = &source.secret_key_ref {
        sources += 1;
        key_ref(
            faults,
            &format!("{path}.secretKeyRef"),
            &selector.name,
            &selector.key,
        );
    }
    if let Some(selector) = &source.file_key_ref {
        sources += 1;
        let path = format!("{path}.fileKeyRef");
        note_required(faults, &format!("{path}.key"), &selector.key, variable);
        note_required(
            faults,
            &format!("{path}.volumeName"),
            &selector.volume_name,
            label,
        );
        if selector.path.is_empty() {
            faults.required(&format!("{path}.path"), "");
        }
    }
    sources
}

fn key_ref(faults: &mut Faults, path: &str, name: &str, key: &str) {
    note(faults, &format!("{path}.name"), name, subdomain(name));
    note_required(faults, &format!("{path}.key"), key, config_key);
}

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// The fields that can become a file.
pub(super) const FILE_FIELDS: [&str; 5] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
];

/// Checks a reference to a field of the pod (V20).
pub(super) fn field_ref(
    faults: &mut Faults,
    path: &str,
    field: &ObjectFieldSelector,
    allowed: &[&str],
) {
    let at = format!("{path}.fieldPath");
    let text = field.field_path.as_str();
    if text.is_empty() {
        return faults.required(&at, "");
    }
    if let Some((name, key)) = subscript(text) {
        match name {
            "metadata.annotations" => note(faults, path, key, qualified(&key.to_lowercase())),
            "metadata.labels" => note(faults, path, key, qualified(key)),
            _ if is_field(name) => faults.invalid_text(path, name, "does not support subscript"),
            _ => faults.invalid_text(&at, text, &unknown_field(text)),
        }
    } else if !is_field(text) {
        faults.invalid_text(&at, text, &unknown_field(text));
    } else if !allowed.contains(&text) {
        faults.unsupported(&at, text, allowed);
    }
}

fn unknown_field(text: &str) -> String {
    format!("error converting fieldPath: field label not supported: {text}")
}

fn is_field(text: &str) -> bool {
    ENV_FIELDS.contains(&text)
        || FILE_FIELDS.contains(&text)
        || matches!(
            text,
            "spec.restartPolicy" | "spec.schedulerName" | "spec.hostNetwork" | "status.phase"
        )
}

/// Splits `metadata.labels['key']`.
fn subscript(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_suffix("']")?;
    inner.split_once("['")
}

const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// Checks a reference to a limit or request (V21).
pub(super) fn resource_field(
    faults: &mut Faults,
    path: &str,
    field: &ResourceFieldSelector,
    in_volume: bool,
) {
    let name = field.container_name.as_deref().unwrap_or_default();
    let huge = ["requests.hugepages-", "limits.hugepages-"];
    let resource = field.resource.as_str();
    if in_volume && name.is_empty() {
        faults.required(&format!("{path}.containerName"), "");
    } else if resource.is_empty() {
        faults.required(&format!("{path}.resource"), "");
    } else if !RESOURCES.contains(&resource)
        && !huge.iter().any(|start| resource.starts_with(start))
    {
        faults.unsupported(&format!("{path}.resource"), resource, &RESOURCES);
    }
    let divisor = field
        .divisor
        .as_ref()
        .map_or("0", |amount| amount.0.as_str());
    let divisor = divisor
        .parse::<Quantity>()
        .map(|divisor| divisor.to_string());
    let Ok(divisor) = divisor else { return };
    let sizes = [
        "0", "1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
    ];
    let detail = match resource.split_once('.').map(|(_, name)| name) {
        Some("cpu") if !["0", "1", "1m"].contains(&divisor.as_str()) => {
            "only divisor's values 1m and 1 are supported with the cpu resource".to_owned()
        }
        Some("memory") if !sizes.contains(&divisor.as_str()) => sized_divisor("memory"),
        Some("ephemeral-storage") if !sizes.contains(&divisor.as_str()) => {
            sized_divisor("local ephemeral storage")
        }
        Some(_) | None => return,
    };
    faults.invalid_text(&format!("{path}.divisor"), resource, &detail);
}

fn sized_divisor(resource: &str) -> String {
    format!(
        "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are \
         supported with the {resource} resource"
    )
}

fn env_from(faults: &mut Faults, path: &str, sources: Option<&[EnvFromSource]>) {
    for (index, source) in sources.unwrap_or_default().iter().enumerate() {
        let at = format!("{path}[{index}]");
        if let Some(prefix) = source.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            note(faults, &format!("{at}.prefix"), prefix, variable(prefix));
        }
        if let Some(reference) = &source.config_map_ref {
            let at = format!("{at}.configMapRef.name");
            note_required(faults, &at, &reference.name, subdomain);
        }
        if let Some(reference) = &source.secret_ref {
            let at = format!("{at}.secretRef.name");
            note_required(faults, &at, &reference.name, subdomain);
        }
        match (&source.config_map_ref, &source.secret_ref) {
            (None, None) => {
                let detail = "must specify one of: `configMapRef` or `secretRef`";
                faults.invalid_text(path, "", detail);
            }
            (Some(_), Some(_)) => {
                let detail = "may not have more than one field specified at a time";
                faults.invalid_text(path, "", detail);
            }
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
}
