//! The entries of `images.toml` and of the built-in catalogue, as they are written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::reference::{Reference, fit};
use crate::problem::Problem;
use crate::sorted::SortedMap;

const BUILT_IN: &str = include_str!("../images.toml");

/// The entry of one image in `images.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageEntry {
    /// The entry of the same file, or of the built-in catalogue, that holds for what is not here.
    pub(super) like: Option<String>,
    /// Runs before the arguments, unless the manifest gives a command.
    pub(super) entrypoint: Option<Vec<String>>,
    /// As `entrypoint`, but only before arguments that begin with a dash or end with `.conf`:
    /// others are a command of their own, as the entrypoint scripts of official images have it.
    pub(super) program: Option<Vec<String>>,
    /// As `entrypoint`, but a shell script: `$0` is the entry's key, and the arguments follow. It
    /// finds the functions of `prelude.sh`.
    pub(super) script: Option<String>,
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
    /// The working directory within the image; without isolation it lies below the pet's own.
    pub(super) workdir: Option<String>,
    /// Directories in which programs are looked for last; `*` stands for any one name, and what
    /// is not there is passed over.
    #[serde(default)]
    pub(super) search: Vec<String>,
    /// The user that the image's entrypoint switches to when root starts it.
    pub(super) user: Option<String>,
    /// The directories that the image writes to: empty at first, unless a volume is mounted there.
    /// They belong to the user that the container runs as; those below `/run` are open to all.
    #[serde(default)]
    pub(super) data: Vec<String>,
    /// The programs that may be `/bin/sh` in the image: the first one that exists is taken.
    #[serde(default)]
    pub(super) shell: Vec<String>,
    /// The programs that the shell is as well, under their names, where it is busybox.
    #[serde(default)]
    pub(super) applets: Vec<String>,
    /// Scripts that come first on PATH, by their names.
    #[serde(default)]
    pub(super) bin: BTreeMap<String, String>,
    /// Files that the image has where the host has others, by their paths; with isolation only.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// The Debian package of the programs.
    pub(super) package: Option<String>,
}

/// A file of the catalogue.
#[derive(Debug, Clone)]
pub(super) struct Book {
    pub(super) path: PathBuf,
    pub(super) entries: SortedMap<String, ImageEntry>,
}

impl Book {
    pub(super) fn read(path: &Path, text: &str) -> Result<Self, Problem> {
        let entries = read_entries(text)
            .and_then(|entries| complete(text, entries))
            .map_err(|fault| Problem::invalid(format!("{}{fault}", path.display())))?;
        let path = path.to_owned();
        Ok(Self { path, entries })
    }
}

/// Reads entries; a fault begins with its place, `:3:1: `.
pub(super) fn read_entries(text: &str) -> Result<SortedMap<String, ImageEntry>, Problem> {
    let entries: SortedMap<String, ImageEntry> =
        toml::from_str(text).map_err(|error| Problem::invalid(place(text, &error)))?;
    for (key, entry) in &entries {
        if let Some(fault) = entry.fault() {
            let place = place_of(text, key).unwrap_or_default();
            return Err(Problem::invalid(format!("{place}: [{key:?}] {fault}")));
        }
    }
    Ok(entries)
}

impl ImageEntry {
    /// Returns this entry with what only `base` has.
    fn over(&self, base: Self) -> Self {
        let own = self.clone();
        let starts = own.entrypoint.is_some() || own.program.is_some() || own.script.is_some();
        let (entrypoint, program, script) = match starts {
            true => (own.entrypoint, own.program, own.script),
            false => (base.entrypoint, base.program, base.script),
        };
        let list = |own: Vec<String>, base| if own.is_empty() { base } else { own };
        let both = |own: BTreeMap<String, String>, mut base: BTreeMap<String, String>| {
            base.extend(own);
            base
        };
        Self {
            like: None,
            entrypoint,
            program,
            script,
            args: own.args.or(base.args),
            needs: list(own.needs, base.needs),
            path: list(own.path, base.path),
            env: both(own.env, base.env),
            cwd: own.cwd.or(base.cwd),
            workdir: own.workdir.or(base.workdir),
            rootfs: own.rootfs.or(base.rootfs),
            search: list(own.search, base.search),
            user: own.user.or(base.user),
            data: list(own.data, base.data),
            shell: list(own.shell, base.shell),
            applets: list(own.applets, base.applets),
            bin: both(own.bin, base.bin),
            files: both(own.files, base.files),
            package: own.package.or(base.package),
        }
    }

