//! `petset rollout`

mod workload;

use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::Pod;

use super::shared::names::{OwnerArg, TargetRef};
use super::shared::pages;
use super::shared::pods;
use super::shared::preview::DryRunArgs;
use super::shared::render;
use super::shared::replace::replace_target;
use super::shared::resolve::{self, NamedOwner};
use super::shared::rollout_notes::{held_note, say_if_on_delete};
use super::shared::session::{Session, say};
use super::shared::waiting::{Goal, WaitArgs, refuse_if_hopeless};
use super::shared::watcher::Watcher;
use crate::model::kind::ObjectKind;
use crate::model::parse_duration;
use crate::model::rollout::{
    self, Standing, is_canary, is_wanted, pause, promote, resume, revision_to_undo, sort_revisions,
    undo,
};
use crate::model::{
    CHANGE_CAUSE, Namespace, ObjectName, ObjectRef, Set, SetName, Strategy, template_of,
};
use crate::problem::{Kind, Problem, Result};
use crate::store;
use crate::supervisor;

/// How many seconds a canary has to stay up after a crash.
const PROVEN: i64 = 60;

/// Manage the rollout of a set, a Deployment or a DaemonSet: status, history, undo, restart, pause,
/// resume, promote
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: RolloutVerb,
}

#[derive(Debug, Subcommand)]
enum RolloutVerb {
    Status(StatusArgs),
    History(HistoryArgs),
    Undo(UndoArgs),
    /// Restart the pets of a set one after the other, or replace the pods of a workload
    Restart(RestartArgs),
    /// Pause the rollout: no pet changes its revision
    ///
    /// Scaling continues, and lost pets are recreated at their revision. Of the workloads,
    /// Deployments can be paused.
    Pause(PauseArgs),
    /// Resume a paused rollout
    Resume(ResumeArgs),
    /// Roll the template of the canaries of a set or Deployment out to all pets
    ///
    /// It is refused while a canary is not ready, or has crashed just now.
    Promote(PromoteArgs),
}

/// Show the status of the rollout, until it is done
#[derive(Debug, ClapArgs)]
struct StatusArgs {
    #[command(flatten)]
    set: OwnerArg,
    /// Watch the rollout until it is done; --watch=false prints the current status
    #[arg(short, long, value_name = "true|false", num_args = 0..=1, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    watch: bool,
    /// How long to watch; the default is no limit
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

/// List the revisions of a set, a Deployment or a DaemonSet, or show one of them
#[derive(Debug, ClapArgs)]
struct HistoryArgs {
    #[command(flatten)]
    set: OwnerArg,
    /// Show the template of this revision
    #[arg(long, value_name = "N")]
    revision: Option<i64>,
}

/// Roll back to an earlier template
///
/// The pets are replaced from the highest ordinal down, but broken ones first. The earlier template
/// keeps the name of its revision. This ends a canary and a pause. A Deployment or DaemonSet
/// replaces its pods as its strategy says; a paused Deployment has to be resumed first.
#[derive(Debug, ClapArgs)]
struct UndoArgs {
    #[command(flatten)]
    set: OwnerArg,
    /// Revision to roll back to; the default is the previous one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    to_revision: i64,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, ClapArgs)]
struct RestartArgs {
    #[command(flatten)]
    set: OwnerArg,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, ClapArgs)]
struct PauseArgs {
    #[command(flatten)]
    set: OwnerArg,
    #[command(flatten)]
    dry_run: DryRunArgs,
}

#[derive(Debug, ClapArgs)]
struct ResumeArgs {
    #[command(flatten)]
    set: OwnerArg,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, ClapArgs)]
struct PromoteArgs {
    /// Promote canaries that are not ready, too
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    resume: ResumeArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let name = match resolve::owner(session, &args.verb.set().owner()?)? {
        NamedOwner::Workload(kind, name) => {
            return args.verb.run_for_workload(session, kind, &name);
        }
        NamedOwner::Set(name) => name,
    };
    match &args.verb {
        RolloutVerb::Status(args) => status(session, args, &name),
        RolloutVerb::History(args) => history(session, args, &name),
        RolloutVerb::Undo(args) => roll_back(session, args, &name),
        RolloutVerb::Restart(args) => {
            let target = TargetRef::Set(name);
            replace_target(session, &target, &args.dry_run, &args.wait)
        }
        RolloutVerb::Pause(args) => pause_set(session, args, &name),
        RolloutVerb::Resume(args) => resume_set(session, args, &name),
        RolloutVerb::Promote(args) => promote_canaries(session, args, &name),
    }
}

