//! The output formats of a list of peers.

use std::str::FromStr;

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::cli::shared::peers::Peer;
use crate::problem::{Problem, Result};

/// The options for the output.
#[derive(Debug, Args)]
pub(super) struct Shape {
    /// Append :PORT to each name; the name of a port stands for its number
    #[arg(long, value_name = "NAME|NUMBER")]
    port: Option<PortRef>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "lines")]
    output: PeerFormat,
    /// Print each peer by this template, such as '{name}=http://{fqdn}:{port:http}'
    #[arg(long, value_name = "TEMPLATE", conflicts_with = "output")]
    format: Option<Template>,
    /// Print the peers on one line, separated by this
    #[arg(long, value_name = "SEPARATOR", allow_hyphen_values = true)]
    join: Option<String>,
}

/// The output formats that `-o` offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PeerFormat {
    /// Full DNS names, one per line
    Lines,
    /// A list of objects
    Json,
    /// Comma-separated values with a heading
    Csv,
    /// Shell variables: `eval "$(petset discover -o env)"`
    Env,
    /// SRV records, as `dig +short SRV` prints them
    Srv,
    /// Addresses, one per line
    Ip,
    /// Short names such as web-0, one per line
    Name,
}

/// A port by its number or by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PortRef {
    Number(u16),
    Name(String),
}

impl FromStr for PortRef {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            _ if text.is_empty() => Err(Problem::invalid("a port is a number or a name")),
            Ok(0) => Err(Problem::invalid("0 is not a port")),
            Ok(number) => Ok(Self::Number(number)),
            Err(_) if is_number => {
                let message = format!("{text} is not a port: the highest is 65535");
                Err(Problem::invalid(message))
            }
            Err(_) => Ok(Self::Name(text.to_owned())),
        }
    }
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Placeholder {
    Text(String),
    Name,
    Fqdn,
    Ip,
    Ordinal,
    Ready,
    Status,
    Namespace,
    /// The port of `--port`.
    Port,
    PortNamed(PortRef),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Placeholder>);

impl FromStr for Template {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let (mut parts, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                '{' | '}' if rest.peek() == Some(&letter) => plain.extend(rest.next()),
                '{' => {
                    parts.push(Placeholder::Text(std::mem::take(&mut plain)));
                    let word: String = rest.by_ref().take_while(|letter| *letter != '}').collect();
                    parts.push(placeholder(&word)?);
                }
                '\\' if rest.next_if_eq(&'n').is_some() => plain.push('\n'),
                '\\' if rest.next_if_eq(&'t').is_some() => plain.push('\t'),
                other => plain.push(other),
            }
        }
        parts.push(Placeholder::Text(plain));
        Ok(Self(parts))
    }
}

fn placeholder(word: &str) -> Result<Placeholder, Problem> {
    match word {
        "name" => Ok(Placeholder::Name),
        "fqdn" => Ok(Placeholder::Fqdn),
        "ip" => Ok(Placeholder::Ip),
        "ordinal" => Ok(Placeholder::Ordinal),
        "ready" => Ok(Placeholder::Ready),
        "status" => Ok(Placeholder::Status),
        "namespace" => Ok(Placeholder::Namespace),
        "port" => Ok(Placeholder::Port),
        _ => match word.strip_prefix("port:") {
            Some(port) => port.parse().map(Placeholder::PortNamed),
            None => Err(Problem::invalid(format!(
                "{{{word}}} is not a placeholder; those are {{name}} {{fqdn}} {{ip}} {{ordinal}} \
                 {{ready}} {{status}} {{namespace}} {{port}} {{port:NAME}}"
            ))),
        },
    }
}

impl Shape {
    /// Formats the peers, with the final newline.
    pub(super) fn write(&self, peers: &[&Peer], namespace: &str) -> Result<String> {
        if let Some(template) = &self.format {
            let fill = |peer: &&Peer| self.fill(template, peer, namespace);
            return Ok(self.lay_out(peers.iter().map(fill).collect::<Result<_>>()?));
        }
        let each = |of: &dyn Fn(&Peer) -> String| -> Result<String> {
            let entry = |peer: &&Peer| Ok(of(peer) + &self.suffix(peer)?);
            Ok(self.lay_out(peers.iter().map(entry).collect::<Result<_>>()?))
        };
        match self.output {
            PeerFormat::Lines => each(&Peer::host),
            PeerFormat::Ip => each(&|peer| peer.ip.map(|ip| ip.to_string()).unwrap_or_default()),
            PeerFormat::Name => each(&|peer| peer.name.clone()),
            PeerFormat::Srv => Ok(self.lay_out(self.services(peers)?)),
            PeerFormat::Json => self.alone(json(peers)),
            PeerFormat::Csv => self.alone(Ok(csv(peers))),
            PeerFormat::Env => self.alone(self.variables(peers)),
        }
    }

