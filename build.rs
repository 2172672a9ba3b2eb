//! Links the program at a fixed address.
//!
//! A runner is a process a pet. In a program that may be loaded anywhere, half a megabyte of
//! tables would be rewritten at each start and then belong to that process alone; at a fixed
//! address all processes share them, and start a millisecond earlier.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let environment = std::env::var("CARGO_CFG_TARGET_ENV");
    if environment.is_ok_and(|environment| environment == "gnu") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
