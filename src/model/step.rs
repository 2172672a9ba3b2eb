//! The input and the output of a pass of the controller: the observed state, and steps.

use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::claim::Claims;
use super::set::Set;
use super::wish::SetOptions;
use super::{ClaimSeen, Ordinal, PetSeen};
use crate::sorted::{SortedMap, SortedSet};

/// The observed state of a set.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Its status as it was last published.
    pub status: StatefulSetStatus,
    /// Its revisions, and those without an owner that its selector matches.
    pub revisions: Vec<ControllerRevision>,
    /// Every pod that is named like a pet of it, whatever its owner.
    pub pets: SortedMap<Ordinal, PetSeen>,
    /// The claims of its namespace; those that are not its own are left alone.
    pub claims: Claims,
    /// The uids of pets that are to be replaced at once (`restart POD`, `delete pod`).
    pub evict: SortedSet<String>,
    /// The name of its governing service, if that names only pets that are ready.
    pub hiding_service: Option<String>,
}

impl Seen {
    /// Gathers what there is of a set; pods and claims may be those of its whole namespace.
    #[must_use]
    pub fn of<'a>(
        want: &Set,
        status: StatefulSetStatus,
        revisions: Vec<ControllerRevision>,
        pods: impl IntoIterator<Item = &'a Pod>,
        claims: impl IntoIterator<Item = &'a PersistentVolumeClaim>,
    ) -> Self {
        let pets = pods.into_iter().filter_map(|pod| {
            let ordinal = want.ordinal_of(pod.metadata.name.as_deref()?)?;
            Some((ordinal, PetSeen::of(pod)))
        });
        let claims = claims.into_iter().map(ClaimSeen::of);
        Self {
            status,
            revisions,
            pets: pets.collect(),
            claims: claims.map(|claim| (claim.name.clone(), claim)).collect(),
            evict: SortedSet::new(),
            hiding_service: None,
        }
    }
}

/// Which improvements over the real controller are in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A pet that is not ready at a revision that is no longer wanted is replaced, instead of
    /// holding up the very update that would mend it (C16, U01).
    pub recover_broken: bool,
    /// `maxUnavailable` is obeyed, as with the feature gate `MaxUnavailableStatefulSet` (C17).
    pub max_unavailable: bool,
}

impl Rules {
    /// Returns the rules for a set; a strict one has no options of petset's own.
    #[must_use]
    pub fn for_set(set: &mut Set, strict: bool) -> Self {
        if strict || set.options.strict {
            set.options = SetOptions::default();
            return Self::strict();
        }
        Self::default()
    }

    /// Exactly as Kubernetes 1.36 does by default.
    #[must_use]
    pub const fn strict() -> Self {
        Self {
            recover_broken: false,
            max_unavailable: false,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            recover_broken: true,
            max_unavailable: true,
        }
    }
}

/// The status to publish, the steps to take, and when to look again.
///
/// No steps mean that the set is at rest at what is wanted of it. Performing steps, a new status
/// and anything that is seen to change call for another pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The status to publish (C20).
    pub status: StatefulSetStatus,
    /// The steps, in order; if one fails, the rest waits for the next pass.
    pub steps: Vec<Step>,
    /// When time alone makes a difference next.
    pub wake_at: Option<Timestamp>,
}

/// One thing to do, or to wait for.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Record a revision; the performer gives it uid and creation time.
    CreateRevision(Box<ControllerRevision>),
    /// Give a revision a higher number, because its template is wanted again (C27).
    RenumberRevision {
        /// The revision.
        name: String,
        /// Its new number.
        number: i64,
    },
    /// Make the set own a revision without an owner.
    AdoptRevision {
        /// The revision.
        name: String,
    },
    /// Take the set's ownership off a revision.
    ReleaseRevision {
        /// The revision.
        name: String,
    },
    /// Remove a revision (C28).
    DeleteRevision {
        /// The revision.
        name: String,
    },
    /// Make a claim with [`super::claim_for`]; the performer gives it a uid.
    CreateClaim {
        /// The claim.
        claim: String,
        /// The template it is made from.
        template: String,
        /// The pet it is for.
        ordinal: Ordinal,
    },
    /// Replace a claim's owners (C23).
    OwnClaim {
        /// The claim.
        claim: String,
        /// All owners it shall have.
        owners: Vec<OwnerReference>,
    },
    /// Remove a claim and what is in it; while a pod uses it, it only is marked as terminating.
    DeleteClaim {
        /// The claim.
        claim: String,
    },
    /// Make a pet with [`super::pod_for`]; the performer gives it a uid and starts it.
    CreatePet {
        /// The pet.
        ordinal: Ordinal,
        /// The name of the revision it is made from.
        revision: String,
    },
    /// Ask a pet to stop; it is gone when its runner has ended.
    DeletePet {
        /// The pet.
        ordinal: Ordinal,
        /// Which run of it.
        uid: String,
        /// Why it has to go.
        why: Reason,
    },
    /// Make the set own a pet without an owner (C37).
    AdoptPet {
        /// The pet.
        ordinal: Ordinal,
    },
    /// Take the set's ownership off a pet (C37).
    ReleasePet {
        /// The pet.
        ordinal: Ordinal,
    },
    /// Nothing to do for this pet but wait.
    Await {
        /// The pet that is waited for.
        ordinal: Ordinal,
        /// For what, as a sentence without a full stop.
        why: String,
        /// It will not pass without a change by the user.
        stuck: bool,
    },
    /// Run the set's command for it in a pet that is to go for good.
    RunHook {
        /// The pet.
        ordinal: Ordinal,
        /// Which run of it.
        uid: String,
    },
    /// Put the template of an earlier revision in place of the wanted one, because a pet failed.
    RollBack {
        /// The revision to go back to.
        to: String,
        /// The pet that failed.
        ordinal: Ordinal,
        /// Its fault, as a sentence without a full stop.
        why: String,
    },
    /// Take an annotation off the set: what it asked for is done.
    Fulfil {
        /// The annotation.
        annotation: &'static str,
    },
    /// The set is gone: remove it, its status and its revisions.
    Finish,
}

