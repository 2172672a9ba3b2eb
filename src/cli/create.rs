//! `petset create`

mod workload;

use anyhow::Context;
use clap::Args as ClapArgs;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::shared::bare;
use super::shared::cause::note_cause_of_file;
use super::shared::compare::{Applied, Declared, foresee, is_same};
use super::shared::egress::EgressArgs;
use super::shared::files::{self, FileArgs, Loaded};
use super::shared::isolation::{self, IsolationArgs};
use super::shared::metadata;
use super::shared::preview::{DryRun, show_json, show_text};
use super::shared::render::{self, Format};
use super::shared::session::Session;
use super::shared::startable::MissingArgs;
use super::shared::storage;
use super::shared::volumes::{say_found_again, warn_of_shared};
use super::shared::waiting::{Goal, WaitArgs};
use super::shared::workloads;
use crate::manifest;
use crate::manifest::CreateOptions;
use crate::model::object::Object;
use crate::model::{ObjectRef, STRICT_ANNOTATION, SetName};
use crate::problem::{Kind, Problem, Result};
use crate::store::{Edit, Kept};
use workload::CreateVerb;

/// Create sets and related objects, from manifests or from the command line
///
/// With --filename: StatefulSets, PetSets, Deployments, Jobs and other workloads, Pods, Services,
/// ConfigMaps, Secrets, claims, PersistentVolumes and StorageClasses, from Kubernetes manifests.
/// With a NAME: a set that runs the command after --, and its headless service; add --dry-run -o
/// yaml to print the equivalent manifest, or --dry-run to print the steps. With `deployment`, `job`
/// or `cronjob` and a NAME: such a workload, as kubectl makes it.
///
/// The command waits until all pets are ready, which start in order, until each pod is ready or has
/// completed, and until workloads are as they are wanted; the exit code is 5 if a Job fails.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  petset create -f etcd.yaml
  petset create web --replicas 3 --image petset/hello --port http=8080 --ready http:/
  petset create db --replicas 3 --volume data --init 'petset discover' -- ./db --dir '$(PETSET_MOUNT_DATA)'
  petset create deployment front --image petset/hello --replicas 3"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    workload: Option<Box<CreateVerb>>,
    /// Name of a set to create without a manifest
    #[arg(required_unless_present = "filename", conflicts_with = "filename")]
    name: Option<SetName>,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    generated: GeneratedSetArgs,
    /// Succeed if an object exists already, and leave it as it is
    #[arg(long)]
    if_not_exists: bool,
    /// Make the sets behave exactly as under Kubernetes' controller, including its known traps
    ///
    /// This sets their annotation petset.dev/strict.
    #[arg(long)]
    strict: bool,
    /// Change nothing, and print the steps that would be taken, in order
    ///
    /// With --output=yaml or name, and with --dry-run=client --output=json, it prints the objects
    /// that would be created, as kubectl does.
    #[arg(long, value_name = "plan|client", num_args = 0..=1, require_equals = true, default_missing_value = "plan")]
    dry_run: Option<DryRun>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
    #[command(flatten)]
    isolation: IsolationArgs,
    #[command(flatten)]
    egress: EgressArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

