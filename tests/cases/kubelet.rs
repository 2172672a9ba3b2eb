//! A kubelet's work.

use crate::Case;

/// The grace of a stop that is longer than a test waits.
fn with_long_grace(text: &str) -> String {
    let mut text = text.to_owned();
    for seconds in ["9", "15", "20"] {
        let grace = "terminationGracePeriodSeconds: ";
        text = text.replace(&format!("{grace}{seconds}\n"), &format!("{grace}600\n"));
    }
    text
}

pub(super) fn orphans(case: &Case) {
    let created = case.create_changed(&with_long_grace(&case.text), "--timeout 60s");
    assert_eq!(created.code, 0, "{}", created.transcript());
    case.sandbox.ok("delete t --timeout 80s");
    case.sandbox.assert_nothing_left();
}
