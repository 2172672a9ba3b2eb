//! Removing volumes, with the data in them.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use rustix::termios::isatty;

use super::super::render;
use super::super::session::{Session, say, say_all};
use super::super::words::byte_size;
use super::{Volume, VolumeList, VolumeStatus};
use crate::model::kind::ObjectKind;
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Edit};

/// How volumes are removed.
pub(crate) struct Removal {
    /// Do not ask for confirmation.
    pub(crate) sure: bool,
    /// The option by which the user says so.
    pub(crate) option: &'static str,
    /// Change nothing, and print what would be removed.
    pub(crate) dry_run: bool,
}

/// Removes volumes that no pet uses and no set wants, after a confirmation.
pub(crate) fn remove_volumes(
    session: &Session,
    volumes: &VolumeList,
    chosen: &[&Volume],
    how: &Removal,
) -> Result<()> {
    refuse_unknown(session)?;
    refuse_others(chosen)?;
    refuse_wanted(chosen, volumes)?;
    let sizes: Vec<u64> = chosen
        .iter()
        .map(|volume| own_path(volume).map_or(0, store::size_of))
        .collect();
    if how.dry_run {
        return print_all(chosen, &sizes, "would be removed");
    }
    if !how.sure {
        confirm(chosen, &sizes, how.option)?;
    }
    let names: Vec<&str> = chosen.iter().map(|volume| volume.name.as_str()).collect();
    session
        .edit_quietly("volume rm", |edit| remove_all(session, edit, &names))
        .context("cannot remove the volumes")?;
    print_all(chosen, &sizes, "removed")
}

/// Returns the directory that petset has made for a volume, which alone it may remove.
fn own_path(volume: &Volume) -> Option<&Path> {
    volume.path.as_deref().filter(|_| volume.is_own)
}

/// Refuses claims that are bound to volumes of users, or to none yet.
fn refuse_others(chosen: &[&Volume]) -> Result<(), Problem> {
    let mut others = chosen.iter().filter(|volume| !volume.is_own);
    others.next().map_or(Ok(()), |volume| {
        let name = &volume.name;
        let message =
            format!("petset has not made the volume of {name}, and removes no data of it");
        let hint = format!("`petset delete pvc {name}` removes the claim alone");
        Err(Problem::new(Kind::Conflict, message).hint(hint))
    })
}

fn print_all(volumes: &[&Volume], sizes: &[u64], what: &str) -> Result<()> {
    volumes.iter().zip(sizes).try_for_each(|(volume, size)| {
        let (name, size) = (&volume.name, byte_size(*size));
        render::line(&format!("persistentvolumeclaim/{name} {what} ({size})"))
    })
}

/// Refuses while anything is damaged that may need a volume.
fn refuse_unknown(session: &Session) -> Result<()> {
    let (layout, namespace) = (session.store.layout(), &session.namespace);
    let sets: Result<Vec<StatefulSet>> = session.store.all(namespace);
    let pods: Result<Vec<Pod>> = session.store.all(namespace);
    let damaged = sets.err().or(pods.err());
    let pets = store::names_in(&layout.pets_of(namespace))?.into_iter();
    let damaged = damaged.or_else(|| {
        let mut pets = pets.map(|pet| store::pod_record(&layout.pet(namespace, &pet)));
        pets.find_map(Result::err).map(anyhow::Error::new)
    });
    let why = "no volume is removed while it is not known who uses it";
    damaged.map_or(Ok(()), |damaged| Err(damaged.context(why)))
}

fn refuse_wanted(chosen: &[&Volume], volumes: &VolumeList) -> Result<(), Problem> {
    let wanted = chosen.iter().find_map(|volume| {
        let name = &volume.name;
        match &volume.status {
            VolumeStatus::InUse(pet) => Some((name, format!("{pet} uses it"))),
            VolumeStatus::Bound(pet) => Some((name, format!("it is wanted for {pet}"))),
            VolumeStatus::Kept | VolumeStatus::Unbound => None,
        }
    });
    let Some((name, why)) = wanted else {
        return Ok(());
    };
    let message = format!("cannot remove the volume {name}: {why}");
    let mut problem = Problem::new(Kind::Conflict, message);
    let free: Vec<&str> = chosen
        .iter()
        .filter(|volume| matches!(volume.status, VolumeStatus::Kept | VolumeStatus::Unbound))
        .map(|volume| volume.name.as_str())
        .collect();
    if !free.is_empty() {
        let free = free.join(" ");
        problem = problem.hint(format!("`petset volume rm {free}` removes the unused ones"));
    }
    let sets = volumes.find(name).map(|volume| volume.sets.as_slice());
    Err(match sets.unwrap_or_default() {
        [] => problem.hint("delete the pods that use it first"),
        [set] => problem.hint(format!(
            "scale {set} below it, or delete {set}, and its volumes can be removed"
        )),
        sets => problem.hint(format!(
            "it is the volume of {}: delete them first",
            sets.join(" and of ")
        )),
    })
}

/// Prints the volumes that would be removed, and asks for confirmation.
fn confirm(chosen: &[&Volume], sizes: &[u64], sure: &str) -> Result<()> {
    for (volume, size) in chosen.iter().zip(sizes) {
        let (name, path) = (&volume.name, own_path(volume).unwrap_or(Path::new("")));
        say(format!(
            "{name}: {} in {}",
            byte_size(*size),
            path.display()
        ));
    }
    let total = byte_size(sizes.iter().sum());
    let what = match chosen {
        [one] => format!("the volume {}", one.name),
        many => format!("{} volumes", many.len()),
    };
    let person = isatty(io::stdin().as_fd()) && isatty(io::stderr().as_fd());
    if !person {
        let message =
            format!("{what} with {total} would be lost, and there is no terminal to ask on");
        let hint = format!("pass {sure} to remove without confirmation");
        return Err(Problem::invalid(message).hint(hint).into());
    }
    say_all(&format!("Remove {what} with {total} for ever? [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("cannot read the answer")?;
    if matches!(answer.trim(), "y" | "Y" | "yes" | "Yes") {
        return Ok(());
    }
    Err(Problem::new(Kind::Failed, "nothing was removed, as you answered").into())
}

/// Removes volumes under the lock, after checking again that they are not wanted.
fn remove_all(session: &Session, edit: &mut Edit<'_>, names: &[&str]) -> Result<()> {
    let volumes = VolumeList::of(session)?;
    let chosen = names.iter().map(|name| volumes.expect(session, name));
    let chosen: Vec<&Volume> = chosen.collect::<Result<_, _>>()?;
    refuse_wanted(&chosen, &volumes)?;
    let (layout, namespace) = (session.store.layout(), &session.namespace);
    refuse_others(&chosen)?;
    for volume in chosen {
        let Some(path) = own_path(volume) else {
            continue;
        };
        let record = layout.claim(namespace, &volume.name);
        let doomed = store::name_while_removed(path);
        let remnant = store::remove_tree(&doomed);
        remnant.with_context(|| format!("cannot remove {}", doomed.display()))?;
        match fs::rename(path, &doomed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            Ok(()) | Err(_) => {}
        }
        // Only now: a record that went before its data would be made again.
        store::remove(&record).with_context(|| format!("cannot remove {}", record.display()))?;
        store::remove_tree(&doomed)
            .with_context(|| format!("cannot remove all of {}", doomed.display()))?;
        edit.forget(
            namespace,
            ObjectKind::PersistentVolumeClaim,
            &volume.name.parse()?,
        );
    }
    Ok(())
}
