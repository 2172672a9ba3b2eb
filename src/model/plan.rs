//! The plan of a set: every step to the wanted state, if nothing goes wrong.
//!
//! The steps are those of [`reconcile`], performed on values: a pet that is started becomes
//! ready, one that is stopped is gone. A pet that is stuck now stays stuck, and the plan ends
//! where it would be waited for.

use jiff::Timestamp;
use serde::Serialize;

use super::pet::HookOutcome;
use super::set::Strategy;
use super::{Phase, Rules, Seen, Set, SetOptions, Step, reconcile};

/// Passes after which a plan is cut off: more than any set needs.
const PASSES: usize = 100_000;

/// The steps of a set, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The set; empty for a pod that belongs to none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub set: String,
    /// The pod, where it is one by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The workload with its kind, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Its namespace.
    pub namespace: String,
    /// The steps, in order.
    pub steps: Vec<Planned>,
    /// Why it comes to a halt before every pet is as it is wanted; nothing if it does not.
    pub halts: Option<String>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The kind of the step, such as `startPet`.
    pub step: &'static str,
    /// The object of the step: a pet, a claim or a revision.
    pub object: String,
    /// All of it in words.
    pub text: String,
}

/// Lists the steps that bring what is seen to what is wanted.
#[must_use]
pub fn plan(want: &Set, seen: &Seen, rules: Rules, now: Timestamp) -> Plan {
    let mut world = Rehearsal {
        want: want.clone(),
        seen: seen.clone(),
        now,
        made: 0,
        steps: Vec::new(),
        finished: false,
    };
    let halts = world.live(rules);
    Plan {
        set: want.name.to_string(),
        pod: None,
        workload: None,
        namespace: want.namespace.to_string(),
        steps: world.steps,
        halts,
    }
}

/// The observed state, changed by each step as if nothing went wrong.
struct Rehearsal {
    want: Set,
    seen: Seen,
    now: Timestamp,
    made: u32,
    steps: Vec<Planned>,
    finished: bool,
}

impl Rehearsal {
    /// Makes passes until nothing moves any more; returns what is still waited for then.
    fn live(&mut self, rules: Rules) -> Option<String> {
        for _ in 0..PASSES {
            let outcome = reconcile(&self.want, &self.seen, rules, self.now);
            let mut moved = outcome.status != self.seen.status;
            self.seen.status = outcome.status;
            let mut waiting = None;
            for step in outcome.steps {
                if let Step::Await { why, .. } = step {
                    waiting = waiting.or(Some(why));
                    continue;
                }
                moved = true;
                self.perform(step);
            }
            if self.finished {
                return None;
            }
            if self.go_on() || moved {
                continue;
            }
            match outcome.wake_at {
                Some(at) if at > self.now && waiting.is_some() => self.now = at,
                Some(_) | None => return waiting.or_else(|| self.held()),
            }
        }
        Some("it does not come to rest".to_owned())
    }

    /// Returns why a rolling update is not complete although nothing has failed.
    fn held(&self) -> Option<String> {
        let (options, status) = (&self.want.options, &self.seen.status);
        let rolling = status.current_revision != status.update_revision;
        let paused = options.paused || options.pause_after.is_some();
        let partition = match self.want.strategy {
            Strategy::OnDelete => {
                return rolling
                    .then(|| "its pets are not restarted by themselves (OnDelete)".to_owned());
            }
            Strategy::RollingUpdate(roll) => roll.unwrap_or_default().partition,
        };
        match (rolling, paused, partition) {
            (true, true, _) => Some("it is paused".to_owned()),
            (true, false, 1..) => Some(format!(
                "the pets below index {partition} are kept back by its partition"
            )),
            (true, false, 0) | (false, _, _) => None,
        }
    }

