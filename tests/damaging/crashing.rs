//! Crash points: a role of petset is killed at its N-th call of one system call, or that call
//! fails, while a verb works. Then the next command goes on from there: nothing is lost, nothing is
//! stuck, nothing is left over.
//!
//! A few points are tried by default. `PETSET_CRASHES` is how many to try and `PETSET_TEST_SEED`
//! repeats a run, as far as processes run alike; `PETSET_CRASH_WORLDS` state directories are used
//! at a time. With `PETSET_CRASH_RESULTS`, each point becomes a line of that file, and as many are
//! tried as it lacks of half that number of kills and as many failed calls.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::support::{Sandbox, is_full, is_installed, processes, skipped};
use crate::tracing::{Call, How, Tracer};
use crate::world::{Fault, VERBS, Verb, World};

/// How long a verb may take that is hit.
const HIT: Duration = Duration::from_secs(8);
/// How often a state directory goes through all verbs.
const CYCLES: u32 = 4;
/// Later calls of a process are much like these.
const LATEST: u64 = 40;

/// Which process is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    /// The command alone.
    Command,
    /// The command and all that it starts, each at its own N-th call.
    All,
    /// The supervisor that runs, without what it starts.
    Supervisor,
    /// The supervisor that runs, and all that it starts.
    Started,
    /// A supervisor that starts, and all that it starts.
    Fresh,
    /// The nursery, and all runners that it forks.
    Nursery,
    /// The runner of `t-0`.
    Runner,
    Network,
    Proxy,
}

const TARGETS: [Target; 9] = [
    Target::Command,
    Target::All,
    Target::Supervisor,
    Target::Started,
    Target::Fresh,
    Target::Nursery,
    Target::Runner,
    Target::Network,
    Target::Proxy,
];

/// One crash.
#[derive(Debug, Clone)]
struct Point {
    role: String,
    call: &'static str,
    number: u64,
    /// The call fails with this error; `None` kills the process.
    error: Option<&'static str>,
}

impl Point {
    fn injection(&self) -> String {
        let what = match self.error {
            Some(error) => format!("error={error}"),
            None => "signal=KILL".to_owned(),
        };
        format!("inject={}:{what}:when={}", self.call, self.number)
    }
}

/// Random numbers that a printed seed brings back.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// The errors that a call may well have.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "clone" | "clone3" | "vfork" => &["EAGAIN", "ENOMEM"],
        "execve" => &["ENOMEM", "EIO"],
        "bind" => &["EADDRINUSE", "ENOMEM"],
        "mount" | "umount2" | "move_mount" | "open_tree" | "pivot_root" | "unshare" | "setns" => {
            &["EPERM", "ENOMEM", "ENOSPC"]
        }
        "sendto" | "sendmsg" => &["ENOBUFS", "ECONNREFUSED"],
        "open" | "openat" | "openat2" => &["ENOSPC", "EIO", "EMFILE"],
        _ => &["ENOSPC", "EIO"],
    }
}

