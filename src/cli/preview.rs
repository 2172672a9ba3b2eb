//! `--dry-run`: the steps that a verb would lead to, shown and not taken.

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::render;
use super::session::Session;
use crate::model::plan::{Plan, plan};
use crate::model::{Rules, Seen, Set, SetName};
use crate::problem::{Problem, Result};
use crate::store::{self, identity};

/// The only way to try something without a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    Client,
}

/// How a plan is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    Text,
    Json,
}

/// Whether a verb only shows what it would do.
#[derive(Debug, Clone, Args)]
pub(crate) struct DryRunArgs {
    /// Change nothing, and show the steps that would be taken, in order
    #[arg(long, value_name = "client", num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: Option<DryRun>,
    /// How to show the steps of a dry run
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
    /// Says whether nothing shall be changed.
    pub(crate) const fn is_on(&self) -> bool {
        self.dry_run.is_some()
    }

    /// Shows plans, one after the other.
    pub(crate) fn show(&self, plans: &[Plan]) -> Result<()> {
        match self.output {
            PlanFormat::Json => render::json(&plans),
            PlanFormat::Text => plans.iter().try_for_each(show_text),
        }
    }
}

fn show_text(plan: &Plan) -> Result<()> {
    let Plan { steps, halts, .. } = plan;
    let object = match &plan.pod {
        Some(pod) => format!("pod/{pod}"),
        None => format!("statefulset.apps/{}", plan.set),
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
    /// Shows what one set would do after a change.
    pub(crate) fn preview(
        &self,
        name: &SetName,
        dry_run: &DryRunArgs,
        change: impl FnOnce(&mut StatefulSet) -> Result<(), Problem>,
    ) -> Result<()> {
        let mut set = self.expect_set(name)?;
        let before = set.spec.clone();
        change(&mut set)?;
        if set.spec != before {
            let generation = set.metadata.generation.unwrap_or_default();
            set.metadata.generation = Some(generation + 1);
        }
        dry_run.show(&[self.plan(&set, self.store.is_stopped())?])
    }

    /// Plans what a set would do if it were wanted like this.
    pub(crate) fn plan(&self, set: &StatefulSet, stopped: bool) -> Result<Plan> {
        let (mut want, seen, rules) = self.outlook(set)?;
        want.stopped = stopped;
        Ok(plan(&want, &seen, rules, Timestamp::now()))
    }

    /// Plans what a set would do if these pets were replaced.
    pub(crate) fn plan_evictions(&self, set: &StatefulSet, uids: &[String]) -> Result<Plan> {
        let (mut want, mut seen, rules) = self.outlook(set)?;
        want.stopped = self.store.is_stopped();
        seen.evict.extend(uids.iter().cloned());
        Ok(plan(&want, &seen, rules, Timestamp::now()))
    }

    /// Reads what there is of a set, as the supervisor would see it.
    fn outlook(&self, set: &StatefulSet) -> Result<(Set, Seen, Rules)> {
        let mut want = Set::of(set)?;
        let rules = Rules::for_set(&mut want, self.store.settings().strict);
        let (namespace, name) = identity(&set.metadata)?;
        let report = self.report(&namespace, name.as_str())?;
        let report = report.filter(|report| report.uid == want.uid);
        let status = report.map(|report| report.status).unwrap_or_default();
        let layout = self.store.layout();
        let path = layout.revisions(&namespace, name.as_str());
        let revisions =
            store::read_json(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let pods = self.pets_of(&namespace, name.as_str())?;
        let mut claims: Vec<PersistentVolumeClaim> = Vec::new();
        for file in store::names_in(&layout.claims(&namespace))? {
            let claim = file
                .strip_suffix(".json")
                .filter(|name| want.is_own_claim(name));
            if let Some(claim) = claim {
                claims.extend(store::read_json(&layout.claim(&namespace, claim))?);
            }
        }
        let revisions = revisions.unwrap_or_default();
        let seen = Seen::of(&want, status, revisions, &pods, &claims);
        Ok((want, seen, rules))
    }
}
