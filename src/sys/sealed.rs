//! The program of this process where no pet can change it.
//!
//! A pet can execute the program of any process of petset's that enters it, as `/proc/self/exe`,
//! and thereby gets a handle on its file (the kind of CVE-2019-5736). So what enters a pet runs
//! from a clone of the file's mount that is read-only and lies in no directory, or, where there
//! can be none, from a sealed copy in memory.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::handover::{link, receive_descriptor, send_descriptor};
use super::{Fork, NamespaceFlags, exit_now, fork, is_ordinary, unshare};

const SELF: &str = "/proc/self/exe";
/// What the kernel calls the copy in memory, before its name.
const IN_MEMORY: &str = "/memfd:petset";

/// A file of this program that cannot be changed, kept open.
#[derive(Debug)]
pub(crate) struct SealedProgram(OwnedFd);

impl SealedProgram {
    /// Seals the program that this process runs.
    pub(crate) fn make() -> io::Result<Self> {
        let cloned = match is_ordinary() {
            true => clone_as_ordinary_user(),
            false => clone_mount(&CString::new(SELF)?),
        };
        cloned.or_else(|_| copy()).map(Self)
    }

    /// The path by which this process can execute it.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

/// Returns whether the program of this process is sealed: it is the root of its mount, or lies in
/// memory.
pub(crate) fn is_sealed() -> bool {
    let program = fs::read_link(SELF).unwrap_or_default();
    program == Path::new("/") || program.to_string_lossy().starts_with(IN_MEMORY)
}

/// Clones the mount of a file, read-only; it must lie in the mount namespace of this process.
fn clone_mount(path: &CString) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let clone = open_tree(CWD, path.as_c_str(), flags)?;
    super::close_to_changes(clone.as_fd())?;
    Ok(clone)
}

/// Does so in a mount namespace of its own, where this user may.
fn clone_as_ordinary_user() -> io::Result<OwnedFd> {
    let path = std::env::current_exe()?;
    let c_path = CString::new(path.as_os_str().as_bytes())?;
    let (own, theirs) = link()?;
    let Some(pid) = fork(Fork::CHILD)? else {
        let namespaces = NamespaceFlags::NEWUSER | NamespaceFlags::NEWNS;
        if unshare(namespaces).is_ok()
            && let Ok(clone) = clone_mount(&c_path)
        {
            send_descriptor(clone.as_fd(), theirs.as_fd());
        }
        exit_now(0)
    };
    drop(theirs);
    let clone = receive_descriptor(&own)?;
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Another thread may reap it as well.
    let _ = rustix::io::retry_on_intr(|| waitpid(pid, WaitOptions::empty()));
    let clone = clone.ok_or(io::ErrorKind::PermissionDenied)?;
    // The path may lead to a successor by now.
    let of_clone = rustix::fs::fstat(&clone)?;
    let own = fs::metadata(SELF)?;
    match (of_clone.st_dev, of_clone.st_ino) == (own.dev(), own.ino()) {
        true => Ok(clone),
        false => Err(io::ErrorKind::NotFound.into()),
    }
}

fn copy() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know the flag, and make all of them executable.
    let made = memfd_create(c"petset", flags | MemfdFlags::EXEC);
    let made = made.or_else(|_| memfd_create(c"petset", flags))?;
    let mut file = File::from(made);
    io::copy(&mut File::open(SELF)?, &mut file)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o555))?;
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, all)?;
    // A file that is open for writing cannot be executed.
    let sealed = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok(sealed.into())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn neither_the_clone_nor_the_copy_can_be_written_or_made_setuid() {
        let made = [SealedProgram::make(), copy().map(SealedProgram)];
        for sealed in made.into_iter().map(Result::unwrap) {
            let mut options = File::options();
            let opened = options.write(true).open(sealed.path());
            assert!(opened.and_then(|file| file.set_len(0)).is_err());
            let listed = Command::new(sealed.path()).arg("--list").output();
            assert!(listed.unwrap().status.success());
        }
        assert!(!is_sealed());
    }
}
