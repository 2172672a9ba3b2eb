//! `petset wait`

mod condition;
mod stored;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::shared::names::TargetRef;
use super::shared::pods;
use super::shared::render;
use super::shared::resolve::{Resolved, resolve};
use super::shared::session::Session;
use super::shared::waiting::{
    Goal, GoalState, Progress, look_at, refuse_if_ended, refuse_if_hopeless,
};
use super::shared::watcher::Watcher;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::model::pod::set_of;
use crate::model::{ObjectName, ObjectRef, PetName, SetName, parse_duration, stopping};
use crate::problem::{Kind, Problem, Result};
use crate::store::PidFile;
use crate::supervisor;
use condition::{Condition, lacks_condition};
use stored::WaitTarget;

/// Wait for a condition of sets, workloads, pets, claims or volumes
///
/// Nothing is changed. The exit code is 5 if a pet cannot become ready without a change by you or a
/// Job has failed, and 124 after a timeout.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset wait web                              all pets of the set web are ready
  petset wait web --for settled                and have the current revision
  petset wait pod/web-0 --for condition=Ready  as in kubectl
  petset wait web --for delete --timeout 30s
  petset wait job/load --for condition=Complete
  petset wait pvc/data --for jsonpath='{.status.phase}'=Bound
  petset wait web --for jsonpath='{.status.readyReplicas}'=3")]
pub(crate) struct Args {
    /// Sets, workloads, pets, claims and volumes, such as web, sts/web, job/load, pod/web-0 or
    /// pvc/data
    #[arg(required = true, value_name = "SET|WORKLOAD|POD")]
    targets: Vec<WaitTarget>,
    /// Condition: ready, settled, delete, condition=NAME[=STATUS], or jsonpath={PATH}=VALUE
    #[arg(long = "for", value_name = "WHAT", default_value = "ready")]
    condition: Condition,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
}

/// A set, pet or workload to wait for. The uid tells it from a later object of the same name.
enum Subject {
    Set {
        name: SetName,
        uid: Option<String>,
    },
    Pet {
        name: ObjectName,
        uid: Option<String>,
    },
    Workload {
        kind: WorkloadKind,
        name: ObjectName,
        uid: Option<String>,
    },
    /// A claim or a volume.
    Stored {
        kind: ObjectKind,
        name: ObjectName,
        uid: Option<String>,
    },
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let subjects: Result<Vec<Subject>> = WaitTarget::all(&args.targets)?
        .iter()
        .map(|target| match target {
            WaitTarget::Target(target) => subject(session, target, &args.condition),
            WaitTarget::Stored(kind, name) => {
                let uid = stored::uid_of(session, *kind, name, &args.condition)?;
                let (kind, name) = (*kind, name.clone());
                Ok(Subject::Stored { kind, name, uid })
            }
        })
        .collect();
    let deadline = Instant::now() + args.timeout;
    let mut waiter = ConditionWaiter::new(session, args)?;
    for subject in subjects? {
        waiter.wait(&subject, deadline)?;
        render::line(&format!("{} condition met", subject.full_name()))?;
    }
    Ok(())
}

/// Finds the object that a target names. For `--for delete` it need not exist, and a pet may be
/// still to come.
fn subject(session: &Session, target: &TargetRef, condition: &Condition) -> Result<Subject> {
    let namespace = &session.namespace;
    if let Some(subject) = workload(session, target, condition)? {
        return Ok(subject);
    }
    let name: ObjectName = target.name().parse()?;
    let set: Option<StatefulSet> = session.store.find(namespace, &name)?;
    let as_set = || -> Result<Subject> {
        let uid = set.as_ref().and_then(|set| set.metadata.uid.clone());
        let name = name.as_str().parse()?;
        Ok(Subject::Set { name, uid })
    };
    let as_pet = |pod: Option<Pod>| Subject::Pet {
        name: name.clone(),
        uid: pod.and_then(|pod| pod.metadata.uid),
    };
    let pod = session.pet(namespace, &name)?;
    let gone_is_fine = matches!(condition, Condition::Delete);
    match target {
        TargetRef::Set(_) if set.is_some() || gone_is_fine => as_set(),
        TargetRef::Set(_) => Err(session.not_found("statefulsets.apps", name.as_str()).into()),
        TargetRef::Either(_) if set.is_some() => as_set(),
        // Where nothing has the name, one without an ordinal is that of a set.
        TargetRef::Either(_)
            if pod.is_none() && gone_is_fine && name.as_str().parse::<PetName>().is_err() =>
        {
            as_set()
        }
        TargetRef::Pet(_) | TargetRef::Workload(..) | TargetRef::Either(_) => {
            if pod.is_none() && !gone_is_fine && !is_to_come(session, &name)? {
                let what = match target {
                    TargetRef::Either(_) => "sets or pets",
                    TargetRef::Pet(_) | TargetRef::Workload(..) | TargetRef::Set(_) => "pods",
                };
                return Err(session.not_found(what, name.as_str()).into());
            }
            Ok(as_pet(pod))
        }
    }
}

