//! The catalogue: which entry fits an image, and what to start for it.

use std::path::{Path, PathBuf};

use super::entries::{Book, ImageEntry, built_in};
use super::fill::{self, FoundEntry, words};
use super::launch::{Disk, ImageLaunch};
use super::reference::{Reference, fit, reference_fault};
use crate::model::nearest;
use crate::problem::Problem;

/// All that is known about images, most important file first.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub(super) books: Vec<Book>,
    own_file: PathBuf,
    pub(super) petset: PathBuf,
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
    /// Names the file and the lines to add to it, if no entry names a program or files are missing.
    pub fn resolve(
        &self,
        image: &str,
        command: &[String],
        args: &[String],
        disk: &Disk<'_>,
    ) -> Result<ImageLaunch, Problem> {
        let reference = Reference::new(image);
        if let Some(launch) = self.look_in_books(image, &reference, command, args, disk)? {
            return Ok(launch);
        }
        if let Some(fault) = reference_fault(image) {
            let message = format!("couldn't parse image name {image:?}: {fault}");
            return Err(Problem::invalid(message));
        }
        let built_in = built_in(&reference)?;
        if let Some((key, entry)) = &built_in {
            let found = FoundEntry {
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
        let mut launch = words(&ImageEntry::default(), "", command, args);
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
    ) -> Result<Option<ImageLaunch>, Problem> {
        for book in &self.books {
            let fits = book.entries.iter().filter_map(|(key, entry)| {
                let (fit, tag) = fit(key, reference)?;
                Some((fit, key, entry, tag))
            });
            let Some((_, key, entry, tag)) = fits.max_by_key(|(fit, ..)| *fit) else {
                continue;
            };
            let found = FoundEntry {
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
        found: &FoundEntry<'_>,
        command: &[String],
        args: &[String],
        disk: &Disk<'_>,
    ) -> Result<ImageLaunch, Problem> {
        let entry = found.filled(&self.petset);
        let mut launch = words(&entry, &found.key, command, args);
        fill::add_files(&mut launch, &entry, disk);
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

    fn unknown(&self, image: &str, reference: &Reference<'_>) -> Problem {
        let (image, name) = (without_digest(image), reference.name());
        let file = self.own_file.display();
        let keys = self.keys();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let meant = nearest(name, &keys).filter(|meant| *meant != name);
        let meant = meant.map(|meant| format!(" (did you mean {meant:?}?)"));
        let meant = meant.unwrap_or_default();
        let message = format!(
            "no image {image:?} on this machine{meant}, and the manifest gives no command; \
             say what to run for it in {file}, for example:\n[{name:?}]\nentrypoint = [{name:?}]"
        );
        Problem::invalid(message)
    }

    fn no_program(&self, image: &str, found: &FoundEntry<'_>) -> Problem {
        let (key, file) = (&found.key, self.file_of(found));
        let image = without_digest(image);
        let message = format!(
            "image {image:?} names no program, and the manifest gives no command; \
             add an entrypoint below [{key:?}] in {file}, for example:\n\
             [{key:?}]\nentrypoint = [{:?}]",
            Reference::new(key).name()
        );
        Problem::invalid(message)
    }

    fn incomplete(&self, image: &str, found: &FoundEntry<'_>, faults: &[String]) -> Problem {
        let (key, file) = (&found.key, self.file_of(found));
        let (image, faults) = (without_digest(image), faults.join(", "));
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
        Problem::invalid(message)
    }

    fn file_of(&self, found: &FoundEntry<'_>) -> String {
        let file = found.book.unwrap_or(&self.own_file);
        file.display().to_string()
    }
}

/// The digest is long, and the entry is the same without it; who shows the fault names it once.
fn without_digest(image: &str) -> &str {
    image.split_once('@').map_or(image, |(name, _)| name)
}

fn example(entry: &ImageEntry) -> &str {
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

/// Lists the missing parts of an image: directories, and programs that it (not the manifest) names.
fn faults(launch: &ImageLaunch, needs: &[String], disk: &Disk<'_>) -> Vec<String> {
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
        .filter(|program| launch.find_any(program, disk).is_none())
        .map(|program| absence(program));
    missing.chain(absent).collect()
}

/// Takes a program from PATH that is not where its image would have it (`/usr/local/bin/etcd`).
fn replace_program(launch: &mut ImageLaunch, disk: &Disk<'_>) {
    let Some(first) = launch.argv.first() else {
        return;
    };
    let wanted = Path::new(first);
    let there = launch.brings(first) || (disk.exists)(wanted);
    if !wanted.is_absolute() || first.contains("$(") || there {
        return;
    }
    let name = wanted.file_name().unwrap_or_default().to_string_lossy();
    if let Some(found) = launch.find_program(&name, disk) {
        let found = found.to_string_lossy().into_owned();
        let note = format!("{first} is not on this machine; running {found} instead");
        launch.notes.push(note);
        launch.argv[0] = found;
    }
}
