//! What a container is started with: its arguments, environment and working directory.

use std::path::PathBuf;

use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};

use crate::model::lifecycle::Failure;
use crate::store::{self, PetLayout};

/// Marks every process of a pod: what a dead runner left behind is found by it.
pub(crate) const UID_VARIABLE: &str = "PETSET_POD_UID";
/// Tells which container of the pod a process belongs to.
pub(crate) const CONTAINER_VARIABLE: &str = "PETSET_CONTAINER";
/// What a container takes over from the environment of the supervisor.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "TZ", "TMPDIR",
];

/// How a container is started; kept in `run/<container>.json` for `exec` and `describe`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: PathBuf,
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) mounts: Vec<Mount>,
}

/// Where a volume is found by a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mount {
    pub(crate) volume: String,
    pub(crate) mount_path: String,
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
}

/// Puts the pod's volumes in place.
pub(crate) fn prepare(_pet: &PetLayout, _pod: &core::Pod) -> Result<(), String> {
    Ok(())
}

/// Returns what a container is started with.
pub(crate) fn launch(
    pet: &PetLayout,
    pod: &core::Pod,
    container: &core::Container,
) -> Result<Launch, Failure> {
    let root = pet.container_root(&container.name);
    store::make_dir(&root)
        .map_err(|error| Failure::Launch(format!("making {}: {error}", root.display())))?;
    let words = container.command.iter().chain(&container.args).flatten();
    let argv: Vec<String> = words.cloned().collect();
    if argv.is_empty() {
        let image = container.image.as_deref().unwrap_or_default();
        return Err(Failure::Image(format!("no image {image:?} and no command")));
    }
    let cwd = match &container.working_dir {
        Some(dir) => root.join(dir),
        None => root,
    };
    Ok(Launch {
        argv,
        env: environment(pod, container),
        cwd,
        ..Launch::default()
    })
}

fn environment(pod: &core::Pod, container: &core::Container) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = inherited().collect();
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let name = pod.metadata.name.clone().unwrap_or_default();
    env.push((UID_VARIABLE.to_owned(), uid));
    env.push((CONTAINER_VARIABLE.to_owned(), container.name.clone()));
    env.push(("POD_NAME".to_owned(), name));
    for variable in container.env.iter().flatten() {
        let value = variable.value.clone().unwrap_or_default();
        env.push((variable.name.clone(), value));
    }
    env
}

/// Lists what every container takes over from the environment of the supervisor.
pub(crate) fn inherited() -> impl Iterator<Item = (String, String)> {
    let wanted = |name: &str| INHERITED.contains(&name) || name.starts_with("LC_");
    std::env::vars_os().filter_map(move |(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        wanted(&name).then_some((name, value))
    })
}
