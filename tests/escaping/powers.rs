//! What root of a pet may ask the kernel for, and what it is shown of it.

use serde_json::json;

use super::{create, says};
use crate::support::{Sandbox, is_installed};

/// Calls by their numbers on x86_64 and aarch64, with the arguments of an attack.
const CALLS: &str = r##"
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
first = platform.machine() == "x86_64"
NEW_USER, NEW_PROCESSES = 0x10000000, 0x20000000
calls = {
    "keyctl": (250, 219, 0, -3, 1), "add_key": (248, 217, b"user", b"x", b"x", 1, -3),
    "io_uring_setup": (425, 425, 8, b"\0" * 120), "userfaultfd": (323, 282, 0),
    "bpf": (321, 280, 0, b"\0" * 120, 120), "perf_event_open": (298, 241, b"\0" * 120, 0, -1, -1, 0),
    "unshare": (272, 97, NEW_USER), "clone": (56, 220, NEW_USER | 17, 0, 0, 0, 0),
    "clone3": (435, 435, b"\0" * 88, 88), "setns": (308, 268, 0, 0),
    "mount": (165, 40, b"x", b"/tmp", b"tmpfs", 0, 0), "fsopen": (430, 430, b"tmpfs", 0),
    "open_by_handle_at": (304, 265, -100, b"\0" * 16, 0), "kexec_load": (246, 104, 0, 0, 0, 0),
    "kexec_file_load": (320, 294, -1, -1, 0, b"", 0), "not yet known": (600, 600),
}
for name, (x86_64, aarch64, *words) in calls.items():
    ctypes.set_errno(0)
    done = libc.syscall(x86_64 if first else aarch64, *words)
    if done == 0 and name.startswith("clone"):
        os._exit(0)
    error = os.strerror(ctypes.get_errno()) if done == -1 else "done"
    print(name, ":", error, flush=True)
"##;

/// Returns whether root runs the test and has what it needs.
fn is_root() -> bool {
    rustix::process::getuid().is_root() && is_installed("python3", &["python3"])
}

#[test]
fn root_of_a_pet_gets_no_call_of_the_kernel_that_no_container_needs() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    create(&sandbox, json!({}), json!({}));
    let words = ["exec", "p", "--", "python3", "-c", CALLS];
    let outcome = sandbox.finish(
        "exec",
        sandbox.start_command(&mut sandbox.command_of(&words)),
    );
    assert_eq!(outcome.out.lines().count(), 16, "{}", outcome.transcript());
    for line in outcome.out.lines() {
        let refused = ["Operation not permitted", "Function not implemented"];
        assert!(refused.iter().any(|it| line.ends_with(it)), "{line}");
    }
    assert_eq!(
        says(&sandbox, "grep Seccomp: /proc/1/status"),
        "Seccomp:\t2"
    );
    sandbox.ok("delete pod/p");
    let profile = json!({"seccompProfile": {"type": "Unconfined"}});
    create(&sandbox, json!({"securityContext": profile}), json!({}));
    assert_eq!(
        says(&sandbox, "grep Seccomp: /proc/1/status"),
        "Seccomp:\t0"
    );
}

#[test]
fn root_of_a_pet_is_not_shown_the_kernels_own() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    create(&sandbox, json!({}), json!({}));
    let script = "for file in keys kcore timer_list latency_stats sched_debug; do \
                  head -c 64 /proc/$file 2>/dev/null; done | wc -c; ls /sys/firmware /proc/acpi 2>/dev/null";
    let shown = says(&sandbox, &format!("{script}; true"));
    let lines: Vec<&str> = shown
        .lines()
        .filter(|line| line.len() > 1 && !line.ends_with(':'))
        .collect();
    assert_eq!(shown.lines().next(), Some("0"), "{shown}");
    assert!(lines.is_empty(), "{shown}");
}