    /// Lets pets do what they are expected to; says whether any did.
    fn go_on(&mut self) -> bool {
        let before = self.seen.pets.len();
        self.seen.pets.retain(|_, pet| !pet.terminating);
        let mut moved = self.seen.pets.len() != before;
        let pets = &self.seen.pets;
        let claims = self.seen.claims.len();
        self.seen.claims.retain(|_, claim| {
            let owner = claim.pod_owner().map(|owner| owner.uid.as_str());
            let used = pets.values().any(|pet| Some(pet.uid.as_str()) == owner);
            !claim.terminating || used
        });
        moved |= self.seen.claims.len() != claims;
        for (ordinal, pet) in &mut self.seen.pets {
            if let Some(hook) = pet
                .hook
                .as_mut()
                .filter(|hook| hook.outcome == HookOutcome::Running)
            {
                hook.outcome = HookOutcome::Done;
                moved = true;
            }
            let ended = matches!(pet.phase, Phase::Failed | Phase::Succeeded);
            if pet.is_ready() || pet.stuck || ended {
                continue;
            }
            (pet.phase, pet.ready, pet.ready_since) = (Phase::Running, true, Some(self.now));
            let name = format!("{}-{ordinal}", self.want.name);
            let text = format!("wait until {name} is ready");
            self.steps.push(Planned::new("awaitPet", name, text));
            moved = true;
        }
        moved
    }

    fn perform(&mut self, step: Step) {
        self.steps.extend(Planned::of(&step, &self.want));
        let made = &mut self.made;
        self.seen.apply(&step, &self.want, self.now, || {
            *made += 1;
            format!("planned-{made}")
        });
        if let Step::DeleteClaim { claim } = &step {
            if !self.seen.claims.get(claim).is_some_and(|it| it.in_use) {
                self.seen.claims.remove(claim);
            } else if let Some(last) = self.steps.last_mut() {
                last.text = marked(claim, "the last pod that uses it");
            }
        } else if let Step::RollBack { to, .. } = &step {
            self.roll_back(to);
        } else if let Step::Fulfil { .. } = &step {
            self.want.options.together = false;
        } else if let Step::Finish = &step {
            self.finished = true;
        }
    }

    fn roll_back(&mut self, to: &str) {
        let revision = self.seen.revision_mut(to);
        if let Some(patch) = revision.and_then(|one| one.data.clone()) {
            self.want.patch = patch.0;
        }
        self.want.options = SetOptions {
            pre_scale_down: self.want.options.pre_scale_down.take(),
            ..SetOptions::default()
        };
    }
}

impl Plan {
    /// Adds the volumes that go with a set for good, before it is forgotten. A claim is named with
    /// the pod with which it goes, if it does not go at once.
    pub fn purge<'a>(&mut self, claims: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) {
        let at = self.steps.len().saturating_sub(1);
        let steps = claims.into_iter().map(|(claim, user)| {
            let text = match user {
                None => format!("remove claim {claim} and what is in it"),
                Some(pod) => marked(claim, pod),
            };
            Planned::new("deleteClaim", claim.to_owned(), text)
        });
        self.steps.splice(at..at, steps);
    }
}

fn marked(claim: &str, user: &str) -> String {
    format!("mark claim {claim}, which goes with {user}")
}

impl Planned {
    const fn new(step: &'static str, object: String, text: String) -> Self {
        Self { step, object, text }
    }

