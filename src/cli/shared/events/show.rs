//! `petset events`, which is `petset get events` too.

use clap::ValueEnum;
use jiff::Timestamp;

use super::scope::Scope;
use super::series::{EventSeries, aggregate};
use crate::cli::shared::names::TargetRef;
use crate::cli::shared::render::{self, Columns, Document, Format, List};
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::watcher::Watcher;
use crate::model::Namespace;
use crate::problem::{Problem, Result};
use crate::store::journal::Event;

const HEADINGS: [&str; 5] = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"];

/// What `petset events` accepts, and `petset get events` in part.
#[derive(Debug, clap::Args)]
pub(crate) struct EventArgs {
    /// Set or pet, such as web or web-0
    #[arg(value_name = "SET|POD")]
    target: Option<TargetRef>,
    /// Name of the set or pet, if the word before is a kind
    #[arg(value_name = "NAME", hide = true)]
    target_name: Option<TargetRef>,
    /// Keep watching and print new events, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<EventFormat>,
    /// Print only the last N events
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Print no headings
    #[arg(long)]
    no_headers: bool,
}

/// The output formats of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EventFormat {
    /// Kubernetes events as JSON
    Json,
    /// Kubernetes events as YAML
    Yaml,
}

impl EventArgs {
    /// Reads `get events [SET|POD]`; `None` where other objects are meant.
    pub(crate) fn of_get(
        what: &[String],
        watch: bool,
        output: Option<Format>,
    ) -> Option<Result<Self>> {
        let (first, rest) = what.split_first()?;
        if !matches!(first.as_str(), "events" | "event" | "ev") {
            return None;
        }
        let parse = |word: Option<&String>| word.map(|word| word.parse()).transpose();
        let target = match rest {
            [] | [_] | [_, _] => {
                parse(rest.first()).and_then(|target| Ok((target, parse(rest.get(1))?)))
            }
            _ => Err(Problem::invalid(
                "events of one set or pet can be shown at a time",
            )),
        };
        let output = match output {
            Some(Format::Json) => Some(EventFormat::Json),
            Some(Format::Yaml) => Some(EventFormat::Yaml),
            Some(Format::Wide | Format::Name) | None => None,
        };
        let args = target.map(|(target, target_name)| Self {
            target,
            target_name,
            watch,
            output,
            tail: None,
            no_headers: false,
        });
        Some(args.map_err(Into::into))
    }
}

/// Shows the events, and with --watch each further one.
pub(crate) fn show(session: &Session, args: &EventArgs) -> Result<()> {
    let target = args.target.as_ref();
    let target = target.map(|target| target.with(args.target_name.as_ref()));
    let scope = Scope::of(session, target.transpose()?.as_ref())?;
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

fn show_whole(form: EventFormat, namespace: &Namespace, seen: &[EventSeries]) -> Result<()> {
    let items = seen
        .iter()
        .map(|series| Document::of(&series.to_core(namespace)));
    let list = List::fetched(items.collect::<Result<_>>()?);
    match form {
        EventFormat::Json => render::json(&list),
        EventFormat::Yaml => render::yaml(&list),
    }
}

fn show_table(args: &EventArgs, seen: &[EventSeries]) -> Result<()> {
    let now = Timestamp::now();
    let mut rows = Vec::new();
    if !args.no_headers {
        rows.push(HEADINGS.map(str::to_owned).to_vec());
    }
    rows.extend(seen.iter().map(|seen| seen.row(now)));
    render::text(&Columns::default().lay_out(&rows))
}

/// Shows the events so far, and then each new one.
fn watch(session: &Session, args: &EventArgs, scope: &Scope) -> Result<()> {
    let mut watcher = Watcher::for_reader()?;
    let mut columns = Columns::default();
    watcher.watch(&[session.store.layout().events(&session.namespace)])?;
    let mut known = scope.events(session)?;
    let surplus = args.tail.map_or(0, |tail| known.len().saturating_sub(tail));
    let headings = args.output.is_none() && !args.no_headers;
    if headings {
        // Headings and rows are laid out together, so that they line up.
        let now = Timestamp::now();
        let first = known[surplus..].iter().cloned().map(EventSeries::once);
        let rows: Vec<_> = std::iter::once(HEADINGS.map(str::to_owned).to_vec())
            .chain(first.map(|seen| seen.row(now)))
            .collect();
        render::text(&columns.lay_out(&rows))?;
    } else {
        show_events(session, args, &mut columns, &known[surplus..])?;
    }
    loop {
        watcher.wait(None)?;
        let now = scope.events(session)?;
        let news: Vec<Event> = after(&known, &now).to_vec();
        show_events(session, args, &mut columns, &news)?;
        known = now;
    }
}

/// Returns the events of `now` that are newer than `known`. The journal may have dropped its oldest
/// events in between.
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
    args: &EventArgs,
    columns: &mut Columns,
    events: &[Event],
) -> Result<()> {
    let now = Timestamp::now();
    for event in events {
        let seen = EventSeries::once(event.clone());
        match args.output {
            Some(EventFormat::Json) => render::json(&seen.to_core(&session.namespace))?,
            Some(EventFormat::Yaml) => {
                render::text("---\n")?;
                render::yaml(&seen.to_core(&session.namespace))?;
            }
            None => render::text(&columns.lay_out(&[seen.row(now)]))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::journal::Severity;

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
