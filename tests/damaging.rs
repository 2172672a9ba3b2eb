//! Damaged files: every file of a state directory is emptied, cut in half, filled with noise and
//! so on, in turn. One costs its own object at most: all verbs work for the others, the damaged one
//! is named with what to do, what can be observed again is written again, and what was wanted is
//! kept.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

#[path = "damaging/crashing.rs"]
mod crashing;
#[path = "damaging/disk.rs"]
mod disk;
#[path = "damaging/killed.rs"]
mod killed;
#[path = "damaging/tracing.rs"]
mod tracing;
#[path = "damaging/world.rs"]
mod world;

use std::env;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use support::{PATIENCE, Sandbox, processes, remove, wait_until};

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Emptied,
    Halved,
    Noise,
    NotUtf8,
    Unreadable,
    Directory,
    Fifo,
}

const DAMAGES: [Damage; 7] = [
    Damage::Emptied,
    Damage::Halved,
    Damage::Noise,
    Damage::NotUtf8,
    Damage::Unreadable,
    Damage::Directory,
    Damage::Fifo,
];

impl Damage {
    fn inflict(self, path: &Path) {
        let before = content(path);
        match self {
            Self::Emptied => overwrite(path, b""),
            Self::Halved => overwrite(path, &before[..before.len() / 2]),
            Self::Noise => {
                let noise = (0..before.len().max(64)).map(|at| (at * 37 % 96) as u8 + 31);
                overwrite(path, &noise.collect::<Vec<_>>());
            }
            Self::NotUtf8 => overwrite(path, b"{\"a\": \"\xff\xfe\x80\"}\n"),
            Self::Unreadable => {
                let closed = fs::Permissions::from_mode(0o000);
                // A socket that is gone meanwhile is as good.
                let _ = fs::set_permissions(path, closed);
            }
            Self::Directory => exchange(path, |new| {
                fs::create_dir(new).unwrap();
                fs::write(new.join("inside"), "x").unwrap();
            }),
            Self::Fifo => exchange(path, |new| {
                rustix::fs::mkfifoat(CWD, new, 0o600.into()).unwrap();
            }),
        }
    }
}

/// Reads a file. One that was a pipe before, and may stay one, is not waited for.
fn content(path: &Path) -> Vec<u8> {
    let file = path.is_file().then(|| fs::read(path).ok());
    file.flatten().unwrap_or_default()
}

/// Puts something else in the place of a file, which is never missing: one that is removed has been
/// removed by its user.
fn exchange(path: &Path, make: impl FnOnce(&Path)) {
    let new = path.with_file_name(".something");
    make(&new);
    // A runner removes its socket when it ends, and makes it again when somebody has damaged it.
    let ways = [RenameFlags::EXCHANGE, RenameFlags::NOREPLACE];
    let put = |how: &RenameFlags| renameat_with(CWD, &new, CWD, path, *how).is_ok();
    assert!(wait_until(|| ways.iter().any(put), PATIENCE), "{path:?}");
    if new.symlink_metadata().is_ok() {
        remove(&new);
    }
}

/// Writes to the file in place, as a broken disk or a bad editor does. A socket becomes a file,
/// also one that a runner puts there meanwhile.
fn overwrite(path: &Path, bytes: &[u8]) {
    loop {
        if !path.is_file() {
            let _ = fs::remove_file(path);
        }
        match fs::write(path, bytes) {
            Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {}
            written => return written.unwrap(),
        }
    }
}

/// Puts a file back as it was.
fn put_back(path: &Path, bytes: &[u8]) {
    let new = path.with_file_name(".something");
    fs::write(&new, bytes).unwrap();
    renameat_with(CWD, &new, CWD, path, RenameFlags::EXCHANGE).unwrap();
    remove(&new);
}

const OBJECTS: &str = "
apiVersion: v1
kind: Service
metadata: {name: t}
spec: {clusterIP: None, selector: {app: t}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: t}, ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red}
---
apiVersion: v1
kind: Secret
metadata: {name: hush}
stringData: {word: hush}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: own}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, labels: {app: t}}
spec:
  containers: [{name: c, image: busybox, command: [sleep, '600']}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: t}
