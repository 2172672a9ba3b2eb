//! `petset describe`

mod claim;
mod pet;
mod service;
mod set;
mod storage;
mod workload;

use clap::Args as ClapArgs;
use jiff::Timestamp;

use super::shared::find::find;
use super::shared::pages::Page;
use super::shared::render;
use super::shared::session::Session;
use crate::model::object::Object;
use crate::problem::{Problem, Result};

/// Show the details of a set, a workload, a pet, a service, a claim or a volume
///
/// They include what it waits for and since when, how its containers were started and ended, where
/// its volumes and logs are, and its events.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset describe web              the set web
  petset describe web-0            one pet
  petset describe svc web
  petset describe deploy/front     a Deployment and its ReplicaSets
  petset describe pods web         all pets of the set web")]
pub(crate) struct Args {
    /// Name, such as web, web-0 or sts/web; or a kind (set, pod, svc, pvc, pv, sc), then names
    #[arg(value_name = "WHAT", required = true)]
    what: Vec<String>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let items = find(session, "describe", &args.what)?;
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
        Object::PersistentVolumeClaim(claim) => claim::write(session, claim, now, &mut page)?,
        Object::PersistentVolume(volume) => storage::write_volume(session, volume, now, &mut page)?,
        Object::StorageClass(class) => storage::write_class(class, &mut page),
        Object::Workload(workload) => workload::write(session, workload, now, &mut page)?,
        Object::Endpoints(_)
        | Object::EndpointSlice(_)
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
