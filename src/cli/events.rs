//! `petset events`

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event as CoreEvent, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::json;

use super::shared::lookout::Lookout;
use super::shared::names::Target;
use super::shared::objects::owner;
use super::shared::render::{self, Columns, Format};
use super::shared::session::{Session, say};
use crate::model::{Namespace, ObjectName, printer};
use crate::problem::{Problem, Result};
use crate::store::journal::{self, Event, Severity};
use crate::store::names_in;

const HEADINGS: [&str; 5] = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];

/// Show what happened, oldest first
///
/// The same thing that happened several times is one line, which says how often and since when.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset events              of everything in the namespace
  petset events web          of the set web, its pets and claims
  petset events web-0 -w     of one pet, and then each further one")]
pub(crate) struct Args {
    /// Set or pet, such as web or web-0
    #[arg(value_name = "SET|POD")]
    target: Option<Target>,
    /// Go on to show what happens, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Form of the output
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Leave out the headings
    #[arg(long)]
    no_headers: bool,
}

/// The forms of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Kubernetes' events as JSON
    Json,
    /// Kubernetes' events as YAML
    Yaml,
}

impl Args {
    /// Reads `get events [SET|POD]`; nothing where something else is to be got.
    pub(super) fn of_get(
        what: &[String],
        watch: bool,
        output: Option<Format>,
    ) -> Option<Result<Self>> {
        let (first, rest) = what.split_first()?;
        if !matches!(first.as_str(), "events" | "event" | "ev") {
            return None;
        }
        let target = match rest {
            [] => Ok(None),
            [name] => name.parse().map(Some),
            _ => Err(Problem::invalid(
                "events of one set or pet can be shown at a time",
            )),
        };
        let output = match output {
            Some(Format::Json) => Some(Form::Json),
            Some(Format::Yaml) => Some(Form::Yaml),
            Some(Format::Wide | Format::Name) | None => None,
        };
        let args = target.map(|target| Self {
            target,
            watch,
            output,
            tail: None,
            no_headers: false,
        });
        Some(args.map_err(Into::into))
    }
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let scope = Scope::of(session, args.target.as_ref())?;
    if args.watch {
        return watch(session, args, &scope);
    }
    let mut seen = aggregate(scope.events(session)?);
    let surplus = args.tail.map_or(0, |tail| seen.len().saturating_sub(tail));
    seen.drain(..surplus);
    match args.output {
        Some(form) => show_whole(form, &session.namespace, &seen),
        None if seen.is_empty() => {
            say(format!(
                "No events found in {} namespace.",
                session.namespace
            ));
            Ok(())
        }
        None => show_table(args, &seen),
    }
}

fn show_whole(form: Form, namespace: &Namespace, seen: &[Seen]) -> Result<()> {
    let items: Vec<CoreEvent> = seen.iter().map(|seen| seen.to_core(namespace)).collect();
    let list = json!({
        "apiVersion": "v1",
        "items": items,
        "kind": "List",
        "metadata": { "resourceVersion": "" },
    });
    match form {
        Form::Json => render::json(&list),
        Form::Yaml => render::yaml(&list),
    }
}

fn show_table(args: &Args, seen: &[Seen]) -> Result<()> {
    let now = Timestamp::now();
    let mut rows = Vec::new();
    if !args.no_headers {
        rows.push(HEADINGS.map(str::to_owned).to_vec());
    }
    rows.extend(seen.iter().map(|seen| seen.row(now)));
    render::text(&Columns::default().lay_out(&rows))
}

/// Shows what has happened, and then each thing that happens.
fn watch(session: &Session, args: &Args, scope: &Scope) -> Result<()> {
    let mut lookout = Lookout::for_reader()?;
    let mut columns = Columns::default();
    lookout.at(&[session.store.layout().events(&session.namespace)])?;
    let mut known = scope.events(session)?;
    let surplus = args.tail.map_or(0, |tail| known.len().saturating_sub(tail));
    let headings = args.output.is_none() && !args.no_headers;
    if headings {
        // They get the widths of what follows at once.
        let now = Timestamp::now();
        let first = known[surplus..].iter().cloned().map(Seen::once);
        let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned).to_vec())
            .chain(first.map(|seen| seen.row(now)))
            .collect();
        render::text(&columns.lay_out(&rows))?;
    } else {
        show_events(session, args, &mut columns, &known[surplus..])?;
    }
    loop {
        lookout.wait(None)?;
        let now = scope.events(session)?;
        let news: Vec<Event> = after(&known, &now).to_vec();
        show_events(session, args, &mut columns, &news)?;
        known = now;
    }
}

