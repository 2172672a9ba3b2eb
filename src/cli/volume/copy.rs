//! Copies of volumes: snapshots of a set, what is restored from them, and sets that are cloned.
//!
//! `cp` copies: it shares the blocks of files where the file system can (`--reflink`), keeps holes,
//! owners, times and attributes, and follows no link. A copy is made beside its place and put there
//! in one piece.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use clap::Args as ClapArgs;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::cli::shared::hold::HeldPets;
use crate::cli::shared::names::SetRef;
use crate::cli::shared::render;
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::volumes::{Volume, VolumeList, VolumeStatus};
use crate::model::{ObjectName, SetName};
use crate::problem::{Kind, Problem, Result};
use crate::store;

/// What the names of copies begin with that are not whole yet.
const UNFINISHED: &str = "_making-";

/// Copy the volumes of a set, for `petset volume restore`
///
/// The pets are paused while the files are copied, all at the same moment, so that the copy is what
/// a crash of all of them would leave. Where the file system shares blocks between files, that
/// takes no time and no room. A snapshot is a directory: it lasts until it is removed.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset volume snapshot etcd before-upgrade
  petset volume restore etcd before-upgrade
  rm -r \"$(petset volume snapshots etcd -o path)/before-upgrade\"")]
pub(super) struct SnapshotArgs {
    /// Set whose volumes are copied
    set: SetRef,
    /// Name of the snapshot
    name: ObjectName,
}

/// Put the volumes of a set back to a snapshot
///
/// No pet may use them: scale the set to 0 first, delete it, or say `petset stop`. What was in the
/// volumes is gone afterwards; the snapshot stays.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset scale etcd --replicas 0
  petset volume restore etcd before-upgrade
  petset scale etcd --replicas 3")]
pub(super) struct RestoreArgs {
    /// Set whose volumes are put back
    set: SetRef,
    /// Name of the snapshot
    name: ObjectName,
}

/// Copy the volumes of a set for another set, which finds them when it is created
///
/// The pets are paused while the files are copied. The volume data-web-0 becomes data-NEW-0.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset volume clone db db-test")]
pub(super) struct CloneArgs {
    /// Set whose volumes are copied
    set: SetRef,
    /// Set that is to have the copies, which need not exist
    new: SetRef,
}

/// List the snapshots of a set
#[derive(Debug, ClapArgs)]
pub(super) struct SnapshotsArgs {
    /// Set whose snapshots are listed
    set: SetRef,
    /// `path` prints the directory that they are in
    #[arg(short, long, value_name = "FORMAT", value_parser = ["name", "path"], default_value = "name")]
    output: String,
}

pub(super) fn snapshots(session: &Session, args: &SnapshotsArgs) -> Result<()> {
    let set = args.set.with(None)?;
    let dir = snapshots_of(session, set);
    if args.output == "path" {
        return render::line(&dir.display().to_string());
    }
    let names = store::names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let whole: Vec<&String> = names.iter().filter(|name| !name.starts_with('_')).collect();
    if whole.is_empty() {
        say(format!("{set} has no snapshots."));
    }
    whole.into_iter().try_for_each(|name| render::line(name))
}

pub(super) fn snapshot(session: &Session, args: &SnapshotArgs) -> Result<()> {
    session.store.expect_own()?;
    let set = args.set.with(None)?;
    let all = snapshots_of(session, set);
    let to = all.join(args.name.as_str());
    if to.exists() {
        let message = format!("{set} has a snapshot {} already", args.name);
        let hint = format!("choose another name, or remove it: rm -r {}", to.display());
        return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
    }
    let volumes = VolumeList::of(session)?;
    let copied = volumes_of(&volumes, session, set)?;
    let unfinished = Unfinished::begin(&all)?;
    copy_held(session, "volume snapshot", set, |_| {
        for (volume, path) in &copied {
            copy(path, &unfinished.0.join(&volume.name))?;
        }
        Ok(())
    })?;
    fs::rename(&unfinished.0, &to).with_context(|| format!("cannot write {}", to.display()))?;
    render::line(&to.display().to_string())
}

pub(super) fn clone(session: &Session, args: &CloneArgs) -> Result<()> {
    session.store.expect_own()?;
    let (set, new) = (args.set.with(None)?, args.new.with(None)?);
    let volumes = VolumeList::of(session)?;
    let mut copied = Vec::new();
    for (volume, path) in volumes_of(&volumes, session, set)? {
        let name = renamed(&volume.name, set, new);
        if volumes.find(&name).is_some() {
            let message = format!("there is a volume {name} already");
            let hint = format!("choose another set, or remove it: petset volume rm {name}");
            return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
        }
        copied.push((path, name));
    }
    let unfinished = Unfinished::begin(&snapshots_of(session, new))?;
    copy_held(session, "volume clone", set, |_| {
        for (path, name) in &copied {
            copy(path, &unfinished.0.join(name))?;
        }
        Ok(())
    })?;
    session.edit_quietly("volume clone", |_| {
        for (_, name) in &copied {
            let to = session.store.layout().volume(&session.namespace, name);
            put_new(&unfinished.0.join(name), &to)?;
        }
        Ok(())
    })?;
    copied.iter().try_for_each(|(_, name)| render::line(name))?;
    say(format!("hint: the set {new} finds them when it is created"));
    Ok(())
}