/// Returns the workload that a target names, if it names one.
fn workload(
    session: &Session,
    target: &TargetRef,
    condition: &Condition,
) -> Result<Option<Subject>> {
    let (kind, name) = match target {
        TargetRef::Workload(kind, name) => (*kind, name.clone()),
        TargetRef::Either(_) => match resolve(session, target) {
            Ok(Resolved::Workload(kind, name)) => (kind, name),
            Ok(Resolved::Set(_) | Resolved::Pet(_)) | Err(_) => return Ok(None),
        },
        TargetRef::Set(_) | TargetRef::Pet(_) => return Ok(None),
    };
    let found = session.workload(kind, &session.namespace, &name)?;
    if found.is_none() && !matches!(condition, Condition::Delete) {
        session.expect_workload(kind, &name)?;
    }
    let uid = found.and_then(|found| found.metadata().uid.clone());
    Ok(Some(Subject::Workload { kind, name, uid }))
}

/// Returns what the deletion of a set waits for.
fn until_gone(name: &SetName, set: &StatefulSet) -> String {
    if set.metadata.deletion_timestamp.is_none() {
        return format!("{name} is not being deleted");
    }
    let left = set.status.as_ref().map_or(0, |status| status.replicas);
    format!("{name}: {left} left")
}

/// Returns whether a set wants a pet of this name.
fn is_to_come(session: &Session, name: &ObjectName) -> Result<bool> {
    let Ok(pet) = name.as_str().parse::<PetName>() else {
        return Ok(false);
    };
    let set: ObjectName = pet.set().as_str().parse()?;
    let set: Option<StatefulSet> = session.store.find(&session.namespace, &set)?;
    let Some(set) = set.filter(|set| set.metadata.deletion_timestamp.is_none()) else {
        return Ok(false);
    };
    Ok(crate::model::Set::of(&set)?.has(pet.ordinal()))
}

impl Subject {
    fn full_name(&self) -> String {
        match self {
            Self::Set { name, .. } => format!("statefulset.apps/{name}"),
            Self::Pet { name, .. } => format!("pod/{name}"),
            Self::Stored { kind, name, .. } => format!("{}/{name}", kind.singular()),
            Self::Workload { kind, name, .. } => {
                format!("{}/{name}", ObjectKind::Workload(*kind).singular())
            }
        }
    }
}

/// Waits until each subject meets the condition.
struct ConditionWaiter<'a> {
    session: &'a Session,
    args: &'a Args,
    watcher: Watcher,
    bar: Progress,
    nudged: bool,
}

impl<'a> ConditionWaiter<'a> {
    fn new(session: &'a Session, args: &'a Args) -> Result<Self> {
        Ok(Self {
            session,
            args,
            watcher: Watcher::new()?,
            bar: Progress::new(),
            nudged: false,
        })
    }

    fn wait(&mut self, subject: &Subject, deadline: Instant) -> Result<()> {
        loop {
            self.watcher.watch(&self.places(subject))?;
            let Some(waiting) = self.progress(subject)? else {
                return Ok(());
            };
            self.bar.waits_for(&waiting);
            let now = Instant::now();
            if now >= deadline {
                self.bar.end();
                return Err(self.timed_out(subject, &waiting)?.into());
            }
            self.expect_supervisor()?;
            let delay = self.bar.delay().map(|delay| now + delay);
            let until = delay.map_or(deadline, |delay| delay.min(deadline));
            self.watcher.wait(Some(until))?;
        }
    }

    fn timed_out(&self, subject: &Subject, waiting: &str) -> Result<Problem> {
        let message = format!("timed out waiting for the condition: {waiting}");
        let hint = match self.pet_of(subject)? {
            Some(pet) => look_at(&pet),
            None => "see how far it is with `petset get all`".to_owned(),
        };
        let hint = format!("allow more time with --timeout, or {hint}");
        let allowed = self.args.timeout.as_secs_f64();
        let words = self.quoted_words(subject)?;
        let message = format!("{message} (after {allowed}s){words}");
        Ok(Problem::new(Kind::TimedOut, message).hint(hint))
    }

