//! What `petset logs` accepts.

use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Pod;

use crate::cli::shared::containers;
use crate::cli::shared::names::TargetArg;
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::stopped;
use crate::model::{ObjectName, SetName};
use crate::problem::Result;

/// Print the logs of a pet, of all pets of a set, or of one pod of a workload
///
/// The default container is the first one, or the current init container. The output is as the
/// container wrote it; with a set, each line has the name of its pet. Of a workload, the pod that
/// runs is chosen before others, then the youngest.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset logs web-0                    the log of the first container
  petset logs web-0 -c init-db         the log of an init container
  petset logs web-0 --previous         the log before the last restart
  petset logs web -f --tail 10         10 lines of each pet of a set, then new output
  petset logs job/load                 the log of one pod of a Job")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) target: TargetArg,
    /// Container or init container
    #[arg(short, long, value_name = "NAME")]
    pub(super) container: Option<String>,
    /// Keep printing new output, also after restarts, until the container has ended for good
    #[arg(short, long, conflicts_with = "previous")]
    pub(super) follow: bool,
    /// Print the log of the previous run
    #[arg(short, long)]
    pub(super) previous: bool,
    /// Print only the last N lines of each container; -1 for all
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    tail: i64,
    /// Print the logs of all containers, init containers first
    #[arg(long, conflicts_with = "container")]
    pub(super) all_containers: bool,
    /// Prefix each line with the names of the pet and the container
    #[arg(long)]
    prefix: bool,
}

/// The pet or set whose logs are shown.
pub(super) enum LogTarget {
    Pet(ObjectName),
    Set(SetName),
}

impl Args {
    /// Returns how many lines to show; `None` for all.
    pub(super) fn tail(&self) -> Option<usize> {
        usize::try_from(self.tail).ok()
    }

    /// Returns the containers to show. With `aloud`, says which one is the default, where that
    /// is not evident.
    pub(super) fn containers(&self, pod: &Pod, aloud: bool) -> Result<Vec<String>> {
        if self.all_containers {
            return Ok(containers::all(pod));
        }
        match &self.container {
            Some(name) => containers::named(pod, name).map(|name| vec![name]),
            None => {
                let name = containers::default(pod);
                if aloud && !containers::is_only_choice(pod, &name) {
                    say(format!(
                        "Defaulted container {name:?} out of: {}",
                        containers::list(pod)
                    ));
                }
                Ok(vec![name])
            }
        }
    }

    /// Returns the prefix of each line, if lines have one.
    pub(super) fn prefix_of(
        &self,
        target: &LogTarget,
        pod: &Pod,
        container: &str,
    ) -> Option<String> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let wanted = self.prefix || matches!(target, LogTarget::Set(_));
        wanted.then(|| format!("[pod/{name}/{container}] "))
    }
}

impl LogTarget {
    /// Returns the pets that exist now.
    pub(super) fn pods(&self, session: &Session) -> Result<Vec<Pod>> {
        match self {
            Self::Set(name) => session.pets_of(&session.namespace, name.as_str()),
            Self::Pet(name) => {
                let pod = session.pet(&session.namespace, name)?;
                Ok(pod.into_iter().collect())
            }
        }
    }

    /// Returns the pets that exist now, and those that `petset stop` has ended.
    pub(super) fn known_pods(&self, session: &Session) -> Result<Vec<Pod>> {
        match self {
            Self::Set(name) => session.known_pets_of(&session.namespace, name.as_str()),
            Self::Pet(name) => {
                let pod = session.known_pet(&session.namespace, name)?;
                Ok(pod.into_iter().collect())
            }
        }
    }

    /// Says that a set has no pets, or returns that the pet does not exist.
    pub(super) fn no_pets(&self, session: &Session) -> Result<()> {
        match self {
            Self::Set(name) => {
                say(format!("{name} has no pets."));
                stopped::say_how_to_start(session);
                Ok(())
            }
            Self::Pet(name) => Err(session.not_found("pods", name.as_str()).into()),
        }
    }
}