/// Why a pet has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It ended for good (C09).
    Ended,
    /// The set became smaller.
    ScaledDown,
    /// It has another revision than it should.
    Outdated,
    /// It never became ready, and its revision is no longer wanted.
    Broken,
    /// It was asked for.
    Evicted,
    /// The set is stopped.
    Stopped,
    /// The set is being deleted.
    SetDeleted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ended => "it has ended",
            Self::ScaledDown => "the set was scaled down",
            Self::Outdated => "its revision is outdated",
            Self::Broken => "it is not ready and its revision is outdated",
            Self::Evicted => "it was asked to restart",
            Self::Stopped => "the set is stopped",
            Self::SetDeleted => "the set is being deleted",
        })
    }
}

impl Step {
    /// Returns whether the step changes what is wanted of the set, so that it has to be read again.
    #[must_use]
    pub fn changes_set(&self) -> bool {
        matches!(self, Self::RollBack { .. } | Self::Fulfil { .. })
    }

    /// Returns the reason and message of the event that tells of the step once it is done (C21).
    #[must_use]
    pub fn event(&self, set: &Set) -> Option<(&'static str, String)> {
        let (verb, object, done) = self.told(set)?;
        let reason = match verb {
            Verb::Create => "SuccessfulCreate",
            Verb::Delete => "SuccessfulDelete",
        };
        if set.is_petset {
            return Some((reason, object));
        }
        Some((reason, format!("{verb:?} {object} {done}")))
    }

    /// Returns the reason and message of the event that tells that the step failed (C21).
    #[must_use]
    pub fn failure(&self, set: &Set, error: &str) -> Option<(&'static str, String)> {
        let (verb, object, _) = self.told(set)?;
        let reason = match verb {
            Verb::Create => "FailedCreate",
            Verb::Delete => "FailedDelete",
        };
        if set.is_petset {
            return Some((reason, format!("{object}, error: {error}")));
        }
        Some((reason, format!("{verb:?} {object} failed error: {error}")))
    }

    /// Returns the verb, the object and the word for success with which events describe the step.
    ///
    /// The controller of PetSets called them `pet: web-0` and `pvc: data-web-0` (C83).
    fn told(&self, set: &Set) -> Option<(Verb, String, &'static str)> {
        let name = &set.name;
        let pet = |ordinal: &Ordinal| match (set.is_petset, set.pet_name(*ordinal)) {
            (true, pet) => format!("pet: {pet}"),
            (false, pet) => format!("Pod {pet} in StatefulSet {name}"),
        };
        match self {
            Self::CreatePet { ordinal, .. } => Some((Verb::Create, pet(ordinal), "successful")),
            Self::DeletePet { ordinal, .. } => Some((Verb::Delete, pet(ordinal), "successful")),
            Self::CreateClaim { claim, .. } if set.is_petset => {
                Some((Verb::Create, format!("pvc: {claim}"), "success"))
            }
            Self::CreateClaim { claim, ordinal, .. } => {
                let object = format!("Claim {claim} {}", pet(ordinal));
                Some((Verb::Create, object, "success"))
            }
            Self::CreateRevision(_)
            | Self::RenumberRevision { .. }
            | Self::AdoptRevision { .. }
            | Self::ReleaseRevision { .. }
            | Self::DeleteRevision { .. }
            | Self::OwnClaim { .. }
            | Self::DeleteClaim { .. }
            | Self::AdoptPet { .. }
            | Self::ReleasePet { .. }
            | Self::Await { .. }
            | Self::RunHook { .. }
            | Self::RollBack { .. }
            | Self::Fulfil { .. }
            | Self::Finish => None,
        }
    }
}

/// The verb of an event.
#[derive(Debug, Clone, Copy)]
enum Verb {
    Create,
    Delete,
}
