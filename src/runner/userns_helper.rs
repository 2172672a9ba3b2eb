//! A task done by a process inside a user namespace:
//! `petset userns-helper <namespace> <task> <object>`.
//!
//! There the user has the rights over files of their subordinate ids that they lack on the host.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use super::volumes::ChownJob;
use crate::store;
use crate::store::userns::{GIVE, MEASURE, NEW, REMOVE, run_inside};
use crate::sys::{self, users};

/// Has volumes given to a group that exists only in the user namespace at `userns_path`.
pub(super) fn chown(job: &ChownJob, userns_path: &Path) -> io::Result<()> {
    let job = serde_json::to_string(job)?;
    run_inside(Some(userns_path), GIVE, job.as_ref()).map(drop)
}

/// Does the task that `args` name.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    sys::close_inherited();
    let [userns, task, object] = args else {
        return ExitCode::from(2);
    };
    match perform(userns, task, object) {
        Ok(said) => {
            let _ = io::stdout().write_all(said.as_bytes());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(userns: &OsStr, task: &OsStr, object: &OsStr) -> io::Result<String> {
    let userns = match userns.to_str() {
        Some(NEW) => users::make()?,
        _ => File::open(userns)?.into(),
    };
    users::enter(&userns)?;
    let nothing = String::new();
    match task.to_str() {
        Some(REMOVE) => sys::tree::remove(Path::new(object)).map(|()| nothing),
        Some(MEASURE) => Ok(store::measure(Path::new(object), &mut false).to_string()),
        Some(GIVE) => {
            let job: ChownJob = serde_json::from_slice(object.as_encoded_bytes())?;
            job.give().map(|()| nothing)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