    /// Refuses --join for formats that are not lists of lines.
    fn alone(&self, text: Result<String>) -> Result<String> {
        match self.join {
            None => text,
            Some(_) => Err(Problem::invalid(
                "--join puts lines together: it goes with -o lines, name, ip and srv, and --format",
            )
            .into()),
        }
    }

    fn lay_out(&self, entries: Vec<String>) -> String {
        match &self.join {
            Some(_) if entries.is_empty() => String::new(),
            Some(separator) => entries.join(separator) + "\n",
            None => entries.iter().map(|entry| format!("{entry}\n")).collect(),
        }
    }

    fn suffix(&self, peer: &Peer) -> Result<String> {
        match &self.port {
            None => Ok(String::new()),
            Some(port) => Ok(format!(":{}", number_of(port, peer)?)),
        }
    }

    fn fill(&self, template: &Template, peer: &Peer, namespace: &str) -> Result<String> {
        let part = |part: &Placeholder| -> Result<String> {
            Ok(match part {
                Placeholder::Text(text) => text.clone(),
                Placeholder::Name => peer.name.clone(),
                Placeholder::Fqdn => peer.host(),
                Placeholder::Ip => peer.ip.map(|ip| ip.to_string()).unwrap_or_default(),
                Placeholder::Ordinal => peer.ordinal.map(|n| n.to_string()).unwrap_or_default(),
                Placeholder::Ready => peer.ready.to_string(),
                Placeholder::Status => peer.status.clone(),
                Placeholder::Namespace => namespace.to_owned(),
                Placeholder::Port => {
                    let port = self.port.as_ref().ok_or_else(|| {
                        Problem::invalid("{port} stands for the port of --port, which is missing")
                            .hint("name it there, or write {port:NAME}")
                    })?;
                    number_of(port, peer)?.to_string()
                }
                Placeholder::PortNamed(port) => number_of(port, peer)?.to_string(),
            })
        };
        template.0.iter().map(part).collect()
    }

    /// Returns a record for each peer and port: the one of `--port`, else all named ones.
    fn services(&self, peers: &[&Peer]) -> Result<Vec<String>> {
        let mut found = Vec::new();
        for peer in peers {
            match &self.port {
                Some(port) => found.push((number_of(port, peer)?, *peer)),
                None if peer.ports.is_empty() => found.push((0, *peer)),
                None => found.extend(peer.ports.values().map(|port| (*port, *peer))),
            }
        }
        let weight = 100usize.checked_div(found.len()).unwrap_or(100).max(1);
        let record = |(port, peer): &(u16, &Peer)| format!("0 {weight} {port} {}.", peer.host());
        Ok(found.iter().map(record).collect())
    }

    fn variables(&self, peers: &[&Peer]) -> Result<String> {
        let mut hosts = Vec::new();
        let mut each = String::new();
        for (place, peer) in peers.iter().enumerate() {
            let host = peer.host() + &self.suffix(peer)?;
            let ip = peer.ip.map(|ip| ip.to_string()).unwrap_or_default();
            let fields = [
                ("NAME", peer.name.clone()),
                ("HOST", host.clone()),
                ("IP", ip),
                ("READY", peer.ready.to_string()),
            ];
            for (field, value) in fields {
                each.push_str(&format!("PETSET_PEER_{place}_{field}={}\n", quoted(&value)));
            }
            hosts.push(host);
        }
        let list = quoted(&hosts.join(" "));
        let count = peers.len();
        Ok(format!(
            "PETSET_PEERS={list}\nPETSET_PEER_COUNT={count}\n{each}"
        ))
    }
}

/// Returns the number of a port; a name is looked up in the ports of the peer.
fn number_of(port: &PortRef, peer: &Peer) -> Result<u16> {
    let name = match port {
        PortRef::Number(number) => return Ok(*number),
        PortRef::Name(name) => name,
    };
    peer.ports.get(name).copied().ok_or_else(|| {
        let known: Vec<&str> = peer.ports.keys().map(String::as_str).collect();
        let problem = Problem::invalid(format!("{} has no port named {name:?}", peer.name));
        let hint = match known.as_slice() {
            [] => "its containers name no ports: give the number".to_owned(),
            known => format!("its ports are called {}", known.join(", ")),
        };
        problem.hint(hint).into()
    })
}

