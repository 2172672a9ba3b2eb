//! `runner.json`: the runner of a pet and the main processes that it started. A successor kills
//! those that are left, and other roles see whether the runner lives.

use std::io;

use serde::{Deserialize, Serialize};

use super::files::{Sync, read_json, replace_json};
use super::paths::{Layout, PetLayout};
use super::reserve;
use crate::sys::proc::{ProcessId, boot_id};

/// A runner, and the sessions that it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RunnerRecord {
    #[serde(flatten)]
    pub(crate) runner: ProcessId,
    pub(crate) boot_id: String,
    /// Whether the runner ended by itself, after all processes of the pet.
    #[serde(default)]
    pub(crate) clean: bool,
    #[serde(default)]
    pub(crate) containers: Vec<MainProcess>,
    /// The resource limit that marks all processes of the pet.
    #[serde(rename = "brand", default, skip_serializing_if = "Option::is_none")]
    pub(crate) rlimit_mark: Option<u64>,
    /// Whether this runner, or an earlier one, has started containers. It is noted only for pods
    /// whose containers run once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) begun: bool,
}

/// The main process of a container, which leads a session of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MainProcess {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) process: ProcessId,
    pub(crate) pgid: u32,
}

impl RunnerRecord {
    /// Returns the record of this process as a runner that has started no container.
    pub(crate) fn of_this_process(rlimit_mark: Option<u64>) -> io::Result<Self> {
        Ok(Self {
            runner: ProcessId::of(std::process::id())?,
            boot_id: boot_id(),
            clean: false,
            containers: Vec::new(),
            rlimit_mark,
            begun: false,
        })
    }

    /// Returns the record of a runner of this boot of which nothing is known: its processes are
    /// found by their marks alone, and it may have started containers.
    pub(crate) fn unknown() -> Self {
        Self {
            runner: ProcessId { pid: 0, start: 0 },
            boot_id: boot_id(),
            clean: false,
            containers: Vec::new(),
            rlimit_mark: None,
            begun: true,
        }
    }

    /// Returns the record of a runner that has ended after all processes of its pet, and of which
    /// no more is known.
    pub(crate) fn ended() -> Self {
        let unknown = Self::unknown();
        Self {
            clean: true,
            ..unknown
        }
    }

    /// Lists the containers that the runner has started and not seen end.
    pub(crate) fn started(&self) -> impl Iterator<Item = String> + use<'_> {
        self.containers.iter().map(|main| main.name.clone())
    }

    /// Reads the record of a pet's last runner; `None` when no runner has written one.
    pub(crate) fn read(pet: &PetLayout) -> io::Result<Option<Self>> {
        read_json(&pet.runner())
    }

    /// Replaces the record of the pet.
    pub(crate) fn write(&self, pet: &PetLayout) -> io::Result<()> {
        replace_json(&pet.runner(), self, Sync::No)
    }

    /// Does the same for a pet that is to end, on a full disk too.
    pub(crate) fn write_at_any_cost(&self, layout: &Layout, pet: &PetLayout) -> io::Result<()> {
        reserve::replace(layout, &pet.runner(), &serde_json::to_vec(self)?, Sync::No)
    }

    /// Returns whether the record was written since the machine was started.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        self.boot_id == boot_id()
    }

    /// Returns whether the runner that wrote the record still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_of_this_boot() && self.runner.is_alive()
    }

    /// Returns the main process with this pid.
    pub(crate) fn main_process(&self, pid: u32) -> Option<ProcessId> {
        let mut all = self.containers.iter().map(|main| main.process);
        all.find(|process| process.pid == pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Layout;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let pet = Layout::new(dir.path()).pet(&"default".parse().unwrap(), "web-0");
        let mut record = RunnerRecord::of_this_process(Some(7)).unwrap();
        let process = ProcessId { pid: 42, start: 9 };
        record.containers.push(MainProcess {
            name: "web".to_owned(),
            process,
            pgid: 42,
        });
        assert_eq!(RunnerRecord::read(&pet).unwrap(), None);
        record.write(&pet).unwrap();
        let read = RunnerRecord::read(&pet).unwrap().unwrap();
        assert_eq!(read, record);
        assert!(read.is_alive());
        assert_eq!(read.main_process(42), Some(process));
    }

    #[test]
    fn the_format_is_what_earlier_versions_wrote() {
        let text = r#"{"pid":1,"start":2,"bootId":"b","clean":true,
            "containers":[{"name":"web","pid":3,"start":4,"pgid":3}],"brand":5,"begun":true}"#;
        let record: RunnerRecord = serde_json::from_str(text).unwrap();
        assert_eq!((record.runner.pid, record.runner.start), (1, 2));
        assert_eq!(record.main_process(3).unwrap().start, 4);
        assert!(record.clean && record.begun && !record.is_of_this_boot());
        let written: serde_json::Value = serde_json::to_value(&record).unwrap();
        assert_eq!(
            written,
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
    }
}
