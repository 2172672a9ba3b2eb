//! Whether the listener that answered a probe is the pet's own.
//!
//! Without isolation all pets share one network: a server that listens on every address of a port
//! also answers at the addresses of the pets that failed to bind it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use crate::model::environment::POD_UID_VARIABLE;
use crate::sorted::SortedSet;
use crate::sys::proc::{add_descendants, children, processes, variable_of};

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";
/// `::ffff:0:0/96`, as `/proc/net/tcp6` writes it.
const MAPPED: &str = "0000000000000000FFFF0000";
const ANY_6: &str = "00000000000000000000000000000000";

/// The owner of the listener that a connection reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListenerOwner {
    /// The pet itself, or none that can be found out.
    Own,
    /// Another pet, whose process has this number.
    OtherPet(u32),
    /// A process that belongs to no pet.
    Stranger(u32),
}

/// Finds out who answers at an address of this pet, whose uid is `uid`; the supervisor may run
/// below this runner and is `spared`.
pub(super) fn owner(ip: Ipv4Addr, port: u16, uid: &str, spared: Option<u32>) -> ListenerOwner {
    let inodes = listeners(ip, port);
    let mut own: Vec<u32> = children(std::process::id());
    own.retain(|&pid| Some(pid) != spared);
    add_descendants(&mut own, spared);
    if inodes.is_empty() || own.iter().any(|&pid| holds(pid, &inodes) != Some(false)) {
        return ListenerOwner::Own;
    }
    let holder = processes().find(|&pid| holds(pid, &inodes) == Some(true));
    match holder {
        // A process whose files may not be looked at.
        None => ListenerOwner::Own,
        Some(pid) => match variable_of(pid, POD_UID_VARIABLE) {
            Some(other) if other == uid => ListenerOwner::Own,
            Some(_) => ListenerOwner::OtherPet(pid),
            None => ListenerOwner::Stranger(pid),
        },
    }
}

/// Returns whether a process holds one of the sockets; `None` if its files may not be looked at.
fn holds(pid: u32, inodes: &SortedSet<String>) -> Option<bool> {
    let files = match fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(files) => files,
        // It has ended.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(false),
        Err(_) => return None,
    };
    let is_one = |target: &Path| {
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[");
        inode.is_some_and(|inode| inodes.contains(inode.trim_end_matches(']')))
    };
    let mut targets = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    Some(targets.any(|target| is_one(&target)))
}

/// Returns the inodes of the listeners that a connection to an address may reach: those that
/// listen there, or else those on all addresses.
fn listeners(ip: Ipv4Addr, port: u16) -> SortedSet<String> {
    let read = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    listeners_in(&(read("tcp") + &read("tcp6")), ip, port)
}

fn listeners_in(table: &str, ip: Ipv4Addr, port: u16) -> SortedSet<String> {
    let exact = format!("{:08X}", u32::from_ne_bytes(ip.octets()));
    let (mut there, mut anywhere) = (SortedSet::new(), SortedSet::new());
    for line in table.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (Some(local), Some(&LISTEN), Some(inode)) =
            (fields.get(1), fields.get(3), fields.get(9))
        else {
            continue;
        };
        let Some((address, number)) = local.rsplit_once(':') else {
            continue;
        };
        if u16::from_str_radix(number, 16) != Ok(port) {
            continue;
        }
        let v4 = address.strip_prefix(MAPPED).unwrap_or(address);
        if v4 == exact {
            there.insert((*inode).to_owned());
        } else if v4 == "00000000" || address == ANY_6 {
            anywhere.insert((*inode).to_owned());
        }
    }
    match there.is_empty() {
        true => anywhere,
        false => there,
    }
}

/// The ports of a container at which its own processes are known to listen, for one of its runs.
#[derive(Debug, Clone, Default)]
pub(super) struct OwnPorts(std::sync::Arc<std::sync::Mutex<SortedSet<u16>>>);

impl OwnPorts {
    fn has(&self, port: u16) -> bool {
        self.0.lock().is_ok_and(|ports| ports.contains(&port))
    }

    fn add(&self, port: u16) {
        if let Ok(mut ports) = self.0.lock() {
            ports.insert(port);
        }
    }
}

/// What is needed to find out whether an answer is the pet's own.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) ip: String,
    pub(super) uid: String,
    pub(super) spared: Option<u32>,
    pub(super) known: OwnPorts,
}

impl Identity {
    /// Returns whose listener answers at a host and port, if that is not the pet's own.
    pub(super) fn foreign(&self, host: &str, port: u16) -> Option<ListenerOwner> {
        let Ok(IpAddr::V4(ip)) = host.parse::<IpAddr>() else {
            return None;
        };
        if host != self.ip || self.known.has(port) {
            return None;
        }
        let owner = owner(ip, port, &self.uid, self.spared);
        if owner == ListenerOwner::Own {
            self.known.add(port);
            return None;
        }
        Some(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_listener_at_an_address_counts_before_those_on_all() {
        let line = |address: &str, inode: &str| {
            format!("0: {address}:1F40 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1 0\n")
        };
        let ip = Ipv4Addr::new(127, 5, 0, 2);
        let any = line("00000000", "7") + &line(ANY_6, "8") + &line("0100007F", "9");
        let found = |table: &str| {
            listeners_in(table, ip, 8000)
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&any), ["7", "8"]);
        assert_eq!(found(&(any.clone() + &line("0200057F", "5"))), ["5"]);
        let mapped = format!("{MAPPED}0200057F");
        assert_eq!(found(&(any + &line(&mapped, "6"))), ["6"]);
    }

    #[test]
    fn a_socket_of_a_process_is_found_among_its_files() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inodes = listeners(Ipv4Addr::LOCALHOST, port);
        assert_eq!(inodes.len(), 1);
        assert_eq!(holds(std::process::id(), &inodes), Some(true));
        drop(listener);
        assert_eq!(holds(std::process::id(), &inodes), Some(false));
    }
}