/// What is known of the calls of processes: which, for each verb and target.
type Situation = (Verb, Target, bool);
type Seen = HashMap<Situation, BTreeMap<(String, &'static str), u64>>;

/// What all worlds share.
struct Run {
    seen: Mutex<Seen>,
    results: Mutex<Results>,
}

struct Results {
    file: Option<File>,
    faults: Option<File>,
    kills: u64,
    errors: u64,
    /// How many of each are wanted.
    wanted: u64,
    bad: Vec<String>,
    begin: Instant,
    points: u64,
}

impl Results {
    /// Goes on with the file that the environment names.
    fn open() -> Self {
        let points = number("PETSET_CRASHES").unwrap_or(24);
        let path = env::var("PETSET_CRASH_RESULTS").ok();
        let before = path.as_ref().map(fs::read_to_string);
        let before = before.and_then(Result::ok).unwrap_or_default();
        let append = |path: String| {
            File::options()
                .create(true)
                .append(true)
                .open(path)
                .unwrap()
        };
        let counted = |kill: bool| {
            let lines = before
                .lines()
                .map(|line| line.split('\t').collect::<Vec<_>>());
            lines
                .filter(|it| is_counted(it) && (it[4] == "kill") == kill)
                .count() as u64
        };
        Self {
            kills: counted(true),
            errors: counted(false),
            faults: path.as_ref().map(|it| append(format!("{it}.faults"))),
            file: path.map(append),
            wanted: points.div_ceil(2),
            bad: Vec::new(),
            begin: Instant::now(),
            points: 0,
        }
    }

    fn is_over(&self) -> bool {
        self.kills >= self.wanted && self.errors >= self.wanted
    }

    /// Notes a point and what became of it.
    #[expect(clippy::print_stdout, reason = "it is what the test reports")]
    fn note(&mut self, line: &str, why: Option<&str>) {
        self.points += 1;
        let fields: Vec<&str> = line.split('\t').collect();
        if is_counted(&fields) {
            let kind = if fields[4] == "kill" {
                &mut self.kills
            } else {
                &mut self.errors
            };
            *kind += 1;
        }
        let seconds = self.begin.elapsed().as_secs();
        println!(
            "{}: {line}\t({} kills and {} errors, {seconds} s)",
            self.points, self.kills, self.errors
        );
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}").unwrap();
        }
        if let Some(why) = why {
            self.bad.push(format!("{line}\n{why}"));
            if let Some(file) = &mut self.faults {
                writeln!(file, "=== {line}\n{why}").unwrap();
            }
        }
    }
}

