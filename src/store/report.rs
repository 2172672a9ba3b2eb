//! What the supervisor reports of a set, for everybody who reads.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSetStatus;
use serde::{Deserialize, Serialize};

/// The report of one set: its status, and what it waits for. The supervisor alone writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetReport {
    /// Whose report it is: a set that was deleted and made again has another uid.
    pub(crate) uid: String,
    pub(crate) status: StatefulSetStatus,
    /// What the set waits for, most urgent first; empty where it waits for nothing.
    pub(crate) waiting: Vec<Waiting>,
    /// Everything that is wanted (of the observed generation) is so.
    pub(crate) settled: bool,
    /// The set stands still because of `petset stop`.
    #[serde(default)]
    pub(crate) stopped: bool,
}

/// One thing that a set waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Waiting {
    /// The pet that is waited for, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pet: Option<String>,
    /// Why, as a sentence: `web-1 is not ready: init container wait-db is running (1 of 3)`.
    pub(crate) why: String,
    pub(crate) since: Timestamp,
    /// It will not pass without somebody's help: an image that is not there, a crash loop.
    #[serde(default)]
    pub(crate) stuck: bool,
}
