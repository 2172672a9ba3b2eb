//! A disk on which no byte and no inode is left: what runs can be ended, and everything heals when
//! there is room.

use std::process::Command;

use crate::support::{Outcome, Sandbox, is_full, is_installed, skipped};

/// Fills the file system `$M`: first its bytes, then its inodes.
const FILL: &str = "fill() { dd if=/dev/zero of=$M/fill bs=4k 2>/dev/null; i=0; \
    while touch $M/i$i 2>/dev/null; do i=$((i+1)); done; \
    ! echo x 2>/dev/null >$M/byte || echo 'there is room'; }
room() { rm -f $M/fill $M/byte $M/i*; }
petset() { \"$PETSET\" \"$@\"; }
alive() { ps -eo args | grep -c \"^sleep 6$1\\$\"; }
";

/// Runs a script with a small disk of its own at `$M`, on which the state directory is; `None`
/// where no file system can be mounted.
fn on_small_disk(sandbox: &Sandbox, script: &str) -> Option<Outcome> {
    if !is_installed("unshare", &["unshare"]) {
        return None;
    }
    let place = sandbox.scratch().join("disk");
    std::fs::create_dir_all(&place).unwrap();
    let level = if is_full() { "full" } else { "none" };
    let text = format!(
        "mount -t tmpfs -o size=6m,nr_inodes=700 none $M || exit 99
        mkdir -m 700 $PETSET_STATE_DIR
        echo 'isolation = \"{level}\"' > $PETSET_STATE_DIR/petset.toml\n{FILL}\n{script}"
    );
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "--propagation", "private", "bash", "-c", &text]);
    sandbox.place(&mut command);
    command
        .env("M", &place)
        .env("PETSET", env!("CARGO_BIN_EXE_petset"))
        .env("PETSET_STATE_DIR", place.join("s"));
    let outcome = sandbox.finish("(script)", sandbox.start_command(&mut command));
    if outcome.code == 99 {
        skipped("no file system can be mounted here, so no disk is filled");
        return None;
    }
    Some(outcome)
}

/// Waits for the room that is kept.
const RESERVED: &str = "until [ -e $PETSET_STATE_DIR/reserve/15 ]; do sleep 0.05; done";

#[test]
fn all_stops_on_a_full_disk_and_starts_again_when_there_is_room() {
    let sandbox = Sandbox::new();
    let script = format!(
        "petset create t --replicas 2 --volume data:/data -- sleep 600
        petset create u -- sleep 600
        {RESERVED}
        fill
        petset stop --timeout 30s; echo \"stop $?\"
        petset stop --timeout 30s; echo \"again $?\"
        petset get pods
        room
        petset start --timeout 30s; echo \"start $?\"
        petset get pods
        petset stop --timeout 30s"
    );
    let Some(outcome) = on_small_disk(&sandbox, &script) else {
        return;
    };
    outcome.lacks("there is room");
    outcome.says("stop 0").says("again 0").says("start 0");
    outcome.says("t-1    1/1     Running");
}

#[test]
fn a_set_is_deleted_on_a_full_disk_though_its_supervisor_and_a_runner_are_dead() {
    let sandbox = Sandbox::new();
    let script = format!(
        "petset create t --replicas 2 -- sleep 600
        {RESERVED}
        fill
        kill -9 $(cat $PETSET_STATE_DIR/supervisor/pid)
        kill -9 $(sed 's/.*\"pid\":\\([0-9]*\\),\"start\":[0-9]*,\"bootId.*/\\1/' \
            $PETSET_STATE_DIR/pets/default/t-0/runner.json)
        petset delete t --timeout 40s; echo \"delete $?\"
        petset get pods
        room
        petset create t --replicas 1 --timeout 30s -- sleep 600; echo \"create $?\"
        petset stop --timeout 30s"
    );
    let Some(outcome) = on_small_disk(&sandbox, &script) else {
        return;
    };
    outcome.lacks("there is room");
    outcome.says("delete 0").says("create 0");
}

#[test]
fn what_could_not_be_written_is_written_when_there_is_room() {
    let sandbox = Sandbox::new();
    let script = format!(
        "petset create t --replicas 1 --port http=8080 -- sleep 600
        {RESERVED}
        petset scale t --replicas 2 --no-wait
        fill
        petset get pods >/dev/null
        sleep 1
        room
        petset wait t --timeout 40s; echo \"settled $?\"
        petset get endpoints t
        petset upgrade t --timeout 40s --set-env A=b; echo \"upgraded $?\"
        rm -f $PETSET_STATE_DIR/reserve/*
        fill
        petset stop --timeout 2s; echo \"without reserve $?\"
        room
        petset stop --timeout 40s; echo \"stopped $?\""
    );
    let Some(outcome) = on_small_disk(&sandbox, &script) else {
        return;
    };
    outcome.says("settled 0").says("stopped 0");
}
