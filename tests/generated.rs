//! The completion scripts and manual pages of the repository are those that petset prints.
//!
//! With `PETSET_ACCEPT=1` they are written anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn petset(words: &[&str]) -> Vec<u8> {
    let mut command = Command::cargo_bin("petset").unwrap();
    let output = command
        .args(words)
        .env_remove("PETSET_COMPLETE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}");
    output.stdout
}

fn files_in(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let read = |entry: fs::DirEntry| (entry.file_name().into(), fs::read(entry.path()).unwrap());
    entries.map(read).collect()
}

/// Compares a directory of the repository with what it should hold, or makes it so.
fn compare(dir: &str, wanted: &BTreeMap<PathBuf, Vec<u8>>) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    if std::env::var_os("PETSET_ACCEPT").is_some() {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for (name, bytes) in wanted {
            fs::write(dir.join(name), bytes).unwrap();
        }
        return;
    }
    let found = files_in(&dir);
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    let advice = "run PETSET_ACCEPT=1 cargo test --test generated";
    assert_eq!(names(&found), names(wanted), "{}: {advice}", dir.display());
    for (name, bytes) in wanted {
        assert!(
            found[name] == *bytes,
            "{} is old: {advice}",
            dir.join(name).display()
        );
    }
}

#[test]
fn the_completion_scripts_are_what_petset_prints() {
    let scripts = [
        ("bash", "petset.bash"),
        ("elvish", "petset.elv"),
        ("fish", "petset.fish"),
        ("powershell", "petset.ps1"),
        ("zsh", "_petset"),
    ];
    let script = |(shell, file): (&str, &str)| (file.into(), petset(&["completions", shell]));
    compare("completions", &scripts.into_iter().map(script).collect());
}

#[test]
fn the_manual_pages_are_what_petset_writes() {
    let dir = tempfile::tempdir().unwrap();
    petset(&["man", "--dir", dir.path().to_str().unwrap()]);
    let pages = files_in(dir.path());
    assert!(pages[Path::new("petset.1")] == petset(&["man"]));
    compare("man", &pages);
}

#[test]
fn a_shell_that_asks_is_told_the_names_that_exist() {
    let dir = tempfile::tempdir().unwrap();
    let sets = dir.path().join("wanted/default/statefulset");
    fs::create_dir_all(&sets).unwrap();
    for name in ["web", "worker", "db"] {
        fs::write(sets.join(format!("{name}.yaml")), "").unwrap();
    }
    let mut command = Command::cargo_bin("petset").unwrap();
    let words = [
        "--",
        "petset",
        "--state-dir",
        dir.path().to_str().unwrap(),
        "scale",
        "w",
    ];
    let asked = command
        .args(words)
        .env("PETSET_COMPLETE", "fish")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(asked.stdout).unwrap(), "web\nworker\n");
}
