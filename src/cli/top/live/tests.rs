//! Screens of fixed situations, as they are drawn: `testdata/golden/top-*.txt`.
//!
//! `PETSET_ACCEPT=1` accepts what is drawn now.

use jiff::{SignedDuration, Timestamp};
use ratatui_core::buffer::Buffer;
use ratatui_core::style::{Color, Modifier};

use super::deeds::{Deed, press};
use super::draw::draw;
use super::keys::KeyPress;
use super::replay::Replay;
use super::scene::{Chosen, Detail, EventLine, InputMode, Scene, Theme};
use crate::cli::top::figures::Usage;
use crate::cli::top::lamp::Lamp;
use crate::cli::top::snapshot::{EndpointRow, PetRow, ServiceRow, Snapshot, WorkloadRow};
use crate::store::journal::{Event, Severity};

const SIZES: [(u16, u16); 2] = [(80, 24), (200, 60)];
const RICH: Theme = Theme {
    ascii: false,
    color: true,
};
const OLD: &str = "etcd-598b5f98fc";
const NEW: &str = "etcd-868874d5b5";

/// A moment so many seconds before that of the screens.
fn ago(seconds: i64) -> Timestamp {
    let now: Timestamp = "2026-11-30T12:34:56Z".parse().unwrap();
    now - SignedDuration::from_secs(seconds)
}

fn pet(name: &str, state: Lamp, status: &str, why: &str) -> PetRow {
    let ordinal: u64 = name.rsplit('-').next().unwrap().parse().unwrap();
    let ready = state == Lamp::Ready;
    PetRow {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        uid: Some(format!("uid-of-{name}")),
        owner: Some(format!("sts/{}", name.rsplit_once('-').unwrap().0)),
        state,
        ready: if ready { "1/1" } else { "0/1" }.to_owned(),
        status: status.to_owned(),
        address: Some(format!("127.27.1.{}", ordinal + 1)),
        revision: Some(OLD.to_owned()),
        up_to_date: true,
        restarts: 0,
        created: Some(ago(200 - 20 * i64::try_from(ordinal.min(8)).unwrap())),
        since: ready.then(|| ago(190 - 20 * i64::try_from(ordinal.min(8)).unwrap())),
        why: Some(why.to_owned()).filter(|why| !why.is_empty()),
        usage: Some(Usage {
            cpu_millicores: 3 + ordinal,
            memory_bytes: (20 + ordinal) << 20,
        }),
    }
}

fn set(name: &str, ready: i32, wanted: i32, note: Option<&str>) -> WorkloadRow {
    WorkloadRow {
        namespace: "default".to_owned(),
        name: format!("sts/{name}"),
        ready,
        wanted: Some(wanted),
        revision: Some(OLD.to_owned()),
        old_revision: None,
        note: note.map(str::to_owned),
    }
}

fn scene(workloads: Vec<WorkloadRow>, pods: Vec<PetRow>) -> Scene {
    let endpoints = pods.iter().map(|pod| EndpointRow {
        name: pod.name.clone(),
        address: pod.address.clone().unwrap(),
        published: pod.state == Lamp::Ready,
        ready: pod.state == Lamp::Ready,
    });
    let service = ServiceRow {
        namespace: "default".to_owned(),
        name: "etcd".to_owned(),
        address: "None".to_owned(),
        endpoints: endpoints.collect(),
    };
    let snapshot = Snapshot {
        time: ago(0),
        root: "/home/ann/.local/state/petset".to_owned(),
        workloads,
        pods,
        services: vec![service],
    };
    let mut scene = Scene::new(snapshot, RICH, false);
    let mut snapshot = scene.snapshot.clone();
    scene.timeline.note(&mut snapshot);
    scene
}

fn event(seconds: i64, reason: &str, text: &str) -> EventLine {
    EventLine {
        time: ago(seconds),
        warning: matches!(reason, "Unhealthy" | "BackOff"),
        text: format!("{reason}: {text}"),
    }
}

