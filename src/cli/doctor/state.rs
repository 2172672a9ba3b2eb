//! Checks of the state directory: whether it can be written, locked and read.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::state_dir::StateDir;
use crate::cli::shared::words::byte_size;
use crate::model::image::Catalogue;
use crate::problem::Problem;
use crate::store::{
    Attempt, Lock, PidFile, Settings, Store, ask_to_mend, image_files, inspect, read,
};

/// With less free space than this, writing a status may fail.
const TOO_LITTLE: u64 = 16 << 20;
const LITTLE: u64 = 256 << 20;

/// Runs these checks.
pub(super) fn findings(dir: &StateDir) -> Vec<Finding> {
    let mut found = vec![writable(dir)];
    if dir.exists() {
        found.push(private(dir));
        found.push(locks(dir));
        found.push(holder(dir));
        found.push(format(dir));
        found.extend(files(dir));
    }
    found.push(space(dir));
    found.push(settings(dir));
    found.push(images(dir));
    found
}

/// Reads every record. One that is damaged costs its own object, which is named with what to do.
fn files(dir: &StateDir) -> Vec<Finding> {
    const CHECK: &str = "files";
    let inspected = Store::open(dir.layout.root()).and_then(|store| inspect(&store));
    let inspected = match inspected {
        Ok(inspected) => inspected,
        Err(error) => return vec![Finding::broken(CHECK, format!("{error:#}"), "")],
    };
    let wanted = inspected.wanted.into_iter();
    let mut found: Vec<Finding> = wanted
        .map(|(fault, advice)| Finding::broken(CHECK, fault, advice))
        .collect();
    let advice = match inspected.observed.is_empty() || ask_to_mend(&dir.layout) {
        true => "the supervisor writes it again: look again in a moment",
        false => "the supervisor writes it again when it is started: petset start",
    };
    if PidFile::of_supervisor(&dir.layout).read().is_none() {
        ask_to_mend(&dir.layout);
    }
    let observed = inspected.observed.into_iter();
    found.extend(observed.map(|fault| Finding::broken(CHECK, fault, advice)));
    found.extend(inspected.kept.iter().map(|kept| {
        let kept = kept.display();
        let result = format!("{kept} is what is left of a damaged file");
        Finding::note(
            CHECK,
            result,
            format!("when you need it no more: rm -r {kept}"),
        )
    }));
    if found.is_empty() {
        found.push(Finding::ok(CHECK, "all can be read"));
    }
    found
}

fn writable(dir: &StateDir) -> Finding {
    const CHECK: &str = "state directory";
    let root = dir.layout.root();
    let place = existing(root);
    let tried = tempfile::Builder::new()
        .prefix(".doctor")
        .tempfile_in(&place)
        .and_then(|mut file| io::Write::write_all(&mut file, b"petset"));
    let shown = root.display();
    let another = "name another with --state-dir or PETSET_STATE_DIR";
    if root.to_str().is_none() {
        return Finding::broken(CHECK, format!("{shown}: its path is not UTF-8"), another);
    }
    match tried {
        Ok(()) if place == root => Finding::ok(CHECK, format!("{shown} can be written")),
        Ok(()) => Finding::ok(CHECK, format!("{shown} is made by the first create")),
        Err(error) => Finding::broken(
            CHECK,
            format!("{} cannot be written: {error}", place.display()),
            another,
        ),
    }
}

/// Returns the directory, or its nearest ancestor that exists.
fn existing(root: &Path) -> PathBuf {
    let mut above = root.ancestors();
    let found = above.find(|dir| dir.is_dir());
    found.unwrap_or(Path::new("/")).to_owned()
}

fn private(dir: &StateDir) -> Finding {
    const CHECK: &str = "privacy";
    let root = dir.layout.root();
    match fs::metadata(root) {
        Ok(meta) if meta.permissions().mode() & 0o077 == 0 => {
            Finding::ok(CHECK, "other users cannot read the state directory")
        }
        Ok(meta) => Finding::note(
            CHECK,
            format!("its mode is {:o}", meta.permissions().mode() & 0o7777),
            format!("if others share this machine: chmod 700 {}", root.display()),
        ),
        Err(error) => Finding::broken(CHECK, error.to_string(), ""),
    }
}

