//! The settings of a state directory: `petset.toml`, every key optional.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::model::address::Block;
use crate::model::{BackOff, Egress, Isolation};
use crate::problem::{Problem, Result};

/// The keys of `petset.toml`. An unknown key is an error, so that a typo is not ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// The DNS zone of services and pods.
    pub(crate) cluster_domain: String,
    /// The `b` of this state directory's addresses 127.b.x.y; `None` lets petset choose.
    pub(crate) address_block: Option<u8>,
    /// How long a command waits for the lock of the state directory.
    #[serde(deserialize_with = "crate::model::duration::deserialize")]
    pub(crate) lock_timeout: Duration,
    /// The delays between restarts of a container that ended; the first restart comes at once.
    pub(crate) back_off: BackOff,
    /// The address of the DNS server, such as `127.0.0.1:5353`; `None` for port 5353 of this state
    /// directory's own address.
    pub(crate) dns_listen: Option<SocketAddr>,
    /// The resolvers for names of other zones.
    pub(crate) dns_forward: DnsForward,
    /// The default level of isolation of sets.
    pub(crate) isolation: Isolation,
    /// Whether isolated pets may connect beyond the private network, unless their set says so.
    pub(crate) egress: Egress,
    /// Paths of the host that every pet sees at the same place, and may write to.
    pub(crate) shared_paths: Vec<PathBuf>,
    /// Whether sets behave exactly as under Kubernetes' controller, known traps included.
    pub(crate) strict: bool,
    /// Whether the directory that was made for a claim goes with the claim.
    pub(crate) reclaim_policy: ReclaimPolicy,
    /// Labels of the one node, this machine, beside those that every node has.
    pub(crate) node_labels: BTreeMap<String, String>,
}

/// What becomes of the directory that was made for a claim when the claim is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum ReclaimPolicy {
    /// It stays, unless the user says that it is to go too.
    #[default]
    Retain,
    /// It goes.
    Delete,
}

impl ReclaimPolicy {
    /// Returns the name that Kubernetes has for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Retain => "Retain",
            Self::Delete => "Delete",
        }
    }
}

/// The resolvers to which the DNS server forwards queries of other zones.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected true, false, or a list such as [\"192.0.2.1\"]"
)]
pub(crate) enum DnsForward {
    /// The host's resolvers, or none.
    Switch(bool),
    /// These resolvers, in this order; the default port is 53.
    To(Vec<ResolverAddress>),
}

/// The address of a resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ResolverAddress(pub(crate) SocketAddr);

impl TryFrom<String> for ResolverAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        let address = bare.or_else(|_| text.parse());
        let wish = || format!("{text:?} is no address such as 192.0.2.1 or 192.0.2.1:5353");
        address.map(Self).map_err(|_| wish())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cluster_domain: "cluster.local".to_owned(),
            address_block: None,
            lock_timeout: Duration::from_secs(10),
            back_off: BackOff::default(),
            dns_listen: None,
            dns_forward: DnsForward::Switch(false),
            isolation: Isolation::default(),
            egress: Egress::default(),
            shared_paths: Vec::new(),
            strict: false,
            reclaim_policy: ReclaimPolicy::default(),
            node_labels: BTreeMap::new(),
        }
    }
}

/// The port of the supervisor's DNS server, unless the settings name another.
const DNS_PORT: u16 = 5353;

impl Settings {
    /// Returns where the DNS server of a state directory with this block listens on the host.
    pub(crate) fn dns_address(&self, block: Block) -> SocketAddr {
        let own = SocketAddr::from((block.reserved(53), DNS_PORT));
        self.dns_listen.unwrap_or(own)
    }

    /// Reads the settings from the text of a `petset.toml`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let settings: Self = toml::from_str(text).map_err(|fault| {
            let known = "known keys: cluster-domain, address-block, lock-timeout, back-off.start, \
                         back-off.cap, dns-listen, dns-forward, isolation, egress, \
                         shared-paths, strict, reclaim-policy, node-labels";
            Problem::invalid(fault.to_string().trim_end().to_owned()).hint(known)
        })?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Problem> {
        if let Some(fault) = crate::model::subdomain_fault(&self.cluster_domain) {
            return Err(Problem::invalid(format!("cluster-domain: {fault}")));
        }
        if self
            .address_block
            .is_some_and(|block| !(1..=254).contains(&block))
        {
            let wish = "address-block must be between 1 and 254: the b of the addresses 127.b.x.y";
            return Err(Problem::invalid(wish));
        }
        if self
            .dns_listen
            .is_some_and(|listen| !listen.ip().is_loopback())
        {
            let wish = "dns-listen must be a loopback address: petset opens no port to the world";
            return Err(Problem::invalid(wish));
        }
        let usable = |path: &PathBuf| path.is_absolute() && path.parent().is_some();
        if let Some(path) = self.shared_paths.iter().find(|path| !usable(path)) {
            let path = path.display();
            let wish = format!("shared-paths: {path} must be absolute, and not the root");
            return Err(Problem::invalid(wish));
        }
        if self.back_off.start.is_zero() || self.back_off.cap < self.back_off.start {
            let wish = "back-off.start must be more than 0 and not more than back-off.cap";
            return Err(Problem::invalid(wish));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::parse_duration;

    #[test]
    fn an_empty_file_means_the_defaults() {
        assert_eq!(Settings::parse("").unwrap(), Settings::default());
    }

    #[test]
    fn durations_are_written_as_people_write_them() {
        let settings =
            Settings::parse("lock-timeout = '1m30s'\nback-off = { start = '10s', cap = '300s' }")
                .unwrap();
        assert_eq!(settings.lock_timeout, Duration::from_secs(90));
        assert_eq!(settings.back_off.cap, Duration::from_secs(300));
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("5").is_err());
    }

    #[test]
    fn a_key_with_a_typo_is_refused_with_its_line() {
        let fault = Settings::parse("strict = true\ncluster-domian = 'x'")
            .unwrap_err()
            .to_string();
        assert!(
            fault.contains("line 2") && fault.contains("cluster-domian"),
            "{fault}"
        );
    }

    #[test]
    fn other_zones_are_asked_of_nobody_of_the_host_or_of_whom_is_named() {
        let asked = |text: &str| Settings::parse(text).map(|settings| settings.dns_forward);
        assert_eq!(asked("").unwrap(), DnsForward::Switch(false));
        assert_eq!(
            asked("dns-forward = true").unwrap(),
            DnsForward::Switch(true)
        );
        let two =
            ["192.0.2.1:53", "[2001:db8::1]:5353"].map(|at| ResolverAddress(at.parse().unwrap()));
        let text = "dns-forward = ['192.0.2.1', '[2001:db8::1]:5353']";
        assert_eq!(asked(text).unwrap(), DnsForward::To(two.into()));
        assert!(asked("dns-forward = ['home']").is_err());
    }

    #[test]
    fn a_shared_path_is_absolute_and_not_everything() {
        let shared = |path: &str| Settings::parse(&format!("shared-paths = ['{path}']"));
        assert_eq!(shared("/srv/x").unwrap().shared_paths.len(), 1);
        assert!(shared("out").is_err());
        assert!(shared("/").is_err());
    }

    #[test]
    fn nothing_listens_off_loopback() {
        assert!(Settings::parse("dns-listen = '0.0.0.0:53'").is_err());
        assert!(Settings::parse("dns-listen = '127.0.0.1:5353'").is_ok());
    }
}
