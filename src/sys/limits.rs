//! The limits of a process, named where they are reached.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::own_ids;

/// Returns the error with the limit that it comes from, for a process or a file that could not be
/// had: the kernel's words name none.
pub(crate) fn with_limit(error: io::Error) -> io::Error {
    let limit = |resource| {
        let current = getrlimit(resource).current;
        current.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
    };
    let why = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::AGAIN) => format!(
            "user {} may have {} processes and threads (RLIMIT_NPROC: see ulimit -u, and pids.max \
             of the cgroup)",
            own_ids().0,
            limit(Resource::Nproc)
        ),
        Some(Errno::MFILE) => format!(
            "a process may have {} files open (RLIMIT_NOFILE: see ulimit -n)",
            limit(Resource::Nofile)
        ),
        Some(Errno::NFILE) => {
            "the machine has no descriptor left (see sysctl fs.file-max)".to_owned()
        }
        Some(_) | None => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_reached_is_named_and_other_errors_are_left_alone() {
        let text = |errno: Errno| with_limit(errno.into()).to_string();
        assert!(text(Errno::AGAIN).contains("RLIMIT_NPROC"));
        assert!(text(Errno::MFILE).contains("RLIMIT_NOFILE"));
        assert!(text(Errno::NFILE).contains("fs.file-max"));
        assert_eq!(
            text(Errno::NOENT),
            io::Error::from(Errno::NOENT).to_string()
        );
    }
}
