//! `petset logs`: across rotation and restarts, and followed.

use std::os::unix::fs::MetadataExt;

use super::*;

fn log(world: &World, pet: &str, name: &str, text: &str) {
    world.write(&format!("pets/default/{pet}/logs/{name}"), text);
}

#[test]
fn logs_are_read_across_rotated_parts_and_from_the_end() {
    let world = world();
    log(&world, "web-0", "c.log.2", "one\n");
    log(&world, "web-0", "c.log.1", "two\nth");
    log(&world, "web-0", "c.log", "ree\nfour\n");
    log(&world, "web-0", "c.previous.log", "before\n");
    log(&world, "web-0", "prepare.log", "prepared");
    log(&world, "web-1", "c.log", "other\n");
    let all = said(world.petset("logs web-0"));
    assert_eq!(all.out, "one\ntwo\nthree\nfour\n");
    // There is one main container.
    assert_eq!(all.err, "");
    assert_eq!(
        ok(world.petset("logs web-0 -c c --tail 2")),
        "three\nfour\n"
    );
    assert_eq!(ok(world.petset("logs web-0 --tail 0")), "");
    assert_eq!(ok(world.petset("logs web-0 --previous")), "before\n");
    assert_eq!(ok(world.petset("logs pod/web-0 -c prepare")), "prepared");
    assert_eq!(
        ok(world.petset("logs web --tail=1")),
        "[pod/web-0/c] four\n[pod/web-1/c] other\n"
    );
    assert_eq!(
        ok(world.petset("logs web-0 --all-containers --prefix --tail 1")),
        "[pod/web-0/prepare] prepared\n[pod/web-0/c] four\n"
    );
    let wrong = said(world.petset("logs web-0 -c nope"));
    assert_eq!(wrong.code, 3);
    assert!(wrong.err.contains("hint: it has: c, prepare (init)"));
    assert_eq!(said(world.petset("logs nope")).code, 3);
    assert_eq!(said(world.petset("logs web-1 -p -c prepare")).code, 3);
}

#[test]
fn logs_come_byte_for_byte() {
    let world = world();
    let dir = world.root().join("pets/default/web-0/logs");
    fs::create_dir_all(&dir).unwrap();
    let bytes = b"\x1b[31mred\xff\x00\r\nend";
    fs::write(dir.join("c.log"), bytes).unwrap();
    let output = world.petset("logs web-0").output().unwrap();
    assert_eq!(output.stdout, bytes);
}

#[test]
fn a_pet_that_initializes_shows_its_init_step() {
    let world = world();
    pet(&world, "web-0", &initializing());
    log(&world, "web-0", "prepare.log", "preparing\n");
    let said_ = said(world.petset("logs web-0"));
    assert_eq!(said_.out, "preparing\n");
    assert!(said_.err.contains("Defaulted container \"prepare\""));
    let early = said(world.petset("logs web-0 -c c"));
    assert_eq!(early.code, 1);
    let words = "container \"c\" in pod \"web-0\" is waiting to start: PodInitializing";
    assert!(early.err.contains(words), "{}", early.err);
}

#[test]
fn following_goes_on_across_rotation_and_restarts_until_the_pet_is_gone() {
    let world = world();
    log(&world, "web-0", "c.log", "old\none\n");
    let dir = world.root().join("pets/default/web-0/logs");
    let mut follow = start(&world, "logs web-0 -f --tail 1");
    let mut lines = lines(&mut follow.0);
    assert_eq!(lines.next().unwrap(), "one");
    append(dir.join("c.log"), "two\n");
    assert_eq!(lines.next().unwrap(), "two");
    append(dir.join("c.log"), "three\n");
    fs::rename(dir.join("c.log"), dir.join("c.log.1")).unwrap();
    append(dir.join("c.log"), "four\n");
    assert_eq!(lines.next().unwrap(), "three");
    assert_eq!(lines.next().unwrap(), "four");
    append(dir.join("c.log"), "five\n");
    fs::rename(dir.join("c.log"), dir.join("c.previous.log")).unwrap();
    fs::remove_file(dir.join("c.log.1")).unwrap();
    append(dir.join("c.log"), "six\n");
    assert_eq!(lines.next().unwrap(), "five");
    assert_eq!(lines.next().unwrap(), "six");
    fs::remove_dir_all(world.root().join("pets/default/web-0")).unwrap();
    assert_eq!(lines.next(), None);
    assert!(follow.0.wait().unwrap().success());
}

