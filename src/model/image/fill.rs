//! An entry, made to hold for one image on one machine: its words, directories and files.

use std::path::{Path, PathBuf};

use super::entries::ImageEntry;
use super::launch::{Disk, ImageLaunch};
use crate::sorted::sort_by_key;

/// The beginning of every script of the catalogue.
const PRELUDE: &str = include_str!("prelude.sh");
/// How an entry with a user runs its program.
const DROP: &str = "become \"$@\"\n";

/// An entry found, with what its relative paths and placeholders stand for.
pub(super) struct FoundEntry<'a> {
    pub(super) entry: &'a ImageEntry,
    pub(super) key: String,
    pub(super) book: Option<&'a Path>,
    pub(super) tag: &'a str,
}

impl FoundEntry<'_> {
    /// Returns the entry with its placeholders filled in and relative paths made absolute;
    /// `petset` is this program.
    pub(super) fn filled(&self, petset: &Path) -> ImageEntry {
        let directory = self.book.and_then(Path::parent);
        let named = |text: &String| {
            let petset = petset.to_string_lossy();
            let text = text.replace("{tag}", self.tag);
            text.replace("{petset}", &petset)
        };
        let fill = |text: &String| {
            let text = named(text);
            let relative = text.starts_with("./") || text.starts_with("../");
            match directory.filter(|_| relative) {
                Some(directory) => plain_join(directory, &text),
                None => text,
            }
        };
        let anchored = |text: &String| match directory {
            Some(directory) => plain_join(directory, &fill(text)),
            None => fill(text),
        };
        let entry = self.entry;
        // Within a root of its own, a path is what it says.
        let within = |text: &String| match entry.rootfs {
            Some(_) => named(text),
            None => anchored(text),
        };
        let each = |words: &Vec<String>| words.iter().map(fill).collect::<Vec<_>>();
        let variable = |(name, value): (&String, &String)| (name.clone(), fill(value));
        let text = |(name, text): (&String, &String)| (name.clone(), named(text));
        ImageEntry {
            entrypoint: entry.entrypoint.as_ref().map(each),
            program: entry.program.as_ref().map(each),
            script: entry.script.as_ref().map(named),
            args: entry.args.as_ref().map(each),
            needs: each(&entry.needs),
            path: entry.path.iter().map(within).collect(),
            env: entry.env.iter().map(variable).collect(),
            cwd: entry.cwd.as_ref().map(within),
            rootfs: entry.rootfs.as_ref().map(anchored),
            search: entry.search.iter().map(anchored).collect(),
            bin: entry.bin.iter().map(text).collect(),
            files: entry.files.iter().map(text).collect(),
            ..entry.clone()
        }
    }
}

/// Joins without `./`, so that messages and variables stay readable.
fn plain_join(directory: &Path, text: &str) -> String {
    let joined = directory.join(text.trim_start_matches("./"));
    joined.to_string_lossy().into_owned()
}

/// Adds to a launch what its entry says beside the words.
pub(super) fn add_files(launch: &mut ImageLaunch, entry: &ImageEntry, disk: &Disk<'_>) {
    launch.path = entry.path.iter().map(PathBuf::from).collect();
    launch.search = search_path(&entry.search, disk);
    launch.env = entry.env.clone().into_iter().collect();
    launch.cwd = entry.cwd.as_ref().map(PathBuf::from);
    launch.workdir.clone_from(&entry.workdir);
    launch.user.clone_from(&entry.user);
    launch.data.clone_from(&entry.data);
    launch.bin = entry.bin.clone().into_iter().collect();
    launch.files = entry.files.clone().into_iter().collect();
    let shells = entry.shell.iter();
    launch.shell = shells
        .filter_map(|shell| launch.find_program(shell, disk))
        .next();
    if launch.shell.as_ref().and_then(|shell| shell.file_name()) == Some("busybox".as_ref()) {
        launch.applets.clone_from(&entry.applets);
    }
}

/// Lists the directories that patterns such as `/usr/lib/postgresql/*/bin` stand for, the
/// highest version first.
pub(super) fn search_path(patterns: &[String], disk: &Disk<'_>) -> Vec<PathBuf> {
    let all = patterns.iter().flat_map(|pattern| matches(pattern, disk));
    all.filter(|path| (disk.exists)(path)).collect()
}

