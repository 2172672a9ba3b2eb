//! Finding the objects that a command line names, of whatever kind.

use super::live_names;
use super::session::Session;
use super::sort::Asked;
use crate::model::ObjectName;
use crate::model::kind::{ObjectKind, WorkloadKind};
use crate::model::object::Object;
use crate::problem::{Kind, Problem, Result};

/// The kinds that a name without a kind can have, in the order in which they are tried.
const BARE: [ObjectKind; 10] = [
    ObjectKind::StatefulSet,
    ObjectKind::Workload(WorkloadKind::Deployment),
    ObjectKind::Workload(WorkloadKind::ReplicaSet),
    ObjectKind::Workload(WorkloadKind::ReplicationController),
    ObjectKind::Workload(WorkloadKind::DaemonSet),
    ObjectKind::Workload(WorkloadKind::Job),
    ObjectKind::Workload(WorkloadKind::CronJob),
    ObjectKind::Pod,
    ObjectKind::Service,
    ObjectKind::PersistentVolumeClaim,
];

/// Finds what the words of a command line name: `web`, `sts/web`, `pods web` or `pods`.
pub(crate) fn find(session: &Session, verb: &str, what: &[String]) -> Result<Vec<Object>> {
    let first = what.first().map(String::as_str).unwrap_or_default();
    let is_sort = |word: &str| word == "all" || ObjectKind::of_word(word).is_some();
    if first.split(',').all(is_sort) {
        return find_asked(session, verb, what);
    }
    let mut items = Vec::new();
    for word in what {
        items.extend(find_one(session, verb, word)?);
    }
    Ok(items)
}

/// Finds the object that `web`, `web-0` or `sts/web` names.
fn find_one(session: &Session, verb: &str, word: &str) -> Result<Vec<Object>> {
    if word.contains('/') {
        return find_asked(session, verb, &[word.to_owned()]);
    }
    let name: ObjectName = word.parse()?;
    for sort in BARE {
        if let Some(item) = session.item(sort, &session.namespace, &name)? {
            return Ok(vec![item]);
        }
    }
    let message = format!("no set, workload, pet, service or claim is called {word:?}");
    let meant = live_names::meant(session.store.layout(), &session.namespace, &BARE, word);
    let hint = meant.unwrap_or_else(|| session.whereabouts());
    Err(Problem::new(Kind::NotFound, message).hint(hint).into())
}

/// Finds the objects that are named with their kind: `pods`, `pods web`, `sts/web`.
fn find_asked(session: &Session, verb: &str, words: &[String]) -> Result<Vec<Object>> {
    let namespace = &session.namespace;
    let mut items = Vec::new();
    match Asked::of(words, session, verb)? {
        Asked::All(sorts) => {
            for sort in sorts {
                items.extend(session.items(sort, namespace)?);
            }
        }
        Asked::Named(named) => {
            for (sort, name) in named {
                let found = session.named(sort, namespace, &name)?;
                if found.is_empty() {
                    return Err(session.not_found(sort.plural(), name.as_str()).into());
                }
                items.extend(found);
            }
        }
    }
    Ok(items)
}