#[test]
fn following_a_set_hears_pets_that_come_later() {
    let world = world();
    log(&world, "web-0", "c.log", "one\n");
    let mut follow = start(&world, "logs web -f");
    let mut lines = lines(&mut follow.0);
    assert_eq!(lines.next().unwrap(), "[pod/web-0/c] one");
    log(&world, "web-2", "c.log", "two\n");
    pet(&world, "web-2", &running());
    assert_eq!(lines.next().unwrap(), "[pod/web-2/c] two");
    fs::remove_file(world.root().join("wanted/default/statefulset/web.yaml")).unwrap();
    fs::remove_dir_all(world.root().join("pets/default")).unwrap();
    assert_eq!(lines.next(), None);
}

#[test]
fn following_a_pet_that_initializes_goes_on_to_its_container() {
    let world = world();
    pet(&world, "web-0", &initializing());
    log(&world, "web-0", "prepare.log", "preparing\n");
    let mut follow = start(&world, "logs web-0 -f");
    let mut lines = lines(&mut follow.0);
    assert_eq!(lines.next().unwrap(), "preparing");
    log(&world, "web-0", "c.log", "serving\n");
    pet(&world, "web-0", &running());
    assert_eq!(lines.next().unwrap(), "serving");
}

#[test]
fn a_log_whose_oldest_file_is_removed_last_is_not_printed_again() {
    let world = world();
    let dir = world.root().join("pets/default/web-0/logs");
    log(&world, "web-0", "c.log.1", "one\n");
    log(&world, "web-0", "c.log", "two\n");
    index(&world, &[("c.log.1", 0)], 4);
    let mut follow = start(&world, "logs web-0 -f");
    let mut lines = lines(&mut follow.0);
    assert_eq!(lines.next().unwrap(), "one");
    assert_eq!(lines.next().unwrap(), "two");
    // As a deletion does it, in an order of its own, with a reader that is awake all the time.
    fs::remove_file(dir.join("c.log")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::remove_file(dir.join("c.log.index")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::remove_dir_all(world.root().join("pets/default/web-0")).unwrap();
    assert_eq!(lines.next(), None);
}

#[test]
fn a_slow_reader_is_told_how_much_of_the_log_it_missed() {
    let world = world();
    let dir = world.root().join("pets/default/web-0/logs");
    let old = "old line\n".repeat(40_000);
    log(&world, "web-0", "c.log", &format!("{old}half"));
    let mut follow = start(&world, "logs web-0 -c c -f");
    let mut lines = lines(&mut follow.0);
    // The pipe is full now: meanwhile the log is rotated away, 1000 bytes of it unread.
    assert_eq!(lines.next().unwrap(), "old line");
    fs::write(dir.join("new"), "new line\n").unwrap();
    index(&world, &[], old.len() + "half".len() + 1000);
    fs::rename(dir.join("new"), dir.join("c.log")).unwrap();
    let rest: Vec<String> = lines.by_ref().take(40_002).collect();
    assert_eq!(rest[39_999], "half");
    let note = "[petset: 1000 bytes of output were dropped here: ";
    assert!(rest[40_000].starts_with(note), "{}", rest[40_000]);
    assert_eq!(rest[40_001], "new line");
}

#[test]
fn following_a_pet_that_has_completed_ends() {
    let world = world();
    log(&world, "web-0", "c.log", "done\n");
    let end = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    pet(&world, "web-0", &status(false, &end, &json!({})));
    let mut follow = start(&world, "logs web-0 -f");
    assert_eq!(lines(&mut follow.0).collect::<Vec<_>>(), ["done"]);
    assert!(follow.0.wait().unwrap().success());
    // An init container ends before its pet does.
    log(&world, "web-1", "prepare.log", "prepared\n");
    let mut follow = start(&world, "logs web-1 -c prepare -f");
    assert_eq!(lines(&mut follow.0).collect::<Vec<_>>(), ["prepared"]);
}

/// Writes the index of web-0's log, as its runner does.
fn index(world: &World, files: &[(&str, usize)], next: usize) {
    let inode = |name: &str| {
        let path = world.root().join("pets/default/web-0/logs").join(name);
        fs::metadata(path).unwrap().ino()
    };
    let files = files
        .iter()
        .map(|&(name, start)| json!({"inode": inode(name), "start": start}));
    let index = json!({"files": files.collect::<Vec<_>>(), "next": next});
    log(world, "web-0", "c.log.index", &index.to_string());
}
