//! What an image reference means on this machine: the catalogue that `images.toml` extends (X01).
//!
//! A local process has no image. A reference is looked up in the state directory's `images.toml`,
//! then in the user's, then in the built-in catalogue; the first entry found counts, entries are
//! not merged. Whether files exist is asked through [`Disk`], so that this stays pure.

mod entries;
mod explain;
mod fill;
mod reference;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use self::entries::{Book, Entry, built_in};
use self::fill::words;
use self::reference::fit;
use super::environment::Environment;
use crate::problem::Problem;

pub use explain::{Explained, Known, Looked};
pub use reference::Reference;

/// What the resolution may ask of the machine.
pub struct Disk<'a> {
    /// Tells whether a file or directory exists.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// Returns where PATH has a program of this name.
    pub on_path: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// Lists the names in a directory; one that cannot be read is empty.
    pub names: &'a dyn Fn(&Path) -> Vec<String>,
}

/// Why an image cannot be run here; the pet waits in `ErrImagePull` and shows this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullError {
    /// What is missing, and what to add to which file.
    pub message: String,
}

impl fmt::Display for PullError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for PullError {}

/// What to start for a container, before variables are expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launch {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The part of `argv` that the manifest gave; only there are variables expanded (V24).
    pub typed: Range<usize>,
    /// Directories put first on PATH.
    pub path: Vec<PathBuf>,
    /// The image's variables; the container's own win.
    pub env: Vec<(String, String)>,
    /// Directories put last on PATH.
    pub search: Vec<PathBuf>,
    /// The image's working directory on this machine.
    pub cwd: Option<PathBuf>,
    /// The directory that is the image's root; nothing where that is the host's.
    pub rootfs: Option<PathBuf>,
    /// The image's working directory within the image.
    pub workdir: Option<String>,
    /// Whom the entrypoint becomes, where root starts it.
    pub user: Option<String>,
    /// Directories of the image that are empty at first.
    pub data: Vec<String>,
    /// What `/bin/sh` is.
    pub shell: Option<PathBuf>,
    /// Programs that the shell is as well, under their names: it is busybox.
    pub applets: Vec<String>,
    /// Scripts that come first on PATH: name and text.
    pub bin: Vec<(String, String)>,
    /// Files that only the image has: path and text.
    pub files: Vec<(String, String)>,
    /// What a user should know about how the image was understood.
    pub notes: Vec<String>,
}

impl Launch {
    /// Returns the arguments with the container's variables filled in (V24).
    #[must_use]
    pub fn expanded(&self, environment: &Environment) -> Vec<String> {
        let word = |(at, word): (usize, &String)| {
            if self.typed.contains(&at) {
                environment.expand(word)
            } else {
                word.clone()
            }
        };
        self.argv.iter().enumerate().map(word).collect()
    }
}

/// All that is known about images, most important file first.
#[derive(Debug, Clone)]
pub struct Catalogue {
    books: Vec<Book>,
    own_file: PathBuf,
    petset: PathBuf,
}

/// An entry found, with what its relative paths and placeholders stand for.
struct Found<'a> {
    entry: &'a Entry,
    key: String,
    book: Option<&'a Path>,
    tag: &'a str,
}

impl Catalogue {
    /// Makes the catalogue from `files` (path and text; the state directory's, then the user's).
    ///
    /// `own_file` is the file that advice names; `petset` is this program, for `petset/hello`.
    ///
    /// # Errors
    ///
    /// Names file, line and column of what is no entry.
    pub fn new(
        files: &[(PathBuf, String)],
        own_file: impl Into<PathBuf>,
        petset: impl Into<PathBuf>,
    ) -> Result<Self, Problem> {
        let books = files.iter().map(|(path, text)| Book::read(path, text));
        Ok(Self {
            books: books.collect::<Result<_, _>>()?,
            own_file: own_file.into(),
            petset: petset.into(),
        })
    }

    /// Finds out what to start for `image`, by Kubernetes' rules for ENTRYPOINT and CMD: a command
    /// replaces both, arguments alone replace the default arguments.
    ///
    /// # Errors
    ///
    /// Says what to add to which file, where nothing tells what to run or its files are missing.
    pub fn resolve(
        &self,
        image: &str,
        command: &[String],
        args: &[String],
        disk: &Disk<'_>,
    ) -> Result<Launch, PullError> {
        let reference = Reference::new(image);
        if let Some(launch) = self.look_in_books(image, &reference, command, args, disk)? {
            return Ok(launch);
        }
        let built_in = built_in(&reference).map_err(|message| PullError { message })?;
        if let Some((key, entry)) = &built_in {
            let found = Found {
                entry,
                key: key.clone(),
                book: None,
                tag: reference.tag(),
            };
            return self.launch(image, &found, command, args, disk);
        }
        if command.is_empty() {
            return Err(self.unknown(image, &reference));
        }
        let mut launch = words(&Entry::default(), "", command, args);
        replace_program(&mut launch, disk);
        Ok(launch)
    }

    fn look_in_books(
        &self,
        image: &str,
        reference: &Reference<'_>,
        command: &[String],
        args: &[String],
        disk: &Disk<'_>,
    ) -> Result<Option<Launch>, PullError> {
        for book in &self.books {
            let fits = book.entries.iter().filter_map(|(key, entry)| {
                let (fit, tag) = fit(key, reference)?;
                Some((fit, key, entry, tag))
            });
            let Some((_, key, entry, tag)) = fits.max_by_key(|(fit, ..)| *fit) else {
                continue;
            };
            let found = Found {
                entry,
                key: key.clone(),
                book: Some(&book.path),
                tag,
            };
            return self.launch(image, &found, command, args, disk).map(Some);
        }
        Ok(None)
    }

