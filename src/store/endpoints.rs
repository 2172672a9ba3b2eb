//! The service records: one file for each service, with its addresses, ports and endpoints.
//!
//! The supervisor publishes them; the proxy, the DNS server of the private network and `dns serve`
//! follow them; the verbs read them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use super::{Layout, Noticed, Watch, names_in, read_json, view};
use crate::model::endpoints::ServiceRecord;
use crate::model::{Namespace, ObjectRef};
use crate::sorted::SortedSet;

/// Reads the record of a service; `None` when there is no such service.
pub(crate) fn read(
    layout: &Layout,
    namespace: &Namespace,
    service: &str,
) -> io::Result<Option<ServiceRecord>> {
    read_json(&layout.service_record(namespace, service))
}

/// Writes the record of a service.
pub(crate) fn publish(
    layout: &Layout,
    namespace: &Namespace,
    record: &ServiceRecord,
) -> io::Result<()> {
    let path = layout.service_record(namespace, &record.name);
    view::publish(layout, &path, record)
}

/// Removes the record of a service.
pub(crate) fn withdraw(layout: &Layout, namespace: &Namespace, service: &str) -> io::Result<()> {
    let path = layout.service_record(namespace, service);
    view::withdraw(layout, &path)
}

/// Lists the services of a namespace that have records.
pub(crate) fn services(layout: &Layout, namespace: &Namespace) -> io::Result<Vec<String>> {
    let files = names_in(&layout.endpoints(namespace))?;
    let services = files.iter().filter_map(|file| file.strip_suffix(".json"));
    Ok(services.map(str::to_owned).collect())
}

/// The directories that are watched for records.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Watched {
    /// A directory without records whose changes wake the follower.
    Other,
    /// The state directory, while there is no directory of what is observed.
    Root,
    Namespaces,
    Namespace(Namespace),
    Records(Namespace),
}

/// Follows the records of all services, and returns the services whose record may have changed.
#[derive(Debug)]
pub(crate) struct EndpointFollower {
    layout: Layout,
    watch: Watch<Watched>,
    /// The services that were returned and may have records.
    known: SortedSet<ObjectRef>,
    /// The services to return next.
    changed: SortedSet<ObjectRef>,
}

/// Becomes readable when there may be changes.
impl AsFd for EndpointFollower {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl EndpointFollower {
    /// Begins to follow; the first call of `changed` returns every service with a record.
    pub(crate) fn new(layout: Layout) -> io::Result<Self> {
        let mut watch = Watch::new()?;
        watch.add(&layout.seen(), Watched::Namespaces)?;
        let mut follower = Self {
            layout,
            watch,
            known: SortedSet::new(),
            changed: SortedSet::new(),
        };
        follower.look_at_everything()?;
        Ok(follower)
    }

    /// Makes the follower readable for changes in `dir`, too.
    pub(crate) fn wake_for(&mut self, dir: &Path) -> io::Result<()> {
        self.watch.add(dir, Watched::Other)
    }

    /// Returns the services whose records may have come, changed or gone since the last call.
    /// Never waits.
    pub(crate) fn changed(&mut self) -> io::Result<Vec<ObjectRef>> {
        for noticed in self.watch.noticed()? {
            match noticed {
                Noticed::Everything => self.look_at_everything()?,
                Noticed::Entry(Watched::Other, _)
                | Noticed::Lost(Watched::Other | Watched::Root | Watched::Records(_)) => {}
                Noticed::Entry(Watched::Root, name) if name != "seen" => {}
                Noticed::Lost(Watched::Namespaces) | Noticed::Entry(Watched::Root, _) => {
                    self.watch_anew()?;
                }
                Noticed::Lost(Watched::Namespace(namespace)) => {
                    self.look_at_namespace(&namespace, true);
                }
                Noticed::Entry(Watched::Namespaces, name) => {
                    if let Ok(namespace) = name.parse() {
                        self.look_at_namespace(&namespace, false);
                    }
                }
                Noticed::Entry(Watched::Namespace(namespace), _) => {
                    self.look_at_namespace(&namespace, false);
                }
                Noticed::Entry(Watched::Records(namespace), file) => {
                    let name = file.strip_suffix(".json").map(str::parse);
                    if let Some(Ok(name)) = name {
                        self.changed.insert(ObjectRef::new(namespace, name));
                    }
                }
            }
        }
        self.known.extend(self.changed.iter().cloned());
        Ok(std::mem::take(&mut self.changed).into_iter().collect())
    }

