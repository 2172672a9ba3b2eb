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
//! | `owner` | `petset with` | supervisor | `lifetime` |
//! | `petset.toml`, `images.toml` | the user | all | `settings`, `images` |
//! | `bin/` | supervisor | pets, by their PATH | links to the program |
//! | `bin/applets-*/` | runners | pets, by their PATH | links to the shell of an image |
//! | `wanted/<ns>/<kind>/<name>.yaml` | commands, supervisor (locked) | all | `edit`, `read` |
//! | `wanted/_cluster/<kind>/<name>.yaml` | commands, supervisor (locked) | all | `edit`, `read` |
//! | `wanted/<ns>/eviction/<pod>.yaml` | commands (locked) | supervisor | `eviction` |
//! | `wanted/<ns>/overlay/<pod>.yaml` | commands (locked) | supervisor | `overlay` |
//! | `wanted/stopped` | commands (locked) | commands, supervisor | `edit`, `read` |
//! | `seen/<ns>/sets/<set>.json` | supervisor | commands | `report` |
//! | `seen/<ns>/workloads/<kind>/<name>.json` | supervisor | commands | `workloads` |
//! | `seen/<ns>/revisions/<set>.json` | supervisor | commands | ControllerRevisions |
//! | `seen/<ns>/daemon-revisions/<set>.json` | supervisor | commands | ControllerRevisions |
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
//! | `snapshots/<ns>/<set>/<name>/<claim>/` | commands | commands | copies of data |
//! | `reserve/` | supervisor; commands take from it | commands, supervisor, runners | `reserve` |
//! | `view/` | the writer of each file that it copies | isolated pets | `view`, `redact` |
//! | `network/pid`, `network/lock` | network; runners | supervisor; runners | `pid` |
//! | `network/socket` | a socket of the network | runners connect | `network` |
//! | `supervisor/pid`, `lock` | supervisor | all | `pid` |
//! | `supervisor/socket` | a socket of the supervisor | commands send | `control` |
//! | `supervisor/log`, `proxy.lock` | supervisor, proxy | the user; proxy | text |

mod ability;
mod addresses;
mod control;
pub(crate) mod covers;
pub(crate) mod damage;
pub(crate) mod detours;
mod directory;
mod edit;
pub(crate) mod endpoints;
mod eviction;
mod files;
mod images;
mod inspect;
pub(crate) mod journal;
mod kept;
mod launch;
mod lifetime;
mod lock;
mod logs;
#[cfg(test)]
mod mangled;
pub(crate) mod network;
mod overlay;
mod owner;
mod paths;
mod pid;
mod pods;
mod programs;
mod read;
mod record;
mod redact;
pub(crate) mod registry;
mod report;
pub(crate) mod reserve;
#[cfg(test)]
mod round_trips;
pub(crate) mod salvage;
mod settings;
mod socket;
mod sweep;
pub(crate) mod userns;
mod view;
mod volumes;
mod watch;
mod words;
mod workloads;

pub(crate) use ability::Ability;
pub(crate) use addresses::{
    Given, addresses_given, block_of, compact_addresses, give_addresses, take_address_back,
};
pub(crate) use control::{
    Heard, RunnerRequest, ask_runner, ask_to_mend, bind_last_runner, bind_runner, bind_supervisor,
    nudge_supervisor, requests, told,
};
pub(crate) use directory::{Store, absolute, default_root};
pub(crate) use edit::Edit;
pub(crate) use eviction::Eviction;
pub(crate) use files::{
    Sync, make_dir, make_nothing_after_removal, measure, names_in, read, read_json, remove,
    remove_tree, remove_tree_in_use, replace, replace_json, size_of,
};
pub(crate) use images::{catalogue, image_files, with_disk};
pub(crate) use inspect::inspect;
pub(crate) use kept::{Kept, SET_ANNOTATION};
pub(crate) use launch::{Launch, Mount, User};
pub(crate) use lifetime::OwnerFile;
pub(crate) use lock::{Attempt, Lock, cannot_lock};
pub(crate) use logs::{LogIndex, rotated_log};
pub(crate) use paths::{Layout, PetLayout, REGISTRY_OVERRIDE, registry};
pub(crate) use pid::PidFile;
pub(crate) use pods::{
    UNKNOWN, is_whole_pod, merge_status, pod_record, publish_end_of_pod, publish_pod, read_pod,
    read_shown_pod, withdraw_pod,
};
pub(crate) use programs::{program, provide as provide_programs, provided_program};
pub(crate) use record::{MainProcess, RunnerRecord};
pub(crate) use report::{SetReport, Waiting};
pub(crate) use settings::{DnsForward, ReclaimPolicy, Settings};
pub(crate) use socket::{connect_to, is_from_host, is_socket, wait_at};
pub(crate) use sweep::{name_while_removed, sweep};
pub(crate) use view::{
    forget as forget_view, publish, publish_at_any_cost, refresh as refresh_view, show_addresses,
    verify_object, withdraw,
};
pub(crate) use volumes::{Backing, backing_of, place_of};
pub(crate) use watch::{Noticed, Watch, WatchLimit, when_removed};
pub(crate) use words::last_words;
pub(crate) use workloads::{is_damaged_status, publish_workload_status};