    /// Returns the pet that is waited for, if it is one.
    fn pet_of(&self, subject: &Subject) -> Result<Option<String>> {
        let (session, namespace) = (self.session, &self.session.namespace);
        match (&self.args.condition, subject) {
            (_, Subject::Pet { name, .. }) => Ok(Some(name.to_string())),
            (Condition::Delete, _) => Ok(None),
            (_, Subject::Set { name, .. }) => session.pet_waited_for(namespace, name.as_str()),
            (_, Subject::Workload { .. } | Subject::Stored { .. }) => Ok(None),
        }
    }

    /// Quotes the last lines of the pet that is waited for, where it is to become ready.
    fn quoted_words(&self, subject: &Subject) -> Result<String> {
        let (session, namespace) = (self.session, &self.session.namespace);
        match (&self.args.condition, subject) {
            (Condition::Delete, _) => Ok(String::new()),
            (_, Subject::Set { name, .. }) => session.quoted_words_of_set(namespace, name.as_str()),
            (_, Subject::Pet { name, .. }) => Ok(session.quoted_words(namespace, name.as_str())),
            (_, Subject::Workload { .. } | Subject::Stored { .. }) => Ok(String::new()),
        }
    }

    /// Starts a supervisor if none runs. One that has exited by itself has nothing to do, and is
    /// not started again.
    fn expect_supervisor(&mut self) -> Result<()> {
        let layout = self.session.store.layout();
        let died = self.watcher.supervisor_ended() && PidFile::of_supervisor(layout).exists();
        if !self.nudged || died {
            self.nudged = true;
            supervisor::nudge(layout)?;
            self.watcher.guard(supervisor::lifeline(layout));
        }
        Ok(())
    }

    /// Lists the directories that change with the subject.
    fn places(&self, subject: &Subject) -> Vec<PathBuf> {
        let (layout, namespace) = (self.session.store.layout(), &self.session.namespace);
        let mut places = vec![
            layout.set_statuses(namespace),
            layout.wanted_kind(namespace, ObjectKind::StatefulSet),
        ];
        if let Subject::Pet { name, .. } = subject {
            places.push(layout.pets_of(namespace));
            places.push(layout.wanted_kind(namespace, ObjectKind::Pod));
            places.push(layout.pet(namespace, name.as_str()).root().to_owned());
        }
        if let Subject::Stored { kind, .. } = subject {
            places.push(layout.wanted_kind(namespace, *kind));
            places.push(layout.claims(namespace));
        }
        if let Subject::Workload { kind, .. } = subject {
            places.push(layout.pets_of(namespace));
            places.push(layout.workload_statuses(namespace, *kind));
            places.push(layout.wanted_kind(namespace, ObjectKind::Workload(*kind)));
        }
        places
    }

    /// Returns what is still missing; `None` if the condition is met.
    fn progress(&self, subject: &Subject) -> Result<Option<String>> {
        match subject {
            Subject::Set { name, uid } => self.progress_of_set(name, uid.as_ref()),
            Subject::Pet { name, uid } => self.progress_of_pet(name, uid.as_ref()),
            Subject::Stored { kind, name, uid } => {
                let of = (*kind, name, uid.as_ref());
                stored::progress(self.session, of, &self.args.condition)
            }
            Subject::Workload { kind, name, uid } => {
                self.progress_of_workload((*kind, name), uid.as_ref())
            }
        }
    }

    fn progress_of_workload(
        &self,
        (kind, name): (WorkloadKind, &ObjectName),
        uid: Option<&String>,
    ) -> Result<Option<String>> {
        let found = self.session.workload(kind, &self.session.namespace, name)?;
        let same = found.filter(|found| found.metadata().uid.as_ref() == uid && uid.is_some());
        let Some(workload) = same else {
            return match self.args.condition {
                Condition::Delete => Ok(None),
                Condition::Ready
                | Condition::Settled
                | Condition::Is(_)
                | Condition::Has { .. } => {
                    let message = format!("{name} was deleted meanwhile");
                    Err(Problem::new(Kind::Conflict, message).into())
                }
            };
        };
        let goal = |goal: Goal| match self.session.progress(&goal)? {
            GoalState::Reached => Ok(None),
            GoalState::Waiting(waiting) => Ok(Some(waiting)),
        };
        match &self.args.condition {
            Condition::Ready | Condition::Settled => goal(Goal::WorkloadDone(workload.into())),
            Condition::Delete => Ok(Some(match workload.metadata().deletion_timestamp {
                Some(_) => format!("{name} is being deleted"),
                None => format!("{name} is not being deleted"),
            })),
            Condition::Is(condition) => condition.progress(&Object::Workload(workload.into())),
            Condition::Has {
                name: wanted,
                status,
            } => {
                let item = Object::Workload(workload.clone().into());
                let lacks = lacks_condition(&item, wanted, status)?;
                // A Job that has failed does not complete any more.
                if lacks.is_some() && wanted == "Complete" {
                    goal(Goal::WorkloadDone(workload.into()))?;
                }
                Ok(lacks)
            }
        }
    }

