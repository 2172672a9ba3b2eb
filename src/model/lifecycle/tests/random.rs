//! Random lives keep the promises.

use super::*;
use crate::problem::Problem;

/// Random worlds: whatever happens, nothing runs twice, an init container never runs beside or
/// after the main ones, a machine that waits has a reason to, and a stop comes to an end.
#[test]
fn random_lives_keep_the_promises() {
    for seed in 1..400_u64 {
        let mut random = Random(seed);
        life(&mut random).unwrap_or_else(|fault| panic!("seed {seed}: {fault}"));
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What the world around the machine knows.
#[derive(Default)]
struct World {
    running: Vec<ContainerIndex>,
    ended: Vec<ContainerIndex>,
    hooks: Vec<(ContainerIndex, HookKind)>,
    probes: Vec<(ContainerIndex, ProbeKind, u32)>,
    told_to_stop: bool,
    finished: bool,
}

fn life(random: &mut Random) -> Result<(), Problem> {
    let policy = ["Always", "OnFailure", "Never"][usize::try_from(random.below(3)).unwrap()];
    let hooks = json!({"postStart": {"exec": {}}, "preStop": {"exec": {}}});
    let probe = json!({"exec": {}, "periodSeconds": 1, "failureThreshold": 2});
    let full = json!({"lifecycle": hooks, "livenessProbe": probe, "startupProbe": probe,
        "readinessProbe": probe});
    let spec = json!({
        "restartPolicy": policy,
        "initContainers": [named("one"), sidecar("side"), named("two")],
        "containers": [with("a", full), named("b")],
    });
    let inits = [ContainerIndex(0), ContainerIndex(2)];
    let apps = [ContainerIndex(3), ContainerIndex(4)];
    let (mut clock, mut world) = (Duration::ZERO, World::default());
    let mut pet = PodMachine::new(&pod(&spec), None, BackOff::default(), at(clock));
    let mut queue = vec![PodEvent::Tick];
    for turn in 0..400 {
        let event = match queue.pop() {
            Some(event) => event,
            None => match happening(random, &mut world, turn) {
                Some(event) => event,
                None => {
                    clock = pet.deadline().unwrap_or(clock).max(clock);
                    PodEvent::Tick
                }
            },
        };
        for action in pet.next(event, at(clock)) {
            obey(action, random, &mut world, &mut queue)?;
        }
        let alive = |places: &[ContainerIndex]| places.iter().any(|it| world.running.contains(it));
        if alive(&inits) && alive(&apps) {
            return Err(Problem::failed(
                "an init container beside a main one".to_owned(),
            ));
        }
        if world.finished {
            pet.close(at(clock));
            let phase = pet.status().phase.clone().unwrap();
            let over = world.running.is_empty() && ["Failed", "Succeeded"].contains(&&*phase);
            return if over {
                Ok(())
            } else {
                Err(Problem::failed(format!("finished as {phase}")))
            };
        }
        let waits = pet.deadline().is_none_or(|at| at > clock);
        let idle = world.running.is_empty() && queue.is_empty() && world.ended.is_empty();
        if idle && waits && pet.deadline().is_none() {
            return Err(Problem::failed("waits for nothing".to_owned()));
        }
    }
    Err(Problem::failed("the stop never came to an end".to_owned()))
}

fn obey(
    action: Action,
    random: &mut Random,
    world: &mut World,
    queue: &mut Vec<PodEvent>,
) -> Result<(), Problem> {
    match action {
        Action::Prepare => queue.push(PodEvent::Prepared(Ok(()))),
        Action::Start(place) if world.running.contains(&place) || world.ended.contains(&place) => {
            return Err(Problem::failed(format!("{place:?} started twice")));
        }
        Action::Start(place) if random.below(10) == 0 => {
            let failure = Failure::Launch("no".to_owned());
            queue.push(PodEvent::StartFailed { place, failure });
        }
        Action::Start(place) => {
            world.running.push(place);
            queue.push(PodEvent::Started { place, pid: 7 });
        }
        Action::Kill(place) => {
            if let Some(index) = world.running.iter().position(|it| *it == place) {
                world.running.swap_remove(index);
                world.ended.push(place);
                let (exit, message) = (Exit::Signal(9), None);
                queue.push(PodEvent::Ended {
                    place,
                    exit,
                    message,
                });
            }
        }
        Action::Hook { place, hook } => world.hooks.push((place, hook)),
        Action::Probe { place, kind, run } => world.probes.push((place, kind, run)),
        Action::Finish => world.finished = true,
        Action::Terminate(_) | Action::Report(_) => {}
    }
    Ok(())
}

/// Lets something happen by itself; nothing when time should pass.
fn happening(random: &mut Random, world: &mut World, turn: u32) -> Option<PodEvent> {
    if turn >= 200 && !world.told_to_stop {
        world.told_to_stop = true;
        let grace = Duration::from_secs(random.below(20));
        return Some(PodEvent::Stop { grace });
    }
    if let Some(place) = world.ended.pop() {
        return Some(PodEvent::Gone(place));
    }
    if let Some((place, kind, run)) = world.probes.pop() {
        let outcome = match random.below(3) {
            0 => ProbeOutcome::Failure("no".to_owned()),
            _ => ProbeOutcome::Success,
        };
        return Some(PodEvent::Probed {
            place,
            kind,
            run,
            outcome,
        });
    }
    if random.below(2) == 0
        && let Some((place, hook)) = world.hooks.pop()
    {
        let outcome = match random.below(4) {
            0 => Err(Problem::failed("no".to_owned())),
            _ => Ok(HookSuccess::Plain),
        };
        return Some(PodEvent::Hooked {
            place,
            hook,
            outcome,
        });
    }
    if random.below(3) > 0 || world.running.is_empty() {
        return None;
    }
    let index = random.below(world.running.len() as u64);
    let place = world.running.swap_remove(usize::try_from(index).unwrap());
    world.ended.push(place);
    let code = i32::try_from(random.below(2)).unwrap();
    let (exit, message) = (Exit::Code(code), None);
    Some(PodEvent::Ended {
        place,
        exit,
        message,
    })
}
