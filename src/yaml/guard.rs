//! A parser that gives up on a text must not take petset with it.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it is returned as after joining a thread, and nothing is printed.
///
/// `libyaml-safer` panics on a few legal but unheard-of texts, such as a tag with a comma right
/// after it.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    QUIET.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_returned_with_its_text() {
        assert_eq!(guarded(|| 1).unwrap(), 1);
        let way = String::from("way");
        let panic = guarded(|| panic!("no {way}")).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "no way");
    }
}
