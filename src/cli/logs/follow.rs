//! Following logs, across restarts and rotation, until all output is there.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::args::{Args, LogTarget};
use crate::cli::shared::containers;
use crate::cli::shared::log_stream::LogStream;
use crate::cli::shared::pods;
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::watcher::Watcher;
use crate::model::ObjectName;
use crate::model::kind::ObjectKind;
use crate::problem::Result;
use crate::store;

/// How long a change may be missed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A container of a pet whose log is followed.
struct FollowedContainer {
    uid: String,
    container: String,
    stream: LogStream,
}

/// Prints the logs until the pet has completed or is gone, or the set and all its pets are gone.
pub(super) fn run(session: &Session, args: &Args, target: &LogTarget) -> Result<()> {
    let mut watcher = Watcher::for_reader()?;
    let mut followed: Vec<FollowedContainer> = Vec::new();
    let mut first = true;
    // A pet that is replaced counts as gone.
    let mut only: Option<String> = None;
    loop {
        watcher.watch(&places(session, target)?)?;
        let mut pods = target.pods(session)?;
        if first && pods.is_empty() {
            target.no_pets(session)?;
        }
        if let LogTarget::Pet(_) = target {
            only = only.or_else(|| pods.first().map(uid_of));
            pods.retain(|pod| Some(uid_of(pod)) == only);
        }
        let shown = pods.iter().map(|pod| args.containers(pod, false));
        let shown: Vec<Vec<String>> = shown.collect::<Result<_>>()?;
        args.refuse_too_many(shown.iter().map(Vec::len).sum())?;
        for pod in &pods {
            follow(session, args, target, pod, &mut followed, first)?;
        }
        for one in &mut followed {
            one.stream.print_new()?;
        }
        if pods.is_empty() && !comes_back(session, target)? || is_over(args, target, &pods)? {
            break;
        }
        end_streams(&mut followed, &pods)?;
        first = false;
        // A place that is removed and made again while it is read could be missed.
        watcher.wait(Some(Instant::now() + LOOK_AGAIN))?;
    }
    followed.into_iter().try_for_each(|one| one.stream.end())
}

/// Starts to follow the containers of a pet that are not followed yet.
fn follow(
    session: &Session,
    args: &Args,
    target: &LogTarget,
    pod: &Pod,
    followed: &mut Vec<FollowedContainer>,
    first: bool,
) -> Result<()> {
    let uid = uid_of(pod);
    for container in args.containers(pod, first && followed.is_empty())? {
        let known = |one: &FollowedContainer| one.uid == uid && one.container == container;
        if followed.iter().any(known) {
            continue;
        }
        let alone = matches!(target, LogTarget::Pet(_));
        if alone && !first && followed.iter().any(|one| one.uid == uid) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            say(format!("{name}: now container {container:?}"));
        }
        let files = session.files(pod);
        let prefix = args.prefix_of(target, pod, &container);
        let mut stream = LogStream::new(files.log(&container), prefix)
            .across_restarts(files.previous_log(&container));
        // The log of a later container is printed from its start.
        stream.begin(args.tail().filter(|_| first))?;
        followed.push(FollowedContainer {
            uid: uid.clone(),
            container,
            stream,
        });
    }
    Ok(())
}

fn end_streams(followed: &mut Vec<FollowedContainer>, pods: &[Pod]) -> Result<()> {
    let lives = |one: &FollowedContainer| pods.iter().any(|pod| uid_of(pod) == one.uid);
    let (alive, dead) = followed.drain(..).partition(lives);
    *followed = alive;
    let dead: Vec<FollowedContainer> = dead;
    dead.into_iter().try_for_each(|one| one.stream.end())
}

/// Returns whether the containers of a pet whose logs are followed have ended for good. The pods of
/// a set are replaced.
fn is_over(args: &Args, target: &LogTarget, pods: &[Pod]) -> Result<bool> {
    let is_pet = |target: &LogTarget| matches!(target, LogTarget::Pet(_));
    let ends = match target {
        LogTarget::Pet(_) => true,
        LogTarget::Several(all) => all.iter().all(is_pet),
        LogTarget::Set(_) | LogTarget::Labelled(_) => false,
    };
    if !ends || pods.is_empty() {
        return Ok(false);
    }
    for pod in pods {
        let shown = args.containers(pod, false)?;
        let is_done = |name: &String| containers::has_ended_for_good(pod, name);
        if !pods::has_ended(pod) && !shown.iter().all(is_done) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether pets may be created: the set still exists.
fn comes_back(session: &Session, target: &LogTarget) -> Result<bool> {
    let name = match target {
        LogTarget::Set(name) => name,
        LogTarget::Pet(_) => return Ok(false),
        LogTarget::Labelled(_) => return Ok(true),
        LogTarget::Several(all) => {
            let back: Result<Vec<bool>> = all.iter().map(|one| comes_back(session, one)).collect();
            return Ok(back?.contains(&true));
        }
    };
    let name: ObjectName = name.as_str().parse()?;
    let set: Option<StatefulSet> = session.store.find(&session.namespace, &name)?;
    Ok(set.is_some())
}

fn places(session: &Session, target: &LogTarget) -> Result<Vec<PathBuf>> {
    let layout = session.store.layout();
    let namespace = &session.namespace;
    let names = names_of(session, target)?;
    let pets = names.iter().map(|name| layout.pet(namespace, name));
    let mut places: Vec<PathBuf> = pets
        .flat_map(|pet| [pet.root().to_owned(), pet.logs()])
        .collect();
    places.push(layout.pets_of(namespace));
    places.push(layout.wanted_kind(namespace, ObjectKind::StatefulSet));
    Ok(places)
}

/// Returns the names of the pets that may have logs.
fn names_of(session: &Session, target: &LogTarget) -> Result<Vec<String>> {
    let all = || store::names_in(&session.store.layout().pets_of(&session.namespace));
    Ok(match target {
        LogTarget::Pet(name) => vec![name.to_string()],
        LogTarget::Set(name) => {
            let lead = format!("{name}-");
            let pets = all()?.into_iter();
            pets.filter(|pet| pet.starts_with(&lead)).collect()
        }
        LogTarget::Labelled(_) => all()?,
        LogTarget::Several(several) => {
            let names: Result<Vec<_>> = several.iter().map(|one| names_of(session, one)).collect();
            names?.concat()
        }
    })
}

fn uid_of(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}
