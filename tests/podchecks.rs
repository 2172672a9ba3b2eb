//! Runs the checks of what a pod must see and show, as a real kubelet has it.
//!
//! Each test names the level of isolation. A check is a manifest and a shell script beside it.
//! They are looked for beside the checkout, or in the folder that `PETSET_POD_CHECKS` names; where
//! they are missing nothing is checked, which is said, unless `PETSET_TEST_REQUIRE` names
//! `podchecks`. `PETSET_POD_CHECK=NAME` runs one check, also one that is known to fail.
//!
//! What is known to fail is listed in `podchecks/known.rs`, by its name and with a reason: a listed
//! check that passes fails the test as much as an unlisted one that does not.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::print_stdout, reason = "what is known to fail is shown")]

#[path = "podchecks/known.rs"]
mod known;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use known::{KNOWN, Known, Level};
use support::{Sandbox, checks, is_installed};

/// How many checks run at a time: they mostly wait.
const AT_A_TIME: usize = 20;
/// How many seconds a check may take.
const LIMIT: &str = "120";

#[test]
fn pods_see_with_isolation_what_a_kubelet_shows_them() {
    run(Level::Full);
}

#[test]
fn pods_see_without_isolation_what_a_kubelet_shows_them() {
    run(Level::None);
}

/// What became of a check.
struct Verdict {
    name: String,
    complaint: Option<String>,
    seconds: u64,
}

fn run(level: Level) {
    static ONE_LEVEL: Mutex<()> = Mutex::new(());
    let _alone = ONE_LEVEL.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(folder) = folder() else { return };
    let names = names(&folder, level);
    let look = |name: &String| check(&folder, name, level);
    let mut verdicts = checks::side_by_side(&names, AT_A_TIME, look);
    for verdict in &mut verdicts {
        // Twenty at a time are a crowd: what fails in it has one more try alone.
        if verdict.complaint.is_some() && known(&verdict.name, level).is_none() {
            *verdict = check(&folder, &verdict.name, level);
        }
    }
    report(level, &verdicts);
}

/// Runs one check in a state directory of its own.
fn check(folder: &Path, name: &str, level: Level) -> Verdict {
    let begin = Instant::now();
    let sandbox = Sandbox::empty();
    let state = sandbox.state();
    fs::DirBuilder::new().mode(0o700).create(&state).unwrap();
    let settings = format!("isolation = {:?}\n", level.word());
    fs::write(sandbox.file("petset.toml"), settings).unwrap();
    let script = format!(r#". "{0}/lib.sh"; . "{0}/{name}.check""#, folder.display());
    let mut command = Command::new("timeout");
    command.args(["-k", "5", LIMIT, "sh", "-c", &script]);
    sandbox.place(&mut command);
    let program = Path::new(env!("CARGO_BIN_EXE_petset")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = command
        .env("PATH", format!("{}:{path}", program.display()))
        .env("K", "petset")
        .env("D", sandbox.scratch())
        .env("M", folder.join(format!("{name}.yaml")))
        .env("TMPDIR", "/tmp")
        .current_dir(sandbox.scratch())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(6).collect();
    let last: String = last
        .into_iter()
        .rev()
        .map(|line| format!("    {line}\n"))
        .collect();
    Verdict {
        name: name.to_owned(),
        complaint: (!output.status.success()).then_some(last),
        seconds: begin.elapsed().as_secs(),
    }
}

fn report(level: Level, verdicts: &[Verdict]) {
    let word = level.word();
    let passed = verdicts.iter().filter(|it| it.complaint.is_none()).count();
    println!(
        "isolation {word}: {passed} of {} checks pass",
        verdicts.len()
    );
    let mut slow: Vec<&Verdict> = verdicts.iter().collect();
    slow.sort_by_key(|it| std::cmp::Reverse(it.seconds));
    for verdict in slow.iter().take(10) {
        println!("  {} s {}", verdict.seconds, verdict.name);
    }
    let mut faults = Vec::new();
    for Verdict {
        name, complaint, ..
    } in verdicts
    {
        match (complaint, known(name, level)) {
            (None, None) => {}
            (Some(_), Some(Known { why, .. })) => println!("  known to fail: {name}: {why}"),
            (Some(said), None) => faults.push(format!("{name} fails:\n{said}")),
            (None, Some(_)) => faults.push(format!("{name} is listed as failing and passes\n")),
        }
    }
    faults.sort();
    let count = faults.len();
    assert!(
        faults.is_empty(),
        "isolation {word}: {count} surprises\n{}",
        faults.concat()
    );
}

fn known(name: &str, level: Level) -> Option<&'static Known> {
    let mut all = KNOWN.iter();
    all.find(|known| known.names.contains(&name) && known.levels.contains(&level))
}

/// Names the checks that make sense at this level and for this user.
fn names(folder: &Path, level: Level) -> Vec<String> {
    let only = std::env::var("PETSET_POD_CHECK").ok();
    let root = rustix::process::getuid().is_root();
    let fits = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        let levels = lines.find_map(|line| line.strip_prefix("# levels:"));
        let levels = levels.is_none_or(|all| all.split_whitespace().any(|it| it == level.word()));
        levels
            && (root || !text.lines().any(|line| line == "# root"))
            && is_safe(path, &text, level)
    };
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let manifests = entries.filter(|path| path.extension().is_some_and(|it| it == "yaml"));
    let names = manifests.filter(fits).map(|path| {
        let name = path.file_stem().unwrap();
        name.to_str().unwrap().to_owned()
    });
    let asked = |name: &String| only.as_ref().is_none_or(|only| only == name);
    let names: BTreeSet<String> = names.filter(asked).collect();
    names.into_iter().collect()
}

/// Whether a pod leaves other processes of this machine alone, which without isolation it sees.
fn is_safe(path: &Path, text: &str, level: Level) -> bool {
    let safe = level == Level::Full || !text.contains("killall");
    if !safe {
        let path = path.display();
        println!("skipped: {path} kills processes by name, which are the machine's here");
    }
    safe
}

/// Returns the folder of the checks, if they can run here.
fn folder() -> Option<PathBuf> {
    let folder = checks::folder("podchecks", "PETSET_POD_CHECKS", "pods")?;
    is_installed("podchecks", &["jq", "busybox"]).then_some(folder)
}
