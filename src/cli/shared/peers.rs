//! Who the peers of a set or of a service are, and a lookout for when that changes.
//!
//! Only the files of the set, of its service and of its own pets are read, so that the answer
//! costs the same with a thousand other sets in the state directory.

use std::collections::BTreeMap;
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
use super::session::Session;
use crate::model::endpoints::{ServiceRecord, endpoints};
use crate::model::kind::ObjectKind;
use crate::model::{Namespace, ObjectName, PetName, PetSeen, Set, SetName, printer};
use crate::problem::{Kind, Result, kind_of};
use crate::store::{self, Watch};

/// How many ordinals in a row may be missing before no further pet is looked for, where the
/// supervisor's report says that there are more pets than were found.
const WIDEST_GAP: u32 = 64;

/// Whose peers are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PeerGroup {
    /// The pets of a set.
    Set(SetName),
    /// Whoever is behind a service.
    Service(ObjectName),
}

/// One pet, as its peers see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// Its full name, without a final dot; nothing without a service to be named by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fqdn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ordinal: Option<u32>,
    pub(crate) ready: bool,
    /// The number behind each name of a port, the service's names before the containers'.
    pub(crate) ports: BTreeMap<String, u16>,
    /// As `get pods` prints it; nothing for a pet that does not exist.
    pub(crate) status: String,
    /// Whether DNS would name it: it is ready, or its service does not ask for that.
    #[serde(skip)]
    pub(crate) published: bool,
}

impl Peer {
    /// Returns the name under which others reach it: the full name, else the address.
    pub(crate) fn host(&self) -> String {
        let address = || self.ip.map(|ip| ip.to_string());
        let host = self.fqdn.clone().or_else(address);
        host.unwrap_or_else(|| self.name.clone())
    }
}

/// The peers, and what was found out about their service on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peers {
    pub(crate) all: Vec<Peer>,
    /// The service that the set names, but that does not exist.
    pub(crate) missing_service: Option<String>,
}

/// Returns all peers, in the order of their ordinals.
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

/// Returns the pets that the set wants, whether they exist or not, and those that it has besides
/// because it is shrinking, by ordinal.
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
    pets.sort_by_key(|(name, _)| name.ordinal());
    Ok(pets)
}

/// The supervisor's record says which pods to look at; what they are like is read from them.
fn of_service(session: &Session, name: &ObjectName) -> Result<Peers> {
    let service: Option<Service> = session.store.find(&session.namespace, name)?;
    let service = service.ok_or_else(|| session.not_found("services", name.as_str()))?;
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

/// Returns the record of a service with its endpoints as their pods are now.
fn refreshed(session: &Session, service: &Service) -> Result<ServiceRecord> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let path = session
        .store
        .layout()
        .service_record(&session.namespace, name);
    let known: Option<ServiceRecord> = store::read_json(&path)?;
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

/// A pet that does not exist (yet); if it ever did, its address is known.
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

fn ports_of(spec: &PodSpec) -> BTreeMap<String, u16> {
    let ports = spec
        .containers
        .iter()
        .flat_map(|container| container.ports.iter().flatten());
    let named = |port: &k8s_openapi::api::core::v1::ContainerPort| {
        Some((port.name.clone()?, u16::try_from(port.container_port).ok()?))
    };
    ports.filter_map(named).collect()
}

/// Notes what the service says of a peer: whether it is published, and what its ports are called.
fn note_service(peer: &mut Peer, record: &ServiceRecord) {
    let own = record.endpoints.iter().filter(|end| end.pod == peer.name);
    for endpoint in own {
        peer.published |= endpoint.ready;
        let named = endpoint.ports.iter().filter(|port| !port.name.is_empty());
        peer.ports
            .extend(named.map(|port| (port.name.clone(), port.port)));
    }
}

/// Looks at the peers whenever something about them may have changed.
#[derive(Debug)]
pub(crate) struct PeerWatcher<'a> {
    session: &'a Session,
    group: PeerGroup,
    watch: Watch<()>,
}

impl<'a> PeerWatcher<'a> {
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
        Ok(Self {
            session,
            group,
            watch,
        })
    }

    /// Returns the peers as they are now; none where their set is gone.
    pub(crate) fn look(&mut self) -> Result<Peers> {
        self.watch
            .noticed()
            .context("cannot watch the state directory")?;
        loop {
            let peers = match find(self.session, &self.group) {
                Err(error) if kind_of(&error) == Kind::NotFound => Peers::default(),
                found => found?,
            };
            // What changed before its directory was watched is seen by looking again.
            if !self.watch_pets(&peers) {
                return Ok(peers);
            }
        }
    }

    /// Watches the directories of the pets; returns whether one of them was not watched before.
    fn watch_pets(&mut self, peers: &Peers) -> bool {
        let mut fresh = false;
        for peer in &peers.all {
            let files = self
                .session
                .store
                .layout()
                .pet(&self.session.namespace, &peer.name);
            // One that is not there is noticed one level above when it comes. One that is may
            // still be empty, and what comes into it is noticed here.
            fresh |= self.watch.add_new(files.root(), ()).unwrap_or(false);
        }
        fresh
    }

    /// Waits until something may have changed, at the longest until `deadline`.
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

/// Who asks: the pet in which this program runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) set: Option<SetName>,
}

impl Caller {
    /// Reads it from the environment that petset gives to its pets.
    pub(crate) fn from_environment() -> Option<Self> {
        let text = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        Some(Self {
            name: text("POD_NAME")?,
            namespace: text("POD_NAMESPACE").and_then(|text| text.parse().ok()),
            set: text("PETSET_SET").and_then(|text| text.parse().ok()),
        })
    }

    /// Tells whether a peer of `namespace` is the one who asks.
    pub(crate) fn is(&self, peer: &Peer, namespace: &Namespace) -> bool {
        self.name == peer.name && self.namespace.as_ref().is_none_or(|own| own == namespace)
    }
}