spec:
  serviceName: t
  replicas: 2
  selector: {matchLabels: {app: t}}
  template:
    metadata: {labels: {app: t}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: busybox
        command: [sleep, '600']
        env: [{name: COLOUR, valueFrom: {configMapKeyRef: {name: settings, key: colour}}}]
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
";

/// A state directory with one of each, and a set `u` whose files stay whole.
fn with_everything() -> Sandbox {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("objects.yaml", OBJECTS);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.ok("create u --volume data:/data -- sleep 600");
    sandbox
}

/// Lists the files that petset or its user wrote, relative to the state directory.
fn files_of(sandbox: &Sandbox) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![sandbox.state()];
    // What belongs to pets, to the user, or is a link to the program.
    let skipped = ["volumes", "root", "image", "sandbox", "bin", "petset.toml"];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if skipped.contains(&name.to_str().unwrap()) {
                continue;
            }
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => left.push(path),
                kind if kind.is_file() || kind.is_socket() => {
                    found.push(path.strip_prefix(sandbox.state()).unwrap().to_owned());
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// Files of the set `u`, which is to stay whole, and of what comes and goes.
fn is_of_others(file: &Path) -> bool {
    let file = file.to_str().unwrap();
    [
        "/u.",
        "/u-0",
        "data-u-0",
        "pets/other",
        "seen/other",
        "wanted/other",
    ]
    .iter()
    .any(|part| file.contains(part))
}

/// Whether a pet may be started again because of this file: a lock that is gone ends its process.
fn may_cost_its_pet(file: &Path, damage: Damage) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    let gone = matches!(damage, Damage::Directory | Damage::Fifo);
    ["lock", "proxy.lock", "control", "socket"].contains(&name) && gone
        || file.starts_with("view")
        || name == "pod.json"
}

fn unreadable_works() -> bool {
    !rustix::process::geteuid().is_root()
}

/// The cases of this run: every other file, each in one way; with `PETSET_DAMAGES=all` every file
/// in every way, and with a part of a path, files of that path in every way. `PETSET_TEST_SEED`
/// repeats a run.
fn cases(files: &[PathBuf]) -> Vec<(PathBuf, Damage)> {
    let asked = env::var("PETSET_DAMAGES").ok();
    let seed = env::var("PETSET_TEST_SEED").ok();
    let run = seed.unwrap_or_else(|| std::process::id().to_string());
    let run: usize = run.parse().unwrap();
    let possible = DAMAGES.into_iter();
    let possible = possible.filter(|it| *it != Damage::Unreadable || unreadable_works());
    let possible: Vec<Damage> = possible.collect();
    let mut cases = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let ways = match asked.as_deref() {
            Some("all") => possible.clone(),
            Some(part) if file.to_str().unwrap().contains(part) => possible.clone(),
            None if number % 2 == run % 2 => vec![possible[(number + run) % possible.len()]],
            Some(_) | None => Vec::new(),
        };
        cases.extend(ways.into_iter().map(|damage| (file.clone(), damage)));
    }
    cases
}

/// Tries the verbs of the others, with the file as it is.
fn others_work(sandbox: &Sandbox, what: &str, number: usize) {
    let pets = sandbox.ok("get pods").out;
    assert!(pets.contains("u-0"), "{what}: {pets}");
    let replicas = 1 + number % 2;
    let scale = format!("scale u --replicas {replicas} --timeout 20s");
    let others = [
        "-n other create o --timeout 20s -- sleep 600",
        "-n other delete o --timeout 20s",
        "describe set u",
        "volume ls",
        "events",
        "get all",
    ];
    let at = number * 2 % others.len();
    for verb in [&*scale, others[at], others[at + 1]] {
        let outcome = sandbox.run(verb);
        if outcome.code != 0 {
            sandbox.fail(&format!("{what}: `petset {verb}` was to succeed"));
        }
    }
}

fn damaged_and_named(sandbox: &Sandbox, file: &Path, what: &str) {
    let name = file.to_str().unwrap();
    if name.ends_with("pod/bare.yaml") {
        // It is known by the pod that there is.
        return;
    }
    let said = sandbox.run("doctor");
    if !said.out.contains(name) {
        sandbox.fail(&format!("{what}: doctor was to name {name}"));
    }
    sandbox.events_say(&["Damaged"]);
    if name.contains("/persistentvolumeclaim/") {
        // The record of a claim that there is says all.
        return;
    }
    let words = format!(
        "get {} -o name",
        file.parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
    );
    let said = sandbox.run(&words);
    if !said.err.contains(name) {
        sandbox.fail(&format!("{what}: `{words}` was to name {name}"));
    }
}

/// The pods that are to run on, whatever file is damaged.
fn steady(sandbox: &Sandbox) -> Vec<String> {
    let mut all = sandbox.pets();
    all.retain(|pet| !pet.starts_with("u-") && !pet.starts_with("j-"));
    all
}

