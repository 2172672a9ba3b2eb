//! The image catalogue of a state directory, and its view of the machine's programs.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use super::{Layout, read};
use crate::model::image::{Catalogue, Disk};
use crate::problem::{Problem, Result};
use crate::sys;

/// Reads the catalogue that holds for a state directory: its own file, then the user's.
pub(crate) fn catalogue(layout: &Layout, petset: &Path) -> Result<Catalogue> {
    let own = layout.images();
    let files = image_files(layout)?;
    Catalogue::new(&files, own, petset).map_err(Into::into)
}

/// Reads the files of the catalogue, most important first.
pub(crate) fn image_files(layout: &Layout) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    let paths = [Some(layout.images()), user_images()];
    for path in paths.into_iter().flatten() {
        let text = read(&path);
        let text =
            text.map_err(|error| Problem::invalid(format!("{}: {error}", path.display())))?;
        files.extend(text.map(|text| (path, text)));
    }
    Ok(files)
}

/// Returns the path of the user's image catalogue, which holds for all state directories.
fn user_images() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let home = || sys::home().map(|home| home.join(".config"));
    let config = set("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(config.join("petset/images.toml"))
}

/// Calls `ask` with access to this machine's files, and to programs on `path`. A path for which
/// `hidden` returns true is the container's own, and counts as existing.
pub(crate) fn with_disk<T>(
    path: &str,
    hidden: &dyn Fn(&Path) -> bool,
    ask: impl FnOnce(&Disk<'_>) -> T,
) -> T {
    ask(&Disk {
        exists: &|path| hidden(path) || path.exists(),
        on_path: &|name| {
            let mut candidates = env::split_paths(path).map(|folder| folder.join(name));
            candidates.find(|path| is_program(path))
        },
        names: &names,
    })
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).collect()
}

fn is_program(path: &Path) -> bool {
    let executable = |found: fs::Metadata| {
        let mode = found.permissions().mode();
        found.is_file() && mode & 0o111 != 0
    };
    path.metadata().is_ok_and(executable)
}
