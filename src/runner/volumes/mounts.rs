//! A container's mounts: links below its root directory, and variables that say where they lead.
//!
//! `PETSET_MOUNT_<VOLUME>` is the real path of a volume, or of its first mount where only parts
//! of it are mounted; each further part is `PETSET_MOUNT_<VOLUME>_<SUBPATH>`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::{PreparedVolumes, VolumeKind, VolumePath};
use crate::model::expansion::expand_strictly;
use crate::problem::Problem;
use crate::sorted::{SortedMap, sort_by_key};
use crate::store::{Mount, make_dir};
use crate::sys::beneath::{make_dirs_beneath, open_base, open_beneath};

/// The working directory and the mounts of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mounted {
    pub(crate) cwd: PathBuf,
    pub(crate) mounts: Vec<Mount>,
    /// `PETSET_MOUNT_...` of all mounts, those with a `subPathExpr` included.
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) warnings: Vec<String>,
}

/// A mount whose volume is known, before its link is made.
struct ResolvedMount<'a> {
    mount: &'a VolumeMount,
    place: &'a VolumePath,
    sub_path: String,
    /// The components of the mount path, without its root and dots.
    parts: Vec<OsString>,
    target: PathBuf,
    /// Where the container finds it.
    shown: PathBuf,
}

impl PreparedVolumes {
    /// Returns the variables of all mounts whose place does not depend on variables.
    ///
    /// They belong into the environment before it is made, so that `$(PETSET_MOUNT_DATA)` works.
    pub(crate) fn variables(
        &self,
        container: &Container,
    ) -> Result<Vec<(String, String)>, Problem> {
        let mounts = container.volume_mounts.iter().flatten();
        let plain = mounts.filter(|mount| expression(mount).is_none());
        let aims = plain.map(|mount| self.aim(mount, &|_| None));
        Ok(variables(&aims.collect::<Result<Vec<_>, _>>()?))
    }

    /// Makes the links of a container's mounts and finds its working directory.
    ///
    /// `lookup` knows the container's environment, for `subPathExpr`; `image_cwd` is where the
    /// container works unless the manifest says otherwise.
    pub(crate) fn for_container(
        &self,
        container: &Container,
        lookup: &dyn Fn(&str) -> Option<String>,
        image_cwd: Option<&Path>,
    ) -> Result<Mounted, Problem> {
        let root = self.pet.container_root(&container.name);
        if !self.mounted {
            make_dir(&root).map_err(|error| failed(&root, &error))?;
        }
        let mounts = container.volume_mounts.iter().flatten();
        let aims = mounts.map(|mount| self.aim(mount, lookup));
        let mut aims = aims.collect::<Result<Vec<_>, _>>()?;
        let variables = variables(&aims);
        let mut warnings = Vec::new();
        // Outer mounts first: inner ones are looked for where the outer ones lead.
        sort_by_key(&mut aims, |aim| aim.parts.len());
        for (at, aim) in aims.iter().enumerate() {
            if !aim.sub_path.is_empty() {
                make_sub_path(aim, &container.name, &mut warnings)?;
            }
            if self.mounted {
                continue;
            }
            let mut outer = aims[..at].iter().rev();
            let around = outer.find(|outer| outer.contains(&aim.parts));
            place_link(&root, aim, around, &mut warnings)?;
        }
        let cwd = match self.mounted {
            true => plain_working_directory(container, image_cwd),
            false => working_directory(container, &root, &aims, image_cwd)?,
        };
        Ok(Mounted {
            cwd,
            mounts: aims.iter().map(ResolvedMount::made).collect(),
            variables,
            warnings,
        })
    }

    fn aim<'a>(
        &'a self,
        mount: &'a VolumeMount,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ResolvedMount<'a>, Problem> {
        let name = &mount.name;
        let place = self.places.get(name);
        let place = place.ok_or_else(|| Problem::failed(format!("volume {name:?} not found")))?;
        let sub_path = match expression(mount) {
            Some(text) => expand_strictly(text, lookup)?,
            None => mount.sub_path.clone().unwrap_or_default(),
        };
        check_sub_path(&sub_path)?;
        let parts = parts_of(&mount.mount_path).ok_or_else(|| {
            let path = &mount.mount_path;
            Problem::failed(format!("mountPath {path:?} must not contain '..'"))
        })?;
        let target = if sub_path.is_empty() {
            place.path.clone()
        } else {
            place.path.join(&sub_path)
        };
        let shown = match self.mounted {
            true => Path::new("/").join(parts.iter().collect::<PathBuf>()),
            false => target.clone(),
        };
        Ok(ResolvedMount {
            shown,
            mount,
            place,
            sub_path,
            parts,
            target,
        })
    }
}