/// Damages files in turn, and requires that one costs one object at most.
fn damage_in_turn(sandbox: &Sandbox) {
    let files: Vec<PathBuf> = files_of(sandbox)
        .into_iter()
        .filter(|it| !is_of_others(it))
        .collect();
    for (number, (file, damage)) in cases(&files).into_iter().enumerate() {
        let path = sandbox.file(file.to_str().unwrap());
        if !path.exists() {
            continue;
        }
        let what = format!("{} {damage:?}", file.display());
        let wanted = file.starts_with("wanted") && !file.ends_with("stopped");
        let before = content(&path);
        let pets = steady(sandbox);
        let mains: Vec<_> = pets.iter().map(|pet| sandbox.main(pet)).collect();
        if number % 2 == 0
            && let Some(supervisor) = sandbox.supervisor()
        {
            processes::signal(supervisor, rustix::process::Signal::TERM);
            sandbox.until("the supervisor ended", || !processes::is_alive(supervisor));
        }
        damage.inflict(&path);
        others_work(sandbox, &what, number);
        if wanted {
            damaged_and_named(sandbox, &file, &what);
            put_back(&path, &before);
            sandbox.ok("scale u --replicas 1");
        }
        sandbox.until(&format!("{what}: doctor finds no damage"), || {
            let output = sandbox.command("doctor -o json").output().unwrap();
            let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            let mut found = found.as_array().unwrap().iter();
            !found.any(|it| it["check"] == "files" && it["verdict"] == "broken")
        });
        // A pod of a workload of which nothing is known gives way to another.
        let is_lost = |pet: &str| file.to_str().unwrap().contains(pet) && is_of_workload(pet);
        sandbox.until(&format!("{what}: as many pods run"), || {
            let there = steady(sandbox);
            let runs = |pet: &String| {
                sandbox.main(pet).is_some() && sandbox.status_of(pet).as_deref() == Some("Running")
            };
            let kept = |pet: &String| is_lost(pet) || there.contains(pet);
            there.len() == pets.len() && pets.iter().all(kept) && there.iter().all(runs)
        });
        if !may_cost_its_pet(&file, damage) && !file.ends_with("runner.json") {
            for (pet, main) in pets.iter().zip(mains).filter(|(pet, _)| !is_lost(pet)) {
                assert_eq!(sandbox.main(pet), main, "{what}: {pet} was to run on");
            }
        }
    }
    sandbox.ok("stop");
    sandbox.ok("start");
}

fn is_of_workload(pet: &str) -> bool {
    ["d-", "e-"].iter().any(|prefix| pet.starts_with(prefix))
}

#[test]
fn one_damaged_file_costs_one_object_at_most() {
    let sandbox = with_everything();
    damage_in_turn(&sandbox);
    sandbox.ok("delete t u pod/bare --purge");
    sandbox.assert_nothing_left();
}

/// A Deployment and a DaemonSet that run, a Job that is done, and a CronJob.
const WORKLOADS: &str = "
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {replicas: 2, selector:
  {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}}, spec:
  {terminationGracePeriodSeconds: 1, containers: [{name: c, image: busybox, command: [sleep, '600']}]}}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: e}, spec: {selector: {matchLabels: {app: e}},
  template: {metadata: {labels: {app: e}}, spec: {terminationGracePeriodSeconds: 1,
  containers: [{name: c, image: busybox, command: [sleep, '600']}]}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: j}, spec: {template: {spec: {restartPolicy: Never,
  containers: [{name: c, image: busybox, command: ['true']}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: k}, spec: {schedule: '0 0 1 1 *', jobTemplate:
  {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox,
  command: ['true']}]}}}}}}
";

#[test]
fn what_came_of_a_pod_that_has_ended_is_written_again() {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("workloads.yaml", WORKLOADS);
    sandbox.ok(&format!("create -f {file}"));
    let names = sandbox.ok("get pods -l job-name=j -o name").out;
    let pod = names.trim().trim_start_matches("pod/").to_owned();
    for (name, killed) in ["status.json", "runner.json"]
        .into_iter()
        .flat_map(|name| [(name, false), (name, true)])
    {
        Damage::Noise.inflict(&sandbox.file(&format!("pets/default/{pod}/{name}")));
        if killed {
            sandbox.kill(sandbox.supervisor());
            sandbox.ok("scale deploy/d --replicas 2");
        }
        sandbox.until(
            &format!("{name} is whole, supervisor killed: {killed}"),
            || {
                sandbox.run("get pods -o name");
                let output = sandbox.command("doctor -o json").output().unwrap();
                !String::from_utf8_lossy(&output.stdout).contains(&pod)
            },
        );
        assert_eq!(sandbox.status_of(&pod).as_deref(), Some("Completed"));
    }
    sandbox.ok("get jobs").says("Complete");
    sandbox.ok(&format!("delete -f {file}"));
    sandbox.assert_nothing_left();
}