impl RolloutVerb {
    const fn set(&self) -> &OwnerArg {
        match self {
            Self::Status(args) => &args.set,
            Self::History(args) => &args.set,
            Self::Undo(args) => &args.set,
            Self::Restart(args) => &args.set,
            Self::Pause(args) => &args.set,
            Self::Resume(args) => &args.set,
            Self::Promote(args) => &args.resume.set,
        }
    }
}

fn status(session: &Session, args: &StatusArgs, name: &SetName) -> Result<()> {
    let deadline = args.timeout.map(|timeout| Instant::now() + timeout);
    let layout = session.store.layout();
    let namespace = &session.namespace;
    let mut watcher = Watcher::for_reader()?;
    let wanted = layout.wanted_kind(namespace, ObjectKind::StatefulSet);
    watcher.watch([&layout.set_statuses(namespace), &wanted])?;
    watcher.guard(supervisor::lifeline(layout));
    let (mut said, mut held) = (String::new(), false);
    loop {
        let object: ObjectName = name.as_str().parse()?;
        let found = session.set(namespace, &object)?;
        let set = found.ok_or_else(|| session.not_found("statefulsets.apps", name.as_str()))?;
        let status = set.status.clone().unwrap_or_default();
        let Standing { line, done } = rollout::standing(&set, &status)?;
        if line != said {
            render::line(&line)?;
            said = line;
        }
        if done || !args.watch {
            return Ok(());
        }
        refuse_if_stuck(session, namespace, &object, &set)?;
        if !held && let Some(note) = held_note(&set) {
            say(note);
            held = true;
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let words = session.quoted_words_of_set(namespace, object.as_str())?;
            let message = format!("timed out waiting for the condition{words}");
            let hint = format!("see what it waits for with `petset describe sts/{object}`");
            return Err(Problem::new(Kind::TimedOut, message).hint(hint).into());
        }
        watcher.wait(deadline)?;
        if watcher.supervisor_ended() {
            supervisor::nudge(layout)?;
            watcher.guard(supervisor::lifeline(layout));
        }
    }
}

/// Fails when the rollout cannot continue without a change by the user.
fn refuse_if_stuck(
    session: &Session,
    namespace: &Namespace,
    name: &ObjectName,
    set: &StatefulSet,
) -> Result<()> {
    let report = session.report(namespace, name.as_str())?;
    let current = report.filter(|report| set.metadata.uid.as_ref() == Some(&report.uid));
    current.map_or(Ok(()), |report| {
        refuse_if_hopeless(session, namespace, name, &report)
    })
}

fn history(session: &Session, args: &HistoryArgs, name: &SetName) -> Result<()> {
    let set = session.expect_set(name)?;
    let revisions = revisions_of(session, name)?;
    let Some(number) = args.revision.filter(|number| *number > 0) else {
        render::line(&format!("statefulset.apps/{name} "))?;
        let failed = failed_revisions(session, &set)?;
        let rows = revisions.iter().map(|one| row(one, &failed));
        return show_history(rows.collect());
    };
    let mut found = revisions.iter().filter(|one| one.revision == number);
    let revision = found.next().ok_or_else(|| no_revision(name.as_str()))?;
    let template = template_of(revision)?;
    render::line(&format!("statefulset.apps/{name} with revision #{number}"))?;
    render::line(&pages::template(&template))
}

fn show_history(rows: Vec<Vec<String>>) -> Result<()> {
    render::table(&["REVISION", "CHANGE-CAUSE"], &rows)?;
    render::line("")
}

fn no_revision(name: &str) -> Problem {
    let message = "unable to find the specified revision";
    let hint = format!("list them with `petset rollout history {name}`");
    Problem::new(Kind::NotFound, message).hint(hint)
}

