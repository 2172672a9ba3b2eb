//! Checks of running processes: the supervisor, its DNS server, and leftovers of pets that are
//! gone.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::finding::Finding;
use super::state_dir::StateDir;
use crate::cli::shared::dns_query;
use crate::cli::shared::dns_server::known_server;
use crate::cli::shared::pods;
use crate::dns::{Lookup, Question, RecordType};
use crate::model::ObjectName;
use crate::model::environment::{POD_UID_VARIABLE, STATE_DIR_VARIABLE};
use crate::store::{
    Layout, Lock, PetLayout, PidFile, merge_status, names_in, pod_record, read_json,
};
use crate::supervisor;
use crate::sys::proc;

/// Runs these checks.
pub(super) fn findings(dir: &StateDir) -> Vec<Finding> {
    let pets = pets_of(dir);
    let running_pets: Vec<&FoundPet> = pets.iter().filter(|pet| !pet.has_ended).collect();
    let running = supervisor::is_running(&dir.layout);
    vec![
        supervisor_of(dir, running, &running_pets),
        server(dir, running),
        unkept(running, &running_pets),
        processes(dir, &pets),
    ]
}

/// One pet of any namespace.
struct FoundPet {
    name: String,
    uid: String,
    files: PetLayout,
    /// A pod that has ended needs no runner.
    has_ended: bool,
}

fn pets_of(dir: &StateDir) -> Vec<FoundPet> {
    let layout = &dir.layout;
    let mut pets = Vec::new();
    for namespace in names_in(&layout.pets()).unwrap_or_default() {
        let Ok(namespace) = namespace.parse() else {
            continue;
        };
        for name in names_in(&layout.pets_of(&namespace)).unwrap_or_default() {
            let files = layout.pet(&namespace, &name);
            let pod = pod_record(&files).ok().flatten();
            let Some(mut pod) = pod else { continue };
            merge_status(&mut pod, read_json(&files.status()).ok().flatten());
            let has_ended = pods::has_ended(&pod);
            pets.extend(pod.metadata.uid.map(|uid| FoundPet {
                name,
                uid,
                files,
                has_ended,
            }));
        }
    }
    pets
}

fn supervisor_of(dir: &StateDir, running: bool, pets: &[&FoundPet]) -> Finding {
    const CHECK: &str = "supervisor";
    let log = dir.layout.supervisor_log();
    if running {
        let pid = PidFile::of_supervisor(&dir.layout).read();
        let other = pid.and_then(other_program);
        let pid = pid.map_or_else(String::new, |pid| format!(" as process {pid}"));
        return match other {
            None => Finding::ok(CHECK, format!("runs{pid}")),
            Some(program) => Finding::note(
                CHECK,
                format!("runs{pid}, from another program than this one: {program}"),
                "let this one take over: petset stop && petset start",
            ),
        };
    }
    if pets.is_empty() {
        return Finding::ok(CHECK, "does not run, and no pet needs it");
    }
    let result = format!("does not run, and {} pets are without it", pets.len());
    let advice = format!("start it with `petset start`; see {}", log.display());
    Finding::note(CHECK, result, advice)
}

/// Returns the program of a process, if it is not the file of this one.
fn other_program(pid: u32) -> Option<String> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let own = std::env::current_exe().ok()?;
    (program != own).then(|| program.display().to_string())
}

fn server(dir: &StateDir, running: bool) -> Finding {
    const CHECK: &str = "DNS server";
    let Some(server) = known_server(&dir.layout, &dir.settings) else {
        return Finding::ok(CHECK, "no pet ever ran, so there is none");
    };
    if !running {
        return Finding::ok(CHECK, format!("listens on {server} while a pet runs"));
    }
    let domain = &dir.settings.cluster_domain;
    let question = Question::new(format!("dns-version.{domain}"), RecordType::Txt);
    match dns_query::ask(server, &question) {
        Ok(Lookup::Found(_)) => Finding::ok(CHECK, format!("answers on {server}")),
        Ok(Lookup::NoData | Lookup::NxDomain) => Finding::broken(
            CHECK,
            format!("another server answers on {server}"),
            "let petset listen elsewhere: dns-listen in petset.toml",
        ),
        Err(error) => Finding::broken(
            CHECK,
            error.to_string(),
            "the supervisor tries it again and again; if another server listens there, let petset \
             listen elsewhere: dns-listen in petset.toml",
        ),
    }
}

fn unkept(running: bool, pets: &[&FoundPet]) -> Finding {
    const CHECK: &str = "pets";
    let unkept = pets.iter().filter(|pet| !pods::is_kept(&pet.files));
    let unkept: Vec<&str> = unkept.map(|pet| pet.name.as_str()).collect();
    match (unkept.as_slice(), running) {
        ([], _) => Finding::ok(
            CHECK,
            format!("{} exist, and none is without a runner", pets.len()),
        ),
        (unkept, true) => Finding::note(
            CHECK,
            format!("the supervisor starts runners for {}", unkept.join(", ")),
            "look again in a moment",
        ),
        (unkept, false) => Finding::note(
            CHECK,
            format!("no runner keeps {}", unkept.join(", ")),
            "bring them back with `petset start`",
        ),
    }
}

/// Looks for processes whose environment names a pet that does not exist any more.
fn processes(dir: &StateDir, pets: &[FoundPet]) -> Finding {
    const CHECK: &str = "leftovers";
    let lost = proc::processes().filter_map(|pid| {
        let mark = PetMark::of(pid, dir.layout.root())?;
        let known = pets.iter().any(|pet| pet.uid == mark.uid) || mark.has_runner(&dir.layout);
        (!known).then(|| pid.to_string())
    });
    let lost: Vec<String> = lost.collect();
    if lost.is_empty() {
        return Finding::ok(CHECK, "no process outlives its pet");
    }
    Finding::broken(
        CHECK,
        format!("processes of pets that are gone: {}", lost.join(" ")),
        format!("look at them with ps, then kill {}", lost.join(" ")),
    )
}

/// The pod that a process was started for, by its environment.
struct PetMark {
    uid: String,
    namespace: String,
    pod: String,
}

impl PetMark {
    /// Returns the mark of a process, if it is of this state directory.
    fn of(pid: u32, root: &Path) -> Option<Self> {
        let environment = proc::environment_of(pid).ok()?;
        let value = |name: &str| {
            let mut words = environment.split(|byte| *byte == 0);
            words.find_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        };
        let text = |name| String::from_utf8_lossy(value(name).unwrap_or_default()).into_owned();
        let ours = value(STATE_DIR_VARIABLE)? == OsStr::as_bytes(root.as_os_str());
        let uid = value(POD_UID_VARIABLE).filter(|_| ours)?;
        Some(Self {
            uid: String::from_utf8_lossy(uid).into_owned(),
            namespace: text("POD_NAMESPACE"),
            pod: text("POD_NAME"),
        })
    }

    /// Returns whether a runner keeps a pet of this name, though its files may be damaged.
    fn has_runner(&self, layout: &Layout) -> bool {
        let namespace = self.namespace.parse();
        let pod = self.pod.parse::<ObjectName>();
        let (Ok(namespace), Ok(pod)) = (namespace, pod) else {
            return false;
        };
        Lock::is_held(&layout.pet(&namespace, pod.as_str()).lock()).unwrap_or(false)
    }
}
