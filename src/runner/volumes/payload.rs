//! Volumes whose files petset writes: config maps, secrets, fields of the pod, and mixtures.
//!
//! The files are in a directory named after the time, `..data` links to it, and each file is a
//! link through `..data`; an update swaps that one link, so a reader never sees half of it (V04).

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection};

use super::context::VolumeContext;
use crate::model::environment::secret_entries;
use crate::model::fields::{field, resource};
use crate::problem::Problem;
use crate::sorted::{SortedMap, SortedSet};
use crate::store::damage::read_whole;
use crate::store::{make_dir, remove_tree};

const DEFAULT_MODE: i32 = 0o644;
const CURRENT: &str = "..data";

/// One file of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    bytes: Vec<u8>,
    mode: u32,
}

/// The files of a volume by their path in it.
pub(super) type Files = SortedMap<String, Content>;

/// The wanted files of a volume.
#[derive(Debug, Default)]
pub(super) struct Payload {
    pub(super) files: Files,
    pub(super) warnings: Vec<String>,
}

/// A config map or secret as a source of files.
struct Keys<'a> {
    entries: Option<SortedMap<String, Content>>,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
    absent: String,
    no_key: &'static str,
}

/// Collects the files of `volume`; `None` for a volume that petset does not write.
pub(super) fn of(volume: &Volume, home: &VolumeContext<'_>) -> Result<Option<Payload>, Problem> {
    let mut payload = Payload::default();
    if let Some(source) = &volume.config_map {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let items = source.items.as_deref();
        let optional = source.optional.unwrap_or(false);
        payload.files = config_map(home, &source.name, mode, items, optional).files()?;
    } else if let Some(source) = &volume.secret {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let name = source.secret_name.as_deref().unwrap_or_default();
        let items = source.items.as_deref();
        let optional = source.optional.unwrap_or(false);
        payload.files = secret(home, name, mode, items, optional).files()?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        payload.files = fields(home, mode, source.items.as_deref())?;
    } else if let Some(source) = &volume.projected {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let parts = source.sources.iter().flatten();
        let done = parts.map(|part| project(&mut payload, volume, part, mode, home));
        let faults: Vec<String> = done.filter_map(|done| Some(done.err()?.message)).collect();
        match faults.as_slice() {
            [] => {}
            [fault] => return Err(Problem::failed(fault.clone())),
            // As the kubelet joins them.
            all => return Err(Problem::failed(format!("[{}]", all.join(", ")))),
        }
    } else {
        return Ok(None);
    }
    for path in payload.files.keys() {
        refuse_escape(path)?;
    }
    if home.grouped {
        let files = payload.files.values_mut();
        files.for_each(|content| content.mode |= 0o440);
    }
    Ok(Some(payload))
}

/// Adds one source of a projected volume (V07).
fn project(
    payload: &mut Payload,
    volume: &Volume,
    part: &VolumeProjection,
    mode: i32,
    home: &VolumeContext<'_>,
) -> Result<(), Problem> {
    let VolumeProjection {
        cluster_trust_bundle,
        config_map: from_config_map,
        downward_api,
        pod_certificate,
        secret: from_secret,
        service_account_token,
    } = part;
    if let Some(source) = from_config_map {
        let (items, optional) = (source.items.as_deref(), source.optional.unwrap_or(false));
        let keys = config_map(home, &source.name, mode, items, optional);
        payload.files.extend(keys.files()?);
    }
    if let Some(source) = from_secret {
        let (items, optional) = (source.items.as_deref(), source.optional.unwrap_or(false));
        let keys = secret(home, &source.name, mode, items, optional);
        payload.files.extend(keys.files()?);
    }
    if let Some(source) = downward_api {
        let files = fields(home, mode, source.items.as_deref())?;
        payload.files.extend(files);
    }
    let without = [
        ("serviceAccountToken", service_account_token.is_some()),
        ("clusterTrustBundle", cluster_trust_bundle.is_some()),
        ("podCertificate", pod_certificate.is_some()),
    ];
    for (source, _) in without.into_iter().filter(|(_, given)| *given) {
        let name = &volume.name;
        let warning = format!("volume {name}: there is no {source} without a cluster, left out");
        payload.warnings.push(warning);
    }
    Ok(())
}

fn config_map<'a>(
    home: &VolumeContext<'_>,
    name: &str,
    mode: i32,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
) -> Keys<'a> {
    let entries = home.sources.config_maps.get(name).map(|map| {
        let text = map.data.iter().flatten();
        let text = text.map(|(key, text)| (key.clone(), text.clone().into_bytes()));
        let binary = map.binary_data.iter().flatten();
        let binary = binary.map(|(key, bytes)| (key.clone(), bytes.0.clone()));
        let content = |(key, bytes)| {
            (
                key,
                Content {
                    bytes,
                    mode: bits(mode),
                },
            )
        };
        text.chain(binary).map(content).collect()
    });
    Keys {
        entries,
        items,
        optional,
        absent: format!("configmap {name:?} not found"),
        no_key: "configmap references non-existent config key",
    }
}

fn secret<'a>(
    home: &VolumeContext<'_>,
    name: &str,
    mode: i32,
    items: Option<&'a [KeyToPath]>,
    optional: bool,
) -> Keys<'a> {
    let entries = home.sources.secrets.get(name).map(|secret| {
        let entries = secret_entries(secret).into_iter();
        let content = |(key, bytes): (String, &[u8])| {
            let bytes = bytes.to_vec();
            (
                key,
                Content {
                    bytes,
                    mode: bits(mode),
                },
            )
        };
        entries.map(content).collect()
    });
    Keys {
        entries,
        items,
        optional,
        absent: format!("secret {name:?} not found"),
        no_key: "references non-existent secret key",
    }
}