/// The options for a set without a manifest.
#[derive(Debug, ClapArgs)]
#[group(conflicts_with = "filename", multiple = true)]
struct GeneratedSetArgs {
    /// Number of pets to run
    #[arg(long, value_name = "N", default_value_t = 1)]
    replicas: u32,
    /// Image of the container: petset/hello, one of the catalogue, or any name if a command is
    /// given
    #[arg(long, value_name = "REF")]
    image: Option<String>,
    /// Port that each pet listens on, such as http=8080
    #[arg(long = "port", value_name = "[NAME=]PORT")]
    ports: Vec<String>,
    /// Volume claim of each pet, such as data or data:/data
    #[arg(long = "volume", value_name = "NAME[:PATH]")]
    volumes: Vec<String>,
    /// Environment variable of each pet
    #[arg(long = "env", short, value_name = "K=V")]
    envs: Vec<String>,
    /// Shell command for an init container; may be repeated, and runs in order
    #[arg(long = "init", value_name = "CMD")]
    inits: Vec<String>,
    /// Readiness probe: http:/PATH, tcp, or exec:CMD
    #[arg(long, value_name = "PROBE")]
    ready: Option<String>,
    /// Start and stop all pets at the same time instead of in order
    #[arg(long)]
    parallel: bool,
    #[command(flatten)]
    missing: MissingArgs,
    /// Program to run in each pet, with its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

impl Args {
    /// Returns whether this is a dry run that prints the objects instead of the steps.
    fn prints_objects(&self) -> bool {
        match (self.output, self.dry_run) {
            (None | Some(Format::Wide), _) | (_, None) => false,
            (Some(Format::Json), Some(DryRun::Plan)) => false,
            (Some(_), Some(_)) => true,
        }
    }
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    if let Some(verb) = &args.workload {
        return workload::run(session, verb);
    }
    let loaded = load(session, args)?;
    let mut objects = loaded.objects.clone();
    if args.strict {
        objects.iter_mut().for_each(make_strict);
    }
    args.egress.annotate(&mut objects);
    args.isolation.annotate(&mut objects);
    let mut decided = objects.clone();
    let decision = isolation::decide(session, &mut decided);
    loaded.warn(decision.is_ok() && isolation::are_isolated(&mut decided));
    loaded.check(session)?;
    let decision = decision?;
    refuse_what_cannot_start(session, args, &decided)?;
    warn_of_shared(session, &objects)?;
    say_found_again(session, &objects)?;
    if args.dry_run.is_some() {
        return preview(session, args, objects);
    }
    let goals = create_all(session, args, decided)?;
    decision.conclude(session);
    session.wait(&goals, &args.wait)
}

/// Reads the objects of the files, or generates those of the options.
fn load(session: &Session, args: &Args) -> Result<Loaded> {
    let Some(name) = &args.name else {
        return files::load(session, &args.files.filename);
    };
    let generated = manifest::generate(name, &session.namespace, &options(&args.generated)?)?;
    Ok(Loaded::generated(generated))
}

/// Refuses a set of the command line that can never start. A manifest is taken as on a cluster, and
/// so is a set that is only to be printed as one.
fn refuse_what_cannot_start(session: &Session, args: &Args, objects: &[Object]) -> Result<()> {
    if args.name.is_none() || args.prints_objects() {
        return Ok(());
    }
    for set in files::sets(objects) {
        let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
        let old: Option<StatefulSet> = session.store.find(&namespace, &name)?;
        if old.is_none() {
            args.generated.missing.check_set(session, set, None)?;
        }
    }
    Ok(())
}

/// Stores the objects and prints them. Returns what to wait for.
fn create_all(session: &Session, args: &Args, mut objects: Vec<Object>) -> Result<Vec<Goal>> {
    for object in &mut objects {
        if let Object::StatefulSet(set) = object {
            note_cause_of_file(set);
        }
    }
    let created = session.edit("create", |edit| {
        let created = create(session, edit, &mut objects, args.if_not_exists)?;
        if args.name.is_some() {
            give_service_to_set(edit, &objects)?;
        }
        Ok(created)
    });
    let (titles, goals) = created.context("cannot create the objects")?;
    match args.output {
        None | Some(Format::Wide) => titles.iter().try_for_each(|line| render::line(line))?,
        Some(format) => files::show_all(&objects, format)?,
    }
    Ok(goals)
}

/// Prints the objects that would be created, or the steps that would follow.
fn preview(session: &Session, args: &Args, objects: Vec<Object>) -> Result<()> {
    if let Some(format) = args.output.filter(|_| args.prints_objects()) {
        return files::show_all(&objects, format);
    }
    let mut previews = Vec::new();
    let mut others = Vec::new();
    for object in objects {
        match object {
            Object::StatefulSet(set) => {
                let set = set_to_create(session, args, *set)?;
                previews.push(session.plan(set, session.store.is_stopped())?);
            }
            Object::Pod(pod) => previews.push(session.plan_pod(*pod, session.store.is_stopped())?),
            Object::Workload(workload) => {
                let word = workloads::foresee(&session.store, &workload)?;
                let title = files::title(&Object::Workload(workload));
                others.push(format!("{title} {word} (dry run)"));
            }
            Object::Service(_)
            | Object::ConfigMap(_)
            | Object::Secret(_)
            | Object::PersistentVolumeClaim(_)
            | Object::Endpoints(_)
            | Object::EndpointSlice(_)
            | Object::ControllerRevision(_)
            | Object::PersistentVolume(_)
            | Object::StorageClass(_) => {
                let word = foresee(&session.store, &object)?;
                others.push(format!("{} {word} (dry run)", files::title(&object)));
            }
        }
    }
    if args.output == Some(Format::Json) {
        return show_json(&previews);
    }
    others.iter().try_for_each(|line| render::line(line))?;
    show_text(&previews)
}

/// Returns a set as it would be stored: a new one, or with --if-not-exists the existing one.
fn set_to_create(session: &Session, args: &Args, mut set: StatefulSet) -> Result<StatefulSet> {
    let ObjectRef { namespace, name } = ObjectRef::of(&set.metadata)?;
    match session.store.find::<StatefulSet>(&namespace, &name)? {
        None => metadata::initialize(&mut set.metadata).map(|()| set),
        Some(found) if args.if_not_exists => Ok(found),
        Some(_) => Err(exists::<StatefulSet>(name.as_str(), true).into()),
    }
}

fn options(args: &GeneratedSetArgs) -> Result<CreateOptions> {
    Ok(CreateOptions {
        replicas: args.replicas,
        image: args.image.clone(),
        ports: args.ports.clone(),
        volumes: args.volumes.clone(),
        env: args.envs.clone(),
        init: args.inits.clone(),
        ready: args.ready.clone(),
        parallel: args.parallel,
        command: isolation::absolute_program(args.command.clone())?,
    })
}

fn make_strict(object: &mut Object) {
    if let Object::StatefulSet(set) = object {
        let annotations = set.metadata.annotations.get_or_insert_default();
        annotations.insert(STRICT_ANNOTATION.to_owned(), "true".to_owned());
    }
}

/// Stores the objects. Returns a line for each, and the goals to wait for.
fn create(
    session: &Session,
    edit: &mut Edit<'_>,
    objects: &mut [Object],
    if_not_exists: bool,
) -> Result<(Vec<String>, Vec<Goal>)> {
    let mut titles = Vec::new();
    let mut goals = Vec::new();
    files::put_runners_last(objects);
    for object in objects {
        let title = files::title(object);
        let found = match object {
            Object::StatefulSet(set) => {
                let found = place(edit, set.as_mut(), if_not_exists, true)?;
                goals.push(Goal::Settled(set.as_ref().clone()));
                found
            }
            Object::Service(service) => place(edit, service.as_mut(), if_not_exists, false)?,
            Object::ConfigMap(map) => place(edit, map.as_mut(), if_not_exists, false)?,
            Object::Secret(secret) => place(edit, secret.as_mut(), if_not_exists, false)?,
            Object::PersistentVolumeClaim(claim) => {
                place(edit, claim.as_mut(), if_not_exists, false)?
            }
            Object::Pod(pod) => {
                let found = bare::create(session, edit, pod.as_mut(), if_not_exists)?;
                goals.push(Goal::PodUp(pod.as_ref().clone()));
                found
            }
            Object::Endpoints(endpoints) => place(edit, endpoints.as_mut(), if_not_exists, false)?,
            Object::EndpointSlice(slice) => place(edit, slice.as_mut(), if_not_exists, false)?,
            Object::Workload(workload) => {
                let found = workloads::create(edit, workload.as_mut(), if_not_exists)?;
                goals.push(Goal::WorkloadDone(workload.clone()));
                found
            }
            Object::PersistentVolume(volume) => {
                storage::complete(session, volume)?;
                place(edit, volume.as_mut(), if_not_exists, false)?
            }
            Object::StorageClass(class) => place(edit, class.as_mut(), if_not_exists, false)?,
            Object::ControllerRevision(_) => continue,
        };
        titles.push(format!("{title} {found}"));
    }
    Ok((titles, goals))
}

/// Makes the set own its generated service, unless the service existed before.
fn give_service_to_set(edit: &mut Edit<'_>, objects: &[Object]) -> Result<()> {
    let owner = files::sets(objects).next().map(|set| OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "StatefulSet".to_owned(),
        name: set.metadata.name.clone().unwrap_or_default(),
        uid: set.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    });
    for object in objects {
        let Object::Service(service) = object else {
            continue;
        };
        let ObjectRef { namespace, name } = ObjectRef::of(&service.metadata)?;
        if edit.find::<Service>(&namespace, &name)?.is_none() {
            let mut service = service.as_ref().clone();
            service.metadata.owner_references = owner.clone().map(|owner| vec![owner]);
            edit.put(&service)?;
        }
    }
    Ok(())
}