/// Three pets in order, of which the first is ready and the second initializes.
fn ordered() -> Scene {
    let why = "init container wait-for-db is running (1 of 2)";
    let mut second = pet("etcd-1", Lamp::Starting, "Init 1/2 wait-for-db", why);
    second.usage = None;
    let pods = vec![pet("etcd-0", Lamp::Ready, "Running", ""), second];
    let note = "etcd-1 is not ready: init container wait-for-db is running (1 of 2)";
    let mut scene = scene(vec![set("etcd", 1, 3, Some(note))], pods);
    scene.chosen = Some(Chosen::Pet(("default".to_owned(), "etcd-1".to_owned())));
    scene.detail = Detail {
        events: vec![
            event(
                180,
                "Scheduled",
                "Successfully assigned default/etcd-1 to localhost",
            ),
            event(
                179,
                "Started",
                "spec.initContainers{wait-for-db}: Container started",
            ),
        ],
        log: vec!["waiting for db.default:5432".to_owned(); 3],
    };
    scene
}

/// A rollout that is held by a canary.
fn canary() -> Scene {
    let mut pods: Vec<PetRow> = (0..5)
        .map(|ordinal| pet(&format!("etcd-{ordinal}"), Lamp::Ready, "Running", ""))
        .collect();
    for pod in &mut pods {
        pod.up_to_date = pod.name == "etcd-4";
        if pod.up_to_date {
            pod.revision = Some(NEW.to_owned());
        }
    }
    let note = "etcd has canaries: 1 of 5 pets are updated; go on with `petset rollout promote \
                etcd`, or back with `petset rollout undo etcd`";
    let row = WorkloadRow {
        revision: Some(NEW.to_owned()),
        old_revision: Some(OLD.to_owned()),
        ..set("etcd", 5, 5, Some(note))
    };
    let job = WorkloadRow {
        name: "job/load".to_owned(),
        revision: None,
        ..set("load", 0, 1, Some("Running"))
    };
    scene(vec![row, job], pods)
}

/// A pet that crashes again and again, and one that waits for it.
fn crashing() -> Scene {
    let why = "container etcd: back-off 40s restarting after exit code 7: cannot open /data/wal: \
               permission denied";
    let mut first = pet("etcd-0", Lamp::Failing, "CrashLoopBackOff", why);
    (first.restarts, first.usage) = (4, None);
    let note = format!("etcd-0 is not ready: {why}");
    let mut scene = scene(vec![set("etcd", 0, 3, Some(&note))], vec![first]);
    scene.chosen = Some(Chosen::Pet(("default".to_owned(), "etcd-0".to_owned())));
    scene.detail = Detail {
        events: vec![event(
            12,
            "BackOff",
            "Back-off restarting failed container etcd",
        )],
        log: vec!["cannot open /data/wal: permission denied".to_owned()],
    };
    let told = |seconds, reason: &str| Event {
        time: ago(seconds),
        severity: Severity::Normal,
        reason: reason.to_owned(),
        object: "pod/etcd-0".to_owned(),
        uid: Some("uid-of-etcd-0".to_owned()),
        field: Some("spec.containers{etcd}".to_owned()),
        message: String::new(),
        count: 1,
    };
    scene.timeline = super::timeline::Timeline::default();
    let events = [
        told(200, "Scheduled"),
        told(199, "Started"),
        told(190, "BackOff"),
        told(120, "Started"),
        told(100, "BackOff"),
    ];
    scene.timeline.recall("default", &events, &scene.snapshot);
    scene
}

/// A hundred pets, of which the last ones start.
fn hundred() -> Scene {
    let pods = (0..100).map(|ordinal| {
        let name = format!("etcd-{ordinal}");
        match ordinal {
            0..97 => pet(&name, Lamp::Ready, "Running", ""),
            _ => pet(
                &name,
                Lamp::Starting,
                "Running",
                "readiness probe has not succeeded yet",
            ),
        }
    });
    let mut scene = scene(vec![set("etcd", 97, 100, None)], pods.collect());
    scene.chosen = Some(Chosen::Pet(("default".to_owned(), "etcd-97".to_owned())));
    scene
}

fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let line: String = (0..buffer.area.width)
            .map(|x| buffer[(x, y)].symbol())
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[track_caller]
fn golden(name: &str, mut scene: Scene) {
    for size in SIZES {
        scene.now = ago(0);
        let drawn = text(&draw(&scene, size));
        let (width, height) = size;
        let path = format!("testdata/golden/top-{name}-{width}x{height}.txt");
        let action = match std::env::var_os("PETSET_ACCEPT") {
            Some(_) => snapbox::assert::Action::Overwrite,
            None => snapbox::assert::Action::Verify,
        };
        snapbox::Assert::new()
            .action(action)
            .eq(drawn, snapbox::Data::read_from(path.as_ref(), None));
    }
}

#[test]
fn an_ordered_start_shows_the_init_step_and_the_reason() {
    golden("ordered", ordered());
}

#[test]
fn a_roll_with_a_canary_shows_old_and_new_by_ordinal() {
    golden("canary", canary());
}

#[test]
fn a_crash_loop_shows_its_cause() {
    golden("crashing", crashing());
}

#[test]
fn of_a_hundred_pets_the_chosen_one_is_shown() {
    golden("hundred", hundred());
}

#[test]
fn nothing_is_said_where_nothing_is() {
    let mut scene = scene(Vec::new(), Vec::new());
    scene.snapshot.services.clear();
    golden("empty", scene);
}

#[test]
fn every_size_can_be_drawn() {
    for mut scene in [ordered(), canary(), crashing(), hundred()] {
        for width in [1, 39, 40, 79, 100, 131, 300] {
            for height in [1, 9, 10, 11, 23, 90] {
                scene.all_namespaces = width == 100;
                let drawn = draw(&scene, (width, height));
                assert_eq!(drawn.area.as_size(), (width, height).into());
            }
        }
    }
}

#[test]
fn without_colours_and_other_letters_the_states_differ_by_ascii_symbols() {
    let mut scene = ordered();
    let colored = draw(&scene, (80, 24));
    assert!(colored.content().iter().any(|cell| cell.fg == Color::Green));
    scene.theme = Theme {
        ascii: true,
        color: false,
    };
    let plain = draw(&scene, (80, 24));
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset));
    assert!(
        plain
            .content()
            .iter()
            .any(|cell| cell.modifier.contains(Modifier::BOLD))
    );
    let text = text(&plain);
    assert!(text.is_ascii(), "{text}");
    assert!(
        text.contains("* etcd-0") && text.contains("~ etcd-1"),
        "{text}"
    );
}

#[test]
fn what_a_pet_writes_does_not_reach_the_terminal() {
    let mut scene = ordered();
    scene.detail.log = vec!["\u{1b}]0;title\u{7}\u{1b}[2J".to_owned()];
    let text = text(&draw(&scene, (80, 24)));
    assert!(
        !text.contains('\u{1b}') && text.contains("\\u{1b}[2J"),
        "{text}"
    );
}

fn typed(scene: &mut Scene, keys: &str) -> Deed {
    let mut deed = Deed::Nothing;
    for key in super::keys::keys(keys.as_bytes()) {
        deed = press(scene, key, 24);
    }
    deed
}

fn words(deed: &Deed) -> String {
    let (Deed::Run(namespace, words) | Deed::Lend(namespace, words)) = deed else {
        return format!("{deed:?}");
    };
    format!("{namespace}: {}", words.join(" "))
}

