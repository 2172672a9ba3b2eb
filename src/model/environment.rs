//! The environment that a container starts with (V20 to V28), and what it must be made from.
//!
//! Later wins: what is inherited from the host, the image's variables, petset's own, the variables
//! of services, `envFrom`, `env`. Only the last four are known to `$(NAME)`, so that a manifest
//! means here what it means in a cluster, where the host's and the image's are not known either.
//! `HOSTNAME` is set and, for the same reason, not known.

mod files;
mod references;
mod services;

use std::collections::BTreeMap;
use std::path::Path;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, FileKeySelector, Pod, Secret,
    Service,
};

use self::services::service_variables;
use super::expansion::expand;
use super::fields::{Capacity, field, resource};
use super::image::ImageLaunch;
use super::name::PetName;
use super::pod::set_of;
use crate::problem::Problem;
use crate::sorted::SortedMap;

pub use references::{References, fixed_references, references};

/// The variable that marks every process of a pod with the pod's uid: the leftovers of a dead
/// runner are found by it.
pub const POD_UID_VARIABLE: &str = "PETSET_POD_UID";
/// The variable that names the container that a process belongs to.
pub const CONTAINER_VARIABLE: &str = "PETSET_CONTAINER";
/// The variable with the path of the file for the message of a container's end.
pub const MESSAGE_VARIABLE: &str = "PETSET_TERMINATION_MESSAGE_PATH";
/// The size of a variable, or of an argument, from which on the kernel refuses it: a variable is
/// `NAME=value`, and a NUL follows.
pub const LONGEST_WORD: usize = 128 << 10;
/// The variable that names the state directory that a process belongs to.
pub const STATE_DIR_VARIABLE: &str = "PETSET_STATE_DIR";

/// The objects of a pod's namespace that its environment and volumes are made from.
///
/// Only those that [`references()`] names need be there.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// By name.
    pub config_maps: SortedMap<String, ConfigMap>,
    /// By name.
    pub secrets: SortedMap<String, Secret>,
    /// By name.
    pub services: SortedMap<String, Service>,
    /// Files of variables, by their volume and their path in it.
    pub files: SortedMap<(String, String), String>,
}

/// The variables that petset itself adds to an environment.
#[derive(Debug, Clone, Copy)]
pub struct PetsetVariables<'a> {
    /// The state directory.
    pub state_dir: &'a Path,
    /// This program.
    pub petset: &'a Path,
    /// The DNS domain of all names, such as `cluster.local`.
    pub cluster_domain: &'a str,
    /// How many pets the set wants.
    pub replicas: Option<u32>,
    /// `PETSET_MOUNT_...`: where the container's volumes are, and where its last message is.
    pub mounts: &'a [(String, String)],
    /// The variables passed on from the host's environment (PATH, HOME, ...).
    pub inherited: &'a [(String, String)],
    /// The resources of the machine.
    pub capacity: Capacity,
}

/// The variables of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    background: BTreeMap<String, String>,
    known: BTreeMap<String, String>,
    /// The variables left out and why, for an event `InvalidEnvironmentVariableNames` (V26).
    pub warnings: Vec<String>,
}

impl Environment {
    /// Returns a variable that `$(NAME)` may use.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(String::as_str)
    }

    /// Replaces each `$(NAME)` in `text`.
    #[must_use]
    pub fn expand(&self, text: &str) -> String {
        expand(text, |name| self.lookup(name).map(str::to_owned))
    }

    /// Adds variables that are not set yet, such as those of mounts with a `subPathExpr`.
    pub fn add(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables {
            let entry = self.known.entry(name.clone());
            entry.or_insert_with(|| value.clone());
        }
    }

    /// Returns all variables, each name once, sorted.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut all = self.background.clone();
        let known = self.known.iter();
        all.extend(known.map(|(name, value)| (name.clone(), value.clone())));
        all.into_iter().collect()
    }
}

