//! The memory that deep calls leave behind.

/// What is kept below the current call: its own frames, and those of a signal's handler.
const KEPT: usize = 64 << 10;
/// How far down is looked: no call of ours goes deeper.
const REACH: usize = 1 << 20;
const PAGE: usize = 4 << 10;

/// Gives back to the kernel what calls that have returned have used of the stack, which stays taken
/// otherwise for as long as the process lives. To be called in the main thread.
#[expect(unsafe_code, reason = "std and rustix have no view of the stack")]
pub(crate) fn give_back_stack() {
    let here = 0_u8;
    let end = ((&raw const here).addr() - KEPT) / PAGE * PAGE;
    let start = std::ptr::with_exposed_provenance_mut::<libc::c_void>(end - REACH);
    // SAFETY: nothing lives below the frame of the call that is deepest, but for that of a signal's
    // handler, which ends before this goes on. Below the stack of the main thread itself the kernel
    // leaves 128 megabytes free, so that no other memory lies there.
    unsafe { libc::madvise(start, REACH, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_in_use_stays_as_it_is() {
        let used: Vec<u8> = (0..=255).collect();
        let near = [7_u8; 4096];
        // Of a thread, it is the thread's own stack that lies below: nobody else's memory, as the
        // thread has a larger one.
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        let done = thread.spawn(move || {
            super::give_back_stack();
            (used, near)
        });
        let (used, near) = done.unwrap().join().unwrap();
        assert!(
            used.iter()
                .enumerate()
                .all(|(at, byte)| at == usize::from(*byte))
        );
        assert_eq!(near, [7; 4096]);
    }
}
