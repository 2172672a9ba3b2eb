//! `petset volume rm`

use clap::Args as ClapArgs;

use crate::cli::shared::names::{SetRef, named};
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::volumes::{Removal, Volume, VolumeList, remove_volumes};
use crate::model::ObjectName;
use crate::problem::{Kind, Problem, Result};

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
    let chosen: Vec<&Volume> = match named(args.set.as_ref(), None)? {
        Some(set) => of_set(session, &volumes, set.as_str())?,
        None => {
            let names = args.claims.iter().map(ObjectName::as_str);
            let found = names.map(|name| volumes.expect(session, name));
            found.collect::<Result<_, _>>()?
        }
    };
    let how = Removal {
        sure: args.yes,
        option: "--yes",
        dry_run: args.dry_run,
    };
    remove_volumes(session, &volumes, &chosen, &how)
}

/// Returns the volumes of a set, which may be gone. Volumes without a note of their set count if
/// their name does; those that another set has too do not.
fn of_set<'v>(session: &Session, volumes: &'v VolumeList, set: &str) -> Result<Vec<&'v Volume>> {
    let all = volumes.all.iter();
    let own = all.filter(|volume| match &volume.set {
        Some(of) => of == set,
        None => is_named_after(&volume.name, set),
    });
    let other = |volume: &Volume| volume.sets.iter().find(|other| *other != set).cloned();
    let mut free: Vec<&Volume> = Vec::new();
    for volume in own {
        match other(volume) {
            Some(other) => say(format!("{} stays: set {other} has it too", volume.name)),
            None => free.push(volume),
        }
    }
    let own = free;
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
