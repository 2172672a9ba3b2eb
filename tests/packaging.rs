//! What `cargo deb` packs is there, and is all that is to be installed.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The assets of the package: what is packed, and where it is installed.
fn assets() -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&text).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"]
        .as_array()
        .unwrap();
    let word = |asset: &toml::Value, at: usize| asset[at].as_str().unwrap().to_owned();
    assets
        .iter()
        .map(|asset| (word(asset, 0), word(asset, 1)))
        .collect()
}

/// Lists the files that the source of an asset means: a path, or all of a directory with an ending.
fn files(source: &str) -> Vec<PathBuf> {
    let path = root().join(source);
    let Some((folder, ending)) = source.split_once("/*") else {
        return path.exists().then_some(path).into_iter().collect();
    };
    let entries = fs::read_dir(root().join(folder)).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect()
}

#[test]
fn every_asset_of_the_package_exists() {
    for (source, target) in assets() {
        // The program is built by `cargo deb` itself.
        let built = source == "target/release/petset";
        assert!(built || !files(&source).is_empty(), "{source} is missing");
        assert!(target.starts_with("usr/"), "{target}");
    }
}

#[test]
fn the_package_has_the_program_all_pages_completions_and_the_user_unit() {
    let all = assets();
    let packed: Vec<PathBuf> = all.iter().flat_map(|(source, _)| files(source)).collect();
    for page in fs::read_dir(root().join("man")).unwrap().flatten() {
        assert!(packed.contains(&page.path()), "{:?}", page.path());
    }
    let targets: Vec<&str> = all.iter().map(|(_, target)| &**target).collect();
    for wanted in [
        "usr/bin/",
        "usr/share/man/man1/",
        "usr/share/bash-completion/completions/petset",
        "usr/share/zsh/vendor-completions/_petset",
        "usr/share/fish/vendor_completions.d/petset.fish",
        "usr/lib/systemd/user/petset.service",
    ] {
        assert!(targets.contains(&wanted), "{wanted}");
    }
}

#[test]
fn the_user_unit_is_that_of_the_documents_but_for_the_path() {
    let unit = fs::read_to_string(root().join("packaging/petset.service")).unwrap();
    let document = fs::read_to_string(root().join("docs/systemd.md")).unwrap();
    let told = document
        .split("```ini\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    for line in told.lines().filter(|line| !line.is_empty()) {
        let line = line.replace("%h/.cargo/bin/petset", "/usr/bin/petset");
        assert!(unit.contains(&line), "{line}");
    }
}
