//! Removing volumes, with the data in them.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use anyhow::Context;
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
    refuse_wanted(chosen, volumes)?;
    let sizes: Vec<u64> = chosen
        .iter()
        .map(|volume| store::size_of(&volume.path))
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

fn print_all(volumes: &[&Volume], sizes: &[u64], what: &str) -> Result<()> {
    volumes.iter().zip(sizes).try_for_each(|(volume, size)| {
        let (name, size) = (&volume.name, byte_size(*size));
        render::line(&format!("persistentvolumeclaim/{name} {what} ({size})"))
    })
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
        let (name, path) = (&volume.name, volume.path.display());
        say(format!("{name}: {} in {path}", byte_size(*size)));
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
    for volume in chosen {
        let record = layout.claim(namespace, &volume.name);
        // Once it is renamed, it does not count as a volume, however long the removal takes.
        let doomed = volume
            .path
            .with_file_name(format!(".{}.removed", volume.name));
        let remnant = store::remove_tree(&doomed);
        remnant.with_context(|| format!("cannot remove {}", doomed.display()))?;
        match fs::rename(&volume.path, &doomed) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("cannot remove {}", volume.path.display()));
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