fn bits(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or_default() & 0o777
}

impl Keys<'_> {
    fn files(self) -> Result<Files, Problem> {
        let Some(entries) = self.entries else {
            return if self.optional {
                Ok(Files::new())
            } else {
                Err(self.absent.into())
            };
        };
        let Some(items) = self.items.filter(|items| !items.is_empty()) else {
            return Ok(entries);
        };
        let mut files = Files::new();
        for item in items {
            match entries.get(&item.key) {
                Some(content) => {
                    let mut content = content.clone();
                    content.mode = item.mode.map_or(content.mode, bits);
                    files.insert(item.path.clone(), content);
                }
                None if self.optional => {}
                None => return Err(Problem::failed(format!("{}: {}", self.no_key, item.key))),
            }
        }
        Ok(files)
    }
}

/// Writes fields of the pod as files (V08).
fn fields(
    home: &VolumeContext<'_>,
    mode: i32,
    items: Option<&[DownwardAPIVolumeFile]>,
) -> Result<Files, Problem> {
    let mut files = Files::new();
    for item in items.unwrap_or_default() {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(reference), _) => {
                field(home.pod, &reference.field_path).map_err(|fault| fault.message)?
            }
            (None, Some(reference)) => {
                resource(home.pod, None, reference, home.capacity).map_err(|fault| fault.message)?
            }
            (None, None) => continue,
        };
        let content = Content {
            bytes: text.into_bytes(),
            mode: bits(item.mode.unwrap_or(mode)),
        };
        files.insert(item.path.clone(), content);
    }
    Ok(files)
}

fn refuse_escape(path: &str) -> Result<(), Problem> {
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    let inside = !path.is_empty() && Path::new(path).components().all(plain);
    if inside && !path.starts_with("..") {
        return Ok(());
    }
    Err(Problem::failed(format!(
        "{path:?} must be a relative path without '..'"
    )))
}

/// New content of a volume, which is there and not seen yet.
#[derive(Debug, Clone)]
pub(super) struct StagedFiles {
    volume: PathBuf,
    fresh: String,
    files: Files,
}

impl StagedFiles {
    /// Shows the new content, in one step, and removes the old.
    pub(super) fn show(&self) -> io::Result<()> {
        swap(&self.volume, &self.fresh)?;
        show(&self.volume, &self.files)?;
        remove_stale(&self.volume, &self.fresh)
    }
}

/// Writes `files`, which the volume at `path` shall hold and nothing else, beside what it holds
/// now; `None` if that is the same.
pub(super) fn stage(path: &Path, files: Files) -> io::Result<Option<StagedFiles>> {
    make_open_dir(path)?;
    let current = fs::read_link(path.join(CURRENT)).ok();
    if let Some(current) = &current {
        let held = held_in(&path.join(current), "");
        if held.is_ok_and(|held| held == files) {
            return Ok(None);
        }
    }
    let fresh = format!("..{}", Timestamp::now().as_nanosecond());
    fill(&path.join(&fresh), &files)?;
    Ok(Some(StagedFiles {
        volume: path.to_owned(),
        fresh,
        files,
    }))
}

fn held_in(directory: &Path, prefix: &str) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let about = entry.metadata()?;
        if about.is_dir() {
            files.extend(held_in(&entry.path(), &format!("{name}/"))?);
        } else {
            let bytes = read_whole(&entry.path())?;
            let mode = about.permissions().mode() & 0o777;
            files.insert(name, Content { bytes, mode });
        }
    }
    Ok(files)
}

/// Makes a directory that every user of the container may read.
fn make_open_dir(path: &Path) -> io::Result<()> {
    make_dir(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o755))
}

fn fill(directory: &Path, files: &Files) -> io::Result<()> {
    make_open_dir(directory)?;
    for (name, content) in files {
        let path = directory.join(name);
        let above = path.parent().into_iter().flat_map(Path::ancestors);
        let missing: Vec<_> = above.take_while(|above| !above.exists()).collect();
        missing
            .iter()
            .rev()
            .try_for_each(|above| make_open_dir(above))?;
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&content.bytes)?;
        if content.mode != 0o600 {
            file.set_permissions(Permissions::from_mode(content.mode))?;
        }
    }
    Ok(())
}

fn swap(path: &Path, fresh: &str) -> io::Result<()> {
    let new = path.join("..data_tmp");
    let _ = fs::remove_file(&new);
    symlink(fresh, &new)?;
    fs::rename(new, path.join(CURRENT))
}

/// Makes the links by which the files are seen, and removes those of files that are gone.
fn show(path: &Path, files: &Files) -> io::Result<()> {
    let mut wanted = SortedSet::new();
    for name in files.keys() {
        let mut parts = Path::new(name).components();
        let first = parts.find_map(|part| match part {
            Component::Normal(first) => Some(first.to_owned()),
            Component::Prefix(_)
            | Component::RootDir
            | Component::CurDir
            | Component::ParentDir => None,
        });
        wanted.extend(first);
    }
    for name in &wanted {
        let link = path.join(name);
        let target = Path::new(CURRENT).join(name);
        if fs::read_link(&link).ok().as_ref() != Some(&target) {
            symlink(&target, &link)?;
        }
    }
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let link = path.join(&name);
        let ours = fs::read_link(&link).is_ok_and(|target| target.starts_with(CURRENT));
        if ours && !wanted.contains(&name) {
            fs::remove_file(link)?;
        }
    }
    Ok(())
}

/// Removes the directories of earlier updates, and of one that did not get to its end.
fn remove_stale(path: &Path, fresh: &str) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("..") && name != fresh && entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    Ok(())
}