pub(super) fn restore(session: &Session, args: &RestoreArgs) -> Result<()> {
    session.store.expect_own()?;
    let set = args.set.with(None)?;
    let from = snapshots_of(session, set).join(args.name.as_str());
    let Ok(names) = store::names_in(&from).map(|names| (!names.is_empty()).then_some(names)) else {
        return Err(no_snapshot(set, &args.name).into());
    };
    let names = names.ok_or_else(|| no_snapshot(set, &args.name))?;
    refuse_used(session, set, &names)?;
    let unfinished = Unfinished::begin(&snapshots_of(session, set))?;
    for name in &names {
        copy(&from.join(name), &unfinished.0.join(name))?;
    }
    session.edit_quietly("volume restore", |_| {
        // A pet may have been started meanwhile.
        refuse_used(session, set, &names)?;
        for name in &names {
            let to = session.store.layout().volume(&session.namespace, name);
            put(&unfinished.0.join(name), &to)?;
        }
        Ok(())
    })?;
    names
        .iter()
        .try_for_each(|name| render::line(&format!("{name} restored")))
}

fn no_snapshot(set: &SetName, name: &ObjectName) -> Problem {
    let message = format!("{set} has no snapshot {name}");
    let hint = format!("see those it has with `petset volume snapshots {set}`");
    Problem::new(Kind::NotFound, message).hint(hint)
}

fn snapshots_of(session: &Session, set: &SetName) -> PathBuf {
    let layout = session.store.layout();
    layout.snapshots(&session.namespace).join(set.as_str())
}

/// Returns the volumes of a set that petset has made, with their directories.
fn volumes_of<'v>(
    volumes: &'v VolumeList,
    session: &Session,
    set: &SetName,
) -> Result<Vec<(&'v Volume, &'v Path)>> {
    let own = volumes
        .all
        .iter()
        .filter(|it| it.set.as_deref() == Some(set.as_str()));
    let mut found = Vec::new();
    for volume in own {
        match volume
            .path
            .as_deref()
            .filter(|path| volume.is_own && path.is_dir())
        {
            Some(path) => found.push((volume, path)),
            None => say(format!(
                "note: {} is left out: petset has not made it",
                volume.name
            )),
        }
    }
    if found.is_empty() {
        session.expect_set(set)?;
        let message = format!("{set} has no volumes");
        let hint = "a set has those of its volumeClaimTemplates";
        return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
    }
    Ok(found)
}

/// Copies while the pets of a set are paused.
fn copy_held(
    session: &Session,
    verb: &str,
    set: &SetName,
    copy: impl FnOnce(&Session) -> Result<()>,
) -> Result<()> {
    let pods = session.pets_of(&session.namespace, set.as_str())?;
    let held = HeldPets::begin(session, verb, pods)?;
    let copied = copy(session);
    held.end(verb)?;
    copied
}

/// Refuses to replace volumes that pets use.
fn refuse_used(session: &Session, set: &SetName, names: &[String]) -> Result<()> {
    let volumes = VolumeList::of(session)?;
    for name in names {
        let Some(volume) = volumes.find(name) else {
            continue;
        };
        if let VolumeStatus::InUse(pet) = &volume.status
            && !session.store.is_stopped()
        {
            let message = format!("cannot restore {name}: {pet} uses it");
            let hint =
                format!("`petset scale {set} --replicas 0` stops its pets, or `petset stop`");
            return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
        }
        if !volume.is_own {
            let message = format!("cannot restore {name}: petset has not made it");
            return Err(Problem::new(Kind::Conflict, message).into());
        }
    }
    Ok(())
}

/// Returns the name of a volume as another set has it: `data-web-0` is `data-new-0`.
fn renamed(name: &str, set: &SetName, new: &SetName) -> String {
    let infix = format!("-{set}-");
    match name.rsplit_once(&infix) {
        Some((template, ordinal)) => format!("{template}-{new}-{ordinal}"),
        None => name.to_owned(),
    }
}

/// A directory for copies that are not in their places yet; what is left in it is removed.
struct Unfinished(PathBuf);

impl Unfinished {
    fn begin(beside: &Path) -> Result<Self> {
        let wish = || format!("cannot write {}", beside.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(beside)
            .with_context(wish)?;
        // Those of commands that were killed.
        for name in store::names_in(beside).with_context(wish)? {
            let maker = name
                .strip_prefix(UNFINISHED)
                .and_then(|pid| pid.parse().ok());
            if maker.is_some_and(|pid: u32| crate::sys::proc::started(pid).is_none()) {
                store::remove_tree(&beside.join(name)).with_context(wish)?;
            }
        }
        let path = beside.join(format!("{UNFINISHED}{}", std::process::id()));
        fs::create_dir(&path).with_context(wish)?;
        Ok(Self(path))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // The next command tries it again.
        let _ = store::remove_tree(&self.0);
    }
}

/// Copies a directory to a place where nothing is.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut cp = Command::new("cp");
    cp.args(["--archive", "--reflink=auto", "--no-target-directory", "--"]);
    let output = cp.arg(from).arg(to).output().context("cannot run cp")?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    let message = format!("cannot copy {}: {why}", from.display());
    Err(Problem::failed(message).hint("nothing was changed").into())
}

/// Puts a copy where nothing is.
fn put_new(copy: &Path, to: &Path) -> Result<()> {
    let wish = || format!("cannot write {}", to.display());
    if let Some(above) = to.parent() {
        fs::create_dir_all(above).with_context(wish)?;
    }
    renameat_with(CWD, copy, CWD, to, RenameFlags::NOREPLACE).with_context(wish)
}

/// Puts a copy in the place of a volume; what was there is left in the place of the copy.
fn put(copy: &Path, to: &Path) -> Result<()> {
    match renameat_with(CWD, copy, CWD, to, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::NOENT) => put_new(copy, to),
        done => done.with_context(|| format!("cannot write {}", to.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_of_a_clone_is_named_after_it() {
        let (set, new) = ("web".parse().unwrap(), "web-2".parse().unwrap());
        assert_eq!(renamed("data-web-0", &set, &new), "data-web-2-0");
        assert_eq!(renamed("data-web-web-10", &set, &new), "data-web-web-2-10");
    }
}
