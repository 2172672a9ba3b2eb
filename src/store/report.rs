//! `seen/<ns>/sets/<set>.json`: the report of the supervisor about a set.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSetStatus;
use serde::{Deserialize, Serialize};

/// The report of one set: its status, and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetReport {
    /// The uid of the set, which differs when a set was deleted and created again.
    pub(crate) uid: String,
    pub(crate) status: StatefulSetStatus,
    /// What the set waits for, most urgent first.
    pub(crate) waiting: Vec<Waiting>,
    /// Whether all pets are as the observed generation wants them.
    pub(crate) settled: bool,
    /// Whether the set is stopped by `petset stop`.
    #[serde(default)]
    pub(crate) stopped: bool,
}

/// A condition that a set waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waiting {
    /// The pet that the set waits for; `None` for another condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pet: Option<String>,
    /// The reason as a sentence: `web-1 is not ready: init container wait-db is running (1 of 3)`.
    pub(crate) why: String,
    pub(crate) since: Timestamp,
    /// Whether only the user can help, as with a missing image or a crash loop.
    #[serde(default)]
    pub(crate) stuck: bool,
}
