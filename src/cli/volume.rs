//! `petset volume`

mod copy;
mod remove;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::shared::names::{SetRef, named};
use super::shared::render::{self, Format};
use super::shared::session::Session;
use super::shared::volumes::{Volume, VolumeList};
use super::shared::words::byte_size;
use crate::model::{ObjectName, SetName};
use crate::problem::{Kind, Problem, Result};
use crate::store::size_of;

/// List, locate, copy and remove the volumes of pets
///
/// A volume is the directory of a claim. It is kept when its set is scaled down or deleted, and the
/// pet of the same name uses it again.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: VolumeVerb,
}

#[derive(Debug, Subcommand)]
enum VolumeVerb {
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    Path(PathArgs),
    #[command(visible_alias = "remove")]
    Rm(remove::Args),
    Snapshot(copy::SnapshotArgs),
    Snapshots(copy::SnapshotsArgs),
    Restore(copy::RestoreArgs),
    Clone(copy::CloneArgs),
}

/// List volumes
///
/// STATUS is InUse while a pet uses the volume, Bound if its set wants it for a pet that does not
/// exist now, Kept if its set was scaled down, and Unbound if its set is gone. SIZE is the space on
/// disk.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset volume ls
  petset volume ls web -o wide")]
struct ListArgs {
    /// List only the volumes of this set
    set: Option<SetRef>,
    /// Name of the set, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    set_name: Option<SetRef>,
    /// Output format; wide adds the directories
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

/// Print the directory of a volume
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset volume path data-web-0
  cp -a \"$(petset volume path data-web-0)\" backup")]
struct PathArgs {
    /// Name of the claim, such as data-web-0
    claim: ObjectName,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.verb {
        VolumeVerb::Ls(args) => list(session, args),
        VolumeVerb::Path(args) => path(session, args),
        VolumeVerb::Rm(args) => remove::run(session, args),
        VolumeVerb::Snapshot(args) => copy::snapshot(session, args),
        VolumeVerb::Snapshots(args) => copy::snapshots(session, args),
        VolumeVerb::Restore(args) => copy::restore(session, args),
        VolumeVerb::Clone(args) => copy::clone(session, args),
    }
}

fn path(session: &Session, args: &PathArgs) -> Result<()> {
    let volumes = VolumeList::of(session)?;
    let volume = volumes.expect(session, args.claim.as_str())?;
    let Some(path) = &volume.path else {
        let message = format!("{} has no volume yet", volume.name);
        let hint = format!("see why with `petset describe pvc {}`", volume.name);
        return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
    };
    render::line(&path.display().to_string())
}

/// A volume as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct VolumeRow {
    name: String,
    namespace: String,
    set: Option<String>,
    status: &'static str,
    used_by: Option<String>,
    bytes: Option<u64>,
    requested: Option<String>,
    path: Option<String>,
}

fn list(session: &Session, args: &ListArgs) -> Result<()> {
    let volumes = VolumeList::of(session)?;
    let set = named(args.set.as_ref(), args.set_name.as_ref())?;
    let wanted = set.map(SetName::as_str);
    let rows = volumes
        .all
        .iter()
        .filter(|volume| wanted.is_none() || volume.set.as_deref() == wanted);
    let rows: Vec<VolumeRow> = rows.map(|volume| row(session, volume)).collect();
    if let (Some(set), true) = (set, rows.is_empty()) {
        session.expect_set(set)?;
    }
    match args.output {
        Some(Format::Json) => render::json(&rows),
        Some(Format::Yaml) => render::yaml(&rows),
        Some(Format::Name) => rows
            .iter()
            .try_for_each(|row| render::line(&format!("persistentvolumeclaim/{}", row.name))),
        Some(Format::Wide) => table(&rows, true),
        None => table(&rows, false),
    }
}

fn row(session: &Session, volume: &Volume) -> VolumeRow {
    VolumeRow {
        name: volume.name.clone(),
        namespace: session.namespace.to_string(),
        set: volume.set.clone(),
        status: volume.status.word(),
        used_by: volume.status.pet().map(str::to_owned),
        // What users have made may be large, and closed.
        bytes: volume
            .path
            .as_deref()
            .filter(|_| volume.is_own)
            .map(size_of),
        requested: volume.requested.clone(),
        path: volume.path.as_ref().map(|path| path.display().to_string()),
    }
}

fn table(rows: &[VolumeRow], wide: bool) -> Result<()> {
    let mut headings = vec!["NAME", "SET", "STATUS", "USED BY", "SIZE", "REQUESTED"];
    headings.extend(wide.then_some("PATH"));
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "<none>".to_owned());
    let cells = |row: &VolumeRow| {
        let mut cells = vec![
            row.name.clone(),
            or_none(&row.set),
            row.status.to_owned(),
            or_none(&row.used_by),
            row.bytes.map_or_else(|| "<unknown>".to_owned(), byte_size),
            or_none(&row.requested),
        ];
        cells.extend(wide.then(|| or_none(&row.path)));
        cells
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    render::table(&headings, &rows)
}
