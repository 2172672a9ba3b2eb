//! `petset logs`

mod follow;
mod parts;
pub(super) mod pick;

use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Pod;

use super::restart::Named;
use super::shared::names::Target;
use super::shared::session::{Session, say};
use crate::model::{ObjectName, SetName};
use crate::problem::{Kind, Problem, Result};
use parts::Speaker;

/// Show what the containers of a pet or of a set have said
///
/// Without --container it is the first container, or the init container that the pet is at.
/// The bytes come as they were written; those of a set have the pet's name before each line.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset logs web-0                    all that is kept of the first container
  petset logs web-0 -c init-db         of one init step
  petset logs web-0 --previous         of the run before the last restart
  petset logs web -f --tail 10         of each pet of a set, and then what comes")]
pub(crate) struct Args {
    /// Pet or set, such as web-0 or sts/web
    #[arg(value_name = "POD|SET")]
    target: Target,
    /// Container or init container
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Go on to show what is said, also after a restart, until the pet is gone
    #[arg(short, long, conflicts_with = "previous")]
    follow: bool,
    /// Of the run before this one
    #[arg(short, long)]
    previous: bool,
    /// Only the last lines of each container; -1 for all
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    tail: i64,
    /// Of every container, init containers first
    #[arg(long, conflicts_with = "container")]
    all_containers: bool,
    /// Put the pet's and container's name before each line
    #[arg(long)]
    prefix: bool,
}

/// Whose logs are shown.
enum Whose {
    Pet(ObjectName),
    Set(SetName),
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let whose = match session.resolve(&args.target)? {
        Named::Pet(name) => Whose::Pet(name),
        Named::Set(name) => {
            session.expect_set(&name)?;
            Whose::Set(name)
        }
    };
    if args.follow {
        return follow::run(session, args, &whose);
    }
    let pods = whose.pods(session)?;
    if pods.is_empty() {
        return whose.nobody(session);
    }
    let mut spoken = false;
    for pod in &pods {
        for container in args.containers(pod, !spoken)? {
            show(session, args, &whose, pod, &container)?;
        }
        spoken = true;
    }
    Ok(())
}

fn show(session: &Session, args: &Args, whose: &Whose, pod: &Pod, container: &str) -> Result<()> {
    let files = session.files(pod);
    if args.previous {
        return show_previous(session, args, whose, pod, container);
    }
    let alone = matches!(whose, Whose::Pet(_)) && !args.all_containers;
    if alone && !files.log(container).exists() {
        return pick::expect_started(pod, container);
    }
    let mut speaker = Speaker::new(files.log(container), args.prefix_of(whose, pod, container));
    speaker.begin(args.tail())?;
    speaker.end()
}

fn show_previous(
    session: &Session,
    args: &Args,
    whose: &Whose,
    pod: &Pod,
    container: &str,
) -> Result<()> {
    let path = session.files(pod).previous_log(container);
    let mut speaker = Speaker::new(path, args.prefix_of(whose, pod, container));
    if speaker.begin(args.tail())? || pick::has_ended_before(pod, container) {
        return speaker.end();
    }
    if matches!(whose, Whose::Set(_)) || args.all_containers {
        return Ok(());
    }
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let message =
        format!("previous terminated container \"{container}\" in pod \"{name}\" not found");
    let hint = format!("it has not been restarted: look at `petset logs {name} -c {container}`");
    Err(Problem::new(Kind::NotFound, message).hint(hint).into())
}

impl Args {
    /// Returns how many lines are wanted; nothing for all.
    fn tail(&self) -> Option<usize> {
        usize::try_from(self.tail).ok()
    }

    /// Returns the containers to show; `aloud` says so where petset chose.
    fn containers(&self, pod: &Pod, aloud: bool) -> Result<Vec<String>> {
        if self.all_containers {
            return Ok(pick::all(pod));
        }
        match &self.container {
            Some(name) => pick::named(pod, name).map(|name| vec![name]),
            None => {
                let name = pick::default(pod);
                if aloud && pick::all(pod).len() > 1 {
                    say(format!(
                        "Defaulted container {name:?} out of: {}",
                        pick::list(pod)
                    ));
                }
                Ok(vec![name])
            }
        }
    }

    fn prefix_of(&self, whose: &Whose, pod: &Pod, container: &str) -> Option<String> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let wanted = self.prefix || matches!(whose, Whose::Set(_));
        wanted.then(|| format!("[pod/{name}/{container}] "))
    }
}

impl Whose {
    /// Returns the pets there are now.
    fn pods(&self, session: &Session) -> Result<Vec<Pod>> {
        match self {
            Self::Set(name) => session.pets_of(&session.namespace, name.as_str()),
            Self::Pet(name) => {
                let pod = session.pet(&session.namespace, name)?;
                Ok(pod.into_iter().collect())
            }
        }
    }

    fn nobody(&self, session: &Session) -> Result<()> {
        match self {
            Self::Set(name) => {
                say(format!("{name} has no pets."));
                Ok(())
            }
            Self::Pet(name) => Err(session.not_found("pods", name.as_str()).into()),
        }
    }
}