/// Returns the events of `now` that are not among the last of `known`. Old ones may have been
/// forgotten meanwhile, when a journal was full.
fn after<'a>(known: &[Event], now: &'a [Event]) -> &'a [Event] {
    let Some(last) = known.last() else {
        return now;
    };
    let same = |events: &[Event]| {
        events
            .iter()
            .filter(|event| event.time >= last.time)
            .count()
    };
    let fresh = now.partition_point(|event| event.time < last.time);
    &now[(fresh + same(known)).min(now.len())..]
}

fn show_events(
    session: &Session,
    args: &Args,
    columns: &mut Columns,
    events: &[Event],
) -> Result<()> {
    let now = Timestamp::now();
    for event in events {
        let seen = Seen::once(event.clone());
        match args.output {
            Some(Form::Json) => render::json(&seen.to_core(&session.namespace))?,
            Some(Form::Yaml) => {
                render::text("---\n")?;
                render::yaml(&seen.to_core(&session.namespace))?;
            }
            None => render::text(&columns.lay_out(&[seen.row(now)]))?,
        }
    }
    Ok(())
}

/// Whose events are shown.
#[derive(Debug)]
pub(crate) enum Scope {
    /// Everybody's.
    All,
    /// Those of a set, its pets and claims.
    Set(String),
    /// Those of one object, found in the journals of these owners.
    Object { object: String, owners: Vec<String> },
}

impl Scope {
    fn of(session: &Session, target: Option<&Target>) -> Result<Self> {
        let Some(target) = target else {
            return Ok(Self::All);
        };
        let name: ObjectName = target.name().parse()?;
        let journal = session
            .store
            .layout()
            .journal(&session.namespace, name.as_str());
        let is_set = || -> Result<bool> {
            let known = session
                .store
                .find::<k8s_openapi::api::apps::v1::StatefulSet>(&session.namespace, &name)?;
            // What is left of a set that was deleted can still be read.
            Ok(known.is_some() || journal.exists())
        };
        match target {
            Target::Set(_) | Target::Either(_) if is_set()? => Ok(Self::Set(name.to_string())),
            Target::Set(_) => Err(session.not_found("statefulsets.apps", name.as_str()).into()),
            Target::Pet(_) | Target::Either(_) => Self::of_pet(session, &name),
        }
    }

    fn of_pet(session: &Session, name: &ObjectName) -> Result<Self> {
        let scope = Self::pet(session, name)?;
        let known = session.pet(&session.namespace, name)?.is_some();
        if known || !scope.events(session)?.is_empty() {
            return Ok(scope);
        }
        Err(session.not_found("pods", name.as_str()).into())
    }

    /// Means one pet's events.
    pub(crate) fn pet(session: &Session, name: &ObjectName) -> Result<Self> {
        let pod = session.pet(&session.namespace, name)?;
        let by_name = name
            .as_str()
            .rsplit_once('-')
            .map(|(set, _)| set.to_owned());
        let owner = pod.as_ref().and_then(|pod| owner(&pod.metadata));
        let mut owners = vec![name.to_string()];
        owners.extend(owner.map(str::to_owned).or(by_name));
        let object = format!("pod/{name}");
        Ok(Self::Object { object, owners })
    }

    /// Means the events of a set itself, without its pets.
    pub(crate) fn set_alone(name: &str) -> Self {
        Self::Object {
            object: format!("statefulset/{name}"),
            owners: vec![name.to_owned()],
        }
    }

    /// Returns the events, oldest first.
    pub(crate) fn events(&self, session: &Session) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        for path in self.journals(session)? {
            let found = journal::events(&path);
            events.extend(found.with_context(|| format!("cannot read {}", path.display()))?);
        }
        if let Self::Object { object, .. } = self {
            events.retain(|event| event.object == *object);
        }
        events.sort_by_key(|event| event.time);
        Ok(events)
    }

    fn journals(&self, session: &Session) -> Result<Vec<PathBuf>> {
        let layout = session.store.layout();
        let journal = |owner: &str| layout.journal(&session.namespace, owner);
        Ok(match self {
            Self::Set(set) => vec![journal(set)],
            Self::Object { owners, .. } => owners.iter().map(|owner| journal(owner)).collect(),
            Self::All => {
                let dir = layout.events(&session.namespace);
                let names =
                    names_in(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
                let owners = names.iter().filter_map(|name| name.strip_suffix(".jsonl"));
                owners.map(journal).collect()
            }
        })
    }
}