fn row(revision: &ControllerRevision, failed: &[String]) -> Vec<String> {
    let annotations = revision.metadata.annotations.as_ref();
    let cause = annotations.and_then(|all| all.get(CHANGE_CAUSE));
    let cause = cause.map_or("<none>", String::as_str);
    let mark = match is_among(revision, failed) {
        true => " (failed)",
        false => "",
    };
    vec![revision.revision.to_string(), format!("{cause}{mark}")]
}

fn is_among(revision: &ControllerRevision, names: &[String]) -> bool {
    let name = revision.metadata.name.as_ref();
    name.is_some_and(|name| names.contains(name))
}

/// Lists the revisions that were given up, and the one whose upgrade halts now. One at which all
/// pets have come to be since has not failed.
fn failed_revisions(session: &Session, set: &StatefulSet) -> Result<Vec<String>> {
    let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
    let noted = rollout::failed_revisions(&set.metadata).into_iter();
    let mut failed: Vec<String> = noted.map(str::to_owned).collect();
    let report = session.report(&namespace, name.as_str())?;
    let report = report.filter(|report| set.metadata.uid.as_ref() == Some(&report.uid));
    let Some(report) = report else {
        return Ok(failed);
    };
    let status = report.status;
    if status.update_revision == status.current_revision {
        failed.retain(|name| status.current_revision.as_ref() != Some(name));
    } else if report.waiting.iter().any(|waiting| waiting.stuck) {
        failed.extend(status.update_revision);
    }
    Ok(failed)
}

fn roll_back(session: &Session, args: &UndoArgs, name: &SetName) -> Result<()> {
    let revisions = revisions_of(session, name)?;
    let number = Some(args.to_revision).filter(|number| *number != 0);
    let failed = failed_revisions(session, &session.expect_set(name)?)?;
    let change = |set: &mut StatefulSet| {
        let to = revision_to_undo(set, &revisions, number)?;
        let from = revisions.iter().find(|one| is_wanted(set, one));
        let differed = undo(set, to)?;
        let given_up = from.filter(|from| differed && is_among(from, &failed));
        let given_up = given_up.and_then(|from| from.metadata.name.as_ref());
        if let Some(from) = given_up {
            rollout::mark_failed(&mut set.metadata, from);
        }
        Ok((differed, to))
    };
    if args.dry_run.is_on() {
        return session.preview(name, &args.dry_run, |set| change(set).map(drop));
    }
    let edited = session.edit_set("rollout undo", name, change);
    let (set, (differed, to)) = edited.with_context(|| format!("cannot take {name} back"))?;
    let failed = is_among(to, &failed);
    let to = to.revision;
    if failed && differed {
        say(format!(
            "warning: revision {to} failed before; choose another of `petset rollout history \
             {name}` with `petset rollout undo {name} --to-revision N`"
        ));
    }
    if !differed {
        return render::line(&format!(
            "statefulset.apps/{name} skipped rollback (current template already matches revision \
             {to})"
        ));
    }
    render::line(&format!("statefulset.apps/{name} rolled back"))?;
    say_if_on_delete(&set)?;
    session.wait(&[Goal::Settled(set)], &args.wait)
}

fn pause_set(session: &Session, args: &PauseArgs, name: &SetName) -> Result<()> {
    let change = |set: &mut StatefulSet| {
        if session.is_strict(set) {
            let message = format!("statefulsets.apps \"{name}\" pausing is not supported");
            return Err(Problem::invalid(message).hint("this set is strict, as Kubernetes is"));
        }
        if pause(set) {
            return Ok(());
        }
        let message = format!("statefulsets.apps \"{name}\" is already paused");
        Err(Problem::new(Kind::Conflict, message))
    };
    if args.dry_run.is_on() {
        return session.preview(name, &args.dry_run, change);
    }
    let edited = session.edit_set("rollout pause", name, change);
    edited.with_context(|| format!("cannot pause {name}"))?;
    render::line(&format!("statefulset.apps/{name} paused"))
}

fn resume_set(session: &Session, args: &ResumeArgs, name: &SetName) -> Result<()> {
    let change = |set: &mut StatefulSet| {
        if resume(set) {
            return Ok(());
        }
        let message = format!("statefulsets.apps \"{name}\" is not paused");
        Err(Problem::new(Kind::Conflict, message))
    };
    changed(session, args, name, ("resume", "resumed"), change)
}

