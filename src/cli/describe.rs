//! `petset describe`

mod claim;
mod pet;
mod service;
mod set;

use clap::Args as ClapArgs;
use jiff::Timestamp;

use super::shared::pages::Page;
use super::shared::render;
use super::shared::session::Session;
use super::shared::sort::Asked;
use crate::model::ObjectName;
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::problem::{Kind, Problem, Result};

/// Show the details of a set, a pet, a service or a claim
///
/// They include what it waits for and since when, how its containers were started and ended, where
/// its volumes and logs are, and its events.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset describe web              the set web
  petset describe web-0            one pet
  petset describe svc web
  petset describe pods web         all pets of the set web")]
pub(crate) struct Args {
    /// Name, such as web, web-0 or sts/web; or a kind (set, pod, svc, pvc), then names
    #[arg(value_name = "WHAT", required = true)]
    what: Vec<String>,
}

/// The kinds that a name without a kind can have, in the order in which they are tried.
const BARE: [ObjectKind; 4] = [
    ObjectKind::StatefulSet,
    ObjectKind::Pod,
    ObjectKind::Service,
    ObjectKind::PersistentVolumeClaim,
];

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let items = find(session, &args.what)?;
    if items.is_empty() {
        session.say_nothing_found(Some(&session.namespace));
    }
    let now = Timestamp::now();
    let pages: Result<Vec<String>> = items
        .iter()
        .map(|item| describe(session, item, now))
        .collect();
    render::text(&pages?.join("\n\n"))
}

/// Describes one object.
fn describe(session: &Session, item: &Object, now: Timestamp) -> Result<String> {
    let mut page = Page::default();
    match item {
        Object::StatefulSet(set) => set::write(session, set, now, &mut page)?,
        Object::Pod(pod) => pet::write(session, pod, now, &mut page)?,
        Object::Service(service) => service::write(session, service, &mut page)?,
        Object::PersistentVolumeClaim(claim) => claim::write(session, claim, &mut page)?,
        Object::Endpoints(_)
        | Object::ControllerRevision(_)
        | Object::ConfigMap(_)
        | Object::Secret(_) => {
            let message = format!("{} is not described", item.full_name());
            let hint = format!(
                "see it whole with `petset get {} -o yaml`",
                item.full_name()
            );
            return Err(Problem::invalid(message).hint(hint).into());
        }
    }
    Ok(page.to_string())
}

fn find(session: &Session, what: &[String]) -> Result<Vec<Object>> {
    let first = what.first().map(String::as_str).unwrap_or_default();
    let is_sort = |word: &str| word == "all" || ObjectKind::of_word(word).is_some();
    if first.split(',').all(is_sort) {
        return find_asked(session, what);
    }
    let mut items = Vec::new();
    for word in what {
        items.extend(find_one(session, word)?);
    }
    Ok(items)
}

/// Finds the object that `web`, `web-0` or `sts/web` names.
fn find_one(session: &Session, word: &str) -> Result<Vec<Object>> {
    if word.contains('/') {
        return find_asked(session, &[word.to_owned()]);
    }
    let name: ObjectName = word.parse()?;
    for sort in BARE {
        if let Some(item) = session.item(sort, &session.namespace, &name)? {
            return Ok(vec![item]);
        }
    }
    let root = session.store.layout().root().display();
    let namespace = &session.namespace;
    let message = format!("no set, pet, service or claim is called {word:?}");
    let hint =
        format!("this is namespace {namespace} of {root}; see what exists with `petset get all`");
    Err(Problem::new(Kind::NotFound, message).hint(hint).into())
}

/// Finds the objects that are named with their kind: `pods`, `pods web`, `sts/web`.
fn find_asked(session: &Session, words: &[String]) -> Result<Vec<Object>> {
    let namespace = &session.namespace;
    let mut items = Vec::new();
    match Asked::of(words, session, "describe")? {
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