    fn launch(
        &self,
        image: &str,
        found: &Found<'_>,
        command: &[String],
        args: &[String],
        disk: &Disk<'_>,
    ) -> Result<Launch, PullError> {
        let entry = self.filled(found);
        let mut launch = words(&entry, &found.key, command, args);
        fill::furnish(&mut launch, &entry, disk);
        if launch.argv.is_empty() {
            return Err(self.no_program(image, found));
        }
        if let Some(root) = entry.rootfs.as_ref().map(PathBuf::from) {
            // Its programs are its own affair: a link in it may lead nowhere on the host.
            if !(disk.exists)(&root) {
                let fault = format!("{} does not exist", root.display());
                return Err(self.incomplete(image, found, &[fault]));
            }
            launch.rootfs = Some(root);
            return Ok(launch);
        }
        let needs = match command.is_empty() {
            true => fill::needs(&entry),
            false => Vec::new(),
        };
        let faults = faults(&launch, &needs, disk);
        if !faults.is_empty() {
            return Err(self.incomplete(image, found, &faults));
        }
        replace_program(&mut launch, disk);
        Ok(launch)
    }

    fn unknown(&self, image: &str, reference: &Reference<'_>) -> PullError {
        let name = reference.name();
        let file = self.own_file.display();
        let message = format!(
            "no image {image:?} on this machine, and the manifest gives no command; \
             say what to run for it in {file}, for example:\n[{name:?}]\nentrypoint = [{name:?}]"
        );
        PullError { message }
    }

    fn no_program(&self, image: &str, found: &Found<'_>) -> PullError {
        let (key, file) = (&found.key, self.file_of(found));
        let message = format!(
            "image {image:?} names no program, and the manifest gives no command; \
             add an entrypoint below [{key:?}] in {file}, for example:\n\
             [{key:?}]\nentrypoint = [{:?}]",
            Reference::new(key).name()
        );
        PullError { message }
    }

    fn incomplete(&self, image: &str, found: &Found<'_>, faults: &[String]) -> PullError {
        let (key, file) = (&found.key, self.file_of(found));
        let faults = faults.join(", ");
        let message = match found.book {
            Some(_) => format!(
                "image {image:?} is [{key:?}] in {file}, but {faults}; \
                 make it, or correct the entry"
            ),
            None => format!(
                "image {image:?} is known, but {faults}; install it{}, or say where it is in {file}, \
                 for example:\n[{key:?}]\npath = [\"/opt/{key}/bin\"]\nentrypoint = [{:?}]",
                fill::how_to_install(found.entry),
                example(found.entry)
            ),
        };
        PullError { message }
    }

    fn file_of(&self, found: &Found<'_>) -> String {
        let file = found.book.unwrap_or(&self.own_file);
        file.display().to_string()
    }
}

fn example(entry: &Entry) -> &str {
    let own = entry.program.iter().chain(&entry.entrypoint).flatten();
    entry
        .needs
        .iter()
        .chain(own)
        .next()
        .and_then(|program| program.split('|').next())
        .unwrap_or_default()
}

fn absence(program: &str) -> String {
    if let Some((first, others)) = program.split_once('|') {
        let others = others.replace('|', ", ");
        format!("none of the programs {first}, {others} is on PATH")
    } else if program.contains('/') {
        format!("{program} does not exist")
    } else {
        format!("the program {program:?} is not on PATH")
    }
}

/// Lists what an image lacks: its directories, and programs that it, not the manifest, names.
fn faults(launch: &Launch, needs: &[String], disk: &Disk<'_>) -> Vec<String> {
    let directories = launch.path.iter().chain(&launch.cwd);
    let missing = directories
        .filter(|path| !(disk.exists)(path))
        .map(|path| format!("{} does not exist", path.display()));
    // A shell is everywhere; it is only the way to what counts.
    let first = launch.argv.first().filter(|first| *first != "sh");
    let first = first.filter(|_| !launch.typed.contains(&0));
    let absent = needs
        .iter()
        .chain(first)
        .filter(|program| find_any(program, launch, disk).is_none())
        .map(|program| absence(program));
    missing.chain(absent).collect()
}

/// Finds a program as a container would: by its path, or on the PATH that its image gives it.
fn find_program(program: &str, launch: &Launch, disk: &Disk<'_>) -> Option<PathBuf> {
    if program.contains('/') {
        let program = PathBuf::from(program);
        return (disk.exists)(&program).then_some(program);
    }
    let within = |folders: &[PathBuf]| {
        let mut candidates = folders.iter().map(|folder| folder.join(program));
        candidates.find(|candidate| (disk.exists)(candidate))
    };
    within(&launch.path)
        .or_else(|| (disk.on_path)(program))
        .or_else(|| within(&launch.search))
}

/// Finds the first of several programs, written `mysqld|mariadbd`.
fn find_any(programs: &str, launch: &Launch, disk: &Disk<'_>) -> Option<PathBuf> {
    programs
        .split('|')
        .find_map(|program| find_program(program, launch, disk))
}

/// Takes a program from PATH that is not where its image would have it (`/usr/local/bin/etcd`).
fn replace_program(launch: &mut Launch, disk: &Disk<'_>) {
    let Some(first) = launch.argv.first() else {
        return;
    };
    let wanted = Path::new(first);
    if !wanted.is_absolute() || first.contains("$(") || (disk.exists)(wanted) {
        return;
    }
    let name = wanted.file_name().unwrap_or_default().to_string_lossy();
    if let Some(found) = find_program(&name, launch, disk) {
        let found = found.to_string_lossy().into_owned();
        let note = format!("{first} is not on this machine; running {found} instead");
        launch.notes.push(note);
        launch.argv[0] = found;
    }
}

#[cfg(test)]
mod tests;