    /// Finds what contradicts itself, or could not be put anywhere.
    fn fault(&self) -> Option<String> {
        let starts = [
            ("entrypoint", self.entrypoint.is_some()),
            ("program", self.program.is_some()),
            ("script", self.script.is_some()),
        ];
        let given = starts.iter().filter(|(_, given)| *given);
        let given: Vec<&str> = given.map(|(name, _)| *name).collect();
        if let [first, second, ..] = given[..] {
            return Some(format!("has both {first} and {second}"));
        }
        for (list, words) in [("entrypoint", &self.entrypoint), ("program", &self.program)] {
            if words.as_ref().is_some_and(Vec::is_empty) {
                return Some(format!("{list} must not be empty"));
            }
        }
        if let Some(name) = self.bin.keys().find(|name| !is_plain_name(name)) {
            return Some(format!("bin.{name:?} must be the name of a program"));
        }
        if let Some(name) = self.applets.iter().find(|name| !is_plain_name(name)) {
            return Some(format!("applets: {name:?} must be the name of a program"));
        }
        let paths = self.files.keys().map(|path| ("files", path));
        let paths = paths.chain(self.data.iter().map(|path| ("data", path)));
        let mut paths = paths.chain(self.workdir.iter().map(|path| ("workdir", path)));
        let (field, path) = paths.find(|(_, path)| !is_plain_path(path))?;
        Some(format!(
            "{field}: {path:?} must be an absolute path without `..`"
        ))
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('/')
}

fn is_plain_path(path: &str) -> bool {
    path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| part == "..")
}

/// Returns the place of an entry's heading, as faults begin with it.
fn place_of(text: &str, key: &str) -> Option<String> {
    let heading = |line: &str| {
        let inner = line.trim().strip_prefix('[')?.split_once(']')?.0.trim();
        (inner.trim_matches(['"', '\'']) == key).then_some(())
    };
    let at = text.lines().position(|line| heading(line).is_some())?;
    Some(format!(":{}:1", at + 1))
}

fn place(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().replace('\n', "; ");
    let Some(span) = error.span() else {
        return format!(": {message}");
    };
    let before = &text[..span.start.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let field = field_at(text, line);
    let field = field.filter(|field| !message.contains(&format!("`{field}`")));
    let field = field.map_or_else(String::new, |field| format!("{field}: "));
    format!(":{line}:{column}: {field}{message}")
}

/// Returns the field that a line gives a value to.
fn field_at(text: &str, line: usize) -> Option<&str> {
    let field = text.lines().nth(line - 1)?.split_once('=')?.0.trim();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.\"/ ".contains(letter);
    (!field.is_empty() && field.chars().all(plain)).then_some(field)
}

/// How many entries may be like one another in a row.
const MOST_LIKE: usize = 8;

/// Fills in what entries leave to another one.
fn complete(
    text: &str,
    entries: SortedMap<String, ImageEntry>,
) -> Result<SortedMap<String, ImageEntry>, Problem> {
    let completed = |(key, entry)| {
        Ok((
            String::clone(key),
            completed(text, &entries, key, entry, 0)?,
        ))
    };
    entries.iter().map(completed).collect()
}

/// Fills in one entry; one that is like its own name extends the built-in entry.
fn completed(
    text: &str,
    entries: &SortedMap<String, ImageEntry>,
    key: &str,
    entry: &ImageEntry,
    depth: usize,
) -> Result<ImageEntry, Problem> {
    let Some(like) = &entry.like else {
        return Ok(entry.clone());
    };
    let own = entries.get(like);
    let base = match own.filter(|_| like != key && depth < MOST_LIKE) {
        Some(own) => Some(completed(text, entries, like, own, depth + 1)?),
        None => built_in_of(like)?,
    };
    let missing = || {
        let place = place_of(text, key).unwrap_or_default();
        Problem::invalid(format!("{place}: [{key:?}] like: no entry {like:?}"))
    };
    base.map(|base| entry.over(base)).ok_or_else(missing)
}

/// Reads the built-in entry of exactly this key.
fn built_in_of(key: &str) -> Result<Option<ImageEntry>, Problem> {
    let mut parts = built_in_parts();
    let Some((_, part)) = parts.find(|(known, _)| *known == key) else {
        return Ok(None);
    };
    let found = read_built_in(part)?;
    Ok(found.map(|(_, entry)| entry))
}

/// Reads a part of the built-in catalogue.
pub(super) fn read_built_in(part: &str) -> Result<Option<(String, ImageEntry)>, Problem> {
    let entries = read_entries(part).and_then(|entries| complete(part, entries));
    let entries =
        entries.map_err(|fault| Problem::invalid(format!("built-in catalogue{fault}")))?;
    Ok(entries.into_iter().next())
}

/// Finds the built-in entry, reading only the part of the catalogue that it needs.
pub(super) fn built_in(reference: &Reference<'_>) -> Result<Option<(String, ImageEntry)>, Problem> {
    let fits = built_in_parts().filter_map(|(key, part)| Some((fit(key, reference)?.0, part)));
    let Some((_, part)) = fits.max_by_key(|(fit, _)| *fit) else {
        return Ok(None);
    };
    read_built_in(part)
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
