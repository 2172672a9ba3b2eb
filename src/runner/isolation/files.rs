//! The files that name a pet, its addresses and its name servers: `/etc/hosts`, `/etc/hostname`
//! (N64, N65) and `/etc/resolv.conf` (N60-N63).

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::sorted::SortedSet;

/// The longest host name that Linux takes.
const LONGEST: usize = 63;

/// Returns the host name of a pod, without its domain (N65).
pub(super) fn short_name(pod: &Pod) -> String {
    let spec = pod.spec.as_ref();
    let given = spec.and_then(|spec| spec.hostname.clone());
    let given = given.filter(|name| !name.is_empty());
    let mut name = given.or_else(|| pod.metadata.name.clone());
    let name = name.get_or_insert_default();
    name.truncate(LONGEST);
    name.trim_end_matches(['-', '.']).to_owned()
}

/// Returns the full name of a pod that has a subdomain.
pub(super) fn full_name(pod: &Pod, cluster_domain: &str) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let subdomain = spec.subdomain.as_deref().filter(|it| !it.is_empty())?;
    let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
    let short = short_name(pod);
    Some(format!(
        "{short}.{subdomain}.{namespace}.svc.{cluster_domain}"
    ))
}

/// Returns the host name of the pod's UTS namespace.
pub(super) fn host_name(pod: &Pod, cluster_domain: &str) -> String {
    let wants_full = |spec: &PodSpec| spec.set_hostname_as_fqdn == Some(true);
    let full = full_name(pod, cluster_domain).filter(|_| pod.spec.as_ref().is_some_and(wants_full));
    full.unwrap_or_else(|| short_name(pod))
}

/// Returns the pod's `/etc/hosts`.
pub(super) fn hosts(pod: &Pod, ip: &str, cluster_domain: &str) -> String {
    let mut text = "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n"
        .to_owned();
    let short = short_name(pod);
    let names = match full_name(pod, cluster_domain) {
        Some(full) => format!("{full}\t{short}"),
        None => short,
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{ip}\t{names}");
    let spec = pod.spec.as_ref();
    let aliases = spec.and_then(|spec| spec.host_aliases.as_deref());
    let aliases = aliases.unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        let _ = writeln!(text, "{}\t{names}", alias.ip);
    }
    text
}

/// The most of each that a resolver takes (N63).
const SERVERS: usize = 3;
const SEARCHES: usize = 32;

/// Returns the pod's `/etc/resolv.conf` (N60-N63); `own` is the host's. Without a server of its
/// own the pod is in the host's network.
pub(super) fn resolver(
    pod: &Pod,
    server: Option<Ipv4Addr>,
    cluster_domain: &str,
    own: &str,
) -> String {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref());
    let mut resolver = ResolvConf::read(own);
    match (policy, server) {
        (Some("None"), _) => resolver = ResolvConf::default(),
        (_, None) => {}
        (Some("Default"), Some(server)) => resolver.replace_loopback(server),
        (_, Some(server)) => resolver.prefer(pod, server, cluster_domain),
    }
    if let Some(config) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        resolver
            .servers
            .extend(config.nameservers.iter().flatten().cloned());
        resolver
            .searches
            .extend(config.searches.iter().flatten().cloned());
        for option in config.options.iter().flatten() {
            let name = option.name.as_deref().unwrap_or_default();
            let value = option.value.as_ref().map(|value| format!(":{value}"));
            resolver.set(name, &format!("{name}{}", value.unwrap_or_default()));
        }
    }
    resolver.text()
}