/// Makes the environment of a container from its pod, the objects it refers to, petset's own
/// variables and the image's.
///
/// # Errors
///
/// Returns the kubelet's words for what a variable refers to and is not there (V25); the container
/// waits in `CreateContainerConfigError`.
pub fn for_container(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    own: &PetsetVariables<'_>,
    image: &ImageLaunch,
) -> Result<Environment, Problem> {
    let mut environment = Environment {
        background: background(pod, own, image),
        known: own_variables(pod, container, own),
        warnings: Vec::new(),
    };
    let links = pod.spec.as_ref().and_then(|spec| spec.enable_service_links);
    if links.unwrap_or(true) {
        let services = sources.services.values();
        environment
            .known
            .extend(services.flat_map(service_variables));
    }
    for source in container.env_from.iter().flatten() {
        add_all(&mut environment, pod, source, sources)?;
    }
    for variable in container.env.iter().flatten() {
        let value = value_of(variable, pod, container, sources, own, &environment)?;
        if let Some(value) = value {
            environment.known.insert(variable.name.clone(), value);
        }
    }
    refuse_what_cannot_be_set(&environment)?;
    Ok(environment)
}

/// PATH where nothing else says so.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The variables of the host's environment that name its files or users.
const OF_THE_HOST: [&str; 5] = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR"];

fn background(
    pod: &Pod,
    own: &PetsetVariables<'_>,
    image: &ImageLaunch,
) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<_, _> = own.inherited.iter().cloned().collect();
    if image.rootfs.is_some() {
        // Paths and users of the host mean nothing in another root.
        variables.retain(|name, _| !OF_THE_HOST.contains(&name.as_str()));
    }
    variables.extend(image.env.iter().cloned());
    let path = variables.remove("PATH").filter(|path| !path.is_empty());
    let path = path.unwrap_or_else(|| USUAL_PATH.to_owned());
    let first = image.path.iter().map(|path| path.display().to_string());
    let search = image.search.iter().map(|path| path.display().to_string());
    let last = own.state_dir.join("bin").display().to_string();
    let path: Vec<_> = first.chain([path]).chain(search).chain([last]).collect();
    variables.insert("PATH".to_owned(), path.join(":"));
    variables.insert("HOSTNAME".to_owned(), host_name(pod));
    variables
}

fn host_name(pod: &Pod) -> String {
    let given = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
    let given = given.filter(|name| !name.is_empty());
    given.unwrap_or_else(|| pod.metadata.name.clone().unwrap_or_default())
}

/// Returns the variables that identify the pet: `POD_NAME`, `PETSET_SET` and so on.
fn own_variables(
    pod: &Pod,
    container: &Container,
    own: &PetsetVariables<'_>,
) -> BTreeMap<String, String> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let set = set_of(&pod.metadata).map(str::to_owned);
    let ordinal = ordinal_of(pod, &name).filter(|_| set.is_some());
    let spec = pod.spec.as_ref();
    let service = spec.and_then(|spec| spec.subdomain.clone());
    let service = service.filter(|service| !service.is_empty());
    let host = host_name(pod);
    let fqdn = service
        .as_ref()
        .map(|service| format!("{host}.{service}.{namespace}.svc.{}", own.cluster_domain));
    let status = pod.status.as_ref();
    let replicas = own.replicas.map(|replicas| replicas.to_string());
    let own_words = [
        ("POD_NAME", Some(name)),
        ("POD_NAMESPACE", Some(namespace)),
        ("POD_IP", status.and_then(|status| status.pod_ip.clone())),
        ("PETSET_SET", set),
        ("PETSET_ORDINAL", ordinal),
        ("PETSET_REPLICAS", replicas),
        ("PETSET_SERVICE", service),
        ("PETSET_FQDN", fqdn),
        (
            STATE_DIR_VARIABLE,
            Some(own.state_dir.display().to_string()),
        ),
        ("PETSET", Some(own.petset.display().to_string())),
        (POD_UID_VARIABLE, pod.metadata.uid.clone()),
        (CONTAINER_VARIABLE, Some(container.name.clone())),
    ];
    let set_ones = own_words
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    set_ones.chain(own.mounts.iter().cloned()).collect()
}

