//! The files that tell a pet who and where it is: `/etc/hosts`, `/etc/hostname` (N64, N65).

use std::fmt::Write;

use k8s_openapi::api::core::v1::{Pod, PodSpec};

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

/// Returns what `hostname` says in the pod.
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
    fn a_long_name_is_cut_to_what_linux_takes() {
        let name = format!("{}-1", "x".repeat(62));
        let pod = pod(json!({"containers": [], "hostname": name}));
        assert_eq!(short_name(&pod), "x".repeat(62));
    }
}
