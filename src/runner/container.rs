//! The arguments, environment and working directory that a container is started with.
//!
//! The rules are in the model (`environment`, `image`) and in `volumes`; this module reads the
//! objects that they ask for.

mod secure;

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1 as core;

use super::image::{data_directories, unpack};
use super::isolation::{self, MemoryRoots, UserNamespace};
use super::user;
use super::userns_helper;
use super::volumes::{self, ChownJob, PreparedVolumes, VolumeContext};
use crate::model::environment::{self, Environment, MESSAGE_VARIABLE, PetsetVariables, Sources};
use crate::model::fields::Capacity;
use crate::model::image::{ImageLaunch as Image, reference_fault};
use crate::model::kind::ObjectKind;
use crate::model::lifecycle::Failure;
use crate::model::pod::set_of;
use crate::model::{Namespace, ObjectName};
use crate::problem::Problem;
use crate::store;
use crate::store::{Launch, Mount, Store};

/// The variables that a container inherits from the supervisor, beside `LC_*`.
const INHERITED: [&str; 8] = [
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "TERM", "TZ", "TMPDIR",
];

/// How a container is started, and warnings about what was left out.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) launch: Launch,
    pub(super) warnings: Vec<String>,
}

/// The settings and objects that the containers of one pod are made from.
#[derive(Debug)]
pub(super) struct Supplies {
    store: Store,
    namespace: Namespace,
    program: PathBuf,
    inherited: Vec<(String, String)>,
    capacity: Capacity,
    full: bool,
    /// The pet's user namespace, where an ordinary user runs petset.
    userns: Option<UserNamespace>,
    /// The pod's volumes in memory.
    memory: MemoryRoots,
    volumes: Option<PreparedVolumes>,
    /// The objects read for the volumes, which the first container to start uses too.
    fresh: Option<Sources>,
}

impl Supplies {
    /// Supplies the pods of a namespace; `full` says that mounts are where the manifest wants.
    pub(super) fn new(store: Store, namespace: Namespace, full: bool) -> Self {
        let root = store.layout().root();
        Self {
            program: store::program(store.layout()),
            capacity: capacity(root),
            // A sandbox does not show the host's temporary directory.
            inherited: inherited()
                .filter(|(name, _)| !full || name != "TMPDIR")
                .map(|it| if full { with_sbin(it) } else { it })
                .collect(),
            full,
            store,
            namespace,
            userns: None,
            memory: MemoryRoots::new(),
            volumes: None,
            fresh: None,
        }
    }

    /// Notes the pet's user namespace.
    pub(super) fn set_userns(&mut self, userns: Option<UserNamespace>) {
        self.userns = userns;
    }

    /// Notes the pod's volumes in memory.
    pub(super) fn set_memory(&mut self, memory: MemoryRoots) {
        self.memory = memory;
    }

    /// Puts the pod's volumes in place, or brings their files up to date; returns warnings.
    pub(super) fn prepare(&mut self, pod: &core::Pod) -> Result<Vec<String>, Problem> {
        let sources = self.sources(pod)?;
        let mut made = volumes::prepare(&self.volume_context(pod, &sources))?;
        made.mounted = self.full;
        self.give(pod, &made, self.volumes.is_none())?;
        made.show()?;
        let warnings = made.warnings.clone();
        self.volumes = Some(made);
        self.fresh = Some(sources);
        Ok(warnings)
    }

    /// Brings the files of the volumes up to date where they are in place; returns what could not
    /// be. A container that is started next reads the same objects.
    pub(super) fn refresh(&mut self, pod: &core::Pod) -> Vec<Problem> {
        let Some(mut volumes) = self.volumes.take() else {
            return Vec::new();
        };
        let faults = self.rewrite(pod, &mut volumes);
        self.volumes = Some(volumes);
        faults
    }

    fn rewrite(&mut self, pod: &core::Pod, volumes: &mut PreparedVolumes) -> Vec<Problem> {
        let sources = match self.sources(pod) {
            Ok(sources) => sources,
            Err(fault) => return vec![fault],
        };
        let mut faults = volumes.refresh(&self.volume_context(pod, &sources));
        let given = match volumes.is_staged() {
            true => self.give(pod, volumes, false),
            false => Ok(()),
        };
        faults.extend(given.and_then(|()| volumes.show()).err());
        self.fresh = Some(sources);
        faults
    }

