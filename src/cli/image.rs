//! `petset image`

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;

use super::shared::render::{self, Format};
use super::shared::session::Session;
use crate::model::image::{Explained, Known};
use crate::problem::{Kind, Problem, Result};
use crate::store;

mod explain;

/// Show what image references mean on this machine
///
/// No image is pulled: a reference is looked up in images.toml of the state directory, then in
/// petset/images.toml of the user's configuration, then in the built-in catalogue of well-known
/// servers, whose programs are those of a normal installation.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    Explain(explain::Args),
}

/// List the images that the catalogue knows
///
/// HERE says whether the programs are on this machine. An entry of a file takes the place of the
/// built-in one of the same name.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset image ls
  petset image ls -o wide
  petset image ls -o name")]
struct ListArgs {
    /// How to print them; wide adds what is run, by whom, where its data is, and its package
    #[arg(short, long, value_name = "FORM")]
    output: Option<Format>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.verb {
        Verb::Ls(args) => list(session, args),
        Verb::Explain(args) => explain::run(session, args),
    }
}

/// One entry, as it is listed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    image: String,
    here: bool,
    programs: Vec<Program>,
    file: Option<PathBuf>,
    user: Option<String>,
    data: Vec<String>,
    package: Option<String>,
}

/// A program that an image needs.
#[derive(Debug, Serialize)]
struct Program {
    name: String,
    path: Option<PathBuf>,
}

fn programs(known: &Known) -> Vec<Program> {
    let programs = known.programs.iter().cloned();
    programs
        .map(|(name, path)| Program { name, path })
        .collect()
}

fn list(session: &Session, args: &ListArgs) -> Result<()> {
    let catalogue = store::catalogue(session.store.layout(), &program())?;
    let known = ask(|disk| catalogue.known(disk))?;
    let rows: Vec<Row> = known.iter().map(row).collect();
    match args.output {
        Some(Format::Json) => render::json(&rows),
        Some(Format::Yaml) => render::yaml(&rows),
        Some(Format::Name) => rows.iter().try_for_each(|row| render::line(&row.image)),
        Some(Format::Wide) => table(&rows, true),
        None => table(&rows, false),
    }
}

fn row(known: &Known) -> Row {
    Row {
        image: known.key.clone(),
        here: known.is_complete(),
        programs: programs(known),
        file: known.file.clone(),
        user: known.user.clone(),
        data: known.data.clone(),
        package: known.package.clone(),
    }
}

fn table(rows: &[Row], wide: bool) -> Result<()> {
    let mut headings = vec!["IMAGE", "HERE", "PROGRAM", "FROM"];
    headings.extend(
        wide.then_some(["USER", "DATA", "PACKAGE"])
            .into_iter()
            .flatten(),
    );
    let cells = |row: &Row| {
        let mut cells = vec![
            row.image.clone(),
            if row.here { "yes" } else { "no" }.to_owned(),
            row.programs.iter().map(place).collect::<Vec<_>>().join(","),
            shown(row.file.as_deref()),
        ];
        if wide {
            cells.push(or_none(row.user.as_deref()));
            cells.push(or_none(Some(&row.data.join(","))));
            cells.push(or_none(row.package.as_deref()));
        }
        cells
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    render::table(&headings, &rows)
}

fn place(program: &Program) -> String {
    let path = program.path.as_ref().map(|path| path.display().to_string());
    path.unwrap_or_else(|| format!("{} (missing)", program.name))
}

fn or_none(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or("<none>")
        .to_owned()
}

fn shown(file: Option<&Path>) -> String {
    file.map_or_else(|| "built-in".to_owned(), |file| file.display().to_string())
}

/// Lends the machine to a question, with programs found as pets find them.
fn ask<T>(question: impl FnOnce(&crate::model::image::Disk<'_>) -> T) -> T {
    let path = std::env::var("PATH").unwrap_or_default();
    store::with_disk(&path, &|_| false, question)
}

fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("petset"))
}

/// Turns what keeps an image from running into an error: exit code 3 where nothing is known of
/// it, 5 where its programs are missing.
fn verdict(image: &str, explained: &Explained) -> Result<()> {
    let Err(fault) = &explained.launch else {
        return Ok(());
    };
    let kind = match explained.entry {
        None => Kind::NotFound,
        Some(_) => Kind::Halted,
    };
    let wish = format!("{image:?} cannot run here");
    Err(anyhow::Error::from(Problem::new(kind, fault.message.clone())).context(wish))
}