#[test]
fn a_damaged_file_of_a_workload_costs_that_workload_alone() {
    let sandbox = Sandbox::new();
    let file = sandbox.manifest("workloads.yaml", WORKLOADS);
    sandbox.ok(&format!("create -f {file}"));
    sandbox.ok("create u --volume data:/data -- sleep 600");
    damage_in_turn(&sandbox);
    sandbox.ok("get jobs").says("Complete");
    sandbox.ok("get cronjob k").says("0 0 1 1 *");
    sandbox.ok(&format!("delete -f {file}"));
    sandbox.ok("delete u --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn a_damaged_object_is_put_aside_by_delete_and_its_pets_are_stopped() {
    let sandbox = with_everything();
    let set = sandbox.file("wanted/default/statefulset/t.yaml");
    let text = fs::read_to_string(&set).unwrap();
    let half = &text[..text.len() / 2];
    fs::write(&set, half).unwrap();
    let refused = sandbox.fails(1, "scale t --replicas 3");
    refused
        .says("t.yaml is damaged")
        .says("petset delete statefulset");
    sandbox.run("describe set t").says("t.yaml is damaged");
    let deleted = sandbox.ok("delete statefulset/t");
    deleted.says("t.yaml.damaged").says("t deleted");
    sandbox.until("its pets are gone", || {
        sandbox.main("t-0").is_none() && sandbox.main("t-1").is_none()
    });
    let kept = fs::read_to_string(sandbox.file("wanted/default/statefulset/t.yaml.damaged"));
    assert_eq!(kept.unwrap(), half);
    sandbox.ok("doctor").says("t.yaml.damaged");
    // The data is found again.
    let file = sandbox.scratch().join("objects.yaml");
    sandbox.ok(&format!("apply -f {}", file.display()));
    sandbox.ok("volume ls").says("data-t-0");
    sandbox.ok("delete t u pod/bare --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn all_stop_and_start_beside_one_that_is_damaged() {
    let sandbox = with_everything();
    let set = sandbox.file("wanted/default/statefulset/t.yaml");
    let text = fs::read(&set).unwrap();
    // One that runs keeps to the last text that it could read.
    sandbox.kill(sandbox.supervisor());
    fs::write(&set, "").unwrap();
    sandbox.ok("stop").says("t.yaml is damaged");
    let mains = ["t-0", "t-1", "u-0"];
    sandbox.until("nothing runs", || {
        mains.iter().all(|pet| sandbox.main(pet).is_none())
    });
    sandbox.ok("start").says("t.yaml is damaged");
    sandbox.until_pet_is("u-0", "Running");
    assert_eq!(sandbox.main("t-0"), None);
    fs::write(&set, text).unwrap();
    sandbox.ok("start");
    sandbox.until_pet_is("t-1", "Running");
    sandbox.ok("delete t u pod/bare --purge");
    sandbox.assert_nothing_left();
}

#[test]
fn a_pet_of_which_nothing_is_known_is_stopped_and_made_again() {
    let sandbox = with_everything();
    let supervisor = sandbox.supervisor().unwrap();
    processes::signal(supervisor, rustix::process::Signal::KILL);
    sandbox.until("the supervisor is dead", || {
        !processes::is_alive(supervisor)
    });
    for pet in ["t-0", "bare"] {
        for file in ["pods.json", "pod.json", "status.json", "runner.json"] {
            let _ = fs::write(sandbox.file(&format!("pets/default/{pet}/{file}")), "");
            let _ = fs::write(sandbox.file(&format!("view/pets/default/{pet}/{file}")), "");
        }
    }
    fs::write(sandbox.file("seen/addresses"), b"\xff\xfe").unwrap();
    let address = |pet: &str| sandbox.pod(pet)["status"]["podIP"].clone();
    let other = address("t-1");
    sandbox.ok("scale u --replicas 2");
    sandbox.events_say(&["the pod is stopped and made again"]);
    for pet in ["t-0", "bare"] {
        sandbox.until(&format!("{pet} runs"), || {
            sandbox.main(pet).is_some() && sandbox.status_of(pet).as_deref() == Some("Running")
        });
    }
    assert_eq!(address("t-1"), other);
    let addresses = fs::read(sandbox.file("seen/addresses")).unwrap();
    let addresses = String::from_utf8_lossy(&addresses).into_owned();
    assert!(addresses.contains(&format!("{} default t-1 .", other.as_str().unwrap())));
    sandbox.ok("delete t u pod/bare --purge");
    sandbox.assert_nothing_left();
}
