//! The terminal that a container's main process has as its streams.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::LaunchStage;

/// Makes the terminal that is stdin the controlling one of the session that the child of `command`
/// leads by then.
#[expect(unsafe_code, reason = "std has no terminals")]
pub(crate) fn take_console(command: &mut Command) {
    let prepare = || {
        let terminal = rustix::stdio::stdin();
        LaunchStage::Detaching.mark(rustix::process::ioctl_tiocsctty(terminal))
    };
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe {
        command.pre_exec(prepare);
    }
}
