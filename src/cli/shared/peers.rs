//! The peers of a set or of a service, and watching them.
//!
//! Only the files of the set, its service and its pets are read, so the number of other sets in the
//! state directory does not matter.

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::Instant;

use anyhow::Context;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Service};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::Serialize;

use super::inside;
use super::pods;
use super::session::{Session, say_limit};
use crate::model::endpoints::{Endpoint, ServiceRecord, endpoints, has_selector};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, PetName, PetSeen, Set, SetName, printer};
use crate::problem::{Kind, Result, kind_of};
use crate::sorted::{SortedMap, sort_by_key};
use crate::store::{self, Watch, endpoints as record_files};

/// How many ordinals in a row may be missing while the supervisor reports more pets than were
/// found.
const WIDEST_GAP: u32 = 64;

/// A group of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerGroup {
    /// The pets of a set.
    Set(SetName),
    /// The endpoints of a service.
    Service(ObjectName),
}

/// One pet, as its peers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// Its full DNS name without the final dot; `None` without a governing service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fqdn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ordinal: Option<u32>,
    pub(crate) ready: bool,
    /// The ports by name; names of the service override those of containers.
    pub(crate) ports: SortedMap<String, u16>,
    /// The status as `get pods` prints it; empty for a pet that does not exist.
    pub(crate) status: String,
    /// Whether it is in DNS: it is ready, or the service publishes pets that are not.
    #[serde(skip)]
    pub(crate) published: bool,
}

impl Peer {
    /// Returns the host name by which others reach it: the DNS name, else the address.
    pub(crate) fn host(&self) -> String {
        let address = || self.ip.map(|ip| ip.to_string());
        let host = self.fqdn.clone().or_else(address);
        host.unwrap_or_else(|| self.name.clone())
    }
}

/// The peers of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peers {
    pub(crate) all: Vec<Peer>,
    /// The governing service, if it does not exist.
    pub(crate) missing_service: Option<String>,
}

/// Returns all peers, ordered by ordinal.
pub(crate) fn find(session: &Session, group: &PeerGroup) -> Result<Peers> {
    match group {
        PeerGroup::Set(name) => of_set(session, &session.expect_set(name)?),
        PeerGroup::Service(name) => of_service(session, name),
    }
}

fn of_set(session: &Session, object: &StatefulSet) -> Result<Peers> {
    let set = Set::of(object)?;
    let spec = object.spec.clone().unwrap_or_default();
    let governor = spec.service_name.filter(|name| !name.is_empty());
    let service = match &governor {
        Some(name) => service_of(session, name)?,
        None => None,
    };
    let pets = pets_of(session, &set)?;
    let pods: Vec<&Pod> = pets.iter().filter_map(|(_, pod)| pod.as_ref()).collect();
    let record = service.as_ref().map(|service| endpoints(service, &pods));
    let fallback = spec.template.spec.unwrap_or_default();
    let domain = &session.store.settings().cluster_domain;
    let suffix = governor
        .as_ref()
        .map(|service| format!("{service}.{}.svc.{domain}", session.namespace));
    let peer = |(name, pod): &(PetName, Option<Pod>)| {
        let mut peer = match pod {
            Some(pod) => of_pod(pod),
            None => absent(session, name, &fallback),
        };
        peer.fqdn = suffix.as_ref().map(|suffix| format!("{name}.{suffix}"));
        peer.ordinal = Some(name.ordinal().0);
        if let Some(record) = &record {
            note_service(&mut peer, record);
        }
        peer
    };
    Ok(Peers {
        all: pets.iter().map(peer).collect(),
        missing_service: governor.filter(|_| record.is_none()),
    })
}

fn service_of(session: &Session, name: &str) -> Result<Option<Service>> {
    match name.parse() {
        Ok(name) => session.store.find(&session.namespace, &name),
        Err(_) => Ok(None),
    }
}