fn promote_canaries(session: &Session, args: &PromoteArgs, name: &SetName) -> Result<()> {
    if !args.force {
        refuse_bad_canaries(session, name)?;
    }
    let change = |set: &mut StatefulSet| {
        if promote(set)? {
            return Ok(());
        }
        let message = format!("{name} has no canaries: all of its pets may have the new template");
        Err(Problem::new(Kind::Conflict, message))
    };
    changed(session, &args.resume, name, ("promote", "promoted"), change)
}

/// Refuses to promote while a canary is not ready, or crashed less than a minute ago.
fn refuse_bad_canaries(session: &Session, name: &SetName) -> Result<()> {
    let object = session.expect_set(name)?;
    if !is_canary(&object) {
        return Ok(());
    }
    let set = Set::of(&object)?;
    let held = match set.strategy {
        Strategy::RollingUpdate(roll) => roll.map_or(0, |roll| roll.partition),
        Strategy::OnDelete => 0,
    };
    let canaries = set.ordinals().skip(usize::try_from(held)?);
    for pet in canaries.map(|ordinal| set.pet_name(ordinal)) {
        let pod = session.pet(&session.namespace, &pet.parse()?)?;
        let why = match &pod {
            None => Some("it does not exist".to_owned()),
            Some(pod) => fault_of_canary(pod),
        };
        if let Some(why) = why {
            return Err(unproved(&pet, &why, name.as_str()).into());
        }
    }
    Ok(())
}

/// Returns why a canary has not proved itself: it is not ready, or crashed just now.
fn fault_of_canary(pod: &Pod) -> Option<String> {
    pods::why_not_ready(pod).or_else(|| crash(pod))
}

/// Returns the error for a canary that has not proved itself.
fn unproved(pet: &str, why: &str, owner: &str) -> Problem {
    let message = format!("the canary {pet} has not proved itself: {why}");
    let back = format!(
        "wait for it with `petset wait pod/{pet}`, or go back with `petset rollout undo {owner}`"
    );
    let force = format!("`petset rollout promote {owner} --force` promotes it all the same");
    Problem::new(Kind::Conflict, message).hint(back).hint(force)
}

/// Returns how a container of the pod crashed just now, if one did.
fn crash(pod: &Pod) -> Option<String> {
    let now = Timestamp::now();
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find_map(|status| {
        let end = status.last_state.as_ref()?.terminated.as_ref()?;
        let ago = now.duration_since(end.finished_at.as_ref()?.0);
        let fresh = end.exit_code != 0 && ago.as_secs() < PROVEN;
        let (name, code) = (&status.name, end.exit_code);
        fresh.then(|| {
            format!(
                "container {name} exited with code {code} {}s ago",
                ago.as_secs()
            )
        })
    })
}

fn changed(
    session: &Session,
    args: &ResumeArgs,
    name: &SetName,
    (verb, done): (&str, &str),
    change: impl FnOnce(&mut StatefulSet) -> Result<(), Problem>,
) -> Result<()> {
    if args.dry_run.is_on() {
        return session.preview(name, &args.dry_run, change);
    }
    // A new generation tells the reports from before and after the change apart.
    let edited = session.edit_set(&format!("rollout {verb}"), name, |set| {
        change(set)?;
        let generation = set.metadata.generation.unwrap_or_default();
        set.metadata.generation = Some(generation + 1);
        Ok(())
    });
    let (set, ()) = edited.with_context(|| format!("cannot {verb} {name}"))?;
    render::line(&format!("statefulset.apps/{name} {done}"))?;
    session.wait(&[Goal::Settled(set)], &args.wait)
}

/// Returns the revisions of a set, oldest first.
fn revisions_of(session: &Session, name: &SetName) -> Result<Vec<ControllerRevision>> {
    let set = session.expect_set(name)?;
    let path = session
        .store
        .layout()
        .revisions(&session.namespace, name.as_str());
    let found: Option<Vec<ControllerRevision>> =
        store::read_json(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut revisions = found.unwrap_or_default();
    let own = |revision: &ControllerRevision| {
        let mut owners = revision.metadata.owner_references.iter().flatten();
        owners.any(|owner| set.metadata.uid.as_ref() == Some(&owner.uid))
    };
    revisions.retain(own);
    sort_revisions(&mut revisions);
    Ok(revisions)
}
