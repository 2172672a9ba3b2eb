//! Following what is said, across restarts and rotation, until nobody is left to speak.

use std::path::PathBuf;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;

use super::parts::Speaker;
use super::{Args, Whose};
use crate::cli::shared::lookout::Lookout;
use crate::cli::shared::session::{Session, say};
use crate::model::ObjectName;
use crate::problem::Result;
use crate::store;

/// One container of one pet, while it lives.
struct Voice {
    uid: String,
    container: String,
    speaker: Speaker,
}

/// Shows what is said until the pet is gone, or the set with all its pets.
pub(super) fn run(session: &Session, args: &Args, whose: &Whose) -> Result<()> {
    let mut lookout = Lookout::for_reader()?;
    let mut voices: Vec<Voice> = Vec::new();
    let mut first = true;
    // A pet that is replaced by another of its name is gone.
    let mut only: Option<String> = None;
    loop {
        lookout.at(&places(session, whose)?)?;
        let mut pods = whose.pods(session)?;
        if first && pods.is_empty() {
            whose.nobody(session)?;
        }
        if let Whose::Pet(_) = whose {
            only = only.or_else(|| pods.first().map(uid_of));
            pods.retain(|pod| Some(uid_of(pod)) == only);
        }
        for pod in &pods {
            listen(session, args, whose, pod, &mut voices, first)?;
        }
        for voice in &mut voices {
            voice.speaker.go_on()?;
        }
        if pods.is_empty() && !comes_back(session, whose)? {
            break;
        }
        end_the_dead(&mut voices, &pods)?;
        first = false;
        lookout.wait(None)?;
    }
    voices.into_iter().try_for_each(|voice| voice.speaker.end())
}

/// Begins to listen to the containers of a pet that are to be heard and are not yet.
fn listen(
    session: &Session,
    args: &Args,
    whose: &Whose,
    pod: &Pod,
    voices: &mut Vec<Voice>,
    first: bool,
) -> Result<()> {
    let uid = uid_of(pod);
    for container in args.containers(pod, first && voices.is_empty())? {
        let known = |voice: &Voice| voice.uid == uid && voice.container == container;
        if voices.iter().any(known) {
            continue;
        }
        let alone = matches!(whose, Whose::Pet(_));
        if alone && !first && voices.iter().any(|voice| voice.uid == uid) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            say(format!("{name}: now container {container:?}"));
        }
        let log = session.files(pod).log(&container);
        let mut speaker = Speaker::new(log, args.prefix_of(whose, pod, &container));
        // Who comes later is heard from the start.
        speaker.begin(args.tail().filter(|_| first))?;
        voices.push(Voice {
            uid: uid.clone(),
            container,
            speaker,
        });
    }
    Ok(())
}

fn end_the_dead(voices: &mut Vec<Voice>, pods: &[Pod]) -> Result<()> {
    let lives = |voice: &Voice| pods.iter().any(|pod| uid_of(pod) == voice.uid);
    let (alive, dead) = voices.drain(..).partition(lives);
    *voices = alive;
    let dead: Vec<Voice> = dead;
    dead.into_iter().try_for_each(|voice| voice.speaker.end())
}

/// Tells whether pets may come: the set is still wanted.
fn comes_back(session: &Session, whose: &Whose) -> Result<bool> {
    let Whose::Set(name) = whose else {
        return Ok(false);
    };
    let name: ObjectName = name.as_str().parse()?;
    let set: Option<StatefulSet> = session.store.find(&session.namespace, &name)?;
    Ok(set.is_some())
}

fn places(session: &Session, whose: &Whose) -> Result<Vec<PathBuf>> {
    let layout = session.store.layout();
    let namespace = &session.namespace;
    let names = match whose {
        Whose::Pet(name) => vec![name.to_string()],
        Whose::Set(name) => {
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
    places.push(layout.wanted_kind(namespace, store::Wanted::StatefulSet));
    Ok(places)
}

fn uid_of(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}