/// Returns the pets that the set wants, whether they exist or not, and surplus pets of a set that
/// is being scaled down, ordered by ordinal.
fn pets_of(session: &Session, set: &Set) -> Result<Vec<(PetName, Option<Pod>)>> {
    let look = |ordinal| -> Result<(PetName, Option<Pod>)> {
        let name = PetName::new(set.name.clone(), ordinal);
        let pod = pods::find(session, &name.to_string())?;
        Ok((name, pod))
    };
    let mut pets = set.ordinals().map(look).collect::<Result<Vec<_>>>()?;
    let found = pets.iter().filter(|(_, pod)| pod.is_some()).count();
    let report = session.report(&session.namespace, set.name.as_str())?;
    let expected = report.map_or(0, |report| report.status.replicas);
    let more = usize::try_from(expected).is_ok_and(|expected| expected > found);
    let gap = if more { WIDEST_GAP } else { 1 };
    let end = set.start.saturating_add(set.replicas);
    let mut surplus = |ordinals: &mut dyn Iterator<Item = u32>| -> Result<()> {
        let mut missing = 0;
        for ordinal in ordinals {
            match look(crate::model::Ordinal(ordinal))? {
                pet @ (_, Some(_)) => {
                    pets.push(pet);
                    missing = 0;
                }
                (_, None) => missing += 1,
            }
            if missing >= gap {
                break;
            }
        }
        Ok(())
    };
    surplus(&mut (end..=u32::MAX))?;
    surplus(&mut (0..set.start).rev())?;
    sort_by_key(&mut pets, |(name, _)| name.ordinal());
    Ok(pets)
}

/// Returns the endpoints of a service: their names are from the record of the supervisor, their
/// states from the pods.
fn of_service(session: &Session, name: &ObjectName) -> Result<Peers> {
    let service: Option<Service> = session.store.find(&session.namespace, name)?;
    let service = service.ok_or_else(|| session.not_found("services", name.as_str()))?;
    let known = record_files::read(session.store.layout(), &session.namespace, name.as_str())?;
    if let Some(record) = known.filter(|_| !has_selector(&service)) {
        return Ok(by_hand(session, &inside::record(record)));
    }
    let record = refreshed(session, &service)?;
    let domain = &session.store.settings().cluster_domain;
    let mut all: Vec<Peer> = Vec::new();
    for endpoint in &record.endpoints {
        if all.iter().any(|peer| peer.name == endpoint.pod) {
            continue;
        }
        let Some(pod) = pods::find(session, &endpoint.pod)? else {
            continue;
        };
        let mut peer = of_pod(&pod);
        peer.fqdn = Some(record.endpoint_fqdn(endpoint, domain));
        note_service(&mut peer, &record);
        all.push(peer);
    }
    Ok(Peers {
        all,
        missing_service: None,
    })
}

/// Returns the endpoints that a user wrote, which have no pods.
fn by_hand(session: &Session, record: &ServiceRecord) -> Peers {
    let domain = &session.store.settings().cluster_domain;
    let peer = |endpoint: &Endpoint| {
        let named = endpoint.ports.iter().filter(|port| !port.name.is_empty());
        Peer {
            fqdn: Some(record.endpoint_fqdn(endpoint, domain)),
            ip: Some(endpoint.ip),
            ordinal: None,
            ready: endpoint.serving && !endpoint.terminating,
            ports: named.map(|port| (port.name.clone(), port.port)).collect(),
            status: String::new(),
            published: endpoint.ready,
            name: endpoint.host().into_owned(),
        }
    };
    Peers {
        all: record.endpoints.iter().map(peer).collect(),
        missing_service: None,
    }
}

/// Returns the record of a service with the current state of its pods.
fn refreshed(session: &Session, service: &Service) -> Result<ServiceRecord> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let known = record_files::read(session.store.layout(), &session.namespace, name)?;
    let mut pods = Vec::new();
    for endpoint in known.iter().flat_map(|record| &record.endpoints) {
        pods.extend(pods::find(session, &endpoint.pod)?);
    }
    Ok(endpoints(service, &pods.iter().collect::<Vec<_>>()))
}

fn of_pod(pod: &Pod) -> Peer {
    let seen = PetSeen::of(pod);
    let ready = seen.is_ready() && !seen.terminating;
    let status = pod.status.as_ref();
    let ip = status.and_then(|status| status.pod_ip.as_deref()?.parse().ok());
    let name: Option<PetName> = seen.name.parse().ok();
    Peer {
        fqdn: None,
        ip,
        ordinal: name.map(|name| name.ordinal().0),
        ready,
        ports: pod.spec.as_ref().map(ports_of).unwrap_or_default(),
        status: printer::pod_status_word(pod),
        published: ready,
        name: seen.name,
    }
}