#[test]
fn what_changes_something_asks_once_and_is_a_verb() {
    let cases = [
        ("K", "default: kill pod/etcd-1"),
        ("r", "default: restart pod/etcd-1 --no-wait"),
        ("p", "default: rollout promote sts/etcd --no-wait"),
        ("u", "default: rollout undo sts/etcd --no-wait"),
        ("z", "default: rollout pause sts/etcd"),
    ];
    for (key, wanted) in cases {
        let mut scene = ordered();
        assert_eq!(typed(&mut scene, key), Deed::Nothing, "{key}");
        let question = text(&draw(&scene, (80, 24)));
        let verb = wanted.strip_prefix("default: ").unwrap();
        assert!(question.contains(&format!("petset {verb}?")), "{question}");
        let mut other = ordered();
        assert_eq!(words(&typed(&mut scene, "y")), wanted);
        assert_eq!(typed(&mut other, &format!("{key}n")), Deed::Nothing);
        assert_eq!(other.mode, InputMode::Watch);
    }
    let mut scene = ordered();
    assert_eq!(
        words(&typed(&mut scene, "S1x2\r")),
        "default: scale sts/etcd --replicas 12 --no-wait"
    );
    assert_eq!(typed(&mut scene, "S\u{1b}"), Deed::Nothing);
    assert_eq!(
        words(&typed(&mut scene, "x")),
        "default: exec -it pod/etcd-1 -- sh"
    );
}

#[test]
fn a_pause_that_holds_is_taken_back_by_the_same_key() {
    let mut scene = canary();
    scene.snapshot.workloads[0].note = Some("etcd is paused: 1 of 5 pets are updated".to_owned());
    assert_eq!(
        words(&typed(&mut scene, "zy")),
        "default: rollout resume sts/etcd --no-wait"
    );
}

#[test]
fn keys_move_and_filter() {
    let mut scene = hundred();
    let chosen = |scene: &Scene| match &scene.chosen {
        Some(Chosen::Workload((_, name)) | Chosen::Pet((_, name))) => name.clone(),
        None => String::new(),
    };
    for (keys, name) in [
        ("j", "etcd-98"),
        ("kk", "etcd-96"),
        ("G", "etcd-99"),
        ("j", "etcd-99"),
        ("g", "sts/etcd"),
        ("\t", "etcd-0"),
        ("\u{1b}[6~", "etcd-10"),
        ("\t", "sts/etcd"),
    ] {
        typed(&mut scene, keys);
        assert_eq!(chosen(&scene), name, "{keys:?}");
    }
    typed(&mut scene, "/cd-77\r");
    assert_eq!(scene.pods().len(), 1);
    assert_eq!(scene.mode, InputMode::Watch);
    typed(&mut scene, "\u{1b}");
    assert_eq!(scene.pods().len(), 100);
    assert_eq!(press(&mut scene, KeyPress::Interrupt, 24), Deed::Quit);
}

#[test]
fn slow_shows_one_pet_after_the_other() {
    let from = ordered().snapshot;
    let mut to = from.clone();
    to.pods[1] = pet("etcd-1", Lamp::Ready, "Running", "");
    to.pods.push(pet(
        "etcd-2",
        Lamp::Starting,
        "Pending",
        "its runner has not started yet",
    ));
    to.workloads[0].ready = 2;
    let mut replay = Replay::starting_at(&from);
    replay.add(to.clone());
    assert_eq!(replay.behind(), 2);
    let begin = std::time::Instant::now();
    let second = std::time::Duration::from_secs(1);
    let one = replay.next(begin).unwrap();
    assert_eq!((one.pods.len(), one.pods[1].state), (2, Lamp::Ready));
    assert!(
        replay.next(begin + second / 2).is_none(),
        "each lasts a second"
    );
    assert_eq!(replay.next(begin + second), Some(to.clone()));
    // Figures alone are no step.
    let mut later = to;
    later.pods[0].usage = None;
    replay.add(later);
    assert_eq!(replay.behind(), 0);
}

#[test]
fn a_pet_that_is_replaced_is_gone_for_a_step() {
    let from = canary().snapshot;
    let mut to = from.clone();
    to.pods[3].uid = Some("another".to_owned());
    to.pods[3].state = Lamp::Starting;
    let mut replay = Replay::starting_at(&from);
    replay.add(to);
    let gone = replay.next(std::time::Instant::now()).unwrap();
    assert_eq!((gone.pods.len(), replay.behind()), (4, 1));
}
