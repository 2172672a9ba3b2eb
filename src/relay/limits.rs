//! How many sockets a process may have.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit of open files as far as the process may: each connection takes two. Returns
/// what it is then.
pub(crate) fn raise_file_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX))
}