    fn progress_of_set(&self, name: &SetName, uid: Option<&String>) -> Result<Option<String>> {
        let object: ObjectName = name.as_str().parse()?;
        let set = self.session.set(&self.session.namespace, &object)?;
        let same = set.filter(|set| set.metadata.uid.as_ref() == uid);
        if let Condition::Delete = self.args.condition {
            return Ok(same.map(|set| until_gone(name, &set)));
        }
        let set = same
            .ok_or_else(|| Problem::new(Kind::Conflict, format!("{name} was deleted meanwhile")))?;
        match &self.args.condition {
            Condition::Ready => self.until_ready(&set),
            Condition::Settled => match self.session.progress(&Goal::Settled(set))? {
                GoalState::Reached => Ok(None),
                GoalState::Waiting(waiting) => Ok(Some(waiting)),
            },
            Condition::Is(condition) => condition.progress(&Object::StatefulSet(set.into())),
            Condition::Has { name, status } => {
                lacks_condition(&Object::StatefulSet(set.into()), name, status)
            }
            Condition::Delete => Ok(None),
        }
    }

    fn until_ready(&self, set: &StatefulSet) -> Result<Option<String>> {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        let spec = set.spec.as_ref();
        let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let status = set.status.clone().unwrap_or_default();
        let ready = status.ready_replicas.unwrap_or_default();
        let observed = status.observed_generation >= set.metadata.generation;
        if observed && ready >= wanted {
            return Ok(None);
        }
        let report = self.session.report(&namespace, name.as_str())?;
        let report = report.filter(|report| set.metadata.uid.as_deref() == Some(&report.uid));
        if let Some(report) = report.as_ref().filter(|_| observed) {
            refuse_if_hopeless(self.session, &namespace, &name, report)?;
        }
        let waiting = report.and_then(|report| report.waiting.into_iter().next());
        let count = format!("{name}: {ready} of {wanted} ready");
        if self.session.store.is_stopped() {
            return Ok(Some(format!(
                "{count}; everything is stopped, `petset start` starts it"
            )));
        }
        Ok(Some(match waiting {
            Some(waiting) => format!("{count}; {}", waiting.why),
            None => count,
        }))
    }

    fn progress_of_pet(&self, name: &ObjectName, uid: Option<&String>) -> Result<Option<String>> {
        let pod = self.session.pet(&self.session.namespace, name)?;
        if let Condition::Delete = self.args.condition {
            let same = pod.filter(|pod| pod.metadata.uid.as_ref() == uid && uid.is_some());
            return Ok(same.map(|pod| match pod.metadata.deletion_timestamp {
                Some(_) => stopping(name.as_str(), pod.metadata.deletion_grace_period_seconds),
                None => format!("{name} is not being deleted"),
            }));
        }
        let Some(pod) = pod else {
            if is_to_come(self.session, name)? {
                return Ok(Some(format!("{name} does not exist yet")));
            }
            return Err(self.session.not_found("pods", name.as_str()).into());
        };
        match &self.args.condition {
            Condition::Is(condition) => condition.progress(&Object::Pod(pod.into())),
            Condition::Has { name, status } => {
                lacks_condition(&Object::Pod(pod.into()), name, status)
            }
            Condition::Ready | Condition::Settled | Condition::Delete => {
                let Some(why) = pods::why_not_ready(&pod) else {
                    return Ok(None);
                };
                self.refuse_if_stuck(&pod, &why)?;
                Ok(Some(format!("{name}: {why}")))
            }
        }
    }

    fn refuse_if_stuck(&self, pod: &Pod, why: &str) -> Result<()> {
        let Some(set) = set_of(&pod.metadata) else {
            return refuse_if_ended(self.session, pod, why);
        };
        let namespace = &self.session.namespace;
        let object = self.session.set(namespace, &set.parse()?)?;
        let report = self.session.report(namespace, set)?;
        // A report from before the last change says nothing about it.
        let current = report.zip(object).filter(|(report, object)| {
            object.metadata.uid.as_deref() == Some(&report.uid)
                && report.status.observed_generation >= object.metadata.generation
        });
        let Some((mut report, _)) = current else {
            return Ok(());
        };
        report
            .waiting
            .retain(|waiting| waiting.pet == pod.metadata.name);
        refuse_if_hopeless(self.session, namespace, &set.parse()?, &report)
    }
}
