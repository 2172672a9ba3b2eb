//! `create`: what runs afterwards, in which order, and what is said of it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::Sandbox;

#[test]
fn pets_start_in_order_and_create_returns_when_all_are_ready() {
    let sandbox = Sandbox::new();
    let created = sandbox.ok("create -f manifests/three-ordered.yaml");
    created.matches("create-three-ordered.txt");
    sandbox.journal_says(&["started web-0", "started web-1", "started web-2"]);
    assert_eq!(sandbox.pets(), ["web-0", "web-1", "web-2"]);
    sandbox.ok("delete web").says("Kept the volumes");
    sandbox.assert_nothing_left();
}
