//! What README and docs/ show is what petset prints.
//!
//! The `console` blocks of a document are one session: each command runs in a state directory that
//! the document has to itself. What differs from run to run is made the same on both sides: the
//! address block, ages, revisions, and how far apart the columns of a table are. Each file that a
//! document links to exists.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Sandbox, is_full, is_installed, skipped};

/// Makes the set that the README's session goes on with.
const DEMO: &str = "create demo --replicas 3 --image petset/hello --port http=8080 --volume data \
                    --ready http:/healthz";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns README, CONTRIBUTING and all that is in docs/.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let mut all: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    all.extend([root().join("README.md"), root().join("CONTRIBUTING.md")]);
    all.sort();
    all
}

/// A command of a `console` block, and what it prints.
struct Shown {
    command: String,
    prints: Vec<String>,
}

fn shown(text: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```console";
        } else if inside {
            match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => all.push(Shown {
                    command: command.to_owned(),
                    prints: Vec::new(),
                }),
                (None, Some(last)) => last.prints.push(line.to_owned()),
                (None, None) => panic!("a block begins with a command, not with {line:?}"),
            }
        }
    }
    all
}

/// Makes lines comparable: words one space apart, and signs for what differs from run to run.
fn comparable<'l>(lines: impl IntoIterator<Item = &'l str>, dir: &str) -> Vec<String> {
    let one = |word: &str| {
        let numbers: Vec<&str> = word.splitn(4, '.').collect();
        match numbers[..] {
            ["10" | "127", block, net, rest] if block.parse::<u8>().is_ok() => {
                format!("{}.B.{net}.{rest}", numbers[0])
            }
            _ if is_age(word) => "AGE".to_owned(),
            _ => word.to_owned(),
        }
    };
    let word = |word: &str| {
        let word = word.replace(dir, "/home/ann/.local/state/petset");
        word.split(',').map(one).collect::<Vec<_>>().join(",")
    };
    let line = |line: &str| {
        line.split_whitespace()
            .map(word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let lines = lines.into_iter().map(line);
    lines.filter(|line| !line.is_empty()).collect()
}

/// Returns whether this is an age as `get` prints it, such as `4s` or `2m10s`.
fn is_age(word: &str) -> bool {
    let digits = word.trim_end_matches(['s', 'm', 'h']);
    word.len() > digits.len()
        && digits
            .chars()
            .all(|c| c.is_ascii_digit() || "smh".contains(c))
}

/// Runs the session of a document and compares what each command prints.
fn hold(document: &Path, sandbox: &Sandbox) {
    let text = fs::read_to_string(document).unwrap();
    let dir = sandbox.state().display().to_string();
    let program = Path::new(env!("CARGO_BIN_EXE_petset")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for Shown { command, prints } in shown(&text) {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1; {command}")]);
        sandbox.place(&mut shell);
        let output = shell
            .current_dir(root())
            .env("PATH", &path)
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            comparable(printed.lines(), &dir),
            comparable(prints.iter().map(String::as_str), &dir),
            "{}: {command}\n{printed}",
            document.display()
        );
    }
}

#[test]
fn the_session_of_the_readme_is_what_petset_prints() {
    if !is_full() {
        return skipped("the README shows isolated pets");
    }
    if !is_installed("curl", &["curl"]) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok(DEMO);
    hold(&root().join("README.md"), &sandbox);
}

#[test]
fn the_sessions_of_docs_are_what_petset_prints() {
    let documents = documents();
    let docs = documents
        .iter()
        .filter(|path| path.parent() != Some(root()));
    let mut sessions = 0;
    for document in docs {
        let sandbox = Sandbox::new();
        hold(document, &sandbox);
        sessions += usize::from(!shown(&fs::read_to_string(document).unwrap()).is_empty());
    }
    assert!(sessions >= 2, "docs/ shows {sessions} sessions");
}

#[test]
fn what_a_document_links_to_exists() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for part in text.split("](").skip(1) {
            let target = part.split(')').next().unwrap();
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => document.clone(),
                file => document.parent().unwrap().join(file),
            };
            let said = format!("{} links to {target}", document.display());
            assert!(path.exists(), "{said}");
            assert!(heading.is_empty() || has_heading(&path, heading), "{said}");
        }
    }
}

fn has_heading(path: &Path, anchor: &str) -> bool {
    let text = fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchors = headings.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().replace(' ', "-")
    });
    anchors.into_iter().any(|it| it == anchor)
}

/// The gate calls it as it stands there.
#[test]
fn the_readme_names_the_command_that_runs_all_tests() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().any(|line| line == "cargo test --locked"));
}

#[test]
fn the_readme_is_short() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(text.lines().count() <= 110);
}