/// The content of a `resolv.conf`.
#[derive(Debug, Default)]
struct ResolvConf {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl ResolvConf {
    fn read(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => resolver.servers.extend(words.next()),
                Some("search") => resolver.searches = words.collect(),
                Some("options") => resolver.options.extend(words),
                Some(_) | None => {}
            }
        }
        resolver
    }

    /// A resolver on the host's own loopback is asked by the network's server.
    fn replace_loopback(&mut self, server: Ipv4Addr) {
        let is_loopback = |ip: &str| ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        for own in &mut self.servers {
            if is_loopback(own) {
                *own = server.to_string();
            }
        }
        self.servers.dedup();
    }

    /// Puts the cluster's names before the host's.
    fn prefer(&mut self, pod: &Pod, server: Ipv4Addr, domain: &str) {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
        let own = std::mem::take(&mut self.searches);
        self.servers = vec![server.to_string()];
        self.searches = vec![
            format!("{namespace}.svc.{domain}"),
            format!("svc.{domain}"),
            domain.to_owned(),
        ];
        self.searches.extend(own);
        self.options = vec!["ndots:5".to_owned()];
    }

    /// Sets an option in the place of one that has the same name.
    fn set(&mut self, name: &str, option: &str) {
        let same = |other: &String| other.split(':').next() == Some(name);
        self.options.retain(|other| !same(other));
        self.options.push(option.to_owned());
    }

    fn text(mut self) -> String {
        let mut text = String::new();
        let mut seen = SortedSet::new();
        self.servers.retain(|server| seen.insert(server.clone()));
        self.searches.retain(|search| seen.insert(search.clone()));
        self.searches.truncate(SEARCHES);
        if !self.searches.is_empty() {
            let _ = writeln!(text, "search {}", self.searches.join(" "));
        }
        for server in self.servers.iter().take(SERVERS) {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !self.options.is_empty() {
            let _ = writeln!(text, "options {}", self.options.join(" "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        let meta = json!({"name": "web-0", "namespace": "shop"});
        serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
    }

    #[test]
    fn a_pod_with_a_subdomain_has_a_full_name_before_its_short_one() {
        let pod = pod(json!({"containers": [], "hostname": "web-0", "subdomain": "web"}));
        let text = hosts(&pod, "10.7.1.1", "cluster.local");
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.ends_with("\n10.7.1.1\tweb-0.web.shop.svc.cluster.local\tweb-0\n"));
        assert_eq!(host_name(&pod, "cluster.local"), "web-0");
    }

    #[test]
    fn aliases_come_last_and_the_full_name_may_be_the_host_name() {
        let aliases = json!([{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]);
        let spec = json!({"containers": [], "hostAliases": aliases, "subdomain": "s", "setHostnameAsFQDN": true});
        let pod = pod(spec);
        let text = hosts(&pod, "10.7.1.1", "z");
        assert!(text.ends_with("\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"));
        assert_eq!(host_name(&pod, "z"), "web-0.s.shop.svc.z");
    }

    #[test]
    fn names_of_the_cluster_come_before_the_hosts() {
        let own = "nameserver 9.9.9.9\nsearch home\noptions edns0\n";
        let server = Some(Ipv4Addr::new(10, 7, 0, 53));
        let config = json!({"nameservers": ["10.0.0.11"], "searches": ["my.domain"],
            "options": [{"name": "ndots", "value": "3"}]});
        let plain = pod(json!({"containers": []}));
        assert_eq!(
            resolver(&plain, server, "z", own),
            "search shop.svc.z svc.z z home\nnameserver 10.7.0.53\noptions ndots:5\n"
        );
        assert_eq!(
            resolver(
                &pod(json!({"containers": [], "dnsConfig": config})),
                server,
                "z",
                own
            ),
            "search shop.svc.z svc.z z home my.domain\n\
             nameserver 10.7.0.53\nnameserver 10.0.0.11\noptions ndots:3\n"
        );
        let none = pod(json!({"containers": [], "dnsPolicy": "None", "dnsConfig": config}));
        let text = resolver(&none, server, "z", own);
        assert!(
            text.starts_with("search my.domain\nnameserver 10.0.0.11\n"),
            "{text}"
        );
        let hosts = pod(json!({"containers": [], "dnsPolicy": "Default"}));
        assert!(resolver(&hosts, server, "z", own).contains("nameserver 9.9.9.9"));
        let stub = "nameserver 127.0.0.53\nsearch home\n";
        let text = resolver(&hosts, server, "z", stub);
        assert_eq!(text, "search home\nnameserver 10.7.0.53\n");
    }

    #[test]
    fn a_long_name_is_cut_to_what_linux_takes() {
        let name = format!("{}-1", "x".repeat(62));
        let pod = pod(json!({"containers": [], "hostname": name}));
        assert_eq!(short_name(&pod), "x".repeat(62));
    }
}