/// Checks that locks are exclusive: some file systems ignore them, and two supervisors would run.
fn locks(dir: &StateDir) -> Finding {
    const CHECK: &str = "locking";
    let try_locks = || -> io::Result<bool> {
        let dir = tempfile::Builder::new()
            .prefix(".doctor")
            .tempdir_in(dir.layout.root())?;
        let path = dir.path().join("lock");
        let first = Lock::attempt(&path, "petset doctor")?;
        let second = Lock::attempt(&path, "petset doctor")?;
        Ok(matches!(
            (first, second),
            (Attempt::Locked(_), Attempt::Busy(_))
        ))
    };
    let advice = "keep the state directory on a local file system";
    match try_locks() {
        Ok(true) => Finding::ok(CHECK, "locks are exclusive"),
        Ok(false) => Finding::broken(
            CHECK,
            "two processes can hold the lock at the same time",
            advice,
        ),
        Err(error) => Finding::broken(CHECK, error.to_string(), advice),
    }
}

fn holder(dir: &StateDir) -> Finding {
    const CHECK: &str = "lock";
    let path = dir.layout.lock();
    if !path.exists() {
        return Finding::ok(CHECK, "free");
    }
    match Lock::attempt(&path, "`petset doctor`") {
        Ok(Attempt::Locked(_)) => Finding::ok(CHECK, "free"),
        Ok(Attempt::Busy(holder)) => Finding::note(
            CHECK,
            format!("held by {holder}"),
            "the lock is released when that process ends",
        ),
        Err(error) => Finding::broken(CHECK, error.to_string(), ""),
    }
}

fn format(dir: &StateDir) -> Finding {
    const CHECK: &str = "format";
    let path = dir.layout.format();
    let fault = dir.fault.as_ref().filter(|_| !settings_fault(dir));
    match (fault, read(&path)) {
        (Some(fault), _) => {
            let (why, advice) = in_words_of(fault);
            Finding::broken(CHECK, why, advice)
        }
        (None, Ok(Some(version))) => Finding::ok(CHECK, format!("layout {}", version.trim())),
        (None, Ok(None)) => Finding::ok(CHECK, "nothing was created in it yet"),
        (None, Err(error)) => Finding::broken(CHECK, error.to_string(), ""),
    }
}

fn settings_fault(dir: &StateDir) -> bool {
    let text = read(&dir.layout.settings());
    text.is_ok_and(|text| Settings::parse(&text.unwrap_or_default()).is_err())
}

/// Returns the last cause of an error, and its first hint.
fn in_words_of(error: &anyhow::Error) -> (String, String) {
    let problem = error.downcast_ref::<Problem>();
    let hint = problem.and_then(|problem| problem.hints.first().cloned());
    (error.root_cause().to_string(), hint.unwrap_or_default())
}

fn space(dir: &StateDir) -> Finding {
    const CHECK: &str = "free space";
    let place = existing(dir.layout.root());
    let stat = match rustix::fs::statvfs(&place) {
        Ok(stat) => stat,
        Err(error) => return Finding::broken(CHECK, error.to_string(), ""),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let advice = format!("make room on the file system of {}", place.display());
    if stat.f_files > 0 && stat.f_favail == 0 {
        return Finding::broken(CHECK, "no free inodes", advice);
    }
    match free {
        0..TOO_LITTLE => Finding::broken(CHECK, byte_size(free), advice),
        TOO_LITTLE..LITTLE => Finding::note(CHECK, byte_size(free), advice),
        _ => Finding::ok(CHECK, byte_size(free)),
    }
}

fn settings(dir: &StateDir) -> Finding {
    const CHECK: &str = "petset.toml";
    let path = dir.layout.settings();
    match read(&path).map(|text| text.map(|text| Settings::parse(&text))) {
        Ok(None) => Finding::ok(CHECK, "absent: the defaults hold"),
        Ok(Some(Ok(_))) => Finding::ok(CHECK, "valid"),
        Ok(Some(Err(fault))) => {
            let (_, advice) = in_words_of(&fault);
            Finding::broken(CHECK, one_line(&fault.to_string()), advice)
        }
        Err(error) => Finding::broken(CHECK, error.to_string(), ""),
    }
}

fn images(dir: &StateDir) -> Finding {
    const CHECK: &str = "images.toml";
    let own = dir.layout.images();
    let files = match image_files(&dir.layout) {
        Ok(files) => files,
        Err(error) => return Finding::broken(CHECK, error.to_string(), ""),
    };
    match Catalogue::new(&files, &own, "petset") {
        Ok(_) if files.is_empty() => Finding::ok(CHECK, "absent: the built-in catalogue holds"),
        Ok(_) => {
            let names: Vec<String> = files
                .iter()
                .map(|(path, _)| path.display().to_string())
                .collect();
            Finding::ok(CHECK, format!("valid: {}", names.join(", ")))
        }
        Err(fault) => {
            let advice = fault.hints.first().cloned().unwrap_or_default();
            Finding::broken(CHECK, one_line(&fault.message), advice)
        }
    }
}

/// A table has one line for each check.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
