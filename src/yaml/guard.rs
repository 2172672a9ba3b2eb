//! A parser that gives up on a text must not take petset with it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic in it is returned as its text, and nothing is printed.
///
/// `libyaml-safer` panics on a few legal but unheard-of texts, such as a tag with a comma right
/// after it.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
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
    outcome.map_err(|panic| text_of(panic.as_ref()))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let fixed = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = fixed.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it gave up".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_text() {
        assert_eq!(guarded(|| 1), Ok(1));
        assert_eq!(
            guarded(|| panic!("no {}", "way")),
            Err::<(), _>("no way".to_owned())
        );
    }
}