impl ResolvedMount<'_> {
    /// Returns whether a path lies at or below the mount; a mount at the root has no link.
    fn contains(&self, parts: &[OsString]) -> bool {
        !self.parts.is_empty() && parts.starts_with(&self.parts)
    }

    fn made(&self) -> Mount {
        Mount {
            volume: self.mount.name.clone(),
            mount_path: self.mount.mount_path.clone(),
            path: self.target.clone(),
            read_only: self.mount.read_only.unwrap_or(false) || self.place.read_only,
            within: (!self.sub_path.is_empty()).then(|| self.place.path.clone()),
        }
    }
}

fn expression(mount: &VolumeMount) -> Option<&str> {
    let text = mount.sub_path_expr.as_deref();
    text.filter(|text| !text.is_empty())
}

/// Takes a path apart, without its root and its dots; nothing if it goes up.
fn parts_of(path: &str) -> Option<Vec<OsString>> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_owned()),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts)
}

fn check_sub_path(path: &str) -> Result<(), Problem> {
    if Path::new(path).is_absolute() {
        return Err(Problem::failed(format!(
            "error SubPath `{path}` must not be an absolute path"
        )));
    }
    if parts_of(path).is_none() {
        let fault = "must not contain '..'";
        return Err(Problem::failed(format!(
            "unable to provision SubPath `{path}`: {fault}"
        )));
    }
    Ok(())
}

/// Names the places of mounts; the whole volume, or else its first mount, has the plain name.
fn variables(aims: &[ResolvedMount<'_>]) -> Vec<(String, String)> {
    let mut ordered: Vec<_> = aims.iter().collect();
    sort_by_key(&mut ordered, |aim| {
        (expression(aim.mount).is_some(), !aim.sub_path.is_empty())
    });
    let mut plain: SortedMap<&str, &Path> = SortedMap::new();
    let mut named = SortedMap::new();
    for aim in &ordered {
        let place = plain.entry(&aim.mount.name).or_insert(&aim.shown);
        let name = format!("PETSET_MOUNT_{}", as_variable(&aim.mount.name));
        named.insert(name, place.display().to_string());
    }
    for aim in ordered {
        if plain[aim.mount.name.as_str()] != aim.shown && !aim.sub_path.is_empty() {
            let (volume, sub_path) = (as_variable(&aim.mount.name), as_variable(&aim.sub_path));
            let name = format!("PETSET_MOUNT_{volume}_{sub_path}");
            let place = aim.shown.display().to_string();
            named.entry(name).or_insert(place);
        }
    }
    named.into_iter().collect()
}

fn as_variable(text: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    };
    text.chars()
        .map(letter)
        .collect::<String>()
        .to_ascii_uppercase()
}

/// Makes a sub path that is not there yet, with the mode of its volume, whose group it has where
/// that is set, and never follows a link out of the volume (V06), which is told in the kubelet's
/// words.
fn make_sub_path(
    aim: &ResolvedMount<'_>,
    container: &str,
    warnings: &mut Vec<String>,
) -> Result<(), Problem> {
    let shown = |error: rustix::io::Errno| format!("{}: {error}", aim.target.display());
    let base = open_base(&aim.place.path).map_err(shown)?;
    let mode = rustix::fs::fstat(&base).map_err(shown)?.st_mode & 0o777;
    match make_dirs_beneath(base.as_fd(), Path::new(&aim.sub_path), mode) {
        Ok((_, made)) => {
            if made {
                warn_of_made_file(aim, warnings);
            }
            Ok(())
        }
        Err(rustix::io::Errno::XDEV) => Err(Problem::failed(format!(
            "failed to prepare subPath for volumeMount {:?} of container {container:?}",
            aim.mount.name
        ))),
        Err(error) => Err(shown(error).into()),
    }
}

/// Opens the directory or file that is mounted.
pub(crate) fn open_mounted(mount: &Mount) -> io::Result<OwnedFd> {
    let (from, beneath) = mount.source();
    let from = open_base(from)?;
    Ok(match beneath {
        Some(path) => open_beneath(from.as_fd(), path)?,
        None => from,
    })
}

