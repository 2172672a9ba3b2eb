//! The programs that images need, as they are on this machine.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::image::{Disk, Explained, KnownImage};
use crate::problem::{Kind, Problem, Result};
use crate::store;

/// A program that an image needs.
#[derive(Debug, Serialize)]
pub(super) struct ProgramPath {
    name: String,
    path: Option<PathBuf>,
}

/// Returns the programs that an image needs.
pub(super) fn programs(known: &KnownImage) -> Vec<ProgramPath> {
    let programs = known.programs.iter().cloned();
    programs
        .map(|(name, path)| ProgramPath { name, path })
        .collect()
}

/// Returns where a program is, or that it is missing.
pub(super) fn program_text(program: &ProgramPath) -> String {
    let path = program.path.as_ref().map(|path| path.display().to_string());
    path.unwrap_or_else(|| format!("{} (missing)", program.name))
}

/// Returns where an entry of the catalogue is from.
pub(super) fn source_text(file: Option<&Path>) -> String {
    file.map_or_else(|| "built-in".to_owned(), |file| file.display().to_string())
}

/// Asks the catalogue a question about this machine, with programs found on PATH as by pets.
pub(super) fn ask<T>(question: impl FnOnce(&Disk<'_>) -> T) -> T {
    let path = std::env::var("PATH").unwrap_or_default();
    store::with_disk(&path, &|_| false, question)
}

/// Returns the path of petset itself.
pub(super) fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("petset"))
}

/// Returns the error that keeps an image from running: exit code 3 where the image is unknown,
/// 5 where its programs are missing.
pub(super) fn verdict(image: &str, explained: &Explained) -> Result<()> {
    let Err(fault) = &explained.launch else {
        return Ok(());
    };
    let kind = match explained.entry {
        None => Kind::NotFound,
        Some(_) => Kind::Halted,
    };
    let context = format!("{image:?} cannot run here");
    Err(anyhow::Error::from(Problem::new(kind, fault.message.clone())).context(context))
}
