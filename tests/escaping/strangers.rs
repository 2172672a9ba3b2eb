//! What other users of the machine have prepared for petset, and what of its caller it keeps.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{create, says};
use crate::support::{Outcome, Sandbox, remove};

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

#[test]
fn a_state_directory_that_others_may_write_to_is_not_obeyed() {
    let sandbox = Sandbox::new();
    sandbox.ok("create t --isolation none -- sleep 1000");
    sandbox.ok("stop");
    fs::set_permissions(sandbox.state(), PermissionsExt::from_mode(0o777)).unwrap();
    for verb in [
        "start",
        "scale t --replicas 2",
        "exec t-0 -- true",
        "restart t",
    ] {
        let refused = sandbox.fails(1, verb);
        refused
            .says("other users may write to the state directory")
            .says("chmod go-w");
    }
    sandbox.ok("get sets").says("t ");
    fs::set_permissions(sandbox.state(), PermissionsExt::from_mode(0o700)).unwrap();
    sandbox.ok("start");
}

#[test]
fn root_obeys_no_state_directory_of_another_and_writes_nothing_into_it() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create t --isolation none -- sleep 1000");
    sandbox.ok("stop");
    chown(sandbox.state(), Some(1), Some(1)).unwrap();
    let before = listing(&sandbox.state());
    for verb in [
        "start",
        "scale t --replicas 2",
        "exec t-0 -- true",
        "create u -- sleep 1",
    ] {
        sandbox.fails(1, verb).says("belongs to").says("sudo -u");
    }
    assert_eq!(listing(&sandbox.state()), before);
    chown(sandbox.state(), Some(0), Some(0)).unwrap();
}

#[test]
fn root_keeps_no_pets_in_the_home_of_a_user() {
    if !is_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let home = sandbox.scratch().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(1), Some(1)).unwrap();
    let words = "create t -- sleep 1000";
    let mut command = sandbox.command(words);
    command.env_remove("PETSET_STATE_DIR").env("HOME", &home);
    let refused: Outcome = sandbox.finish(words, sandbox.start_command(&mut command));
    assert_eq!(refused.code, 1, "{}", refused.transcript());
    refused.says("belongs to").says("sudo -u");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

/// Everything in a directory, with the time of its last change.
fn listing(path: &Path) -> String {
    let mut command = Command::new("find");
    command.arg(path).args(["-printf", "%p %u %m %C@\n"]);
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

#[test]
fn a_register_of_address_blocks_that_others_have_filled_stops_nobody() {
    let mut sandbox = Sandbox::new();
    let blocks = sandbox.scratch().join("blocks");
    let other = sandbox.scratch().join("other");
    fs::create_dir_all(other.join("seen")).unwrap();
    fs::create_dir(&blocks).unwrap();
    // Who asks the other directory for its block would wait for ever.
    let made = Command::new("mkfifo")
        .arg(other.join("seen/block"))
        .status();
    assert!(made.unwrap().success());
    for number in 0..256 {
        symlink(&other, blocks.join(number.to_string())).unwrap();
    }
    sandbox.set_variable("PETSET_BLOCKS_DIR", blocks.to_str().unwrap());
    sandbox.ok("create t --isolation none -- sleep 1000");
    sandbox.until_pet_is("t-0", "Running");
}

#[test]
fn a_block_that_a_directory_of_another_register_uses_is_passed_over() {
    // Containers that share the network of their machine, but not its files.
    let (mut one, mut other) = (Sandbox::new(), Sandbox::new());
    for sandbox in [&mut one, &mut other] {
        let blocks = sandbox.scratch().join("blocks");
        sandbox.set_variable("PETSET_BLOCKS_DIR", blocks.to_str().unwrap());
    }
    let block = |sandbox: &Sandbox| fs::read_to_string(sandbox.file("seen/block")).unwrap();
    let create = "create t --image petset/hello --port http=8080";
    other.ok(create);
    let preferred = block(&other);
    other.ok("delete t");
    other.ok("stop");
    remove(&other.state());
    one.settings(&format!("address-block = {preferred}"));
    one.ok(create);
    assert_eq!(block(&one), preferred);
    other.ok(create);
    assert_ne!(block(&other), preferred);
    for sandbox in [&one, &other] {
        let address = format!("127.{}.1.1", block(sandbox).trim());
        sandbox.ok("dns query t-0.t").says(&address);
    }
}

#[test]
fn the_callers_other_variables_stay_with_the_caller() {
    let mut sandbox = Sandbox::new();
    sandbox.set_variable("DEPLOY_PASSWORD", "hunter2");
    sandbox.set_variable("LC_TIME", "C");
    create(&sandbox, json!({}), json!({}));
    for process in sandbox.processes() {
        let environment = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment);
        assert!(!environment.contains("hunter2"), "{process}");
    }
    assert_eq!(says(&sandbox, "echo $LC_TIME$DEPLOY_PASSWORD"), "C");
}
