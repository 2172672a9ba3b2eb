//! Checks of the machine: addresses, limits, and features of the kernel.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};

use super::finding::Finding;
use super::state_dir::StateDir;
use crate::cli::shared::dns_server::known_block;
use crate::model::address::Block;
use crate::network;
use crate::problem::Problem;
use crate::runner::isolation;
use crate::store::registry::Blocks;
use crate::store::{Ability, Watch};
use crate::supervisor::{lacks_of_isolation, way_out};
use crate::sys::proc;

/// A supervisor watches one directory for each pet, and a few for each namespace.
const FEW_WATCHES: u64 = 8192;
const FEW_FILES: u64 = 1024;

/// Runs these checks.
pub(super) fn findings(dir: &StateDir) -> Vec<Finding> {
    let mut found = vec![
        addresses(dir),
        inotify(),
        files(),
        pidfd(),
        children(),
        cgroups(),
    ];
    found.extend(parts_of_isolation());
    found.push(level());
    found.push(user_ids());
    found.push(egress());
    found
}

fn addresses(dir: &StateDir) -> Finding {
    const CHECK: &str = "addresses";
    let root = dir.layout.root();
    let known = known_block(&dir.layout, &dir.settings);
    let block = known.unwrap_or_else(|| Block::preferred(root));
    let net = format!("127.{}.0.0/16", block.number());
    // An address that is never given to a pet.
    let ip = block.reserved(254);
    let bound = UdpSocket::bind((ip, 0)).and_then(|_udp| TcpListener::bind((ip, 0)));
    if let Err(error) = bound {
        return Finding::broken(
            CHECK,
            format!("{ip} cannot be bound: {error}"),
            format!("add the block to the loopback interface: ip address add {net} dev lo"),
        );
    }
    match Blocks::of_this_machine().holder(block) {
        Some(holder) if holder != root && known.is_some() => Finding::note(
            CHECK,
            format!("{net} is also claimed by {}", holder.display()),
            "one of the two moves when its supervisor starts; or set address-block in petset.toml",
        ),
        Some(_) | None if known.is_some() => Finding::ok(CHECK, format!("{net} can be bound")),
        Some(_) | None => Finding::ok(CHECK, "loopback addresses can be bound"),
    }
}

fn inotify() -> Finding {
    const CHECK: &str = "inotify";
    let limit = |name: &str| proc::setting(&format!("fs/inotify/{name}"))?.parse().ok();
    let raise =
        "raise it: sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024";
    let tried = Watch::new().and_then(|mut watch| watch.add(Path::new("/"), ()));
    if let Err(error) = tried {
        return Finding::broken(
            CHECK,
            format!("no directory can be watched: {error}"),
            raise,
        );
    }
    let (watches, instances) = (limit("max_user_watches"), limit("max_user_instances"));
    let words = |limit: Option<u64>| limit.map_or_else(|| "?".to_owned(), |n| n.to_string());
    let result = format!("{} watches, {} instances", words(watches), words(instances));
    match watches {
        Some(few) if few < FEW_WATCHES => Finding::note(CHECK, result, raise),
        Some(_) | None => Finding::ok(CHECK, result),
    }
}

fn files() -> Finding {
    const CHECK: &str = "open files";
    match getrlimit(Resource::Nofile).current {
        Some(few) if few < FEW_FILES => Finding::note(
            CHECK,
            format!("at most {few} a process"),
            "raise it before many pets: ulimit -n 4096",
        ),
        Some(limit) => Finding::ok(CHECK, format!("at most {limit} a process")),
        None => Finding::ok(CHECK, "no limit"),
    }
}

fn pidfd() -> Finding {
    const CHECK: &str = "pidfd";
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => Finding::ok(CHECK, "supported"),
        Err(error) => Finding::broken(
            CHECK,
            format!("processes cannot be watched: {error}"),
            "petset needs Linux 5.3 or newer, and a sandbox that allows pidfd_open",
        ),
    }
}

fn children() -> Finding {
    const CHECK: &str = "process lists";
    let list = format!("/proc/self/task/{}/children", std::process::id());
    if Path::new(&list).exists() {
        return Finding::ok(CHECK, "the kernel lists the children of a process");
    }
    if Path::new("/proc/self/stat").exists() {
        let result = "the kernel does not list children, so /proc is searched";
        return Finding::note(
            CHECK,
            result,
            "nothing to do; stopping many pets takes longer",
        );
    }
    Finding::broken(
        CHECK,
        "/proc is not there",
        "mount it: mount -t proc proc /proc",
    )
}

fn cgroups() -> Finding {
    const CHECK: &str = "cgroup v2";
    match fs::read_to_string("/sys/fs/cgroup/cgroup.controllers") {
        Ok(controllers) => Finding::ok(CHECK, format!("available: {}", controllers.trim())),
        Err(_) => Finding::ok(
            CHECK,
            "not available; resource limits are not enforced anyway",
        ),
    }
}

/// Tries each part of isolation. A missing part is a note, since pets can run without it.
fn parts_of_isolation() -> Vec<Finding> {
    let mut tried = isolation::trials();
    let network = network::attempt();
    tried.push(("network", network));
    let finding = |(part, outcome): (&'static str, Result<(), Problem>)| match outcome {
        Ok(()) => Finding::ok(part, "a pet can have its own"),
        Err(fault) if part == "overlay" => Finding::note(
            part,
            fault.message,
            "pets see the host's directories read-only: let servers write to volumes",
        ),
        Err(fault) => Finding::note(part, fault.message, way_out()),
    };
    tried.into_iter().map(finding).collect()
}

/// Tries isolation as a whole, as for a pet: all namespaces, mounts, and a network.
fn level() -> Finding {
    const CHECK: &str = "isolation";
    let Some(lack) = Ability::tried().lack else {
        return match lacks_of_isolation().as_slice() {
            [] => Finding::ok(CHECK, "auto means full: pets have what containers have"),
            lacks => {
                let overlay = lacks.iter().any(|lack| lack.contains("overlay"));
                let advice = if overlay {
                    "mount volumes where there is a directory"
                } else {
                    ""
                };
                let lacks = format!("auto means full, but {}", lacks.join("; "));
                Finding::note(CHECK, lacks, advice)
            }
        };
    };
    Finding::note(CHECK, format!("auto means none: {lack}"), way_out())
}

/// Checks which users pets can run as: `securityContext` takes root or subordinate ids.
fn user_ids() -> Finding {
    const CHECK: &str = "user ids";
    match isolation::whom_pets_can_be() {
        Ok(whom) => Finding::ok(CHECK, whom),
        Err((why, way_out)) => {
            let result = format!("isolated pets run as you, whatever runAsUser says: {why}");
            Finding::note(CHECK, result, way_out)
        }
    }
}

/// Tries egress from a private network.
fn egress() -> Finding {
    const CHECK: &str = "egress";
    match network::attempt_egress() {
        Ok(()) => Finding::ok(
            CHECK,
            "auto: isolated pets can reach what this machine reaches",
        ),
        Err(problem) => Finding::note(
            CHECK,
            format!("none: {}", problem.message),
            "isolated pets reach each other; for more the kernel needs nf_tables with tproxy, \
             also for bridges, and isolation: modprobe nft_tproxy",
        ),
    }
}