fn json(peers: &[&Peer]) -> Result<String> {
    let text = serde_json::to_string_pretty(peers).context("cannot write JSON")?;
    Ok(text + "\n")
}

fn csv(peers: &[&Peer]) -> String {
    let mut text = "name,fqdn,ip,ordinal,ready,ports\n".to_owned();
    for peer in peers {
        let ports: Vec<String> = peer
            .ports
            .iter()
            .map(|(name, port)| format!("{name}={port}"))
            .collect();
        let fields = [
            peer.name.clone(),
            peer.fqdn.clone().unwrap_or_default(),
            peer.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            peer.ordinal.map(|n| n.to_string()).unwrap_or_default(),
            peer.ready.to_string(),
            ports.join(";"),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

/// Quotes text for a shell if necessary.
fn quoted(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| String::new(), Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ordinal: u32) -> Peer {
        Peer {
            name: format!("web-{ordinal}"),
            fqdn: Some(format!("web-{ordinal}.web.default.svc.cluster.local")),
            ip: format!("127.7.1.{}", ordinal + 1).parse().ok(),
            ordinal: Some(ordinal),
            ready: true,
            ports: [("http".to_owned(), 8080)].into(),
            status: "Running".to_owned(),
            published: true,
        }
    }

    fn shape(output: PeerFormat) -> Shape {
        Shape {
            port: None,
            output,
            format: None,
            join: None,
        }
    }

    fn written(shape: &Shape) -> String {
        let peers = [peer(0), peer(1)];
        let peers: Vec<&Peer> = peers.iter().collect();
        shape.write(&peers, "default").unwrap()
    }

    #[test]
    fn each_form_has_its_text() {
        let mut lines = shape(PeerFormat::Lines);
        lines.port = Some("http".parse().unwrap());
        lines.join = Some(",".to_owned());
        let joined = "web-0.web.default.svc.cluster.local:8080,\
                      web-1.web.default.svc.cluster.local:8080\n";
        assert_eq!(written(&lines), joined);
        assert_eq!(written(&shape(PeerFormat::Ip)), "127.7.1.1\n127.7.1.2\n");
        assert_eq!(written(&shape(PeerFormat::Name)), "web-0\nweb-1\n");
        let records = "0 50 8080 web-0.web.default.svc.cluster.local.\n\
                       0 50 8080 web-1.web.default.svc.cluster.local.\n";
        assert_eq!(written(&shape(PeerFormat::Srv)), records);
        let rows = written(&shape(PeerFormat::Csv));
        let row = "web-1,web-1.web.default.svc.cluster.local,127.7.1.2,1,true,http=8080\n";
        assert!(rows.ends_with(row), "{rows}");
        let variables = written(&shape(PeerFormat::Env));
        assert!(variables.contains("PETSET_PEER_COUNT=2\nPETSET_PEER_0_NAME=web-0\n"));
        assert!(written(&shape(PeerFormat::Json)).starts_with("[\n  {\n    \"name\": \"web-0\","));
    }

    #[test]
    fn a_template_is_filled_and_a_typo_in_it_is_refused() {
        let mut shape = shape(PeerFormat::Lines);
        let template = "{name}=http://{ip}:{port:http}/{{{ordinal}}}\\t{ready}";
        shape.format = Some(template.parse().unwrap());
        shape.join = Some(" ".to_owned());
        let filled =
            "web-0=http://127.7.1.1:8080/{0}\ttrue web-1=http://127.7.1.2:8080/{1}\ttrue\n";
        assert_eq!(written(&shape), filled);
        let fault = "{nmae}".parse::<Template>().unwrap_err().to_string();
        assert!(fault.starts_with("{nmae} is not a placeholder; those are {name} "));
    }

    #[test]
    fn a_port_that_is_not_known_is_refused_with_those_that_are() {
        let port = "htpp".parse().unwrap();
        let fault = number_of(&port, &peer(0)).unwrap_err();
        assert_eq!(fault.to_string(), "web-0 has no port named \"htpp\"");
        assert!("0".parse::<PortRef>().is_err() && "70000".parse::<PortRef>().is_err());
        assert_eq!("80".parse::<PortRef>().unwrap(), PortRef::Number(80));
    }

    #[test]
    fn an_empty_list_is_no_line_at_all() {
        let mut shape = shape(PeerFormat::Lines);
        assert_eq!(shape.write(&[], "default").unwrap(), "");
        shape.join = Some(",".to_owned());
        assert_eq!(shape.write(&[], "default").unwrap(), "");
    }
}
