//! Copies of volumes: `petset volume snapshot`, `restore` and `clone`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use support::{Sandbox, processes};

/// A set whose pets count in two files, one after the other.
fn counting(sandbox: &Sandbox, set: &str) {
    let script = "cd $PETSET_MOUNT_DATA; n=$(cat one 2>/dev/null || echo 0); \
        while :; do n=$((n+1)); echo $n > one.new; mv one.new one; echo $n > two; sleep 0.01; done";
    let words = [
        "create",
        set,
        "--replicas",
        "2",
        "--volume",
        "data",
        "--",
        "sh",
        "-c",
        script,
    ];
    let made = sandbox.command_of(&words).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    sandbox.until("both count", || {
        (0..2).all(|pet| number(sandbox, &format!("volumes/default/data-{set}-{pet}/two")) > 0)
    });
}

fn number(sandbox: &Sandbox, path: &str) -> i64 {
    let text = fs::read_to_string(sandbox.file(path)).unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

#[test]
fn volumes_go_back_to_what_they_were_when_they_were_copied() {
    let sandbox = Sandbox::new();
    counting(&sandbox, "web");
    let volume = sandbox.file("volumes/default/data-web-1");
    std::os::unix::fs::symlink("/etc/passwd", volume.join("link")).unwrap();
    fs::write(volume.join("program"), "x").unwrap();
    fs::set_permissions(volume.join("program"), fs::Permissions::from_mode(0o751)).unwrap();
    sandbox
        .ok("volume snapshot web before")
        .says("snapshots/default/web/before");
    sandbox.events_say(&["petset resume web-0 lets them go on", "All processes go on"]);
    sandbox.ok("volume snapshots web").says("before");
    let copy = |pet: u32, file: &str| {
        number(
            &sandbox,
            &format!("snapshots/default/web/before/data-web-{pet}/{file}"),
        )
    };
    let (one, two) = (copy(0, "one"), copy(0, "two"));
    assert!(one > 0 && (one == two || one == two + 1), "{one} {two}");
    let copied = sandbox.file("snapshots/default/web/before/data-web-1");
    assert_eq!(
        fs::read_link(copied.join("link")).unwrap().to_str(),
        Some("/etc/passwd")
    );
    assert_eq!(
        fs::metadata(copied.join("program")).unwrap().mode() & 0o777,
        0o751
    );

    // The pets go on, and use their volumes.
    sandbox.until("it counts on", || {
        number(&sandbox, "volumes/default/data-web-0/two") > one + 2
    });
    sandbox
        .fails(4, "volume snapshot web before")
        .says("already");
    sandbox
        .fails(4, "volume restore web before")
        .says("web-0 uses it");
    sandbox
        .fails(3, "volume restore web other")
        .says("no snapshot other");
    sandbox.fails(3, "volume snapshot other one");
    sandbox.ok("scale web --replicas 0");
    sandbox
        .ok("volume restore web before")
        .says("data-web-0 restored");
    assert_eq!(number(&sandbox, "volumes/default/data-web-0/one"), one);
    sandbox.ok("scale web --replicas 2");
    sandbox.until("it counts on", || {
        number(&sandbox, "volumes/default/data-web-0/two") > one
    });
    assert_eq!(copy(0, "one"), one, "the snapshot stays as it is");

    sandbox.ok("volume clone web db").says("data-db-1");
    sandbox
        .fails(4, "volume clone web db")
        .says("data-db-0 already");
    let cloned = number(&sandbox, "volumes/default/data-db-0/one");
    assert!(cloned > 0);
    counting(&sandbox, "db");
    sandbox.until("it counts on from there", || {
        number(&sandbox, "volumes/default/data-db-0/two") > cloned
    });
    let left = fs::read_dir(sandbox.file("snapshots/default/web")).unwrap();
    assert_eq!(left.count(), 1, "nothing unfinished is left");
    sandbox.ok("delete web db --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn a_copy_that_is_killed_leaves_no_pet_paused_and_one_that_fails_changes_nothing() {
    let mut sandbox = Sandbox::new();
    let programs = sandbox.scratch().join("programs");
    fs::create_dir(&programs).unwrap();
    let cp = |script: &str| {
        let path = programs.join("cp");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    counting(&sandbox, "web");
    let path = std::env::var("PATH").unwrap_or_default();
    sandbox.set_variable("PATH", &format!("{}:{path}", programs.display()));
    cp("exec sleep 600");
    let copying = sandbox.start("volume snapshot web one");
    sandbox.until_pet_is("web-1", "Paused");
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Paused"));
    processes::kill(copying.pid());
    drop(copying);
    sandbox.until_pet_is("web-0", "Running");
    sandbox.until_pet_is("web-1", "Running");
    for process in sandbox
        .processes()
        .iter()
        .filter(|it| it.command.contains("sleep 600"))
    {
        processes::kill(process.pid);
    }
    assert!(!sandbox.file("snapshots/default/web/one").exists());

    cp("echo no room >&2; exit 1");
    sandbox.fails(1, "volume snapshot web one").says("no room");
    sandbox.until_pet_is("web-0", "Running");
    let left = fs::read_dir(sandbox.file("snapshots/default/web")).unwrap();
    assert_eq!(left.count(), 0, "what was begun is removed");

    // A pet that its user has paused stays so.
    sandbox.ok("pause web-0");
    sandbox.fails(1, "volume snapshot web one");
    assert_eq!(sandbox.status_of("web-0").as_deref(), Some("Paused"));
    sandbox.ok("delete web --purge");
    sandbox.assert_nothing_left();
}