    fn volume_context<'a>(&'a self, pod: &'a core::Pod, sources: &'a Sources) -> VolumeContext<'a> {
        VolumeContext {
            layout: self.store.layout(),
            namespace: &self.namespace,
            pod,
            sources,
            capacity: self.capacity,
            grouped: self.fs_group(pod).is_some(),
        }
    }

    /// Returns whether the volumes are in place, and the objects that they are made from may have
    /// changed since they were read.
    pub(super) const fn is_stale(&self) -> bool {
        self.volumes.is_some() && self.fresh.is_none()
    }

    /// Gives volumes to the group of the pod, if it has one; `first` says that they were not yet.
    fn give(&self, pod: &core::Pod, volumes: &PreparedVolumes, first: bool) -> Result<(), Problem> {
        let Some(group) = self.fs_group(pod) else {
            return Ok(());
        };
        let job = volumes.job(group, first, user::keeps_what_fits(pod));
        let given = self.chown(&job);
        given.map_err(|error| format!("giving the volumes to group {group}: {error}").into())
    }

    /// Gives the directories that an image writes to, to the user that the container runs as: in
    /// an image they are its user's, whose number may be another on this machine.
    fn give_image(&self, launch: &Launch) -> Result<(), Problem> {
        let Some(user) = &launch.user else {
            return Ok(());
        };
        let directories = data_directories(&launch.mounts);
        if directories.is_empty() {
            return Ok(());
        }
        let given = self.chown(&ChownJob::to_user(directories, (user.uid, user.gid)));
        let uid = user.uid;
        given.map_err(|error| {
            format!("giving the directories of the image to user {uid}: {error}").into()
        })
    }

    fn chown(&self, job: &ChownJob) -> io::Result<()> {
        match &self.userns {
            Some(userns) => userns_helper::chown(job, &userns.userns_path),
            None => job.give(),
        }
    }

    /// Returns how a container is started now.
    pub(super) fn launch(
        &mut self,
        pod: &core::Pod,
        container: &core::Container,
    ) -> Result<Prepared, Failure> {
        let fresh = self.fresh.take();
        let Some(volumes) = &self.volumes else {
            return Err(Failure::Config("the volumes are not in place".to_owned()));
        };
        let mut image = self.image_of(container)?;
        let (container, brought) = self.unpack(pod, container, &mut image)?;
        let container = &container;
        let mut sources = match fresh {
            Some(sources) => sources,
            None => self.sources(pod).map_err(bad_config)?,
        };
        sources.files = volumes
            .files_of(container, &self.memory)
            .map_err(bad_config)?;
        let bad = bad_config;
        let message = self.message(pod, container);
        let mut mounts = volumes.variables(container).map_err(bad)?;
        mounts.extend(message.as_ref().map(|mount| {
            let shown = match self.full {
                true => mount.mount_path.clone(),
                false => mount.path.display().to_string(),
            };
            (MESSAGE_VARIABLE.to_owned(), shown)
        }));
        let made = self.environment(pod, container, &sources, &mounts, &image);
        let mut made = made.map_err(bad)?;
        let lookup = |name: &str| made.lookup(name).map(str::to_owned);
        let mounted = volumes.for_container(container, &lookup, image.cwd.as_deref());
        let mounted = mounted.map_err(bad)?;
        made.add(&mounted.variables);
        let notes = [&made.warnings, &mounted.warnings, &image.notes];
        let mut launch = Launch {
            argv: image.expanded(|word| made.expand(word)),
            env: made.variables(),
            cwd: mounted.cwd,
            // Those of the manifest may lie within the image's.
            mounts: brought
                .into_iter()
                .chain(mounted.mounts)
                .chain(message)
                .collect(),
            rootfs: image.rootfs,
            ..Launch::default()
        };
        let mut warnings = notes.into_iter().flatten().cloned().collect();
        if self.full {
            self.secure(pod, container, &mut launch, &mut warnings)?;
            self.give_image(&launch).map_err(bad_config)?;
        }
        Ok(Prepared { launch, warnings })
    }

    /// Returns what a container's image is on this machine.
    pub(super) fn image_of(&self, container: &core::Container) -> Result<Image, Failure> {
        let name = container.image.as_deref().unwrap_or_default();
        let image = self.resolve(container);
        let never = container.image_pull_policy.as_deref() == Some("Never");
        let image = image.map_err(|problem| match reference_fault(name) {
            None if never => Failure::ImageNever(format!(
                "Container image {name:?} is not present with pull policy of Never: {}",
                problem.message
            )),
            None => Failure::Image(problem.message),
            Some(_) => Failure::ImageName(problem.message),
        })?;
        if image.rootfs.is_some() && !self.full {
            let fault = format!("image {name:?} has a rootfs, which needs isolation full");
            return Err(Failure::Image(fault));
        }
        Ok(image)
    }

    /// Makes the environment of a container; `mounts` are the variables of its volumes.
    pub(super) fn environment(
        &self,
        pod: &core::Pod,
        container: &core::Container,
        sources: &Sources,
        mounts: &[(String, String)],
        image: &Image,
    ) -> Result<Environment, Problem> {
        let own = PetsetVariables {
            state_dir: self.store.layout().root(),
            petset: &self.program,
            cluster_domain: &self.store.settings().cluster_domain,
            replicas: self.replicas(pod),
            mounts,
            inherited: &self.inherited,
            capacity: self.capacity,
        };
        environment::for_container(pod, container, sources, &own, image)
    }

    /// Looks for programs in the folders of another PATH too.
    pub(super) fn search_also(&mut self, path: &str) {
        for (name, value) in &mut self.inherited {
            if name == "PATH" {
                *value = format!("{value}:{path}");
            }
        }
    }

    /// Returns the file for the message of the container's end as a mount.
    fn message(&self, pod: &core::Pod, container: &core::Container) -> Option<Mount> {
        let mount_path = container.termination_message_path.clone();
        let mount_path = mount_path.filter(|path| !path.is_empty())?;
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let files = self.store.layout().pet(&self.namespace, name);
        Some(Mount {
            volume: "terminationMessagePath".to_owned(),
            mount_path,
            path: files.message(&container.name),
            read_only: false,
            within: None,
        })
    }

    /// Writes the files of the image; returns the container with the image's defaults.
    fn unpack(
        &self,
        pod: &core::Pod,
        container: &core::Container,
        image: &mut Image,
    ) -> Result<(core::Container, Vec<Mount>), Failure> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let place = self.store.layout().pet(&self.namespace, name);
        let place = place.image(&container.name);
        let shared = self.store.layout().bin();
        let brought = unpack(image, container, (&place, &shared), self.full).map_err(bad_config)?;
        let mut container = container.clone();
        if let Some(workdir) = image.workdir.take() {
            if self.full {
                image.cwd.get_or_insert(PathBuf::from(workdir));
            } else if container
                .working_dir
                .as_deref()
                .unwrap_or_default()
                .is_empty()
            {
                let below = workdir.trim_start_matches('/');
                container.working_dir = Some(below.to_owned());
            }
        }
        Ok((container, brought))
    }

    pub(super) fn layout(&self) -> &store::Layout {
        self.store.layout()
    }

    pub(super) fn cluster_domain(&self) -> &str {
        &self.store.settings().cluster_domain
    }

    pub(super) fn shared_paths(&self) -> &[PathBuf] {
        &self.store.settings().shared_paths
    }

    /// Makes sure that there is a file of this program, which may have been removed.
    pub(super) fn provide_program(&mut self) -> io::Result<()> {
        self.program = store::provided_program(self.store.layout())?;
        Ok(())
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Drops the objects that were read for the volumes: a later start reads them anew.
    pub(super) fn forget(&mut self) {
        self.fresh = None;
    }

    fn resolve(&self, container: &core::Container) -> Result<Image, Problem> {
        let catalogue = store::catalogue(self.store.layout(), &self.program);
        let catalogue = catalogue.map_err(|fault| fault.to_string())?;
        let image = container.image.as_deref().unwrap_or_default();
        let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let (command, args) = (words(&container.command), words(&container.args));
        let path = self.inherited.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or("", |(_, path)| path.as_str());
        // A path in a volume exists, or will.
        let mounts = container.volume_mounts.iter().flatten();
        let places: Vec<&str> = mounts.map(|mount| mount.mount_path.as_str()).collect();
        let in_volume =
            |path: &Path| self.full && places.iter().any(|place| path.starts_with(place));
        store::with_disk(path, &in_volume, |disk| {
            catalogue.resolve(image, &command, &args, disk)
        })
    }

    /// Reads the objects that the pod refers to; those that are not there are left out.
    fn sources(&self, pod: &core::Pod) -> Result<Sources, Problem> {
        let wanted = environment::references(pod);
        let fault = |error: anyhow::Error| format!("{error:#}");
        let mut sources = Sources::default();
        for name in wanted.config_maps {
            let found = self.find::<core::ConfigMap>(&name).map_err(fault)?;
            sources.config_maps.extend(found.map(|found| (name, found)));
        }
        for name in wanted.secrets {
            let found = self.find::<core::Secret>(&name).map_err(fault)?;
            sources.secrets.extend(found.map(|found| (name, found)));
        }
        if wanted.services {
            self.add_services(&mut sources).map_err(fault)?;
            if isolation::has_network(pod) {
                let services = sources.services.values_mut();
                services.for_each(isolation::move_service_inside);
            }
        }
        Ok(sources)
    }

    fn find<T: store::Kept>(&self, name: &str) -> crate::problem::Result<Option<T>> {
        match name.parse::<ObjectName>() {
            Ok(name) => self.store.find(&self.namespace, &name),
            Err(_) => Ok(None),
        }
    }

    /// Adds the services that have an address. Those without one, which is most of them here,
    /// are recognized by their text without being parsed, for there may be a thousand. One that
    /// cannot be read keeps no pet from starting: the supervisor tells of it.
    fn add_services(&self, sources: &mut Sources) -> crate::problem::Result<()> {
        let (layout, kind) = (self.store.layout(), ObjectKind::Service);
        for name in self.store.names(&self.namespace, kind)? {
            let text = store::read(&layout.wanted_object(&self.namespace, kind, &name));
            let text = text.unwrap_or_default();
            if text.is_some_and(|text| !text.contains("clusterIP: None"))
                && let Ok(Some(found)) = self.find(name.as_str())
            {
                sources.services.insert(name.to_string(), found);
            }
        }
        Ok(())
    }

    /// Returns how many pets the pod's set wants.
    fn replicas(&self, pod: &core::Pod) -> Option<u32> {
        let set: StatefulSet = self.find(set_of(&pod.metadata)?).ok()??;
        set.spec?.replicas?.try_into().ok()
    }
}

