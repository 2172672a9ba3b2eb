//! `petset dns`

mod query;
mod records;
mod serve;
mod setup;
mod zone;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::shared::names::{SetRef, named};
use super::shared::render;
use super::shared::session::Session;
use crate::dns::{DnsRecord, RecordData, TABLE_HEAD, Zone, hosts, rows, zone_file};
use crate::model::SetName;
use crate::model::endpoints::ServiceRecord;
use crate::problem::Result;

const EXAMPLES: &str = "\
If a set is called query, serve, setup or hosts, write sts/query and so on.

Examples:
  petset dns                                every record of the state directory
  petset dns web                            the records of one set
  petset dns query web-0.web                one name, as a pet in this namespace would ask for it
  petset dns query _http._tcp.web SRV       ports and names of the ready pets
  petset dns web -o hosts | sudo tee -a /etc/hosts";

/// Show the DNS records of pets and services
///
/// The records are computed from the files of the state directory, with the current readiness of
/// each pet. Neither the supervisor nor the DNS server has to run.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<DnsVerb>,
    #[command(flatten)]
    list: ListArgs,
}

/// The options for listing records.
#[derive(Debug, ClapArgs)]
struct ListArgs {
    /// Show only the records of this set
    set: Option<SetRef>,
    /// Name of the set, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    set_name: Option<SetRef>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<RecordFormat>,
}

/// The output formats of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RecordFormat {
    /// The table, with reverse names
    Wide,
    /// A list of {"name", "type", "ttl", "value"}
    Json,
    /// A zone file
    Zone,
    /// Lines for /etc/hosts
    Hosts,
}

#[derive(Debug, Subcommand)]
enum DnsVerb {
    Query(query::Args),
    Serve(serve::Args),
    Setup(setup::Args),
    Hosts(HostsArgs),
}

/// Print lines for /etc/hosts
///
/// Each line is an address, a full name, and the shorter names that are unique. Only pets that are
/// ready now are included: print the lines again when they change.
#[derive(Debug, ClapArgs)]
struct HostsArgs {
    /// Print only the names of this set
    set: Option<SetRef>,
    /// Name of the set, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    set_name: Option<SetRef>,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.verb {
        None => list(
            session,
            named(args.list.set.as_ref(), args.list.set_name.as_ref())?,
            args.list.output,
        ),
        Some(DnsVerb::Query(args)) => query::run(session, args),
        Some(DnsVerb::Serve(args)) => serve::run(session, args),
        Some(DnsVerb::Setup(args)) => setup::run(session, args),
        Some(DnsVerb::Hosts(args)) => list(
            session,
            named(args.set.as_ref(), args.set_name.as_ref())?,
            Some(RecordFormat::Hosts),
        ),
    }
}

fn list(session: &Session, set: Option<&SetName>, form: Option<RecordFormat>) -> Result<()> {
    let services = match set {
        Some(set) => records::of_set(session, set)?,
        None => records::all(session)?,
    };
    if form == Some(RecordFormat::Hosts) {
        let domain = &session.store.settings().cluster_domain;
        return render::text(&hosts(&services, domain));
    }
    let zone = zone_of(session, services);
    let mut found = zone.records();
    if set.is_some() {
        found.retain(|record| !is_of_the_zone(&zone, record));
    }
    match form {
        Some(RecordFormat::Json) => render::json(&found),
        Some(RecordFormat::Zone | RecordFormat::Hosts) => {
            render::text(&zone_file(zone.domain(), &found))
        }
        Some(RecordFormat::Wide) => table(&found),
        None => {
            found.retain(|record| !matches!(record.value, RecordData::Ptr(_)));
            table(&found)
        }
    }
}

fn table(found: &[DnsRecord]) -> Result<()> {
    let cells: Vec<Vec<String>> = rows(found).into_iter().map(Vec::from).collect();
    render::table(&TABLE_HEAD, &cells)
}

/// Returns whether a record is about the zone itself, not about a set.
fn is_of_the_zone(zone: &Zone, record: &DnsRecord) -> bool {
    let below = record.name.strip_suffix(zone.domain());
    below.is_some_and(|below| matches!(below, "" | "ns.dns." | "dns-version."))
}

/// Returns the zone that the supervisor would serve.
fn zone_of(session: &Session, services: Vec<ServiceRecord>) -> Zone {
    let mut zone = zone::empty(session).with_servers(zone::server(session).map(|it| it.ip()));
    zone.load(services);
    zone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zones_own_records_are_no_sets() {
        let zone = Zone::new("cluster.local", []);
        assert!(
            zone.records()
                .iter()
                .all(|record| is_of_the_zone(&zone, record))
        );
        let record = DnsRecord {
            name: "web.default.svc.cluster.local".to_owned(),
            ttl: 5,
            value: RecordData::address([127, 7, 1, 1].into()),
        };
        assert!(!is_of_the_zone(&zone, &record));
    }
}