/// The same thing, seen once or several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    event: Event,
    first: Timestamp,
    last: Timestamp,
    count: usize,
}

/// Puts together what happened several times; ordered by when it was seen last.
pub(crate) fn aggregate(events: Vec<Event>) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    let mut places: HashMap<(String, String, String), usize> = HashMap::new();
    for event in events {
        let key = (
            event.object.clone(),
            event.reason.clone(),
            event.message.clone(),
        );
        match places.get(&key) {
            Some(&place) => {
                let seen = &mut all[place];
                seen.count += 1;
                seen.last = event.time.max(seen.last);
            }
            None => {
                places.insert(key, all.len());
                all.push(Seen::once(event));
            }
        }
    }
    all.sort_by_key(|seen| seen.last);
    all
}

impl Seen {
    fn once(event: Event) -> Self {
        Self {
            first: event.time,
            last: event.time,
            count: 1,
            event,
        }
    }

    /// Returns when it was seen: `3s`, or `3s (x4 over 10s)`.
    pub(crate) fn age(&self, now: Timestamp) -> String {
        let ago = |time| printer::age(now.duration_since(time));
        if self.count == 1 {
            return ago(self.last);
        }
        format!(
            "{} (x{} over {})",
            ago(self.last),
            self.count,
            ago(self.first)
        )
    }

    pub(crate) const fn event(&self) -> &Event {
        &self.event
    }

    pub(crate) const fn severity(&self) -> &'static str {
        match self.event.severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        }
    }

    fn row(&self, now: Timestamp) -> Vec<String> {
        let Event {
            reason,
            object,
            message,
            ..
        } = &self.event;
        let (age, severity) = (self.age(now), self.severity().to_owned());
        vec![
            age,
            severity,
            reason.clone(),
            object.clone(),
            message.clone(),
        ]
    }

    /// Returns it as Kubernetes' object.
    fn to_core(&self, namespace: &Namespace) -> CoreEvent {
        let (kind, name) = self.event.object.split_once('/').unwrap_or_default();
        let (kind, version, component) = match kind {
            "statefulset" => ("StatefulSet", "apps/v1", "statefulset-controller"),
            "pod" => ("Pod", "v1", "kubelet"),
            "persistentvolumeclaim" => ("PersistentVolumeClaim", "v1", "statefulset-controller"),
            other => (other, "v1", "petset"),
        };
        CoreEvent {
            metadata: ObjectMeta {
                name: Some(format!("{name}.{:x}", self.first.as_nanosecond())),
                namespace: Some(namespace.to_string()),
                creation_timestamp: Some(Time(self.first)),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                api_version: Some(version.to_owned()),
                kind: Some(kind.to_owned()),
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_string()),
                ..ObjectReference::default()
            },
            type_: Some(self.severity().to_owned()),
            reason: Some(self.event.reason.clone()),
            message: Some(self.event.message.clone()),
            count: i32::try_from(self.count).ok(),
            first_timestamp: Some(Time(self.first)),
            last_timestamp: Some(Time(self.last)),
            source: Some(EventSource {
                component: Some(component.to_owned()),
                ..EventSource::default()
            }),
            ..CoreEvent::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(second: i64, object: &str, message: &str) -> Event {
        Event {
            time: Timestamp::from_second(second).unwrap(),
            severity: Severity::Normal,
            reason: "Started".to_owned(),
            object: object.to_owned(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn what_happened_several_times_is_one_line() {
        let events = vec![
            event(100, "pod/web-0", "started c"),
            event(105, "pod/web-1", "started c"),
            event(110, "pod/web-0", "started c"),
        ];
        let seen = aggregate(events);
        let now = Timestamp::from_second(112).unwrap();
        let rows: Vec<String> = seen.iter().map(|seen| seen.row(now).join("|")).collect();
        assert_eq!(
            rows,
            [
                "7s|Normal|Started|pod/web-1|started c",
                "2s (x2 over 12s)|Normal|Started|pod/web-0|started c",
            ]
        );
    }

    #[test]
    fn a_watch_shows_each_event_once_also_when_old_ones_are_forgotten() {
        let all = [
            event(1, "pod/a", "1"),
            event(2, "pod/a", "2"),
            event(2, "pod/a", "3"),
            event(3, "pod/a", "4"),
        ];
        assert_eq!(after(&[], &all), &all[..]);
        assert_eq!(after(&all[..2], &all), &all[2..]);
        assert_eq!(after(&all[..3], &all[1..]), &all[3..]);
        assert_eq!(after(&all, &all), &[]);
    }
}
