//! `--dry-run`: showing the steps that a verb would cause.

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

use super::files;
use super::render::{self, Format};
use super::session::Session;
use super::volumes::{OwnClaims, note_claim_users};
use crate::model::bare::plan_pod;
use crate::model::object::Object;
use crate::model::plan::{Plan, plan};
use crate::model::workload::plan_workload;
use crate::model::{ObjectRef, PURGE_ANNOTATION, Rules, Seen, Set, SetName, Workload};
use crate::problem::{Kind, Problem, Result};
use crate::store;
use crate::store::salvage::read_if_whole;

/// The kinds of dry runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// The steps that would be taken, in order
    Plan,
    /// As kubectl does: -o json prints the objects instead of the steps
    Client,
}

/// The output formats of a dry run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlanFormat {
    /// The steps, one per line
    Text,
    /// The steps, or the objects with --dry-run=client
    Json,
    /// The objects as they would be stored
    Yaml,
    /// The names of the objects
    Name,
}

/// The plan for one set or pod, and the object as it would be stored.
pub(crate) struct Preview {
    pub(crate) plan: Plan,
    pub(crate) object: Object,
}

/// The options of a dry run.
#[derive(Debug, Clone, Args)]
pub(crate) struct DryRunArgs {
    /// Change nothing, and print the steps that would be taken, in order
    ///
    /// With --output=yaml or name, and with --dry-run=client --output=json, it prints the object as
    /// it would be stored, as kubectl does.
    #[arg(long, value_name = "plan|client", num_args = 0..=1, require_equals = true, default_missing_value = "plan")]
    dry_run: Option<DryRun>,
    /// Output format of the dry run
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "text",
        requires = "dry_run",
        hide_default_value = true
    )]
    output: PlanFormat,
}

impl DryRunArgs {
    /// Returns whether this is a dry run.
    pub(crate) const fn is_on(&self) -> bool {
        self.dry_run.is_some()
    }

    /// Returns whether the steps are shown as text.
    pub(crate) const fn is_text(&self) -> bool {
        matches!(self.output, PlanFormat::Text)
    }

    /// Prints the plans, or the objects as they would be stored.
    pub(crate) fn show(&self, previews: Vec<Preview>) -> Result<()> {
        let format = match (self.output, self.dry_run) {
            (PlanFormat::Json, Some(DryRun::Client)) => Format::Json,
            (PlanFormat::Json, _) => return show_json(&previews),
            (PlanFormat::Text, _) => return show_text(&previews),
            (PlanFormat::Yaml, _) => Format::Yaml,
            (PlanFormat::Name, _) => Format::Name,
        };
        let objects = previews.into_iter().map(|preview| preview.object);
        let objects: Vec<_> = objects.collect();
        files::show_all(&objects, format)
    }
}

/// Prints what would become of a workload, or the workload as it would be stored.
pub(crate) fn show_workload(dry_run: &DryRunArgs, workload: Workload, done: &str) -> Result<()> {
    show_object(dry_run, &Object::Workload(workload.into()), done)
}

/// Prints what would become of an object, or the object as it would be stored.
pub(crate) fn show_object(dry_run: &DryRunArgs, object: &Object, done: &str) -> Result<()> {
    let format = match dry_run.output {
        PlanFormat::Text => {
            return render::line(&format!("{} {done} (dry run)", object.full_name()));
        }
        PlanFormat::Json => Format::Json,
        PlanFormat::Yaml => Format::Yaml,
        PlanFormat::Name => Format::Name,
    };
    files::show_all(std::slice::from_ref(object), format)
}

impl Session {
    /// Prints the steps to a changed Deployment or ReplicaSet; of another workload, and while
    /// everything is stopped, what would become of it. Other formats print the object.
    pub(crate) fn show_workload(
        &self,
        dry_run: &DryRunArgs,
        workload: Workload,
        done: &str,
    ) -> Result<()> {
        let is_text = dry_run.is_text();
        let is_plan = match (dry_run.output, dry_run.dry_run) {
            (PlanFormat::Text, _) => true,
            (PlanFormat::Json, mode) => mode != Some(DryRun::Client),
            (PlanFormat::Yaml | PlanFormat::Name, _) => false,
        };
        let plan = match is_plan && !self.store.is_stopped() {
            true => self.plan_workload(&workload)?,
            false => None,
        };
        match plan {
            Some(plan) if is_text => show_plan(&plan),
            Some(plan) => render::json(&[plan]),
            None => show_workload(dry_run, workload, done),
        }
    }

    fn plan_workload(&self, workload: &Workload) -> Result<Option<Plan>> {
        let namespace = ObjectRef::of(workload.metadata())?.namespace;
        let sets = self.sets_of_deployment(workload, &namespace)?;
        let pods = self.pets(&namespace)?;
        Ok(plan_workload(workload, &sets, &pods, Timestamp::now())?)
    }
}

/// Prints the steps of every set as JSON.
pub(crate) fn show_json(previews: &[Preview]) -> Result<()> {
    let plans: Vec<_> = previews.iter().map(|preview| &preview.plan).collect();
    render::json(&plans)
}

/// Prints the steps of every set, one per line.
pub(crate) fn show_text(previews: &[Preview]) -> Result<()> {
    previews
        .iter()
        .try_for_each(|preview| show_plan(&preview.plan))
}

