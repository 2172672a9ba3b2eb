//! How many sockets a process may have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as the process may: each connection takes two.
pub(crate) fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
