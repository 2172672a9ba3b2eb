//! Copies of this whole process that go on by themselves, and the words that `/proc` shows of them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use super::proc;

/// Forks a copy that is a child of this process's parent: returns its pid, and nothing in the copy.
///
/// The copy may do whatever this process may. To be called while this has one thread only: no other
/// holds a lock then that the copy would wait for.
#[expect(unsafe_code, reason = "std and rustix do not fork")]
pub(crate) fn copy_beside() -> io::Result<Option<u32>> {
    let thread = thread_number();
    let numbers = match thread.is_null() {
        true => 0,
        false => libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID,
    };
    let flags = i64::from(libc::CLONE_PARENT | numbers | libc::SIGCHLD);
    // SAFETY: without CLONE_VM and with no stack given this is fork(2). The one pointer, for which
    // architectures have two places, is where the C library keeps the number of this thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_u64, 0_u64, thread, thread) };
    match u32::try_from(pid) {
        Ok(0) => Ok(None),
        Ok(pid) => Ok(Some(pid)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Returns where the C library keeps the number of this thread; null where that is not told.
#[expect(unsafe_code, reason = "std and rustix do not ask for it")]
fn thread_number() -> *mut libc::c_int {
    const PR_GET_TID_ADDRESS: libc::c_int = 40;
    let mut place: *mut libc::c_int = ptr::null_mut();
    // SAFETY: the kernel writes one address to a variable that lives longer than the call.
    let outcome = unsafe { libc::prctl(PR_GET_TID_ADDRESS, &raw mut place) };
    match outcome {
        0 => place,
        _ => ptr::null_mut(),
    }
}

/// Where the kernel reads the words that this process was started with.
#[derive(Debug)]
pub(crate) struct CommandLine {
    start: *mut u8,
    room: usize,
}

impl CommandLine {
    /// Finds that of this process; `None` where the kernel does not tell.
    pub(crate) fn of_this_process() -> Option<Self> {
        let (start, end) = proc::own_words_place()?;
        let room = end.checked_sub(start)?;
        let start = ptr::with_exposed_provenance_mut(start);
        (room > 0).then_some(Self { start, room })
    }

    /// Returns whether there is room for these words.
    pub(crate) fn holds(&self, words: &[&OsStr]) -> bool {
        words.iter().map(|word| word.len() + 1).sum::<usize>() <= self.room
    }

    /// Shows these words, and zeros behind them; those for which there is no room change nothing.
    #[expect(unsafe_code, reason = "only the kernel knows this memory as one piece")]
    pub(crate) fn show(&self, words: &[&OsStr]) {
        if !self.holds(words) {
            return;
        }
        let mut text: Vec<u8> = words
            .iter()
            .flat_map(|word| [word.as_bytes(), b"\0"].concat())
            .collect();
        text.resize(self.room, 0);
        // SAFETY: the kernel has laid out this memory, which is writable, for the words of this
        // process, and as many bytes are written. No reference to it lives: std copies from it,
        // each time anew, and the last byte stays a zero.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), self.start, text.len()) };
    }
}
