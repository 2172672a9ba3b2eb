//! The program that is started for a container, and the search for its programs.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// How a script of PATH finds the program that it wraps.
const UNWRAP: &str = "${PATH#*:}";

/// The questions about the machine that the resolution may ask.
pub struct Disk<'a> {
    /// Returns whether a file or directory exists.
    pub exists: &'a dyn Fn(&Path) -> bool,
    /// Returns where PATH has a program of this name.
    pub on_path: &'a dyn Fn(&str) -> Option<PathBuf>,
    /// Lists the names in a directory; one that cannot be read is empty.
    pub names: &'a dyn Fn(&Path) -> Vec<String>,
}

/// The launch of a container, before variables are expanded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageLaunch {
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
    /// The user that the entrypoint switches to when root starts it.
    pub user: Option<String>,
    /// Directories of the image that are empty at first.
    pub data: Vec<String>,
    /// The program that is `/bin/sh`.
    pub shell: Option<PathBuf>,
    /// Programs that the shell is as well, under their names: it is busybox.
    pub applets: Vec<String>,
    /// Scripts that come first on PATH: name and text.
    pub bin: Vec<(String, String)>,
    /// Files that only the image has: path and text.
    pub files: Vec<(String, String)>,
    /// Remarks for the user on how the image was understood.
    pub notes: Vec<String>,
}

impl ImageLaunch {
    /// Returns the arguments; in those that the manifest gave, `expand` replaces each `$(NAME)`
    /// (V24).
    #[must_use]
    pub fn expanded(&self, expand: impl Fn(&str) -> String) -> Vec<String> {
        let word = |(at, word): (usize, &String)| {
            if self.typed.contains(&at) {
                expand(word)
            } else {
                word.clone()
            }
        };
        self.argv.iter().enumerate().map(word).collect()
    }

    /// Returns whether a program is a script of the image's own entry.
    #[must_use]
    pub fn brings(&self, program: &str) -> bool {
        // One that takes its directory from PATH wraps the program of the same name.
        let is_own = |(name, text): &(String, String)| name == program && !text.contains(UNWRAP);
        self.bin.iter().any(is_own) || self.files.iter().any(|(path, _)| path == program)
    }

    /// Finds a program as a container would: by its path, or on the PATH that its image gives it.
    pub(super) fn find_program(&self, program: &str, disk: &Disk<'_>) -> Option<PathBuf> {
        if self.brings(program) {
            return Some(PathBuf::from(program));
        }
        if program.contains('/') {
            let program = PathBuf::from(program);
            return (disk.exists)(&program).then_some(program);
        }
        let within = |folders: &[PathBuf]| {
            let mut candidates = folders.iter().map(|folder| folder.join(program));
            candidates.find(|candidate| (disk.exists)(candidate))
        };
        within(&self.path)
            .or_else(|| (disk.on_path)(program))
            .or_else(|| within(&self.search))
    }

    /// Finds the first of several programs, written `mysqld|mariadbd`.
    pub(super) fn find_any(&self, programs: &str, disk: &Disk<'_>) -> Option<PathBuf> {
        let mut programs = programs.split('|');
        programs.find_map(|program| self.find_program(program, disk))
    }
}