fn ordinal_of(pod: &Pod, name: &str) -> Option<String> {
    let labels = pod.metadata.labels.as_ref();
    let label = labels.and_then(|labels| labels.get("apps.kubernetes.io/pod-index"));
    let parsed = || name.parse::<PetName>().ok();
    let number = || parsed().map(|pet| pet.ordinal().to_string());
    label.cloned().or_else(number)
}

/// Adds all keys of a config map or secret.
fn add_all(
    environment: &mut Environment,
    pod: &Pod,
    source: &EnvFromSource,
    sources: &Sources,
) -> Result<(), Problem> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut origin = String::new();
    if let Some(from) = &source.config_map_ref {
        origin = format!("configMap {}/{}", namespace(pod), from.name);
        match sources.config_maps.get(&from.name) {
            Some(map) => found.extend(map.data.clone().unwrap_or_default()),
            None if from.optional == Some(true) => {}
            None => return Err(absent("configmap", &from.name)),
        }
    }
    if let Some(from) = &source.secret_ref {
        origin = format!("secret {}/{}", namespace(pod), from.name);
        match sources.secrets.get(&from.name) {
            Some(secret) => {
                for (key, bytes) in secret_entries(secret) {
                    let value = text_of(bytes, &key, &from.name, pod)?;
                    found.push((key, value));
                }
            }
            None if from.optional == Some(true) => {}
            None => return Err(absent("secret", &from.name)),
        }
    }
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let named = found
        .into_iter()
        .map(|(key, value)| (format!("{prefix}{key}"), value));
    let (valid, invalid): (Vec<_>, Vec<_>) = named.partition(|(name, _)| is_valid_name(name));
    environment.known.extend(valid);
    if !invalid.is_empty() {
        let names: Vec<_> = invalid.into_iter().map(|(name, _)| name).collect();
        environment.warnings.push(format!(
            "Keys [{}] from the EnvFrom {origin} were skipped since they are considered invalid \
             environment variable names.",
            names.join(", ")
        ));
    }
    Ok(())
}

/// Almost all of ASCII is allowed by now (V26).
fn is_valid_name(name: &str) -> bool {
    let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    !name.is_empty() && name.bytes().all(printable)
}

fn absent(kind: &str, name: &str) -> Problem {
    Problem::invalid(format!("{kind} {name:?} not found"))
}

fn namespace(pod: &Pod) -> &str {
    pod.metadata.namespace.as_deref().unwrap_or_default()
}

/// Returns the entries of a secret; what was written as text wins, as on the API server.
pub(crate) fn secret_entries(secret: &Secret) -> SortedMap<String, &[u8]> {
    let mut entries: SortedMap<String, &[u8]> = SortedMap::new();
    for (key, value) in secret.data.iter().flatten() {
        entries.insert(key.clone(), &value.0);
    }
    for (key, value) in secret.string_data.iter().flatten() {
        entries.insert(key.clone(), value.as_bytes());
    }
    entries
}

fn text_of(bytes: &[u8], key: &str, secret: &str, pod: &Pod) -> Result<String, Problem> {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| {
        let place = format!("{}/{secret}", namespace(pod));
        let what = format!("key {key} in Secret {place} is not text");
        Problem::invalid(format!("{what}: mount it as a volume instead"))
    })
}

/// Returns the value of one entry of `env`; nothing where an optional reference leads nowhere.
fn value_of(
    variable: &EnvVar,
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    own: &PetsetVariables<'_>,
    so_far: &Environment,
) -> Result<Option<String>, Problem> {
    let value = variable.value.as_deref().unwrap_or_default();
    match &variable.value_from {
        Some(source) if value.is_empty() => referred(source, pod, container, sources, own),
        _ => Ok(Some(so_far.expand(value))),
    }
}

