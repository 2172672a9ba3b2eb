//! The entries of `images.toml` and of the built-in catalogue, as they are written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::reference::{Reference, fit};
use crate::problem::Problem;

const BUILT_IN: &str = include_str!("../images.toml");

/// What `images.toml` says of one image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Runs before the arguments, unless the manifest gives a command.
    pub(super) entrypoint: Option<Vec<String>>,
    /// As `entrypoint`, but only before arguments that begin with a dash or end with `.conf`:
    /// others are a command of their own, as the entrypoint scripts of official images have it.
    pub(super) program: Option<Vec<String>>,
    /// The arguments, unless the manifest gives arguments or a command.
    #[serde(alias = "cmd")]
    pub(super) args: Option<Vec<String>>,
    /// Programs that must be there beside the one that is started.
    #[serde(default)]
    pub(super) needs: Vec<String>,
    /// Directories put first on PATH.
    #[serde(default)]
    pub(super) path: Vec<String>,
    /// Variables.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// The working directory, unless the manifest gives one.
    pub(super) cwd: Option<String>,
    /// The directory that a pet with full isolation has as its root, instead of the host's.
    pub(super) rootfs: Option<String>,
}

/// A file of the catalogue.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub(super) path: PathBuf,
    pub(super) entries: BTreeMap<String, Entry>,
}

impl Book {
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, Problem> {
        let entries = read_entries(text)
            .map_err(|fault| Problem::invalid(format!("{}{fault}", path.display())))?;
        let path = path.to_owned();
        Ok(Self { path, entries })
    }
}

/// Reads entries; a fault begins with its place, `:3:1: `.
pub(super) fn read_entries(text: &str) -> Result<BTreeMap<String, Entry>, String> {
    let entries: BTreeMap<String, Entry> =
        toml::from_str(text).map_err(|error| place(text, &error))?;
    for (key, entry) in &entries {
        if entry.program.is_some() && entry.entrypoint.is_some() {
            return Err(format!(": [{key:?}] has both entrypoint and program"));
        }
    }
    Ok(entries)
}

fn place(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', "; ");
    let Some(span) = error.span() else {
        return format!(": {message}");
    };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!(":{line}:{column}: {message}")
}

/// Finds the built-in entry, reading only the part of the catalogue that it needs.
pub(super) fn built_in(reference: &Reference<'_>) -> Result<Option<(String, Entry)>, String> {
    let fits = built_in_parts().filter_map(|(key, part)| Some((fit(key, reference)?.0, part)));
    let Some((_, part)) = fits.max_by_key(|(fit, _)| *fit) else {
        return Ok(None);
    };
    let entries = read_entries(part).map_err(|fault| format!("built-in catalogue{fault}"))?;
    Ok(entries.into_iter().next())
}

/// Takes the built-in catalogue apart at its headings, without reading it.
pub(super) fn built_in_parts() -> impl Iterator<Item = (&'static str, &'static str)> {
    let starts = BUILT_IN.match_indices("\n[\"").map(|(at, _)| at + 1);
    starts.filter_map(|start| {
        let part = &BUILT_IN[start..];
        let end = part.find("\n[\"").map_or(part.len(), |end| end + 1);
        let key = part.strip_prefix("[\"")?.split_once("\"]")?.0;
        Some((key, &part[..end]))
    })
}
