//! The sources of manifests: files, directories, standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::problem::{Kind, Problem, Result};

/// The largest file that is read as a manifest.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The text of one manifest file.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file as it was named, or `-` for standard input.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// Reads what `-f` names.
///
/// `-` is standard input; of a directory all `*.yaml`, `*.yml` and `*.json` files are read in
/// the order of their names, without going into directories below it, as `kubectl` does.
pub(crate) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            found.push(standard_input()?);
        } else if path.is_dir() {
            found.extend(directory(path)?);
        } else {
            found.push(file(path)?);
        }
    }
    Ok(found)
}

fn standard_input() -> Result<Source> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .context("cannot read a manifest from standard input")?;
    text("-".to_owned(), bytes)
}

fn directory(path: &Path) -> Result<Vec<Source>> {
    let cannot = || format!("cannot read the directory {}", path.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(path).with_context(cannot)? {
        let path = entry.with_context(cannot)?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("yaml" | "yml" | "json")) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let message = format!("no manifests in {}", path.display());
        let hint = "petset reads the files that end in .yaml, .yml or .json";
        return Err(Problem::new(Kind::NotFound, message).hint(hint).into());
    }
    files.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<Source> {
    let name = path.display().to_string();
    let bytes = fs::File::open(path)
        .and_then(|file| {
            let mut bytes = Vec::new();
            file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        })
        .map_err(|error| unreadable(&name, &error))?;
    text(name, bytes)
}

fn unreadable(name: &str, error: &io::Error) -> Problem {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let kind = if missing {
        Kind::NotFound
    } else {
        Kind::Failed
    };
    Problem::new(kind, format!("cannot read the manifest {name}: {error}"))
}

fn text(name: String, bytes: Vec<u8>) -> Result<Source> {
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("{name} is larger than {} MiB", MAX_BYTES / 1024 / 1024);
        return Err(Problem::invalid(message).into());
    }
    if let Some(encoding) = foreign_encoding(&bytes) {
        let message = format!("{name} is written in {encoding}: Kubernetes reads UTF-8");
        let hint = format!("convert it: iconv -f {encoding} -t UTF-8");
        return Err(Problem::invalid(message).hint(hint).into());
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source { name, text }),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let before = &error.as_bytes()[..at];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("{name}:{line}: byte {at} is not UTF-8, so this is not text");
            Err(Problem::invalid(message).into())
        }
    }
}

/// Recognizes UTF-16 and UTF-32 by a byte order mark, or by the zeros beside a first letter.
const fn foreign_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [1..=255, 0, 0, 0, ..] => Some("UTF-32LE"),
        [0, 0, 0, 1..=255, ..] => Some("UTF-32BE"),
        [1..=255, 0, ..] => Some("UTF-16LE"),
        [0, 1..=255, ..] => Some("UTF-16BE"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf_16_is_refused_by_its_name() {
        let cases: [(&[u8], &str); 6] = [
            (b"\xff\xfea\0:\0", "UTF-16"),
            (b"\xfe\xff\0a\0:", "UTF-16"),
            (b"a\0:\0", "UTF-16LE"),
            (b"\0a\0:", "UTF-16BE"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
            (b"a\0\0\0:\0\0\0", "UTF-32LE"),
        ];
        for (bytes, encoding) in cases {
            let error = text("x.yaml".to_owned(), bytes.to_vec()).unwrap_err();
            let message = format!("x.yaml is written in {encoding}: Kubernetes reads UTF-8");
            assert_eq!(error.to_string(), message);
        }
        assert!(text(String::new(), b"a".to_vec()).is_ok());
    }

    #[test]
    fn a_directory_gives_its_manifests_in_order_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "d.txt", ".e.yaml.swp"] {
            fs::write(dir.path().join(name), "a: b").unwrap();
        }
        fs::create_dir(dir.path().join("below.yaml")).unwrap();
        let found = sources(&[dir.path().to_owned()]).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|source| source.name.rsplit('/').next().unwrap())
            .collect();
        assert_eq!(names, ["a.yaml", "b.yml", "c.json"]);
    }

    #[test]
    fn a_missing_file_and_binary_text_are_told_plainly() {
        let missing = sources(&[PathBuf::from("/nonexistent/x.yaml")]).unwrap_err();
        assert!(
            missing.to_string().contains("/nonexistent/x.yaml"),
            "{missing}"
        );
        assert_eq!(crate::kind_of(&missing), Kind::NotFound);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.yaml");
        fs::write(&path, b"a:\nb: \xff").unwrap();
        let error = sources(&[path]).unwrap_err().to_string();
        assert!(
            error.ends_with("x.yaml:2: byte 6 is not UTF-8, so this is not text"),
            "{error}"
        );
    }
}