    /// Tells a step in words; what is mere bookkeeping is left out.
    fn of(step: &Step, set: &Set) -> Option<Self> {
        let told =
            |step, object: &str, text: String| Some(Self::new(step, object.to_owned(), text));
        match step {
            Step::CreateRevision(revision) => {
                let name = revision.metadata.name.clone().unwrap_or_default();
                told("createRevision", &name, format!("record revision {name}"))
            }
            Step::CreateClaim { claim, .. } => {
                told("createClaim", claim, format!("make claim {claim}"))
            }
            Step::DeleteClaim { claim } => {
                let text = format!("remove claim {claim} and what is in it");
                told("deleteClaim", claim, text)
            }
            Step::CreatePet { ordinal, revision } => {
                let pet = set.pet_name(*ordinal);
                told(
                    "startPet",
                    &pet,
                    format!("start {pet} at revision {revision}"),
                )
            }
            Step::DeletePet { ordinal, why, .. } => {
                let pet = set.pet_name(*ordinal);
                told("stopPet", &pet, format!("stop {pet}: {why}"))
            }
            Step::ReleasePet { ordinal } => {
                let pet = set.pet_name(*ordinal);
                told(
                    "releasePet",
                    &pet,
                    format!("let {pet} go, and leave it running"),
                )
            }
            Step::AdoptPet { ordinal } => {
                let pet = set.pet_name(*ordinal);
                told("adoptPet", &pet, format!("adopt {pet}"))
            }
            Step::RunHook { ordinal, .. } => {
                let pet = set.pet_name(*ordinal);
                let text = format!("run the pre-scale-down hook in {pet}");
                told("runHook", &pet, text)
            }
            Step::RollBack { to, why, .. } => {
                told("rollBack", to, format!("go back to revision {to}: {why}"))
            }
            Step::Finish => {
                let name = set.name.as_str();
                told("finish", name, format!("forget the set {name}"))
            }
            Step::RenumberRevision { .. }
            | Step::AdoptRevision { .. }
            | Step::ReleaseRevision { .. }
            | Step::DeleteRevision { .. }
            | Step::OwnClaim { .. }
            | Step::Fulfil { .. }
            | Step::Await { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reconcile::tests::{NOW, ordered, with_roll, world};
    use super::*;
    use crate::model::Deletion;

    fn texts(want: &Set, pets: &str) -> (Vec<String>, Option<String>) {
        let mut seen = world(want, pets);
        // The revision that `ordered` wants is recorded under its real name here.
        seen.revisions.clear();
        let plan = plan(want, &seen, Rules::default(), NOW);
        let texts = plan.steps.into_iter().map(|step| step.text);
        (texts.collect(), plan.halts)
    }

    #[test]
    fn a_new_set_is_planned_pet_by_pet() {
        let mut want = ordered(2);
        want.claim_templates = vec!["data".to_owned()];
        let (steps, halts) = texts(&want, "- -");
        let revision = steps[0].rsplit(' ').next().unwrap().to_owned();
        let planned = [
            format!("record revision {revision}"),
            "make claim data-web-0".to_owned(),
            format!("start web-0 at revision {revision}"),
            "wait until web-0 is ready".to_owned(),
            "make claim data-web-1".to_owned(),
            format!("start web-1 at revision {revision}"),
            "wait until web-1 is ready".to_owned(),
        ];
        assert_eq!((steps, halts), (planned.to_vec(), None));
    }

    #[test]
    fn a_roll_is_planned_from_the_top_down() {
        let want = ordered(2);
        let (steps, halts) = texts(&want, "old:ready old:ready");
        let firsts: Vec<_> = steps.iter().map(|text| &text[..10]).collect();
        let planned = ["record rev", "stop web-1", "start web-", "wait until"];
        assert_eq!(firsts[..4], planned);
        assert_eq!(firsts[4..], ["stop web-0", "start web-", "wait until"]);
        assert_eq!(halts, None);
    }

    #[test]
    fn a_deleted_set_is_planned_to_its_end() {
        let mut want = ordered(2);
        want.deletion = Some(Deletion::Drain);
        let (steps, halts) = texts(&want, "ready ready");
        let planned = [
            "stop web-1: the set is being deleted",
            "stop web-0: the set is being deleted",
            "forget the set web",
        ];
        assert_eq!((steps, halts), (planned.map(str::to_owned).to_vec(), None));
    }

    #[test]
    fn a_plan_says_what_holds_the_roll() {
        let mut want = ordered(2);
        want.options.paused = true;
        let pets = "old:ready old:ready";
        let planned = |want: &Set| plan(want, &world(want, pets), Rules::default(), NOW);
        let held = |want: &Set| planned(want).halts;
        assert_eq!(held(&want).as_deref(), Some("it is paused"));
        let want = with_roll(1, 1, ordered(2));
        let Plan { steps, halts, .. } = planned(&want);
        assert_eq!((steps.len(), halts.is_some()), (3, true));
        let want = Set {
            strategy: Strategy::OnDelete,
            ..ordered(2)
        };
        assert!(held(&want).unwrap().contains("OnDelete"));
    }

    #[test]
    fn a_plan_says_where_it_would_halt() {
        let want = ordered(2);
        let plan = plan(&want, &world(&want, "stuck -"), Rules::default(), NOW);
        assert!(plan.halts.unwrap().starts_with("web-0 is not ready"));
    }
}