/// Whether a line tells of a call of petset that was hit.
fn is_counted(fields: &[&str]) -> bool {
    let is_petset = |role: &str| !["pet", "shell"].contains(&role);
    fields.len() == 6 && fields[5] != "not reached" && fields[0].split('+').any(is_petset)
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Finds the process that a target means; `None` where a command is run for it.
fn process_of(target: Target, world: &World) -> Option<(i32, &'static str)> {
    let (pid, role) = match target {
        Target::Command | Target::All | Target::Fresh => (None, "command"),
        Target::Supervisor | Target::Started => (world.sandbox.supervisor(), "supervisor"),
        Target::Nursery => (world.sandbox.beside("nursery"), "nursery"),
        Target::Runner => (world.sandbox.runner("t-0"), "runner"),
        Target::Network => (world.sandbox.beside("network"), "network"),
        Target::Proxy => (world.sandbox.beside("proxy"), "proxy"),
    };
    Some((pid?, role))
}

/// Whether there is anything to hit.
fn exists(target: Target, verb: Verb, world: &World) -> bool {
    match target {
        Target::Command | Target::All => true,
        // One that has nothing to run ends at once.
        Target::Fresh => !matches!(verb, Verb::Create | Verb::Start | Verb::VolumeRm),
        Target::Supervisor
        | Target::Started
        | Target::Nursery
        | Target::Runner
        | Target::Network
        | Target::Proxy => process_of(target, world).is_some(),
    }
}

/// Says a verb while the target is hit; returns whether it succeeded, and all calls.
fn hit(verb: Verb, target: Target, injection: Option<&str>, world: &World) -> (bool, Vec<Call>) {
    let sandbox = &world.sandbox;
    let words = world.words(verb, "3s");
    let follow = !matches!(
        target,
        Target::Command | Target::Supervisor | Target::Runner
    );
    let how = How { injection, follow };
    let program = env!("CARGO_BIN_EXE_petset");
    if target == Target::Fresh {
        world.end_supervisor();
        // It is not the tracer's own child, which would end with it.
        let script = "exec -a petset \"$0\" supervisor \"$1\" &";
        let state = sandbox.state();
        let start = ["bash", "-c", script, program, state.to_str().unwrap()];
        let tracer = Tracer::of(sandbox, &start.map(str::to_owned), "shell", how);
        let outcome = sandbox.run(&words);
        return (outcome.code == 0, tracer.end());
    }
    if let Some((pid, role)) = process_of(target, world) {
        let tracer = Tracer::at(sandbox, pid, role, how);
        let outcome = sandbox.run(&words);
        return (outcome.code == 0, tracer.end());
    }
    let mut command = vec![program.to_owned()];
    command.extend(shlex::split(&words).unwrap());
    let mut tracer = Tracer::of(sandbox, &command, "command", how);
    let succeeded = tracer.succeeds_within(HIT);
    (succeeded, tracer.end())
}

impl Run {
    /// Takes a point that is known to exist; `None` where nothing is known yet.
    fn point(&self, situation: Situation, dice: &mut Dice) -> Option<Point> {
        let seen = self.seen.lock().unwrap();
        let known = seen.get(&situation).filter(|it| !it.is_empty())?;
        let mut roles: Vec<&String> = known.keys().map(|it| &it.0).collect();
        roles.dedup();
        let role = (*dice.of(&roles)).clone();
        let calls: Vec<_> = known.iter().filter(|it| it.0.0 == role).collect();
        let ((_, call), latest) = *dice.of(&calls);
        let results = self.results.lock().unwrap();
        let kill = match (results.kills, results.errors) {
            (kills, errors) if kills > errors + 8 => false,
            (kills, errors) if errors > kills + 8 => true,
            _ => dice.below(2) == 0,
        };
        let number = 1 + dice.below(usize::try_from(*latest.min(&LATEST)).unwrap()) as u64;
        let error = (!kill).then(|| *dice.of(errors(call)));
        Some(Point {
            role,
            call,
            number,
            error,
        })
    }

    fn learn(&self, situation: Situation, calls: &[Call]) {
        let mut seen = self.seen.lock().unwrap();
        let known = seen.entry(situation).or_default();
        for call in calls.iter().filter(|it| it.role != "pet") {
            // The program itself is executed by the tracer.
            if call.name == "execve" && call.role == "command" {
                continue;
            }
            let latest = known.entry((call.role.clone(), call.name)).or_default();
            *latest = call.number.max(*latest);
        }
    }

    /// Tries one point of a verb; returns whether the world can be used on.
    fn try_one(&self, verb: Verb, world: &mut World, dice: &mut Dice) -> bool {
        let targets: Vec<Target> = TARGETS
            .into_iter()
            .filter(|it| exists(*it, verb, world))
            .collect();
        let target = *dice.of(&targets);
        let situation = (verb, target, world.is_full);
        let point = self.point(situation, dice);
        let mut reached = Vec::new();
        let mut go = || {
            world.before(verb);
            let injection = point.as_ref().map(Point::injection);
            let (succeeded, calls) = hit(verb, target, injection.as_deref(), world);
            self.learn(situation, &calls);
            if let Some(point) = &point {
                let here = |it: &&Call| it.name == point.call && it.number == point.number;
                reached = calls
                    .iter()
                    .filter(here)
                    .map(|it| it.role.clone())
                    .collect();
                reached.sort();
                reached.dedup();
            }
            world.after(verb, succeeded)
        };
        let held = catch_unwind(AssertUnwindSafe(&mut go));
        let held = held.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(Fault::Stuck(text.unwrap_or_else(|| "a panic".to_owned())))
        });
        let (outcome, why) = match &held {
            Ok(()) if point.is_some() && reached.is_empty() => ("not reached", None),
            Ok(()) => ("ok", None),
            Err(Fault::Lost(why)) => ("lost", Some(why)),
            Err(Fault::Stuck(why)) => ("stuck", Some(why)),
            Err(Fault::Left(why)) => ("left over", Some(why)),
        };
        let level = if world.is_full { "full" } else { "none" };
        let Some(point) = point else {
            if let Some(why) = why {
                let line = format!("-\t{verb:?} {target:?} {level}\t-\t0\tnothing\t{outcome}");
                self.results
                    .lock()
                    .unwrap()
                    .note(&line, Some(&format!("{why}\n{}", world.sandbox.told())));
            }
            return held.is_ok();
        };
        let Point {
            role,
            call,
            number,
            error,
        } = point;
        let role = if reached.is_empty() {
            role
        } else {
            reached.join("+")
        };
        let how = error.unwrap_or("kill");
        let line =
            format!("{role}\t{verb:?} {target:?} {level}\t{call}\t{number}\t{how}\t{outcome}");
        let why = why.map(|it| format!("{it}\n{}", world.sandbox.told()));
        self.results.lock().unwrap().note(&line, why.as_deref());
        held.is_ok()
    }

    /// Uses one state directory after the other until there are enough points.
    fn go(&self, worker: u64, seed: u64) {
        let mut dice = Dice((seed + worker * 7919) | 1);
        for number in 0.. {
            // Isolated pets take longer.
            let is_full = is_full() && number % 3 == 1;
            let mut world = World::new(worker * 1000 + number, is_full);
            for verb in (0..CYCLES).flat_map(|_| VERBS) {
                if self.results.lock().unwrap().is_over() {
                    return;
                }
                if !self.try_one(verb, &mut world, &mut dice) {
                    break;
                }
            }
        }
    }
}

