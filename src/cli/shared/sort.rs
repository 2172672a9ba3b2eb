//! The sorts of objects that can be looked at, and the words for them.

use super::session::Session;
use crate::manifest::nearest;
use crate::model::ObjectName;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::problem::{Problem, Result};

/// What `all` stands for, workloads as kubectl orders them.
const ALL: [ObjectKind; 10] = [
    ObjectKind::StatefulSet,
    ObjectKind::Pod,
    ObjectKind::Workload(WorkloadKind::ReplicationController),
    ObjectKind::Service,
    ObjectKind::Workload(WorkloadKind::DaemonSet),
    ObjectKind::Workload(WorkloadKind::Deployment),
    ObjectKind::Workload(WorkloadKind::ReplicaSet),
    ObjectKind::Workload(WorkloadKind::CronJob),
    ObjectKind::Workload(WorkloadKind::Job),
    ObjectKind::PersistentVolumeClaim,
];

/// What a command line asks to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Everything of these sorts.
    All(Vec<ObjectKind>),
    /// These objects.
    Named(Vec<(ObjectKind, ObjectName)>),
}

impl Asked {
    /// Reads `sets`, `sets,pets`, `pets web-0 web-1`, or `sts/web pod/web-0`.
    pub(crate) fn of(words: &[String], session: &Session, verb: &str) -> Result<Self> {
        let Some((first, rest)) = words.split_first() else {
            return Ok(Self::All(ALL.to_vec()));
        };
        if first.contains('/') {
            let named = words.iter().map(|word| full_name(word, session, verb));
            return Ok(Self::Named(named.collect::<Result<_>>()?));
        }
        if first == "all" && !rest.is_empty() {
            let message = "all stands for objects of every sort, which cannot be named as well";
            return Err(Problem::invalid(message).into());
        }
        let sorts = sorts(first, session, verb)?;
        if rest.is_empty() {
            return Ok(Self::All(sorts));
        }
        let mut named = Vec::new();
        for name in rest {
            if name.contains('/') {
                let message = format!("{name:?} has a sort before its name already");
                let hint = format!("write `petset {verb} {name}`");
                return Err(Problem::invalid(message).hint(hint).into());
            }
            let name: ObjectName = name.parse()?;
            named.extend(sorts.iter().map(|sort| (*sort, name.clone())));
        }
        Ok(Self::Named(named))
    }

    /// Returns the sorts it is about, each once.
    pub(crate) fn sorts(&self) -> Vec<ObjectKind> {
        let all: Vec<ObjectKind> = match self {
            Self::All(sorts) => sorts.clone(),
            Self::Named(named) => named.iter().map(|(sort, _)| *sort).collect(),
        };
        let mut once = Vec::new();
        for sort in all {
            if !once.contains(&sort) {
                once.push(sort);
            }
        }
        once
    }
}

fn full_name(word: &str, session: &Session, verb: &str) -> Result<(ObjectKind, ObjectName)> {
    let Some((sort, name)) = word.split_once('/') else {
        let message = format!("{word:?} has no sort before its name, as the others have");
        let hint = format!("write pod/{word}, or sts/{word} for a set");
        return Err(Problem::invalid(message).hint(hint).into());
    };
    let sort = ObjectKind::of_word(sort).ok_or_else(|| unknown(sort, session, verb))?;
    Ok((sort, name.parse()?))
}

fn sorts(list: &str, session: &Session, verb: &str) -> Result<Vec<ObjectKind>> {
    let mut sorts = Vec::new();
    for word in list.split(',') {
        if word == "all" {
            sorts.extend(ALL);
        } else {
            sorts.push(ObjectKind::of_word(word).ok_or_else(|| unknown(word, session, verb))?);
        }
    }
    Ok(sorts)
}

/// Says that nothing is called so, and what was probably meant.
fn unknown(word: &str, session: &Session, verb: &str) -> Problem {
    let message = format!("there is no sort of objects called {word:?}");
    let problem = match nearest(word, &ObjectKind::words()) {
        Some(meant) => return Problem::invalid(message).hint(format!("did you mean {meant}?")),
        None => Problem::invalid(message),
    };
    let name: Option<ObjectName> = word.parse().ok();
    let is = |sort| {
        let item = name
            .as_ref()
            .map(|name| session.item(sort, &session.namespace, name));
        matches!(item, Some(Ok(Some(_))))
    };
    if is(ObjectKind::StatefulSet) {
        let pets = format!("`petset {verb} pets {word}`");
        problem.hint(format!(
            "{word} is a set: `petset {verb} set {word}`, or {pets} for its pets"
        ))
    } else if is(ObjectKind::Pod) {
        problem.hint(format!("{word} is a pet: `petset {verb} pod {word}`"))
    } else {
        problem.hint(
            "there are sets, pets, deployments, replicasets, replicationcontrollers, daemonsets, \
             jobs, cronjobs, services, claims, pv, sc, endpoints, revisions, configmaps, secrets, events, \
             and all",
        )
    }
}