/// Stores one object, unless it exists already.
///
/// Services and configuration often outlive their set: an equal one that exists is no conflict. An
/// existing set always is one.
fn place<T: Declared>(
    edit: &mut Edit<'_>,
    object: &mut T,
    if_not_exists: bool,
    is_set: bool,
) -> Result<Applied> {
    let ObjectRef { namespace, name } = ObjectRef::of(object.metadata())?;
    let Some(mut found) = edit.find::<T>(&namespace, &name)? else {
        metadata::initialize(object.metadata_mut())?;
        edit.put(object)?;
        return Ok(Applied::Created);
    };
    if found.metadata().deletion_timestamp.is_some() {
        let message = format!("{name} is still being deleted");
        let hint = format!("wait for its end with `petset wait {name} --for delete`");
        return Err(Problem::new(Kind::Conflict, message).hint(hint).into());
    }
    let same = !is_set && is_same(&found, object);
    if if_not_exists || same {
        std::mem::swap(object, &mut found);
        return Ok(Applied::Unchanged);
    }
    Err(exists::<T>(name.as_str(), is_set).into())
}

fn exists<T: Kept>(name: &str, is_set: bool) -> Problem {
    let resource = if T::GROUP.is_empty() {
        T::URL_PATH_SEGMENT.to_owned()
    } else {
        format!("{}.{}", T::URL_PATH_SEGMENT, T::GROUP)
    };
    let message = format!("{resource} {name:?} already exists");
    let problem = Problem::new(Kind::Conflict, message);
    if is_set {
        problem
            .hint(format!(
                "change it with `petset scale {name}` or `petset upgrade {name}`"
            ))
            .hint("or keep it as it is with --if-not-exists")
    } else {
        problem
            .hint(
                "it differs from what was given: `petset upgrade -f` replaces it together with \
                 its set, `petset delete -f` removes it",
            )
            .hint("or keep it as it is with --if-not-exists")
    }
}