    /// Watches what is observed, which was removed, or waits for it to be made again.
    fn watch_anew(&mut self) -> io::Result<()> {
        self.watch.add(self.layout.root(), Watched::Root)?;
        match self.watch.add(&self.layout.seen(), Watched::Namespaces) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.changed.append(&mut self.known);
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => self.look_at_everything(),
        }
    }

    /// Marks every record as changed, including known ones that may be gone.
    fn look_at_everything(&mut self) -> io::Result<()> {
        self.changed.append(&mut self.known);
        for name in names_in(&self.layout.seen())? {
            if let Ok(namespace) = name.parse() {
                self.look_at_namespace(&namespace, true);
            }
        }
        Ok(())
    }

    /// Watches a namespace, and marks its records as changed if it is new, or if the watch may have
    /// missed `any` change. A file in the place of a namespace's directory is ignored.
    fn look_at_namespace(&mut self, namespace: &Namespace, any: bool) {
        let records = self.layout.endpoints(namespace);
        let above = records.parent().unwrap_or(&records).to_owned();
        let mark = Watched::Namespace(namespace.clone());
        if self.watch.add(&above, mark).is_err() {
            return;
        }
        let mark = Watched::Records(namespace.clone());
        let is_new = self.watch.add_new(&records, mark).unwrap_or(false);
        if is_new || any {
            let services = services(&self.layout, namespace).unwrap_or_default();
            let names = services.iter().filter_map(|name| name.parse().ok());
            let service = |name| ObjectRef::new(namespace.clone(), name);
            self.changed.extend(names.map(service));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::endpoints::ServiceKind;

    fn record(name: &str) -> ServiceRecord {
        ServiceRecord {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            kind: ServiceKind::Headless,
            ports: Vec::new(),
            publish_not_ready: false,
            affinity: None,
            endpoints: Vec::new(),
        }
    }

    /// A state directory with the record `old`.
    fn state() -> (tempfile::TempDir, Layout, Namespace) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let namespace: Namespace = "default".parse().unwrap();
        publish(&layout, &namespace, &record("old")).unwrap();
        (dir, layout, namespace)
    }

    #[test]
    fn records_that_were_removed_by_hand_and_made_again_are_followed_again() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let namespace = Namespace::default();
        publish(&layout, &namespace, &record("a")).unwrap();
        let mut follower = EndpointFollower::new(layout.clone()).unwrap();
        assert_eq!(follower.changed().unwrap().len(), 1);
        std::fs::remove_dir_all(layout.seen()).unwrap();
        let gone = follower.changed().unwrap();
        assert_eq!(gone.len(), 1, "its record is gone");
        for name in ["a", "b"] {
            publish(&layout, &namespace, &record(name)).unwrap();
            let changed = follower.changed().unwrap();
            assert!(changed.iter().any(|service| service.name.as_str() == name));
        }
    }

    #[test]
    fn a_record_is_read_back_until_it_is_withdrawn() {
        let (_dir, layout, namespace) = state();
        assert_eq!(
            read(&layout, &namespace, "old").unwrap(),
            Some(record("old"))
        );
        assert_eq!(services(&layout, &namespace).unwrap(), ["old"]);
        withdraw(&layout, &namespace, "old").unwrap();
        assert_eq!(read(&layout, &namespace, "old").unwrap(), None);
    }

    #[test]
    fn a_follower_tells_of_what_exists_then_of_what_changes() {
        let (_dir, layout, namespace) = state();
        let mut follower = EndpointFollower::new(layout.clone()).unwrap();
        let mut names = || {
            let changed = follower.changed().unwrap();
            let names = changed.iter().map(|service| service.name.to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(), ["old"]);
        assert!(names().is_empty());
        publish(&layout, &namespace, &record("new")).unwrap();
        withdraw(&layout, &namespace, "old").unwrap();
        assert_eq!(names(), ["new", "old"]);
        let other: Namespace = "other".parse().unwrap();
        publish(&layout, &other, &record("third")).unwrap();
        // The folders of the namespace come one after the other.
        assert!((0..3).any(|_| names() == ["third"]));
    }
}
