//! Filters of system calls. That of `RuntimeDefault` refuses calls that programs in containers have
//! no business with, much as container runtimes do; others are compiled from a [`profile`].

mod calls;
pub(crate) mod profile;

use std::io;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The calls that are refused with EPERM.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_get_mempolicy,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mbind,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_set_mempolicy,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
];

/// The kinds of namespaces that a new process can be given: refused, as `unshare` is.
const NAMESPACES: u32 = 0x7e02_0000;
/// The first number of a call that is not known yet: programs do without, as with an old kernel.
const UNKNOWN: u32 = 470;

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;
/// Calls of x86_64 with 32-bit addresses have this bit.
const OTHER_NUMBERS: u32 = 0x4000_0000;

const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ERROR: u32 = 0x0005_0000;
const LOAD: u16 = 0x20;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const HAS_ANY: u16 = 0x45;
const RETURN: u16 = 0x06;
/// Where the number of the call is.
const NUMBER: u32 = 0;
/// Where the lower half of its first argument is.
const FIRST: u32 = 16;
/// Where the architecture that it is made for is.
const MADE_FOR: u32 = 4;

/// An instruction of a filter, as the kernel reads it (`sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(C)]
struct FilterStep {
    code: u16,
    /// How many instructions are passed over where a comparison holds, and where not.
    yes: u8,
    no: u8,
    value: u32,
}

/// A filter that is ready to be installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeccompFilter(Vec<FilterStep>);

const fn step(code: u16, value: u32, (yes, no): (u8, u8)) -> FilterStep {
    FilterStep {
        code,
        yes,
        no,
        value,
    }
}

/// Returns the answer to a call that is not made.
fn error(error: Errno) -> u32 {
    RETURN_ERROR | u32::try_from(error.raw_os_error()).unwrap_or(1)
}

/// Begins a filter. What is not of this machine's architecture does not exist.
fn begin() -> Vec<FilterStep> {
    let absent = error(Errno::NOSYS);
    vec![
        step(LOAD, MADE_FOR, (0, 0)),
        step(EQUAL, ARCHITECTURE, (1, 0)),
        step(RETURN, absent, (0, 0)),
        step(LOAD, NUMBER, (0, 0)),
        step(AT_LEAST, OTHER_NUMBERS, (0, 1)),
        step(RETURN, absent, (0, 0)),
    ]
}

impl SeccompFilter {
    /// Makes the filter of `RuntimeDefault`.
    pub(crate) fn usual() -> Self {
        let (refused, absent) = (error(Errno::PERM), error(Errno::NOSYS));
        let number = |call: libc::c_long| u32::try_from(call).unwrap_or(u32::MAX);
        let mut steps = begin();
        steps.extend([
            step(EQUAL, number(libc::SYS_clone), (0, 3)),
            step(LOAD, FIRST, (0, 0)),
            step(HAS_ANY, NAMESPACES, (0, 1)),
            step(RETURN, refused, (0, 0)),
            step(LOAD, NUMBER, (0, 0)),
            // What it is asked for cannot be looked at; libraries fall back to the older call.
            step(EQUAL, number(libc::SYS_clone3), (0, 1)),
            step(RETURN, absent, (0, 0)),
            step(AT_LEAST, UNKNOWN, (0, 1)),
            step(RETURN, absent, (0, 0)),
        ]);
        let count = REFUSED.len();
        for (at, call) in REFUSED.iter().enumerate() {
            let rest = u8::try_from(count - at).unwrap_or(u8::MAX);
            let call = number(*call);
            // Past those that are left, and past the allowance.
            steps.push(step(EQUAL, call, (rest, 0)));
        }
        steps.push(step(RETURN, RETURN_ALLOW, (0, 0)));
        steps.push(step(RETURN, refused, (0, 0)));
        Self(steps)
    }

    /// Holds this process, and all that it will execute, to the filter. It needs `no_new_privs`, or
    /// rights in its user namespace; it does not allocate.
    #[expect(unsafe_code, reason = "std and rustix do not offer it")]
    pub(crate) fn install(&self) -> rustix::io::Result<()> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.0.len()).unwrap_or(u16::MAX),
            filter: self.0.as_ptr().cast_mut().cast::<libc::sock_filter>(),
        };
        // SAFETY: the kernel reads as many steps as there are, which are laid out as its own,
        // and keeps a copy.
        let done = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        };
        match done {
            0 => Ok(()),
            _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
        }
    }
}
