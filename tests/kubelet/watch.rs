//! Seeing every status that petset writes, however short it is there.

use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::process::setpriority_process;
use serde_json::Value;

use super::observe::Seen;
use super::words::{self, Names};

/// The pods of a state directory, read whenever one of their files is replaced.
///
/// A command that watches would miss what is there for a millisecond.
pub(crate) struct Watch {
    shown: Shown,
    /// What of that has been taken apart.
    pods: RefCell<Vec<Value>>,
}

/// The content of `pod.json` and of `status.json`, each time that one of them was replaced.
type Shown = Arc<Mutex<Vec<(Vec<u8>, Option<Vec<u8>>)>>>;

impl Watch {
    /// Begins to watch the pods of the namespace `default`, of which there is none yet.
    pub(crate) fn begin(state: &Path) -> Self {
        let pets = state.join("pets/default");
        let mut folder = fs::DirBuilder::new();
        folder.mode(0o700).recursive(true).create(&pets).unwrap();
        let shown = Shown::default();
        let mask = WatchFlags::CREATE | WatchFlags::MOVED_TO;
        Lookout::get().add(&pets, mask, Place::All(pets.clone(), Arc::clone(&shown)));
        let pods = RefCell::default();
        Self { shown, pods }
    }

    fn pods(&self) -> Ref<'_, Vec<Value>> {
        let fresh = std::mem::take(&mut *self.shown.lock().unwrap());
        let fresh = fresh
            .iter()
            .filter_map(|(pod, status)| parse(pod, status.as_deref()));
        self.pods.borrow_mut().extend(fresh);
        self.pods.borrow()
    }

    /// Returns the distinct statuses so far of the first life of each pod.
    pub(crate) fn seen(&self) -> Seen {
        let mut seen = Seen::default();
        let mut uids: BTreeMap<String, String> = BTreeMap::new();
        for pod in self.pods().iter() {
            let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
            let uid = words::names(pod).uid;
            if *uids.entry(name.clone()).or_insert_with(|| uid.clone()) != uid {
                continue;
            }
            let life = seen.lives.entry(name).or_default();
            let status = words::status(pod);
            if life.last() != Some(&status) {
                life.push(status);
            }
        }
        seen
    }

    /// Returns the names of the first life of each pod.
    pub(crate) fn names(&self) -> BTreeMap<String, Names> {
        let mut all: BTreeMap<String, Names> = BTreeMap::new();
        for pod in self.pods().iter() {
            let names = words::names(pod);
            let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
            let known = all.entry(name).or_insert_with(|| names.clone());
            if known.ips[0].is_empty() && known.uid == names.uid {
                *known = names;
            }
        }
        all
    }
}

/// The one inotify instance of all watches: a user has few. Its thread does nothing else, so that
/// it is there in time.
struct Lookout {
    inotify: OwnedFd,
    places: Mutex<BTreeMap<i32, Place>>,
}

/// A watched folder, and where what is seen in it goes.
#[derive(Clone)]
enum Place {
    /// That of all pods of a state directory.
    All(PathBuf, Shown),
    Pod(PathBuf, Shown),
}

impl Lookout {
    fn get() -> &'static Self {
        static LOOKOUT: OnceLock<Lookout> = OnceLock::new();
        static READER: OnceLock<()> = OnceLock::new();
        let lookout = LOOKOUT.get_or_init(|| Self {
            inotify: init(CreateFlags::CLOEXEC).unwrap(),
            places: Mutex::default(),
        });
        READER.get_or_init(|| drop(std::thread::spawn(|| lookout.look())));
        lookout
    }

    fn add(&self, folder: &Path, mask: WatchFlags, place: Place) {
        let mut places = self.places.lock().unwrap();
        // A folder that is gone already has nothing to show.
        if let Ok(watch) = add_watch(&self.inotify, folder, mask) {
            places.insert(watch, place);
        }
    }

    /// Reads each pod of which a file is replaced, for ever.
    fn look(&self) {
        // It should come before all that it looks at, where the user may say so.
        let _ = setpriority_process(None, -20);
        let mut room = [MaybeUninit::uninit(); 1 << 16];
        let mut events = Reader::new(&self.inotify, &mut room);
        while let Ok(event) = events.next() {
            let place = self.places.lock().unwrap().get(&event.wd()).cloned();
            let name = event.file_name().and_then(|name| name.to_str().ok());
            match (place, name) {
                (Some(Place::Pod(pod, shown)), Some("pod.json" | "status.json")) => {
                    show(&pod, &shown);
                }
                (Some(Place::All(pets, shown)), Some(name)) => {
                    let pod = pets.join(name);
                    let place = Place::Pod(pod.clone(), Arc::clone(&shown));
                    self.add(&pod, WatchFlags::MOVED_TO, place);
                    show(&pod, &shown);
                }
                (Some(_), _) | (None, _) => {}
            }
        }
    }
}

/// Reads the files of a pod; what they say is looked at when there is time.
fn show(pod: &Path, shown: &Shown) {
    let status = fs::read(pod.join("status.json")).ok();
    if let Ok(pod) = fs::read(pod.join("pod.json")) {
        shown.lock().unwrap().push((pod, status));
    }
}

/// Puts a pod together with the status that its runner has written, as `petset get` does.
fn parse(pod: &[u8], status: Option<&[u8]>) -> Option<Value> {
    let mut pod: Value = serde_json::from_slice(pod).ok()?;
    let mut own = pod["status"].take();
    pod["outerIP"] = own.as_object_mut()?.remove("podIP").unwrap_or_default();
    let quality = own["qosClass"].clone();
    let status = status.and_then(|status| serde_json::from_slice(status).ok());
    let mut status = status.unwrap_or(own);
    status["qosClass"] = quality;
    pod["status"] = status;
    Some(pod)
}