/// Returns the peer for a pet that does not exist, with its address if it has one already.
fn absent(session: &Session, name: &PetName, template: &PodSpec) -> Peer {
    let name = name.to_string();
    let given = store::addresses_given(&session.store.layout().addresses()).unwrap_or_default();
    let own =
        |given: &&store::Given| given.pod == name && given.namespace == session.namespace.as_str();
    Peer {
        fqdn: None,
        ip: given
            .iter()
            .find(own)
            .map(|given| inside::ip(IpAddr::V4(given.ip))),
        ordinal: None,
        ready: false,
        ports: ports_of(template),
        status: String::new(),
        published: false,
        name,
    }
}

fn ports_of(spec: &PodSpec) -> SortedMap<String, u16> {
    let ports = spec
        .containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let named = |port: &k8s_openapi::api::core::v1::ContainerPort| {
        Some((port.name.clone()?, u16::try_from(port.container_port).ok()?))
    };
    ports.filter_map(named).collect()
}

/// Notes whether the service publishes a peer, and the names of its ports.
fn note_service(peer: &mut Peer, record: &ServiceRecord) {
    let own = record.endpoints.iter().filter(|end| end.pod == peer.name);
    for endpoint in own {
        peer.published |= endpoint.ready;
        let named = endpoint.ports.iter().filter(|port| !port.name.is_empty());
        peer.ports
            .extend(named.map(|port| (port.name.clone(), port.port)));
    }
}

/// Watches the peers of a group for changes.
#[derive(Debug)]
pub(crate) struct PeerWatcher<'a> {
    session: &'a Session,
    group: PeerGroup,
    watch: Watch<()>,
}

impl<'a> PeerWatcher<'a> {
    /// Watches the directories in which the peers of a group change.
    pub(crate) fn new(session: &'a Session, group: PeerGroup) -> Result<Self> {
        let mut watch = Watch::new().context("cannot watch the state directory")?;
        let (layout, namespace) = (session.store.layout(), &session.namespace);
        let seen = match &group {
            PeerGroup::Set(_) => layout.wanted_kind(namespace, ObjectKind::StatefulSet),
            PeerGroup::Service(_) => layout.endpoints(namespace),
        };
        let services = layout.wanted_kind(namespace, ObjectKind::Service);
        for dir in [layout.pets_of(namespace), services, seen] {
            store::make_dir(&dir)
                .and_then(|()| watch.add(&dir, ()))
                .with_context(|| format!("cannot watch {}", dir.display()))?;
        }
        say_limit(watch.limit());
        Ok(Self {
            session,
            group,
            watch,
        })
    }

    /// Returns the current peers; none if their set does not exist.
    pub(crate) fn look(&mut self) -> Result<Peers> {
        self.watch
            .noticed()
            .context("cannot watch the state directory")?;
        loop {
            let peers = match find(self.session, &self.group) {
                Err(error) if kind_of(&error) == Kind::NotFound => Peers::default(),
                found => found?,
            };
            // Changes from before a directory was watched are seen by reading again.
            if !self.watch_pets(&peers) {
                return Ok(peers);
            }
        }
    }

    /// Watches the directories of the pets; returns whether one is newly watched.
    fn watch_pets(&mut self, peers: &Peers) -> bool {
        let mut fresh = false;
        for peer in &peers.all {
            let files = self
                .session
                .store
                .layout()
                .pet(&self.session.namespace, &peer.name);
            // A missing directory is noticed in its parent when it is created. A new one may still
            // be empty, and its files are noticed here.
            fresh |= self.watch.add_new(files.root(), ()).unwrap_or(false);
        }
        fresh
    }

    /// Waits for a change, at the longest until `deadline`.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Result<()> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let watched = self.watch.as_fd();
        match poll(&mut [PollFd::new(&watched, PollFlags::IN)], left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait"),
        }
    }
}

/// The pet in which this program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) set: Option<SetName>,
}

impl Caller {
    /// Reads it from the environment variables that petset sets.
    pub(crate) fn from_environment() -> Option<Self> {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Some(Self {
            name: text("POD_NAME")?,
            namespace: text("POD_NAMESPACE").and_then(|text| text.parse().ok()),
            set: text("PETSET_SET").and_then(|text| text.parse().ok()),
        })
    }

    /// Returns whether a peer of `namespace` is this pet.
    pub(crate) fn is(&self, peer: &Peer, namespace: &Namespace) -> bool {
        self.name == peer.name && self.namespace.as_ref().is_none_or(|own| own == namespace)
    }
}
