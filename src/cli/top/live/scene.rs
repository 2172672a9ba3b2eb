//! What the live view shows, as values: drawing it needs nothing else.

use jiff::Timestamp;

use super::timeline::{PetKey, Timeline, key_of};
use crate::cli::top::snapshot::{PetRow, Snapshot, WorkloadRow};

/// Everything that is on the screen.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) snapshot: Snapshot,
    pub(super) timeline: Timeline,
    pub(super) now: Timestamp,
    pub(super) theme: Theme,
    /// Whether names are shown with their namespaces.
    pub(super) all_namespaces: bool,
    /// What a name has to contain.
    pub(super) filter: String,
    pub(super) chosen: Option<Chosen>,
    pub(super) mode: InputMode,
    pub(super) detail: Detail,
    /// What the last verb said, and whether it succeeded.
    pub(super) answer: Option<(bool, String)>,
    /// How many seconds the timeline shows.
    pub(super) span: u32,
    /// With `--slow`, how many steps are still to be shown.
    pub(super) behind: Option<usize>,
    pub(super) recording: bool,
}

/// How a terminal is drawn on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    pub(super) ascii: bool,
    pub(super) color: bool,
}

/// The workload or pet that keys are about: its namespace and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chosen {
    Workload(PetKey),
    Pet(PetKey),
}

/// What keys mean now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InputMode {
    Watch,
    /// A filter is typed.
    Filter,
    /// A number of replicas is typed for this workload.
    Scale {
        namespace: String,
        name: String,
        typed: String,
    },
    /// These words of petset are run after a yes.
    Ask {
        namespace: String,
        words: Vec<String>,
    },
    /// A page covers the view: its title, and the words that print it, if petset does.
    Page(PageShown),
}

/// A page that covers the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageShown {
    pub(super) title: String,
    pub(super) namespace: String,
    pub(super) words: Vec<String>,
    pub(super) lines: Vec<String>,
    /// The first line that is shown; `None` to stay at the end.
    pub(super) top: Option<usize>,
}

/// What is told of what is chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Detail {
    /// Oldest first.
    pub(super) events: Vec<EventLine>,
    pub(super) log: Vec<String>,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventLine {
    pub(super) time: Timestamp,
    pub(super) warning: bool,
    pub(super) text: String,
}

impl Scene {
    /// Begins with what was read first.
    pub(super) fn new(snapshot: Snapshot, theme: Theme, all_namespaces: bool) -> Self {
        let mut scene = Self {
            now: snapshot.time,
            snapshot,
            timeline: Timeline::default(),
            theme,
            all_namespaces,
            filter: String::new(),
            chosen: None,
            mode: InputMode::Watch,
            detail: Detail::default(),
            answer: None,
            span: 120,
            behind: None,
            recording: false,
        };
        scene.choose_something();
        scene
    }

    /// Lists the pets that the filter lets through.
    pub(super) fn pods(&self) -> Vec<&PetRow> {
        let fits = |pod: &&PetRow| {
            let owner = pod.owner.as_deref().unwrap_or_default();
            let all = [pod.name.as_str(), pod.status.as_str(), owner];
            self.filter.is_empty() || all.iter().any(|text| text.contains(&self.filter))
        };
        self.snapshot.pods.iter().filter(fits).collect()
    }

    /// Lists the workloads that the filter lets through, with their pets or by themselves.
    pub(super) fn workloads(&self) -> Vec<&WorkloadRow> {
        let pods = self.pods();
        let fits = |row: &&WorkloadRow| {
            let own = |pod: &&PetRow| {
                pod.namespace == row.namespace && pod.owner.as_ref() == Some(&row.name)
            };
            self.filter.is_empty() || row.name.contains(&self.filter) || pods.iter().any(own)
        };
        self.snapshot.workloads.iter().filter(fits).collect()
    }

    /// Lists what can be chosen, from the top of the screen down.
    pub(super) fn choices(&self) -> Vec<Chosen> {
        let workloads = self.workloads().into_iter();
        let workloads =
            workloads.map(|it| Chosen::Workload((it.namespace.clone(), it.name.clone())));
        let pods = self.pods().into_iter().map(|pod| Chosen::Pet(key_of(pod)));
        workloads.chain(pods).collect()
    }

    /// Chooses the first pet or workload, unless what is chosen is there.
    pub(super) fn choose_something(&mut self) {
        let all = self.choices();
        let there = self.chosen.as_ref().filter(|chosen| all.contains(chosen));
        if there.is_none() {
            self.chosen = all.into_iter().next();
        }
    }

    /// Chooses what is so many places further down.
    pub(super) fn step(&mut self, by: isize) {
        let all = self.choices();
        let at = all.iter().position(|it| self.chosen.as_ref() == Some(it));
        let last = all.len().saturating_sub(1);
        let to = at.unwrap_or_default().saturating_add_signed(by).min(last);
        self.chosen = all.into_iter().nth(to);
    }

    /// Chooses the first workload where a pet is chosen, and else the first pet of the workload.
    pub(super) fn switch(&mut self) {
        let all = self.choices();
        let to = match &self.chosen {
            Some(Chosen::Pet(_)) | None => all.into_iter().next(),
            Some(Chosen::Workload(_)) => {
                let first = self.first_pet_of_chosen().map(key_of).map(Chosen::Pet);
                let any = |it: &Chosen| matches!(it, Chosen::Pet(_));
                first.or_else(|| all.into_iter().find(any))
            }
        };
        self.chosen = to.or_else(|| self.chosen.take());
    }

    /// Returns the first pet of the workload that is chosen.
    pub(super) fn first_pet_of_chosen(&self) -> Option<&PetRow> {
        let Some(Chosen::Workload((namespace, name))) = &self.chosen else {
            return None;
        };
        let own = |pod: &&PetRow| pod.namespace == *namespace && pod.owner.as_ref() == Some(name);
        self.pods().into_iter().find(own)
    }

    /// Returns the pet that is chosen.
    pub(super) fn chosen_pet(&self) -> Option<&PetRow> {
        let Some(Chosen::Pet(key)) = &self.chosen else {
            return None;
        };
        self.snapshot.pods.iter().find(|pod| key_of(pod) == *key)
    }

    /// Returns the workload that is chosen, or that the pet belongs to which is.
    pub(super) fn chosen_workload(&self) -> Option<&WorkloadRow> {
        let (namespace, name) = match &self.chosen {
            Some(Chosen::Workload((namespace, name))) => (namespace.clone(), name.clone()),
            Some(Chosen::Pet(_)) => {
                let pod = self.chosen_pet()?;
                (pod.namespace.clone(), pod.owner.clone()?)
            }
            None => return None,
        };
        let mut all = self.snapshot.workloads.iter();
        all.find(|row| row.namespace == namespace && row.name == name)
    }
}