fn matches(pattern: &str, disk: &Disk<'_>) -> Vec<PathBuf> {
    let Some((before, after)) = pattern.split_once("/*") else {
        return vec![PathBuf::from(pattern)];
    };
    let mut names = (disk.names)(Path::new(before));
    let number = |name: &String| {
        name.split('.')
            .next()
            .unwrap_or_default()
            .parse::<u32>()
            .ok()
    };
    sort_by_key(&mut names, |name| {
        std::cmp::Reverse((number(name), name.clone()))
    });
    let path = |name: String| PathBuf::from(format!("{before}/{name}{after}"));
    names.into_iter().map(path).collect()
}

/// Chooses the words by the rules for ENTRYPOINT and CMD.
pub(super) fn words(
    entry: &ImageEntry,
    key: &str,
    command: &[String],
    args: &[String],
) -> ImageLaunch {
    let mut launch = ImageLaunch::default();
    if !command.is_empty() {
        launch.argv = [command, args].concat();
        launch.typed = 0..launch.argv.len();
        return launch;
    }
    let default = entry.args.as_deref().unwrap_or_default();
    let rest = if args.is_empty() { default } else { args };
    launch.argv = match (&entry.entrypoint, &entry.program, &entry.script) {
        (Some(entrypoint), ..) => dropping(entry, key, entrypoint),
        (None, Some(program), _) if is_for_program(program, rest) => dropping(entry, key, program),
        (None, None, Some(script)) => shell_words(entry, key, script),
        (None, ..) => Vec::new(),
    };
    let typed_from = launch.argv.len();
    launch.argv.extend_from_slice(rest);
    if !args.is_empty() {
        launch.typed = typed_from..launch.argv.len();
    }
    launch
}

/// Puts before a program what makes root become the image's user.
fn dropping(entry: &ImageEntry, key: &str, program: &[String]) -> Vec<String> {
    if entry.user.is_none() {
        return program.to_vec();
    }
    let data: Vec<String> = entry.data.iter().map(|path| format!("'{path}'")).collect();
    let script = match data.is_empty() {
        true => DROP.to_owned(),
        false => format!("give {}\n{DROP}", data.join(" ")),
    };
    let mut words = shell_words(entry, key, &script);
    words.extend_from_slice(program);
    words
}

fn shell_words(entry: &ImageEntry, key: &str, script: &str) -> Vec<String> {
    let user = entry.user.as_deref().unwrap_or_default();
    let script = format!("user='{user}'\n{PRELUDE}{script}");
    ["sh", "-c", &script, key].map(str::to_owned).to_vec()
}

fn is_for_program(program: &[String], args: &[String]) -> bool {
    let Some(first) = args.first() else {
        return true;
    };
    let same = program.first() == Some(first);
    !same && (first.starts_with('-') || first.ends_with(".conf"))
}

/// Lists the programs that an image needs, beside the one that is started.
pub(super) fn needs(entry: &ImageEntry) -> Vec<String> {
    let program = entry.entrypoint.iter().chain(&entry.program);
    let program = program.flat_map(|words| words.first().cloned());
    let hidden = program.filter(|_| entry.user.is_some());
    entry.needs.iter().cloned().chain(hidden).collect()
}

/// Says how Debian's package is installed, in brackets.
pub(super) fn how_to_install(entry: &ImageEntry) -> String {
    let package = entry.package.as_ref();
    package.map_or_else(String::new, |package| {
        format!(" (on Debian: `apt install {package}`)")
    })
}

/// Lists the programs that an image needs, that which is started first.
pub(super) fn all_needs(entry: &ImageEntry) -> Vec<String> {
    let started = entry.entrypoint.iter().chain(&entry.program);
    let mut started = started.filter_map(|words| words.first());
    let started = started.next().or_else(|| {
        let alone = entry.script.is_none() && entry.needs.is_empty();
        entry.args.as_ref().filter(|_| alone)?.first()
    });
    let mut needs: Vec<String> = started.into_iter().chain(&entry.needs).cloned().collect();
    // A shell is only the way to what is needed.
    if needs.len() > 1 && needs[0] == "sh" {
        needs.remove(0);
    }
    needs
}