/// Lists the variables that every container inherits from the supervisor.
fn inherited() -> impl Iterator<Item = (String, String)> {
    let wanted = |name: &str| INHERITED.contains(&name) || name.starts_with("LC_");
    env::vars_os().filter_map(move |(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        wanted(&name).then_some((name, value))
    })
}

/// Lets a PATH end with the directories of servers, which an ordinary user's may lack.
fn with_sbin((name, value): (String, String)) -> (String, String) {
    if name != "PATH" {
        return (name, value);
    }
    let has = |wanted: &str| value.split(':').any(|folder| folder == wanted);
    let servers = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
    let missing: String = servers
        .into_iter()
        .filter(|folder| !has(folder))
        .map(|folder| format!(":{folder}"))
        .collect();
    (name, value + &missing)
}

/// Returns the processors, memory and disk of the machine.
fn capacity(root: &Path) -> Capacity {
    let processors = rustix::thread::sched_getaffinity(None);
    let machine = rustix::system::sysinfo();
    let disk = rustix::fs::statvfs(root);
    Capacity {
        cpus: processors.map_or(1, |set| set.count().into()),
        memory: machine.totalram * u64::from(machine.mem_unit),
        storage: disk.map_or(0, |disk| disk.f_blocks * disk.f_frsize),
    }
}

/// Says that a container cannot be made as its pod describes it.
fn bad_config(problem: Problem) -> Failure {
    Failure::Config(problem.message)
}
