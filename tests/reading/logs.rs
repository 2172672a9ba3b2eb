//! `petset logs`: across rotation and restarts, and followed.

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
    assert_eq!(
        all.err,
        "Defaulted container \"c\" out of: c, prepare (init)\n"
    );
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