fn warn_of_made_file(aim: &ResolvedMount<'_>, warnings: &mut Vec<String>) {
    if aim.place.sort == VolumeKind::Written {
        let (volume, path) = (&aim.mount.name, &aim.sub_path);
        warnings.push(format!(
            "volume {volume} has no {path}: its subPath is an empty directory"
        ));
    }
}

/// Makes the link by which the container finds a mount below its root directory.
fn place_link(
    root: &Path,
    aim: &ResolvedMount<'_>,
    around: Option<&ResolvedMount<'_>>,
    warnings: &mut Vec<String>,
) -> Result<(), Problem> {
    let unreachable = |why: String| {
        let (name, path) = (&aim.mount.name, &aim.mount.mount_path);
        let place = aim.target.display();
        let variable = as_variable(name);
        format!(
            "volume {name} is not to be seen at {path}: {why}; it is {place} (PETSET_MOUNT_{variable})"
        )
    };
    if aim.parts.is_empty() {
        warnings.push(unreachable("the root cannot be a link".to_owned()));
        return Ok(());
    }
    let (home, parts) = match around {
        None => (root, &aim.parts[..]),
        Some(outer) if outer.parts.len() == aim.parts.len() => {
            let other = &outer.mount.name;
            warnings.push(unreachable(format!("volume {other} is there")));
            return Ok(());
        }
        Some(outer) => (outer.target.as_path(), &aim.parts[outer.parts.len()..]),
    };
    let link = home.join(parts.iter().collect::<PathBuf>());
    if let Some(outer) = around {
        let there = fs::read_link(&link).ok();
        let free = there.is_none() && fs::symlink_metadata(&link).is_err();
        let ours = there.as_ref() == Some(&aim.target);
        if !ours && (outer.place.sort != VolumeKind::Empty || !free) {
            let (other, path) = (&outer.mount.name, &outer.mount.mount_path);
            let why = format!("volume {other} is mounted around it at {path}");
            warnings.push(unreachable(why));
            return Ok(());
        }
    }
    let parent = link.parent().unwrap_or(root);
    let made = make_dir(parent).and_then(|()| set_link(&link, &aim.target));
    made.map_err(|error| failed(&link, &error))
}

/// Makes a link; an equal one is left alone, another one or an empty directory is replaced.
fn set_link(link: &Path, target: &Path) -> io::Result<()> {
    match fs::read_link(link) {
        Ok(there) if there == target => return Ok(()),
        Ok(_) => fs::remove_file(link)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) => fs::remove_dir(link)?,
    }
    symlink(target, link)
}

fn failed(path: &Path, error: &io::Error) -> Problem {
    Problem::failed(format!("{}: {error}", path.display()))
}

/// Finds where a container starts that has a root of its own.
fn plain_working_directory(container: &Container, image_cwd: Option<&Path>) -> PathBuf {
    let given = container.working_dir.as_deref();
    let given = given.filter(|given| !given.is_empty()).map(Path::new);
    Path::new("/").join(given.or(image_cwd).unwrap_or(Path::new("/")))
}

/// Finds where the container starts: `workingDir` at or below a mount leads to the volume, a
/// relative one lies below the root directory, any other is the host's directory.
fn working_directory(
    container: &Container,
    root: &Path,
    aims: &[ResolvedMount<'_>],
    image_cwd: Option<&Path>,
) -> Result<PathBuf, Problem> {
    let given = container.working_dir.as_deref();
    let Some(given) = given.filter(|given| !given.is_empty()) else {
        return Ok(image_cwd.unwrap_or(root).to_owned());
    };
    let Some(parts) = parts_of(given) else {
        let fault = format!("workingDir {given:?} must not contain '..'");
        return Err(Problem::failed(fault));
    };
    let within = aims.iter().rev().find(|aim| aim.contains(&parts));
    let path = match within {
        Some(aim) => {
            let rest: PathBuf = parts[aim.parts.len()..].iter().collect();
            if rest.as_os_str().is_empty() {
                aim.target.clone()
            } else {
                aim.target.join(rest)
            }
        }
        None if Path::new(given).is_absolute() => return Ok(PathBuf::from(given)),
        None => root.join(parts.iter().collect::<PathBuf>()),
    };
    match fs::create_dir_all(&path) {
        Ok(()) => Ok(path),
        Err(error) => Err(failed(&path, &error)),
    }
}