fn show_plan(plan: &Plan) -> Result<()> {
    let Plan { steps, halts, .. } = plan;
    let object = match (&plan.pod, &plan.workload) {
        (Some(pod), _) => format!("pod/{pod}"),
        (None, Some(workload)) => workload.clone(),
        (None, None) => format!("statefulset.apps/{}", plan.set),
    };
    match steps.len() {
        0 => render::line(&format!("{object}: nothing to do (dry run)"))?,
        1 => render::line(&format!("{object}: 1 step (dry run)"))?,
        count => render::line(&format!("{object}: {count} steps (dry run)"))?,
    }
    let width = steps.len().to_string().len();
    for (place, step) in steps.iter().enumerate() {
        let number = place + 1;
        render::line(&format!("  {number:>width$}. {}", step.text))?;
    }
    match halts {
        Some(why) => render::line(&format!("  then it waits: {why}")),
        None => Ok(()),
    }
}

impl Session {
    /// Prints the plan for a set after a change.
    pub(crate) fn preview(
        &self,
        name: &SetName,
        dry_run: &DryRunArgs,
        change: impl FnOnce(&mut StatefulSet) -> Result<(), Problem>,
    ) -> Result<()> {
        let mut set = self.expect_set(name)?;
        let before = set.spec.clone();
        if set.metadata.deletion_timestamp.is_some() {
            let message = format!("{name} is being deleted");
            let hint = format!("wait for its end with `petset wait {name} --for delete`");
            return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
        }
        change(&mut set)?;
        if set.spec != before {
            let generation = set.metadata.generation.unwrap_or_default();
            set.metadata.generation = Some(generation + 1);
        }
        dry_run.show(vec![self.plan(set, self.store.is_stopped())?])
    }

    /// Plans the steps for a set, as if it were stored like this.
    pub(crate) fn plan(&self, set: StatefulSet, stopped: bool) -> Result<Preview> {
        self.plan_stop(set, stopped, self.store.stops_together())
    }

    /// Does the same, with pets that stop one after the other or together.
    pub(crate) fn plan_stop(
        &self,
        set: StatefulSet,
        stopped: bool,
        together: bool,
    ) -> Result<Preview> {
        let (mut want, seen, rules) = self.outlook(&set)?;
        want.stopped = stopped;
        want.stops_together = together;
        let mut plan = plan(&want, &seen, rules, Timestamp::now());
        let annotations = set.metadata.annotations.as_ref();
        if annotations.is_some_and(|all| all.contains_key(PURGE_ANNOTATION)) {
            let namespace = ObjectRef::of(&set.metadata)?.namespace;
            let OwnClaims { free, in_use, .. } = OwnClaims::of(self, &namespace, &want)?;
            let free = free.iter().map(|claim| (claim.as_str(), None));
            let in_use = in_use.iter();
            let in_use = in_use.map(|(claim, pod)| (claim.as_str(), Some(pod.as_str())));
            plan.purge(free.chain(in_use));
        }
        let object = Object::StatefulSet(Box::new(set));
        Ok(Preview { plan, object })
    }

    /// Plans the steps for a bare pod, as if it were stored like this.
    pub(crate) fn plan_pod(&self, want: Pod, stopped: bool) -> Result<Preview> {
        let ObjectRef { namespace, name } = ObjectRef::of(&want.metadata)?;
        let there = self.store.layout().pet(&namespace, name.as_str()).pod();
        let pet = if there.exists() {
            self.pet(&namespace, &name)?
        } else {
            None
        };
        let plan = plan_pod(&want, pet.as_ref(), stopped);
        let object = Object::Pod(Box::new(want));
        Ok(Preview { plan, object })
    }

    /// Plans the steps for a set of which these pets are replaced.
    pub(crate) fn plan_evictions(&self, set: StatefulSet, uids: &[String]) -> Result<Preview> {
        let (mut want, mut seen, rules) = self.outlook(&set)?;
        want.stopped = self.store.is_stopped();
        want.stops_together = self.store.stops_together();
        seen.evict.extend(uids.iter().cloned());
        let plan = plan(&want, &seen, rules, Timestamp::now());
        let object = Object::StatefulSet(Box::new(set));
        Ok(Preview { plan, object })
    }

    /// Reads the current state of a set, as the supervisor sees it.
    fn outlook(&self, set: &StatefulSet) -> Result<(Set, Seen, Rules)> {
        let mut want = Set::of(set)?;
        let rules = Rules::for_set(&mut want, self.store.settings().strict);
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        let report = self.report(&namespace, name.as_str())?;
        let report = report.filter(|report| report.uid == want.uid);
        let status = report.map(|report| report.status).unwrap_or_default();
        let layout = self.store.layout();
        let path = layout.revisions(&namespace, name.as_str());
        let revisions =
            read_if_whole(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let pods = self.pets_of(&namespace, name.as_str())?;
        let mut claims: Vec<PersistentVolumeClaim> = Vec::new();
        for file in store::names_in(&layout.claims(&namespace))? {
            let claim = file
                .strip_suffix(".json")
                .filter(|name| want.is_own_claim(name));
            if let Some(claim) = claim {
                claims.extend(read_if_whole(&layout.claim(&namespace, claim))?);
            }
        }
        let revisions = revisions.unwrap_or_default();
        let mut seen = Seen::of(&want, status, revisions, &pods, &claims);
        note_claim_users(self, &namespace, &want, &mut seen.claims)?;
        Ok((want, seen, rules))
    }
}