fn referred(
    source: &EnvVarSource,
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    own: &PetsetVariables<'_>,
) -> Result<Option<String>, Problem> {
    if let Some(reference) = &source.field_ref {
        return Ok(Some(field(pod, &reference.field_path)?));
    }
    if let Some(reference) = &source.resource_field_ref {
        let value = resource(pod, Some(container), reference, own.capacity)?;
        return Ok(Some(value));
    }
    if let Some(key) = &source.config_map_key_ref {
        let optional = key.optional.unwrap_or(false);
        let Some(map) = sources.config_maps.get(&key.name) else {
            return unless(optional, || absent("configmap", &key.name));
        };
        let value = map.data.as_ref().and_then(|entries| entries.get(&key.key));
        return match value {
            Some(value) => Ok(Some(value.clone())),
            None => unless(optional, || no_key(&key.key, "ConfigMap", &key.name, pod)),
        };
    }
    if let Some(key) = &source.secret_key_ref {
        let optional = key.optional.unwrap_or(false);
        let Some(secret) = sources.secrets.get(&key.name) else {
            return unless(optional, || absent("secret", &key.name));
        };
        return match secret_entries(secret).get(&key.key) {
            Some(bytes) => text_of(bytes, &key.key, &key.name, pod).map(Some),
            None => unless(optional, || no_key(&key.key, "Secret", &key.name, pod)),
        };
    }
    if let Some(file) = &source.file_key_ref {
        return in_file(file, sources);
    }
    Ok(None)
}

/// Looks a variable up in a file that a container wrote (V28).
fn in_file(from: &FileKeySelector, sources: &Sources) -> Result<Option<String>, Problem> {
    let FileKeySelector {
        key,
        optional,
        path,
        volume_name,
    } = from;
    let optional = optional.unwrap_or(false);
    let place = format!("{volume_name}/{path}");
    let Some(text) = sources.files.get(&(volume_name.clone(), path.clone())) else {
        let absent = || Problem::invalid(format!("couldn't parse env file: {place:?} not found"));
        return unless(optional, absent);
    };
    let found = files::value_in(text, key);
    let found = found.map_err(|fault| {
        let why = fault.message;
        Problem::invalid(format!("couldn't parse env file {place:?}: {why}"))
    })?;
    let absent = || {
        let words = format!("environment variable key {key:?} not found in file {place:?}");
        Problem::invalid(words)
    };
    found.map_or_else(|| unless(optional, absent), |value| Ok(Some(value)))
}

fn unless(optional: bool, fault: impl FnOnce() -> Problem) -> Result<Option<String>, Problem> {
    if optional { Ok(None) } else { Err(fault()) }
}

fn no_key(key: &str, kind: &str, name: &str, pod: &Pod) -> Problem {
    let place = format!("{}/{name}", namespace(pod));
    Problem::invalid(format!("couldn't find key {key} in {kind} {place}"))
}

/// A process cannot be given a NUL byte, nor a name with `=`.
fn refuse_what_cannot_be_set(environment: &Environment) -> Result<(), Problem> {
    for (name, value) in &environment.known {
        if name.is_empty() || name.contains(['=', '\0']) {
            let fault = format!("{name:?} cannot be the name of an environment variable");
            return Err(Problem::invalid(fault));
        }
        if value.contains('\0') {
            let fault = format!("the value of environment variable {name} holds a NUL byte");
            return Err(Problem::invalid(fault));
        }
    }
    Ok(())
}

/// Expands the command of an exec probe, for which only the values in `env` are known (V24): of
/// several variables of one name the last counts, and one with `valueFrom` is empty.
///
/// The command of a postStart or preStop hook is not expanded at all.
#[must_use]
pub fn probe_command(container: &Container, command: &[String]) -> Vec<String> {
    let plain = |name: &str| {
        let variables = container.env.iter().flatten();
        let mut matching = variables.rev().filter(|variable| variable.name == name);
        let variable = matching.next()?;
        Some(variable.value.clone().unwrap_or_default())
    };
    let each = |word: &String| expand(word, plain);
    command.iter().map(each).collect()
}

#[cfg(test)]
mod tests;
