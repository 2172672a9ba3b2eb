//! `petset dns setup`

use std::net::SocketAddr;

use clap::{Args as ClapArgs, ValueEnum};

use super::zone;
use crate::cli::shared::dns_server::no_server;
use crate::cli::shared::render;
use crate::cli::shared::session::Session;
use crate::problem::Result;

/// Print how to configure the resolver of this machine for petset
///
/// Nothing is changed: the command prints commands for you to review and run. They let programs
/// outside of pets resolve names such as web-0.web.default.svc.cluster.local.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
The server runs while a pet runs. If you have several state directories, give each its own
cluster-domain in petset.toml.

Examples:
  petset dns setup
  petset dns setup dnsmasq")]
pub(super) struct Args {
    /// Resolver to configure; the default is to print all of them
    resolver: Option<ResolverKind>,
}

/// A resolver that petset can print settings for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ResolverKind {
    /// systemd-resolved, the default of most Linux desktops
    SystemdResolved,
    Dnsmasq,
    /// No resolver: lines in /etc/hosts
    Hosts,
}

const ALL: [ResolverKind; 3] = [
    ResolverKind::SystemdResolved,
    ResolverKind::Dnsmasq,
    ResolverKind::Hosts,
];

pub(super) fn run(session: &Session, args: &Args) -> Result<()> {
    let server = zone::server(session).ok_or_else(no_server)?;
    let domain = &session.store.settings().cluster_domain;
    let reverse = zone::block(session).map(|block| block.reverse_zones()[0].clone());
    let config = ResolverConfig {
        server,
        domain,
        reverse: reverse.as_deref(),
        state: session.store.layout().root().display().to_string(),
    };
    match args.resolver {
        Some(resolver) => render::text(&config.advice(resolver)),
        None => {
            let all: Vec<String> = ALL
                .iter()
                .map(|resolver| config.advice(*resolver))
                .collect();
            render::text(&all.join("\n"))
        }
    }
}

/// The settings that a resolver needs.
struct ResolverConfig<'a> {
    server: SocketAddr,
    domain: &'a str,
    reverse: Option<&'a str>,
    state: String,
}

impl ResolverConfig<'_> {
    fn advice(&self, resolver: ResolverKind) -> String {
        match resolver {
            ResolverKind::SystemdResolved => self.systemd_resolved(),
            ResolverKind::Dnsmasq => self.dnsmasq(),
            ResolverKind::Hosts => self.hosts(),
        }
    }

    fn systemd_resolved(&self) -> String {
        let Self { server, domain, .. } = self;
        let reverse = self
            .reverse
            .map(|zone| format!(" ~{zone}"))
            .unwrap_or_default();
        format!(
            "# systemd-resolved (246 or newer)\n\
             sudo mkdir -p /etc/systemd/resolved.conf.d\n\
             sudo tee /etc/systemd/resolved.conf.d/petset.conf <<'END'\n\
             [Resolve]\n\
             DNS={server}\n\
             Domains=~{domain}{reverse}\n\
             END\n\
             sudo systemctl restart systemd-resolved\n"
        )
    }

    fn dnsmasq(&self) -> String {
        let (ip, port, domain) = (self.server.ip(), self.server.port(), self.domain);
        let entry = |zone: &str| format!("server=/{zone}/{ip}#{port}\n");
        let reverse = self.reverse.map(entry).unwrap_or_default();
        format!(
            "# dnsmasq\n\
             sudo tee /etc/dnsmasq.d/petset.conf <<'END'\n\
             {}{reverse}\
             END\n\
             sudo systemctl restart dnsmasq\n",
            entry(domain)
        )
    }

    fn hosts(&self) -> String {
        let state = shlex::try_quote(&self.state)
            .unwrap_or_default()
            .into_owned();
        format!(
            "# /etc/hosts: the pets that are ready now, and no later ones\n\
             petset --state-dir {state} dns hosts | sudo tee -a /etc/hosts\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resolver_is_told_domain_address_and_port() {
        let config = ResolverConfig {
            server: "127.84.0.53:5353".parse().unwrap(),
            domain: "cluster.local",
            reverse: Some("84.127.in-addr.arpa"),
            state: "/tmp/my state".to_owned(),
        };
        let resolved = config.advice(ResolverKind::SystemdResolved);
        assert!(
            resolved
                .contains("DNS=127.84.0.53:5353\nDomains=~cluster.local ~84.127.in-addr.arpa\n")
        );
        let dnsmasq = config.advice(ResolverKind::Dnsmasq);
        assert!(dnsmasq.contains("server=/cluster.local/127.84.0.53#5353\n"));
        assert!(
            config
                .advice(ResolverKind::Hosts)
                .contains("--state-dir '/tmp/my state' dns hosts")
        );
    }
}
