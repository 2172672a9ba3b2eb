//! `petset image`

mod explain;
mod programs;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::shared::render::{self, Format};
use super::shared::session::Session;
use super::shared::words::or_none;
use crate::model::image::KnownImage;
use crate::problem::Result;
use crate::store;
use programs::{ProgramPath, ask, program, program_text, programs, source_text};

/// Show which programs image references stand for on this machine
///
/// petset pulls no images. It looks a reference up in images.toml of the state directory, then in
/// petset/images.toml of your configuration directory, then in the built-in catalogue of well-known
/// servers, which uses the programs of a normal installation.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: ImageVerb,
}

#[derive(Debug, Subcommand)]
enum ImageVerb {
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    Explain(explain::Args),
}

/// List the images of the catalogue
///
/// HERE says whether the programs are installed on this machine. An entry of a file overrides the
/// built-in one of the same name.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset image ls
  petset image ls -o wide
  petset image ls -o name")]
struct ListArgs {
    /// Output format; wide adds user, data directories and package
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.verb {
        ImageVerb::Ls(args) => list(session, args),
        ImageVerb::Explain(args) => explain::run(session, args),
    }
}

/// An entry as it is printed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ImageRow {
    image: String,
    here: bool,
    programs: Vec<ProgramPath>,
    file: Option<PathBuf>,
    user: Option<String>,
    data: Vec<String>,
    package: Option<String>,
}

fn list(session: &Session, args: &ListArgs) -> Result<()> {
    let catalogue = store::catalogue(session.store.layout(), &program())?;
    let known = ask(|disk| catalogue.known(disk))?;
    let rows: Vec<ImageRow> = known.iter().map(row).collect();
    match args.output {
        Some(Format::Json) => render::json(&rows),
        Some(Format::Yaml) => render::yaml(&rows),
        Some(Format::Name) => rows.iter().try_for_each(|row| render::line(&row.image)),
        Some(Format::Wide) => table(&rows, true),
        None => table(&rows, false),
    }
}

fn row(known: &KnownImage) -> ImageRow {
    ImageRow {
        image: known.key.clone(),
        here: known.is_complete(),
        programs: programs(known),
        file: known.file.clone(),
        user: known.user.clone(),
        data: known.data.clone(),
        package: known.package.clone(),
    }
}

fn table(rows: &[ImageRow], wide: bool) -> Result<()> {
    let mut headings = vec!["IMAGE", "HERE", "PROGRAM", "FROM"];
    headings.extend(
        wide.then_some(["USER", "DATA", "PACKAGE"])
            .into_iter()
            .flatten(),
    );
    let cells = |row: &ImageRow| {
        let mut cells = vec![
            row.image.clone(),
            if row.here { "yes" } else { "no" }.to_owned(),
            row.programs
                .iter()
                .map(program_text)
                .collect::<Vec<_>>()
                .join(","),
            source_text(row.file.as_deref()),
        ];
        if wide {
            cells.push(or_none(row.user.clone()));
            cells.push(or_none(Some(row.data.join(","))));
            cells.push(or_none(row.package.clone()));
        }
        cells
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    render::table(&headings, &rows)
}
