//! Trials of the parts of isolation, each in a process of its own that leaves nothing behind:
//! `petset doctor` shows them.

use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::problem::Problem;
use crate::sys::users;
use crate::sys::{self, Fork, NamespaceFlags};

/// One part of isolation: its name, and the calls that it needs.
type TrialPart = (&'static str, fn() -> rustix::io::Result<()>);

const PARTS: [TrialPart; 5] = [
    ("user namespace", user),
    ("mounts", mounts),
    ("overlay", overlay),
    ("process space", processes),
    ("host name", names),
];

/// Tries each part; returns its name, and the kernel's error.
pub(crate) fn trials() -> Vec<(&'static str, Result<(), Problem>)> {
    let outcome = |(name, part): TrialPart| {
        (
            name,
            apart(part).map_err(|error| Problem::failed(error.to_string())),
        )
    };
    PARTS.into_iter().map(outcome).collect()
}

/// Returns which users pets can run as; or why only as the user who runs petset, and the way out.
pub(crate) fn whom_pets_can_be() -> Result<String, (String, String)> {
    if !sys::is_ordinary() {
        return Ok("isolated pets can run as any user".to_owned());
    }
    let grants = users::grants().map_err(|lack| (lack.why, lack.way_out))?;
    let [users, groups] = grants.map(|grant| grant.count);
    match users::make_with(grants) {
        Ok(_) => Ok(format!(
            "isolated pets can run as users below {users} and in groups below {groups}"
        )),
        Err(fault) => {
            let way_out = "see /etc/subuid and /etc/subgid, and that newuidmap and newgidmap are \
                           installed with their rights: apt install --reinstall uidmap";
            Err((fault.to_string(), way_out.to_owned()))
        }
    }
}

/// Makes the calls in a process of its own.
fn apart(deed: fn() -> rustix::io::Result<()>) -> io::Result<()> {
    let Some(pid) = sys::fork(Fork::CHILD)? else {
        let code = deed().err().map_or(0, Errno::raw_os_error);
        sys::exit_now(code)
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let ended = loop {
        match waitpid(pid, WaitOptions::empty()) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    match ended.and_then(|(_, status)| status.exit_status()) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(code)),
        None => Err(io::Error::other("the trial was killed")),
    }
}

/// Root needs no namespace of users.
fn user() -> rustix::io::Result<()> {
    if !sys::is_ordinary() {
        return Ok(());
    }
    let user = rustix::process::geteuid().as_raw();
    let group = rustix::process::getegid().as_raw();
    sys::unshare(NamespaceFlags::NEWUSER)?;
    let write = |name: &str, text: String| {
        let written = std::fs::write(Path::new("/proc/self").join(name), text);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    };
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{user} {user} 1\n"))?;
    write("gid_map", format!("{group} {group} 1\n"))
}

fn mounts() -> rustix::io::Result<()> {
    user()?;
    sys::unshare(NamespaceFlags::NEWNS)?;
    let flags = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
    rustix::mount::mount_change(c"/", flags)?;
    rustix::mount::mount(c"tmpfs", c"/tmp", c"tmpfs", MountFlags::NOSUID, c"mode=755")
}

fn overlay() -> rustix::io::Result<()> {
    let marks = match sys::is_ordinary() {
        true => ",userxattr",
        false => "",
    };
    mounts()?;
    for name in ["upper", "work", "root"] {
        rustix::fs::mkdir(Path::new("/tmp").join(name), 0o755.into())?;
    }
    let options = format!("lowerdir=/etc,upperdir=/tmp/upper,workdir=/tmp/work{marks}");
    let options = CString::new(options).unwrap_or_default();
    let flags = MountFlags::NODEV;
    rustix::mount::mount(
        c"overlay",
        c"/tmp/root",
        c"overlay",
        flags,
        options.as_c_str(),
    )
}

/// The `/proc` of a process space shows it alone; some containers forbid to mount one.
fn processes() -> rustix::io::Result<()> {
    mounts()?;
    sys::unshare(NamespaceFlags::NEWPID)?;
    let own = || {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount(c"proc", c"/proc", c"proc", flags, c"")
    };
    let tried = apart(own);
    tried.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn names() -> rustix::io::Result<()> {
    user()?;
    sys::unshare(NamespaceFlags::NEWUTS | NamespaceFlags::NEWIPC)?;
    rustix::system::sethostname(b"petset")
}
