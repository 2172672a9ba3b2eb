//! The facts for `petset image`: the catalogue's entries, and how a reference leads to a program.

use std::path::{Path, PathBuf};

use super::catalogue::Catalogue;
use super::entries::{ImageEntry, built_in, built_in_parts, read_built_in};
use super::fill::{self, FoundEntry};
use super::launch::{Disk, ImageLaunch};
use super::reference::{Reference, fit};
use crate::problem::{Kind, Problem};

/// A program that an image needs, and where it is; alternatives are written `mysqld|mariadbd`.
type Requirement = (String, Option<PathBuf>);

/// An entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownImage {
    /// The end of the references that it matches, such as `redis` or `mydb:{tag}`.
    pub key: String,
    /// The file that has it; none for the built-in catalogue.
    pub file: Option<PathBuf>,
    /// The programs that it needs.
    pub programs: Vec<Requirement>,
    /// The Debian package of the programs.
    pub package: Option<String>,
    /// The user that its entrypoint switches to when root starts it.
    pub user: Option<String>,
    /// The directories that it writes to.
    pub data: Vec<String>,
    /// The command if the manifest gives none, without the words that the catalogue puts before.
    pub starts: Vec<String>,
    /// The arguments of the image itself.
    pub args: Vec<String>,
}

impl KnownImage {
    /// Returns whether all its programs are here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.programs.iter().all(|(_, path)| path.is_some())
    }
}

/// A place where a reference was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// The file; none for the built-in catalogue.
    pub file: Option<PathBuf>,
    /// The entry that fits best.
    pub key: Option<String>,
}

/// How a reference is understood, step by step.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The last part of its name.
    pub name: String,
    /// Its tag; `latest` where it has none.
    pub tag: String,
    /// Where it was looked up, in this order; the last of them has the entry, if any has.
    pub looked: Vec<Looked>,
    /// The entry.
    pub entry: Option<KnownImage>,
    /// The launch of a container that gives neither command nor arguments.
    pub launch: Result<ImageLaunch, Problem>,
    /// The file that would be executed.
    pub program: Option<PathBuf>,
}

impl Catalogue {
    /// Lists all entries: those of files first, then the built-in ones.
    ///
    /// # Errors
    ///
    /// Names the text that is no entry.
    pub fn known(&self, disk: &Disk<'_>) -> Result<Vec<KnownImage>, Problem> {
        let mut known = Vec::new();
        for book in &self.books {
            let entries = book.entries.iter();
            known.extend(
                entries.map(|(key, entry)| self.describe(key, entry, Some(&book.path), "", disk)),
            );
        }
        for (_, part) in built_in_parts() {
            let entry = read_built_in(part).map_err(bug)?;
            let entry = entry.iter();
            known.extend(entry.map(|(key, entry)| self.describe(key, entry, None, "", disk)));
        }
        Ok(known)
    }

    /// Lists the keys of all entries.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let own = self.books.iter().flat_map(|book| book.entries.keys());
        let built_in = built_in_parts().map(|(key, _)| key.to_owned());
        own.cloned().chain(built_in).collect()
    }

    /// Explains how `image` is understood where the manifest gives `command` and `args`.
    ///
    /// # Errors
    ///
    /// Names the text of the built-in catalogue that is no entry.
    pub fn explain(
        &self,
        image: &str,
        command: &[String],
        args: &[String],
        disk: &Disk<'_>,
    ) -> Result<Explained, Problem> {
        let reference = Reference::new(image);
        let mut looked = Vec::new();
        let mut entry = None;
        for book in &self.books {
            let keys = book.entries.keys();
            let best = keys.filter_map(|key| Some((fit(key, &reference)?, key)));
            let best = best.max_by_key(|((fit, _), _)| *fit);
            looked.push(Looked {
                file: Some(book.path.clone()),
                key: best.as_ref().map(|(_, key)| (*key).clone()),
            });
            if let Some(((_, tag), key)) = best {
                let found = &book.entries[key];
                entry = Some(self.describe(key, found, Some(&book.path), tag, disk));
                break;
            }
        }
        if entry.is_none() {
            let found = built_in(&reference).map_err(bug)?;
            let key = found.as_ref().map(|(key, _)| key.clone());
            looked.push(Looked { file: None, key });
            entry =
                found.map(|(key, found)| self.describe(&key, &found, None, reference.tag(), disk));
        }
        let launch = self.resolve(image, command, args, disk);
        let program = launch
            .as_ref()
            .ok()
            .and_then(|launch| main_program(launch, entry.as_ref(), disk));
        Ok(Explained {
            name: reference.name().to_owned(),
            tag: reference.tag().to_owned(),
            looked,
            entry,
            launch,
            program,
        })
    }

    fn describe(
        &self,
        key: &str,
        entry: &ImageEntry,
        book: Option<&Path>,
        tag: &str,
        disk: &Disk<'_>,
    ) -> KnownImage {
        let key = key.to_owned();
        let entry = match tag.is_empty() {
            true => entry.clone(),
            false => {
                let key = key.clone();
                let found = FoundEntry {
                    entry,
                    key,
                    book,
                    tag,
                };
                found.filled(&self.petset)
            }
        };
        let mut launch = ImageLaunch::default();
        fill::add_files(&mut launch, &entry, disk);
        let needs = fill::all_needs(&entry).into_iter().map(|need| {
            let need = need.replace("{petset}", &self.petset.to_string_lossy());
            let path = launch.find_any(&need, disk);
            (need, path)
        });
        let starts = entry.entrypoint.or(entry.program);
        KnownImage {
            programs: needs.collect(),
            file: book.map(Path::to_owned),
            package: entry.package,
            user: entry.user,
            data: entry.data,
            starts: starts.unwrap_or_default(),
            args: entry.args.unwrap_or_default(),
            key,
        }
    }
}

/// Turns a fault of the built-in catalogue into a bug of petset.
fn bug(fault: Problem) -> Problem {
    Problem {
        kind: Kind::Bug,
        ..fault
    }
}

/// Returns the program that a launch comes to: what it executes, or what its script does.
fn main_program(
    launch: &ImageLaunch,
    entry: Option<&KnownImage>,
    disk: &Disk<'_>,
) -> Option<PathBuf> {
    let scripted = launch.argv.first().is_some_and(|first| first == "sh");
    let typed = launch.typed.start == 0 && !launch.typed.is_empty();
    let hidden = entry.filter(|_| scripted && !typed);
    match hidden.and_then(|entry| entry.programs.first()) {
        Some((_, path)) => path.clone(),
        None => launch.find_any(launch.argv.first()?, disk),
    }
}
