//! petset under the name `peer-finder`, with the flags of that program (F01, F08).
//!
//! Old manifests call it in init containers and as the parent of the server. It has Go flags: with
//! one dash or two, and the value after `=` or in the next argument.
//!
//! - F01, F02, F07: the flags, the domain (from the settings, not from `resolv.conf`), and the
//!   messages for wrong usage are here.
//! - F03-F06: `hooks`, and the tests of hooks in tests/discovering.rs. The list is printed when it
//!   changes, not each second.
//! - F05b: [`own_host`] is the host name of the kernel if `POD_NAME` is not set.
//! - F08: `-address-type` and the environment of hooks. Not supported: `-selector`, `-hosts-file`
//!   and other flags that need the Kubernetes API, IPv6, and running on after the last hook.

use std::ffi::OsString;
use std::process::ExitCode;

use super::hooks::{Hooks, OwnAddress};
use crate::cli::shared::exit::exit_code;
use crate::cli::shared::peers::{Caller, Peer, PeerGroup, PeerWatcher};
use crate::cli::shared::session::{Session, say};
use crate::model::{Namespace, ObjectName};
use crate::problem::{Kind, Problem, Result};
use crate::sorted::SortedSet;

const INCOMPLETE: &str = "Incomplete args, require -on-change and/or -on-start, -service and -ns \
                          or an env var for POD_NAMESPACE.";
const USAGE: &str = "Usage of peer-finder (petset):
  -service NAME       service whose pets are the peers
  -ns NAMESPACE       its namespace; without it: POD_NAMESPACE
  -domain DOMAIN      the cluster's domain; petset takes it from petset.toml
  -on-start SCRIPT    called once with the first list of peers on standard input
  -on-change SCRIPT   called whenever the list has changed
  -address-type TYPE  what to list: DNS (default), IP or IPv4
";

/// The values of the flags.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    service: Option<String>,
    namespace: Option<String>,
    domain: Option<String>,
    on_start: Option<String>,
    on_change: Option<String>,
    address_type: Option<String>,
}

/// Runs as peer-finder, with the arguments after the program's name.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let words: Vec<String> = words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if words
        .iter()
        .any(|word| matches!(word.trim_start_matches('-'), "h" | "help"))
    {
        say(USAGE.trim_end());
        return ExitCode::SUCCESS;
    }
    match Flags::read(&words).and_then(Flags::follow) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit_code(&error),
    }
}

impl Flags {
    fn read(words: &[String]) -> Result<Self> {
        let mut flags = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
            let flag = flag.ok_or_else(|| unknown(word))?;
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, words.next().cloned()),
            };
            let slot = flags.slot(name).ok_or_else(|| unknown(word))?;
            let missing = || Problem::invalid(format!("flag needs an argument: -{name}"));
            *slot = Some(value.ok_or_else(missing)?).filter(|value| !value.is_empty());
        }
        Ok(flags)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "service" => Some(&mut self.service),
            "ns" => Some(&mut self.namespace),
            "domain" => Some(&mut self.domain),
            "on-start" => Some(&mut self.on_start),
            "on-change" => Some(&mut self.on_change),
            "address-type" => Some(&mut self.address_type),
            _ => None,
        }
    }

    fn follow(self) -> Result<()> {
        let incomplete = || Problem::new(Kind::Failed, INCOMPLETE);
        let environment = std::env::var("POD_NAMESPACE").ok();
        let namespace = self
            .namespace
            .or(environment)
            .filter(|text| !text.is_empty());
        let namespace: Namespace = namespace.ok_or_else(incomplete)?.parse()?;
        let service: ObjectName = self.service.ok_or_else(incomplete)?.parse()?;
        let mut hooks = Hooks::new(self.on_start, self.on_change).ok_or_else(incomplete)?;
        let host = host_of(self.address_type.as_deref())?;
        let session = Session::in_namespace(namespace)?;
        mention_domain(&session, self.domain.as_deref());
        let own = Caller::from_environment().map_or_else(own_host, |own| own.name);
        let mut watcher = PeerWatcher::new(&session, PeerGroup::Service(service))?;
        loop {
            let peers = watcher.look()?;
            let published = peers.all.iter().filter(|peer| peer.published);
            let published: Vec<&Peer> = published.collect();
            let names: SortedSet<String> = published.iter().map(|peer| host(peer)).collect();
            if let Some(own) = published.iter().find(|peer| peer.name == own) {
                let (listed, ip) = (host(own), own.ip);
                if hooks.take(names, &OwnAddress { listed, ip })?.is_break() {
                    return Ok(());
                }
            }
            watcher.wait(None)?;
        }
    }
}

fn unknown(word: &str) -> Problem {
    Problem::invalid(format!("flag provided but not defined: {word}")).hint(USAGE.trim_end())
}

/// Returns how each peer is listed.
fn host_of(address_type: Option<&str>) -> Result<fn(&Peer) -> String> {
    match address_type {
        None | Some("DNS") => Ok(Peer::host),
        Some("IP" | "IPv4") => Ok(|peer| peer.ip.map(|ip| ip.to_string()).unwrap_or_default()),
        Some(other) => {
            let message = format!("unsupported address type {other:?}");
            let hint = "petset has DNS, IP and IPv4: a pet has no IPv6 address";
            Err(Problem::invalid(message).hint(hint).into())
        }
    }
}

fn mention_domain(session: &Session, domain: Option<&str>) {
    let own = &session.store.settings().cluster_domain;
    let Some(domain) = domain.map(|domain| domain.trim_matches('.')) else {
        return;
    };
    if domain != own && domain != format!("svc.{own}") {
        say(format!(
            "note: names end with {own}, as petset.toml says, and not with {domain}"
        ));
    }
}

/// Returns the host name of the kernel, which is the name of an isolated pet.
fn own_host() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Flags> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Flags::read(&words)
    }

    #[test]
    fn flags_are_read_as_go_reads_them() {
        let flags = read("-service=galera --ns default -on-start ./a.sh -domain=").unwrap();
        let wanted = Flags {
            service: Some("galera".to_owned()),
            namespace: Some("default".to_owned()),
            on_start: Some("./a.sh".to_owned()),
            ..Flags::default()
        };
        assert_eq!(flags, wanted);
        assert!(read("-service").is_err());
        assert!(read("-selector=app=x").is_err());
        assert!(read("galera").is_err());
    }

    #[test]
    fn what_is_missing_is_said_in_peer_finders_words() {
        let fault = read("-ns=default -on-start=x")
            .unwrap()
            .follow()
            .unwrap_err();
        assert_eq!(fault.to_string(), INCOMPLETE);
    }
}
