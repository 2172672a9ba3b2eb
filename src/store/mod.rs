//! The state directory, which all roles of the program share: its paths, locks and edits, and the
//! format of every file and message.
//!
//! Readers take no lock, because a file is replaced in one piece. Wanted objects change only in
//! [`Store::edit`], which holds the lock for the edit and never for a wait. `<ns>` is a
//! namespace; the roles are those of [`crate::role`], and a command is a verb.
//!
//! | file | written by | read by | format |
//! | --- | --- | --- | --- |
//! | `format`, `lock` | commands, supervisor | all | `directory`, `lock` |
//! | `petset.toml`, `images.toml` | the user | all | `settings`, `images` |
//! | `bin/` | supervisor | pets, by their PATH | links to the program |
//! | `wanted/<ns>/<kind>/<name>.yaml` | commands, supervisor (locked) | all | `edit`, `read` |
//! | `wanted/<ns>/eviction/<pod>.yaml` | commands (locked) | supervisor | `eviction` |
//! | `wanted/stopped` | commands (locked) | commands, supervisor | `edit`, `read` |
//! | `seen/<ns>/sets/<set>.json` | supervisor | commands | `report` |
//! | `seen/<ns>/revisions/<set>.json` | supervisor | commands | ControllerRevisions |
//! | `seen/<ns>/endpoints/<service>.json` | supervisor | commands, network, proxy | `endpoints` |
//! | `seen/<ns>/detours/<service>.json` | proxy | commands | `detours` |
//! | `seen/<ns>/claims/<claim>.json` | supervisor; `volume rm` removes it | commands | a claim |
//! | `seen/<ns>/events/<owner>.jsonl` | supervisor, runners, proxy | commands | `journal` |
//! | `seen/addresses`, `seen/service-addresses` | supervisor | commands | `addresses` |
//! | `seen/block` | supervisor | commands, network | a number |
//! | `seen/isolation.json` | commands, supervisor | commands, supervisor | `ability` |
//! | `pets/<ns>/<pod>/pod.json` | supervisor | commands, the pet's runner | `pods` |
//! | `pets/<ns>/<pod>/status.json` | runner; supervisor when that is dead | all | `pods` |
//! | `pets/<ns>/<pod>/runner.json`, `lock` | runner | commands, supervisor | `record` |
//! | `pets/<ns>/<pod>/control` | a socket of the runner | supervisor sends | `control` |
//! | `pets/<ns>/<pod>/run/<container>.json` | runner | commands | `launch` |
//! | `pets/<ns>/<pod>/doors.json` | runner | commands | `network` |
//! | `pets/<ns>/<pod>/logs/` | runner | commands | lines of containers; `logs` |
//! | `pets/<ns>/<pod>/messages/<container>` | the pet | runner | text |
//! | `pets/<ns>/<pod>/`: `volumes`, `image`, `root`, `sandbox` | runner | the pet | directories |
//! | `volumes/<ns>/<claim>/` | supervisor; `volume rm` removes it | pets | the data |
//! | `view/` | the writer of each file that it copies | isolated pets | `view`, `redact` |
//! | `network/pid`, `network/lock` | network; runners | supervisor; runners | `pid` |
//! | `network/socket` | a socket of the network | runners connect | `network` |
//! | `supervisor/pid`, `lock` | supervisor | all | `pid` |
//! | `supervisor/socket` | a socket of the supervisor | commands send | `control` |
//! | `supervisor/log`, `proxy.lock` | supervisor, proxy | the user; proxy | text |

mod ability;
mod addresses;
mod closed;
mod control;
pub(crate) mod detours;
mod directory;
mod edit;
pub(crate) mod endpoints;
mod eviction;
mod files;
mod images;
pub(crate) mod journal;
mod kept;
mod launch;
mod lock;
mod logs;
pub(crate) mod network;
mod paths;
mod pid;
mod pods;
mod programs;
mod read;
mod record;
mod redact;
pub(crate) mod registry;
mod report;
#[cfg(test)]
mod round_trips;
mod settings;
mod socket;
pub(crate) mod userns;
mod view;
mod watch;
mod words;

pub(crate) use ability::Ability;
pub(crate) use addresses::{Given, addresses_given, block_of, give_addresses};
pub(crate) use control::{
    RunnerRequest, ask_runner, bind_runner, bind_supervisor, nudge_supervisor, requests, was_nudged,
};
pub(crate) use directory::{Store, absolute, default_root};
pub(crate) use edit::Edit;
pub(crate) use eviction::Eviction;
pub(crate) use files::{
    Sync, make_dir, measure, names_in, read, read_json, remove, remove_tree, replace, replace_json,
    size_of,
};
pub(crate) use images::{catalogue, image_files, with_disk};
pub(crate) use kept::{Kept, SET_ANNOTATION};
pub(crate) use launch::{Launch, Mount, User};
pub(crate) use lock::{Attempt, Lock, cannot_lock};
pub(crate) use logs::{LogIndex, rotated_log};
pub(crate) use paths::{Layout, PetLayout, REGISTRY_OVERRIDE, registry};
pub(crate) use pid::PidFile;
pub(crate) use pods::{merge_status, publish_pod, read_pod, withdraw_pod};
pub(crate) use programs::{program, provide as provide_programs, provided_program};
pub(crate) use record::{MainProcess, RunnerRecord};
pub(crate) use report::{SetReport, Waiting};
pub(crate) use settings::{DnsForward, Settings};
pub(crate) use socket::{connect_to, wait_at};
pub(crate) use view::{
    forget as forget_view, publish, refresh as refresh_view, show_addresses, withdraw,
};
pub(crate) use watch::{Noticed, Watch, WatchLimit, when_removed};
pub(crate) use words::last_words;
