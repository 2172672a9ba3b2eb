//! `petset volume rm`

use std::fs;
use std::io;
use std::os::fd::AsFd;

use anyhow::Context;
use clap::Args as ClapArgs;
use rustix::termios::isatty;

use super::found::{Volume, VolumeList, VolumeStatus};
use crate::cli::shared::names::SetRef;
use crate::cli::shared::render;
use crate::cli::shared::session::{Session, say, say_all};
use crate::cli::shared::words::byte_size;
use crate::model::ObjectName;
use crate::model::kind::ObjectKind;
use crate::problem::{Kind, Problem, Result};
use crate::store::{self, Edit};

/// Remove volumes and their data
///
/// A volume is not removed while a pet uses it or a set wants it. The command asks for confirmation
/// on a terminal; elsewhere --yes is required.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset volume rm data-web-3 data-web-4
  petset volume rm --set web --dry-run   what would be removed, and its size
  petset volume rm --set web --yes       all volumes of a deleted set")]
pub(super) struct Args {
    /// Claims to remove, such as data-web-3
    #[arg(required_unless_present = "set", value_name = "CLAIM")]
    claims: Vec<ObjectName>,
    /// Remove all volumes of this set
    #[arg(long, value_name = "SET", conflicts_with = "claims")]
    set: Option<SetRef>,
    /// Do not ask for confirmation
    #[arg(short, long)]
    yes: bool,
    /// Change nothing, and print what would be removed
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(session: &Session, args: &Args) -> Result<()> {
    let volumes = VolumeList::of(session)?;
    let chosen: Vec<&Volume> = match &args.set {
        Some(SetRef(set)) => of_set(session, &volumes, set.as_str())?,
        None => {
            let names = args.claims.iter().map(ObjectName::as_str);
            let found = names.map(|name| volumes.expect(session, name));
            found.collect::<Result<_, _>>()?
        }
    };
    refuse_wanted(&chosen, &volumes)?;
    let sizes: Vec<u64> = chosen
        .iter()
        .map(|volume| store::size_of(&volume.path))
        .collect();
    if args.dry_run {
        return print_all(&chosen, &sizes, "would be removed");
    }
    if !args.yes {
        confirm(&chosen, &sizes)?;
    }
    let names: Vec<&str> = chosen.iter().map(|volume| volume.name.as_str()).collect();
    session
        .edit_quietly("volume rm", |edit| remove(session, edit, &names))
        .context("cannot remove the volumes")?;
    print_all(&chosen, &sizes, "removed")
}

fn print_all(volumes: &[&Volume], sizes: &[u64], what: &str) -> Result<()> {
    volumes.iter().zip(sizes).try_for_each(|(volume, size)| {
        let (name, size) = (&volume.name, byte_size(*size));
        render::line(&format!("persistentvolumeclaim/{name} {what} ({size})"))
    })
}

/// Returns the volumes of a set, which may be gone. Volumes without a note of their set count if
/// their name does.
fn of_set<'v>(session: &Session, volumes: &'v VolumeList, set: &str) -> Result<Vec<&'v Volume>> {
    let all = volumes.all.iter();
    let own = all.filter(|volume| match &volume.set {
        Some(of) => of == set,
        None => is_named_after(&volume.name, set),
    });
    let own: Vec<&Volume> = own.collect();
    if own.is_empty() {
        let message = format!(
            "no volume of {set} exists in namespace {}",
            session.namespace
        );
        let hint = "see what exists with `petset volume ls`";
        return Err(Problem::new(Kind::NotFound, message).hint(hint).into());
    }
    Ok(own)
}

/// Returns whether a name is TEMPLATE-SET-ORDINAL.
fn is_named_after(name: &str, set: &str) -> bool {
    let stem = name
        .rsplit_once('-')
        .filter(|(_, ordinal)| ordinal.parse::<u32>().is_ok());
    let template = stem.and_then(|(stem, _)| stem.strip_suffix(set)?.strip_suffix('-'));
    template.is_some_and(|template| !template.is_empty())
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
    let set = volumes.find(name).and_then(|volume| volume.set.as_ref());
    Err(match set {
        Some(set) => problem.hint(format!(
            "scale {set} below it, or delete {set}, and its volumes can be removed"
        )),
        None => problem.hint("delete the set that mounts it first"),
    })
}

/// Prints the volumes that would be removed, and asks for confirmation.
fn confirm(chosen: &[&Volume], sizes: &[u64]) -> Result<()> {
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
        let hint = "pass --yes to remove without confirmation";
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
fn remove(session: &Session, edit: &mut Edit<'_>, names: &[&str]) -> Result<()> {
    let volumes = VolumeList::of(session)?;
    let chosen = names.iter().map(|name| volumes.expect(session, name));
    let chosen: Vec<&Volume> = chosen.collect::<Result<_, _>>()?;
    refuse_wanted(&chosen, &volumes)?;
    let (layout, namespace) = (session.store.layout(), &session.namespace);
    for volume in chosen {
        let record = layout.claim(namespace, &volume.name);
        store::remove(&record).with_context(|| format!("cannot remove {}", record.display()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claims_name_tells_its_set_where_nothing_else_does() {
        assert!(is_named_after("data-web-0", "web"));
        assert!(is_named_after("my-data-web-10", "web"));
        for other in ["data-web-x", "web-0", "data-cobweb-0", "data-web"] {
            assert!(!is_named_after(other, "web"), "{other}");
        }
    }
}
