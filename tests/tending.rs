//! `petset volume` and `petset doctor`, on state directories written by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod handmade;

use handmade::{World, ok, said};

/// A world in which `web` has shrunk from four pets to three, and `old` was deleted.
fn with_volumes() -> World {
    let world = World::with_web();
    let text = std::fs::read_to_string(world.root().join("wanted/default/statefulset/web.yaml"));
    let claims = "  volumeClaimTemplates: [{metadata: {name: data}, spec: {}}]\n";
    let text = text.unwrap() + claims;
    world.write("wanted/default/statefulset/web.yaml", &text);
    for (claim, set) in [
        ("data-web-0", "web"),
        ("data-web-3", "web"),
        ("data-old-0", "old"),
        ("data-old-1", "old"),
    ] {
        let record = serde_json::json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": claim, "namespace": "default",
                         "annotations": {"petset.dev/set": set}},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
        });
        world.write(
            &format!("seen/default/claims/{claim}.json"),
            &record.to_string(),
        );
        world.write(
            &format!("volumes/default/{claim}/file"),
            &"x".repeat(10_000),
        );
    }
    world
}

fn row(table: &str, name: &str) -> Vec<String> {
    let line = table.lines().find(|line| line.starts_with(name));
    let words = line
        .unwrap_or_else(|| panic!("no {name} in {table}"))
        .split_whitespace();
    words.map(str::to_owned).collect()
}

#[test]
fn volumes_are_listed_with_who_wants_them() {
    let world = with_volumes();
    let table = ok(world.petset("volume ls"));
    assert_eq!(row(&table, "data-web-0")[1..4], ["web", "InUse", "web-0"]);
    assert_eq!(row(&table, "data-web-3")[1..4], ["web", "Kept", "<none>"]);
    assert_eq!(
        row(&table, "data-old-1")[1..4],
        ["old", "Unbound", "<none>"]
    );
    let names = ok(world.petset("volume ls old -o name"));
    assert_eq!(
        names,
        "persistentvolumeclaim/data-old-0\npersistentvolumeclaim/data-old-1\n"
    );
    let path = ok(world.petset("volume path data-web-3"));
    assert_eq!(
        path.trim(),
        world
            .root()
            .join("volumes/default/data-web-3")
            .to_str()
            .unwrap()
    );
    assert_eq!(said(world.petset("volume path data-web-9")).code, 3);
    assert_eq!(said(world.petset("volume ls nope")).code, 3);
}

#[test]
fn a_volume_that_is_wanted_is_not_removed() {
    let world = with_volumes();
    let used = said(world.petset("volume rm data-web-3 data-web-0 --yes"));
    assert_eq!(used.code, 4);
    assert!(
        used.err
            .contains("cannot remove the volume data-web-0: web-0 uses it"),
        "{}",
        used.err
    );
    assert!(
        used.err
            .contains("`petset volume rm data-web-3` removes the unused ones"),
        "{}",
        used.err
    );
    std::fs::remove_dir_all(world.root().join("pets/default/web-0")).unwrap();
    let wanted = said(world.petset("volume rm data-web-0 --dry-run"));
    assert_eq!(wanted.code, 4);
    assert!(
        wanted.err.contains("it is wanted for web-0"),
        "{}",
        wanted.err
    );
    assert!(
        world
            .root()
            .join("volumes/default/data-web-3/file")
            .exists()
    );
}

#[test]
fn volumes_are_removed_only_with_consent_and_then_wholly() {
    let world = with_volumes();
    let asked = said(world.petset("volume rm --set old"));
    assert_eq!(asked.code, 2);
    assert!(
        asked.err.contains("2 volumes with ") && asked.err.contains("--yes"),
        "{}",
        asked.err
    );
    assert!(world.root().join("volumes/default/data-old-0").exists());
    let shown = ok(world.petset("volume rm --set sts/old --yes --dry-run"));
    let names = ["data-old-0", "data-old-1"].map(|name| format!("/{name} would be removed ("));
    assert!(names.iter().all(|name| shown.contains(name)), "{shown}");
    assert!(
        world
            .root()
            .join("volumes/default/data-old-0/file")
            .exists()
    );
    let removed = ok(world.petset("volume rm --set sts/old --yes"));
    assert!(
        removed.starts_with("persistentvolumeclaim/data-old-0 removed ("),
        "{removed}"
    );
    let left = std::fs::read_dir(world.root().join("volumes/default"))
        .unwrap()
        .count();
    assert_eq!(left, 2);
    assert!(
        !world
            .root()
            .join("seen/default/claims/data-old-0.json")
            .exists()
    );
    assert_eq!(said(world.petset("volume rm --set old --yes")).code, 3);
}

#[test]
fn the_doctor_finds_nothing_broken_in_a_sound_state_directory() {
    let world = World::new();
    let found: serde_json::Value =
        serde_json::from_str(&ok(world.petset("doctor -o json"))).unwrap();
    let verdict = |check: &str| {
        let found = found
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["check"] == check);
        found.unwrap_or_else(|| panic!("no {check}"))["verdict"].clone()
    };
    for check in [
        "state directory",
        "locking",
        "lock",
        "format",
        "petset.toml",
        "addresses",
    ] {
        assert_eq!(verdict(check), "ok", "{check}");
    }
    assert!(ok(world.petset("doctor")).starts_with("CHECK "));
    let left = std::fs::read_dir(world.root()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        left.iter()
            .all(|name| !name.to_string_lossy().starts_with('.')),
        "{left:?}"
    );
}

#[test]
fn the_doctor_works_where_nothing_else_does() {
    let world = World::new();
    world.write("petset.toml", "cluster-domian = 'x'\n");
    let found = said(world.petset("doctor"));
    assert_eq!(found.code, 1);
    let line = found
        .out
        .lines()
        .find(|line| line.starts_with("petset.toml"));
    assert!(
        line.unwrap().contains("broken: ") && line.unwrap().contains("known keys"),
        "{}",
        found.out
    );
    world.write("petset.toml", "");
    world.write("format", "99\n");
    world.write("images.toml", "nonsense");
    let found = said(world.petset("doctor"));
    assert_eq!(found.code, 1);
    for check in ["format", "images.toml"] {
        let line = found
            .out
            .lines()
            .find(|line| line.starts_with(check))
            .unwrap();
        assert!(line.contains("broken: "), "{line}");
    }
    assert_eq!(said(world.petset("completions bash")).code, 0);
}

#[test]
fn the_doctor_finds_processes_that_outlive_their_pet() {
    let world = World::new();
    let mut lost = std::process::Command::new("sleep")
        .arg("60")
        .env("PETSET_STATE_DIR", world.root())
        .env("PETSET_POD_UID", "uid-of-nobody")
        .spawn()
        .unwrap();
    let found = said(world.petset("doctor"));
    lost.kill().unwrap();
    lost.wait().unwrap();
    assert_eq!(found.code, 1);
    let line = found
        .out
        .lines()
        .find(|line| line.starts_with("leftovers"))
        .unwrap();
    assert!(line.contains(&lost.id().to_string()), "{line}");
}
