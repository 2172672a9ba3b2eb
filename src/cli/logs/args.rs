//! What `petset logs` accepts.

use clap::Args as ClapArgs;
use k8s_openapi::api::core::v1::Pod;

use crate::cli::shared::containers;
use crate::cli::shared::names::TargetRef;
use crate::cli::shared::resolve::{Resolved, resolve};
use crate::cli::shared::selector;
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::stopped;
use crate::model::kind::ObjectKind;
use crate::model::{ObjectName, Selector, SetName};
use crate::problem::{Problem, Result};

/// Print the logs of pets, of all pets of a set, of one pod of a workload, or of pods with a label
///
/// The default container is the first one, or the current init container. The output is as the
/// container wrote it; with a set, with labels and with several names, each line has the name of
/// its pet. Of a workload, the pod that runs is chosen before others, then the youngest.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset logs web-0                    the log of the first container
  petset logs web-0 -c init-db         the log of an init container
  petset logs web-0 --previous         the log before the last restart
  petset logs web -f --tail 10         10 lines of each pet of a set, then new output
  petset logs -l app=web -f            of all pods with this label
  petset logs web-0 db-0               of several at once
  petset logs job/load                 the log of one pod of a Job")]
pub(crate) struct Args {
    /// Pets, sets and workloads, such as web-0, pod/web-0, sts/web or job/load; or a kind, then
    /// names
    #[arg(value_name = "POD|SET|WORKLOAD", required_unless_present = "selector")]
    targets: Vec<TargetRef>,
    /// Labels of the pods whose logs are printed, such as app=web
    #[arg(
        short = 'l',
        long,
        value_name = "LABELS",
        conflicts_with = "targets",
        value_parser = selector::parse
    )]
    selector: Option<Selector>,
    /// Follow so many containers at most, and refuse more
    #[arg(long, value_name = "N", requires = "follow")]
    max_log_requests: Option<usize>,
    /// Refused: lines have no times
    #[arg(long, value_name = "DURATION", hide = true)]
    since: Option<String>,
    /// Refused: lines have no times
    #[arg(long, value_name = "TIME", hide = true)]
    since_time: Option<String>,
    /// Refused: lines have no times
    #[arg(long, hide = true)]
    timestamps: bool,
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

/// The pets or sets whose logs are shown.
pub(super) enum LogTarget {
    Pet(ObjectName),
    Set(SetName),
    Labelled(Selector),
    Several(Vec<Self>),
}

impl Args {
    /// Returns what the command line names.
    pub(super) fn target(&self, session: &Session) -> Result<LogTarget> {
        if self.since.is_some() || self.since_time.is_some() || self.timestamps {
            let message = "logs have no times: they are what containers have written";
            let hint = "--tail N prints the last lines; `petset events` has times";
            return Err(Problem::invalid(message).hint(hint).into());
        }
        if let Some(selector) = &self.selector {
            return Ok(LogTarget::Labelled(selector.clone()));
        }
        let is_kind = |word: &TargetRef| {
            matches!(word, TargetRef::Either(_)) && ObjectKind::of_word(word.name()).is_some()
        };
        let named = match self.targets.as_slice() {
            [kind, names @ ..] if !names.is_empty() && is_kind(kind) => {
                let named = names.iter().map(|name| kind.with(Some(name)));
                named.collect::<Result<Vec<_>, _>>()?
            }
            names => names.to_vec(),
        };
        let all = named.iter().map(|target| LogTarget::of(session, target));
        let mut all = all.collect::<Result<Vec<_>>>()?;
        Ok(match all.len() {
            1 => all.remove(0),
            _ => LogTarget::Several(all),
        })
    }

    /// Refuses to follow more containers than the user allows.
    pub(super) fn refuse_too_many(&self, containers: usize) -> Result<(), Problem> {
        let Some(most) = self.max_log_requests.filter(|most| containers > *most) else {
            return Ok(());
        };
        let message = format!(
            "you are attempting to follow {containers} log streams, but maximum allowed \
             concurrency is {most}"
        );
        let hint = format!("allow more with --max-log-requests {containers}");
        Err(Problem::invalid(message).hint(hint))
    }

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
        let wanted = self.prefix || !matches!(target, LogTarget::Pet(_));
        wanted.then(|| format!("[pod/{name}/{container}] "))
    }
}

impl LogTarget {
    fn of(session: &Session, target: &TargetRef) -> Result<Self> {
        Ok(match resolve(session, target)? {
            Resolved::Pet(name) => Self::Pet(name),
            Resolved::Workload(kind, name) => {
                let pod = session.choose_pod(kind, &name)?;
                Self::Pet(pod.metadata.name.unwrap_or_default().parse()?)
            }
            Resolved::Set(name) => {
                session.expect_set(&name)?;
                Self::Set(name)
            }
        })
    }

    /// Returns the pets that exist now.
    pub(super) fn pods(&self, session: &Session) -> Result<Vec<Pod>> {
        match self {
            Self::Set(name) => session.pets_of(&session.namespace, name.as_str()),
            Self::Pet(name) => {
                let pod = session.pet(&session.namespace, name)?;
                Ok(pod.into_iter().collect())
            }
            Self::Labelled(selector) => {
                let mut pods = session.pets(&session.namespace)?;
                pods.retain(|pod| selector::selects(selector, pod.metadata.labels.as_ref()));
                Ok(pods)
            }
            Self::Several(all) => {
                let pods: Result<Vec<_>> = all.iter().map(|one| one.pods(session)).collect();
                Ok(pods?.concat())
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
            Self::Labelled(_) => self.pods(session),
            Self::Several(all) => {
                let pods: Result<Vec<_>> = all.iter().map(|one| one.known_pods(session)).collect();
                Ok(pods?.concat())
            }
        }
    }

    /// Says that there are no pets, or returns that the pet does not exist.
    pub(super) fn no_pets(&self, session: &Session) -> Result<()> {
        let nothing = match self {
            Self::Set(name) => format!("{name} has no pets."),
            Self::Pet(name) => return Err(session.not_found("pods", name.as_str()).into()),
            Self::Labelled(_) => "No pods have these labels.".to_owned(),
            Self::Several(_) => "None of them has pets.".to_owned(),
        };
        say(nothing);
        stopped::say_how_to_start(session);
        Ok(())
    }
}
