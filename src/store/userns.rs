//! Tasks for a helper process inside a user namespace, where the user has the rights over files of
//! their subordinate ids that they lack on the host.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use crate::role::Role;

/// The argument for a new user namespace, in place of the path of an existing one.
pub(crate) const NEW: &str = "new";

/// The tasks: to remove a directory, to measure it, and to give volumes to a group.
pub(crate) const REMOVE: &str = "remove";
pub(crate) const MEASURE: &str = "measure";
pub(crate) const GIVE: &str = "give";

/// Runs a task in a process that enters the user namespace at `userns`, or a new one; returns its
/// output.
pub(crate) fn run_inside(userns: Option<&Path>, task: &str, object: &OsStr) -> io::Result<String> {
    let userns = userns.map_or(OsStr::new(NEW), Path::as_os_str);
    let mut command = Role::UsernsHelper.command();
    let output = command.arg(userns).arg(task).arg(object).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(complaint.trim().to_owned()))
}
