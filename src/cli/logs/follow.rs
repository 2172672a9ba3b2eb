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
    let (LogTarget::Pet(_), [pod]) = (target, pods) else {
        return Ok(false);
    };
    let shown = args.containers(pod, false)?;
    let is_done = |name: &String| containers::has_ended_for_good(pod, name);
    Ok(pods::has_ended(pod) || shown.iter().all(is_done))
}

/// Returns whether pets may be created: the set still exists.
fn comes_back(session: &Session, target: &LogTarget) -> Result<bool> {
    let LogTarget::Set(name) = target else {
        return Ok(false);
    };
    let name: ObjectName = name.as_str().parse()?;
    let set: Option<StatefulSet> = session.store.find(&session.namespace, &name)?;
    Ok(set.is_some())
}

fn places(session: &Session, target: &LogTarget) -> Result<Vec<PathBuf>> {
    let layout = session.store.layout();
    let namespace = &session.namespace;
    let names = match target {
        LogTarget::Pet(name) => vec![name.to_string()],
        LogTarget::Set(name) => {
            let all = store::names_in(&layout.pets_of(namespace))?;
            let lead = format!("{name}-");
            all.into_iter()
                .filter(|pet| pet.starts_with(&lead))
                .collect()
        }
    };
    let pets = names.iter().map(|name| layout.pet(namespace, name));
    let mut places: Vec<PathBuf> = pets
        .flat_map(|pet| [pet.root().to_owned(), pet.logs()])
        .collect();
    places.push(layout.pets_of(namespace));
    places.push(layout.wanted_kind(namespace, ObjectKind::StatefulSet));
    Ok(places)
}

fn uid_of(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}