fn can_trace() -> bool {
    if !is_installed("strace", &["strace"]) {
        return false;
    }
    let traced = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .output();
    let traces = traced.is_ok_and(|output| output.status.success());
    if !traces {
        skipped("strace may not trace here");
    }
    traces
}

/// Has calls of a process and of what it starts fail while commands are run.
fn while_failing(
    sandbox: &Sandbox,
    who: (Option<i32>, &'static str),
    call: &str,
    work: impl FnOnce(),
) {
    let injection = format!("inject={call}");
    let how = How {
        injection: Some(&injection),
        follow: true,
    };
    let tracer = Tracer::at(sandbox, who.0.unwrap(), who.1, how);
    work();
    tracer.end();
}

#[test]
fn a_container_whose_start_its_runner_does_not_learn_of_does_not_run() {
    if !can_trace() || !is_full() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create t --replicas 0 -- sleep 600");
    sandbox.ok("create u -- sleep 601");
    let nursery = (sandbox.beside("nursery"), "nursery");
    while_failing(
        &sandbox,
        nursery,
        "sendmsg:error=ECONNREFUSED:when=1",
        || {
            sandbox.ok("scale t --replicas 1 --no-wait");
            sandbox.events_say(&["a process died that made it"]);
        },
    );
    sandbox.ok("wait t --timeout 60s");
    let sleeping = sandbox.processes();
    let sleeping = sleeping.iter().filter(|it| it.command == "sleep 600");
    assert_eq!(sleeping.count(), 1);
    sandbox.ok("delete t u");
    sandbox.assert_nothing_left();
}

#[test]
fn the_end_of_a_runner_is_noticed_though_the_word_of_it_was_lost() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.ok("create t -- sleep 600");
    sandbox.ok("create u -- sleep 601");
    let runner = sandbox.runner("t-0").unwrap();
    let supervisor = (sandbox.supervisor(), "supervisor");
    while_failing(&sandbox, supervisor, "sendto:error=ENOBUFS", || {
        sandbox.ok("delete t --no-wait");
        sandbox.until("the runner has ended", || !processes::is_alive(runner));
        let told = || fs::read_to_string(sandbox.scratch().join("strace")).unwrap();
        sandbox.until("the word is lost", || {
            told().contains("\"X\", 1, MSG_DONTWAIT")
        });
    });
    sandbox.ok("delete t --timeout 20s --ignore-not-found");
    sandbox.ok("delete u");
    sandbox.assert_nothing_left();
}

#[test]
fn whatever_crashes_at_any_point_the_next_command_goes_on() {
    if !can_trace() {
        return;
    }
    let run = Run {
        seen: Mutex::default(),
        results: Mutex::new(Results::open()),
    };
    let seed = number("PETSET_TEST_SEED").unwrap_or(u64::from(std::process::id()) * 7919);
    println!("PETSET_TEST_SEED={seed}");
    std::thread::scope(|scope| {
        for worker in 0..number("PETSET_CRASH_WORLDS").unwrap_or(2) {
            let run = &run;
            scope.spawn(move || run.go(worker, seed));
        }
    });
    let results = run.results.into_inner().unwrap();
    assert!(results.bad.is_empty(), "{}", results.bad.join("\n\n"));
}
