//! `petset create deployment|job|cronjob`, as kubectl has them.

use anyhow::Context;
use clap::{Args as ClapArgs, Subcommand};

use crate::cli::shared::isolation::{self, IsolationArgs, absolute_program};
use crate::cli::shared::preview::{DryRunArgs, show_workload};
use crate::cli::shared::render;
use crate::cli::shared::session::Session;
use crate::cli::shared::waiting::{Goal, WaitArgs};
use crate::cli::shared::workloads;
use crate::manifest::{self, PodOptions};
use crate::model::kind::WorkloadKind;
use crate::model::object::Object;
use crate::model::{ObjectName, Workload};
use crate::problem::{Problem, Result};

/// The kinds of workloads that the command line can describe.
#[derive(Debug, Subcommand)]
pub(super) enum CreateVerb {
    Deployment(DeploymentArgs),
    Job(JobArgs),
    #[command(name = "cronjob")]
    CronJob(CronJobArgs),
}

/// Create a Deployment, whose pods have names that are made up and keep nothing
#[derive(Debug, ClapArgs)]
#[command(
    visible_alias = "deploy",
    after_help = "Example:
  petset create deployment front --image petset/hello --replicas 3 --port 8080"
)]
pub(super) struct DeploymentArgs {
    /// Name of the Deployment
    name: ObjectName,
    /// Image of a container; may be repeated
    #[arg(long = "image", value_name = "REF", required = true)]
    images: Vec<String>,
    /// Number of pods to run
    #[arg(long, short, value_name = "N", default_value_t = 1)]
    replicas: u32,
    /// Port that the first container listens on
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Create a Job, which runs a program until it succeeds, and wait for its end
///
/// The exit code is 5 if it fails.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset create job migrate --image local -- ./migrate --to 7
  petset create job now --from cronjob/nightly")]
pub(super) struct JobArgs {
    /// Name of the Job
    name: ObjectName,
    /// Image of the container
    #[arg(long, value_name = "REF", required_unless_present = "from")]
    image: Option<String>,
    /// CronJob to take the Job from, such as cronjob/nightly
    #[arg(long, value_name = "CRONJOB", conflicts_with_all = ["image", "command"])]
    from: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// Create a CronJob, which makes Jobs at the times of a schedule
#[derive(Debug, ClapArgs)]
#[command(
    visible_alias = "cj",
    after_help = "Example:
  petset create cronjob nightly --image local --schedule '0 3 * * *' -- ./backup"
)]
pub(super) struct CronJobArgs {
    /// Name of the CronJob
    name: ObjectName,
    /// Image of the container
    #[arg(long, value_name = "REF")]
    image: String,
    /// Times in the five fields of cron, or a word such as @daily
    #[arg(long, value_name = "TIMES")]
    schedule: String,
    /// When a container that has ended runs again
    #[arg(long, value_name = "WHEN", default_value = "OnFailure", value_parser = ["OnFailure", "Never"])]
    restart: String,
    #[command(flatten)]
    common: CommonArgs,
}

/// What all of them accept.
#[derive(Debug, ClapArgs)]
struct CommonArgs {
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    isolation: IsolationArgs,
    #[command(flatten)]
    wait: WaitArgs,
    /// Program to run, with its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) fn run(session: &Session, verb: &CreateVerb) -> Result<()> {
    let (workload, common) = match verb {
        CreateVerb::Deployment(args) => (deployment(session, args)?, &args.common),
        CreateVerb::Job(args) => (job(session, args)?, &args.common),
        CreateVerb::CronJob(args) => (cron_job(session, args)?, &args.common),
    };
    let folder = workload.object_kind().folder();
    manifest::check_generated(&workload).with_context(|| format!("failed to create {folder}"))?;
    let mut objects = [Object::Workload(workload.into())];
    common.isolation.annotate(&mut objects);
    if common.dry_run.is_on() {
        if let [Object::Workload(workload)] = objects {
            show_workload(&common.dry_run, *workload, "created")?;
        }
        return Ok(());
    }
    let decision = isolation::decide(session, &mut objects)?;
    store(session, objects, common)?;
    decision.conclude(session);
    Ok(())
}

/// Stores the workload, and waits until it is as it is wanted.
fn store(session: &Session, objects: [Object; 1], common: &CommonArgs) -> Result<()> {
    let [Object::Workload(mut workload)] = objects else {
        return Ok(());
    };
    let folder = workload.object_kind().folder();
    let created = session.edit("create", |edit| {
        workloads::create(edit, &mut workload, false)
    });
    let word = created.with_context(|| format!("failed to create {folder}"))?;
    render::line(&format!("{} {word}", workload.full_name()))?;
    session.wait(&[Goal::WorkloadDone(workload)], &common.wait)
}

fn pods(images: &[String], common: &CommonArgs) -> Result<PodOptions, Problem> {
    Ok(PodOptions {
        images: images.to_vec(),
        command: absolute_program(common.command.clone())?,
    })
}

fn deployment(session: &Session, args: &DeploymentArgs) -> Result<Workload> {
    let pods = pods(&args.images, &args.common)?;
    let size = (args.replicas, args.port);
    Ok(manifest::deployment(
        &args.name,
        &session.namespace,
        &pods,
        size,
    )?)
}

fn job(session: &Session, args: &JobArgs) -> Result<Workload> {
    let Some(from) = &args.from else {
        let images: Vec<String> = args.image.iter().cloned().collect();
        let pods = pods(&images, &args.common)?;
        return Ok(manifest::job(&args.name, &session.namespace, &pods));
    };
    let name = from
        .strip_prefix("cronjob/")
        .or_else(|| from.strip_prefix("cronjobs/"))
        .or_else(|| from.strip_prefix("cj/"));
    let name = name.ok_or_else(|| {
        let message = format!("{from:?} is no CronJob: from must be an existing cronjob");
        Problem::invalid(message).hint("an example is --from cronjob/nightly")
    })?;
    let found = session.expect_workload(WorkloadKind::CronJob, &name.parse()?)?;
    if let Workload::CronJob(cron_job) = &found {
        return Ok(manifest::job_of_cron_job(&args.name, cron_job));
    }
    Ok(found)
}

fn cron_job(session: &Session, args: &CronJobArgs) -> Result<Workload> {
    let pods = pods(std::slice::from_ref(&args.image), &args.common)?;
    let times = (args.schedule.as_str(), args.restart.as_str());
    Ok(manifest::cron_job(
        &args.name,
        &session.namespace,
        &pods,
        times,
    ))
}
