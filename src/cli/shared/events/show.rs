//! `petset events`, which is `petset get events` too.

use std::collections::HashMap;

use jiff::Timestamp;

use super::scope::Scope;
use super::series::{EventSeries, aggregate};
use crate::cli::shared::names::TargetRef;
use crate::cli::shared::render::{self, Columns, Document, Output, OutputParser};
use crate::cli::shared::session::{Session, say};
use crate::cli::shared::watcher::Watcher;
use crate::model::Namespace;
use crate::problem::{Problem, Result};
use crate::sorted::{SortedMap, sort_by_key};
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
    /// Show the events of all namespaces
    #[arg(short = 'A', long, conflicts_with = "target")]
    all_namespaces: bool,
    /// Keep watching and print new events, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_parser = OutputParser)]
    output: Option<Output>,
    /// Print only the last N events
    #[arg(long, value_name = "N")]
    tail: Option<usize>,
    /// Print no headings
    #[arg(long)]
    no_headers: bool,
}

impl EventArgs {
    /// Reads `get events [SET|POD]`; `None` where other objects are meant.
    pub(crate) fn of_get(
        what: &[String],
        all_namespaces: bool,
        watch: bool,
        output: Option<Output>,
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
        let args = target.map(|(target, target_name)| Self {
            target,
            target_name,
            all_namespaces,
            watch,
            output,
            tail: None,
            no_headers: false,
        });
        Some(args.map_err(Into::into))
    }
}

impl EventArgs {
    /// Returns the format in which whole events are shown, if not as a table.
    fn whole(&self) -> Option<&Output> {
        self.output.as_ref().filter(|output| !output.is_table())
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
    let mut seen: Vec<(Namespace, EventSeries)> = Vec::new();
    for namespace in namespaces(session, args)? {
        let series = aggregate(scope.events_in(session, &namespace)?);
        seen.extend(series.into_iter().map(|one| (namespace.clone(), one)));
    }
    sort_by_key(&mut seen, |(_, series)| series.last);
    let surplus = args.tail.map_or(0, |tail| seen.len().saturating_sub(tail));
    seen.drain(..surplus);
    match args.whole() {
        Some(form) => {
            let items = seen.iter().map(document);
            form.print(items.collect::<Result<_>>()?, false)
        }
        None if seen.is_empty() && args.all_namespaces => {
            say("No events found.");
            Ok(())
        }
        None if seen.is_empty() => {
            say(format!(
                "No events found in {} namespace.",
                session.namespace
            ));
            Ok(())
        }
        None => show_rows(args, &mut Columns::default(), &seen, true),
    }
}

fn namespaces(session: &Session, args: &EventArgs) -> Result<Vec<Namespace>> {
    match args.all_namespaces {
        true => session.namespaces(),
        false => Ok(vec![session.namespace.clone()]),
    }
}

fn document((namespace, series): &(Namespace, EventSeries)) -> Result<Document> {
    Document::of(&series.to_core(namespace))
}

/// Prints rows below those that were printed before, with headings if they are the first ones.
fn show_rows(
    args: &EventArgs,
    columns: &mut Columns,
    seen: &[(Namespace, EventSeries)],
    first: bool,
) -> Result<()> {
    let now = Timestamp::now();
    let with = |namespace: &str, mut row: Vec<String>| {
        if args.all_namespaces {
            row.insert(0, namespace.to_owned());
        }
        row
    };
    let mut rows = Vec::new();
    if first && !args.no_headers {
        rows.push(with("NAMESPACE", HEADINGS.map(str::to_owned).to_vec()));
    }
    let later = seen.iter();
    rows.extend(later.map(|(namespace, seen)| with(namespace.as_str(), seen.row(now))));
    render::text(&columns.lay_out(&rows))
}

/// Shows the events so far, and then each new one.
fn watch(session: &Session, args: &EventArgs, scope: &Scope) -> Result<()> {
    let mut watcher = Watcher::for_reader()?;
    let mut columns = Columns::default();
    let mut known: SortedMap<Namespace, Vec<Event>> = SortedMap::new();
    let layout = session.store.layout();
    let mut first = true;
    loop {
        let namespaces = namespaces(session, args)?;
        let mut places: Vec<_> = namespaces.iter().map(|of| layout.events(of)).collect();
        places.extend(args.all_namespaces.then(|| layout.seen()));
        watcher.watch(&places)?;
        let mut news: Vec<(Namespace, Event)> = Vec::new();
        for namespace in namespaces {
            let now = scope.events_in(session, &namespace)?;
            let before = known.get(&namespace).map_or(&[][..], Vec::as_slice);
            let fresh = new_among(&now, before).into_iter();
            news.extend(fresh.map(|event| (namespace.clone(), event)));
            known.insert(namespace, now);
        }
        if args.all_namespaces {
            sort_by_key(&mut news, |(_, event)| event.time);
        }
        let tail = args.tail.filter(|_| first);
        let surplus = tail.map_or(0, |tail| news.len().saturating_sub(tail));
        news.drain(..surplus);
        let once = news
            .into_iter()
            .map(|(namespace, event)| (namespace, EventSeries::once(event)));
        show_news(args, &mut columns, &once.collect::<Vec<_>>(), first)?;
        first = false;
        watcher.wait(None)?;
    }
}

/// Returns the events of `now` that are not among `known`. The journal may have dropped its oldest
/// events in between, and the clock may have been put back.
fn new_among(now: &[Event], known: &[Event]) -> Vec<Event> {
    let mut shown: HashMap<&Event, usize> = HashMap::new();
    for event in known {
        *shown.entry(event).or_default() += 1;
    }
    let mut news = now.to_vec();
    news.retain(|event| {
        let left = shown.get_mut(event).filter(|left| **left > 0);
        left.map(|left| *left -= 1).is_none()
    });
    news
}

fn show_news(
    args: &EventArgs,
    columns: &mut Columns,
    news: &[(Namespace, EventSeries)],
    first: bool,
) -> Result<()> {
    let Some(form) = args.whole() else {
        return show_rows(args, columns, news, first);
    };
    if let Some(row) = form.headings().filter(|_| first) {
        render::text(&columns.lay_out(&[row]))?;
    }
    let mut news = news.iter();
    news.try_for_each(|event| form.print_next(&document(event)?, columns))
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
            uid: None,
            field: None,
            message: message.to_owned(),
            count: 1,
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
        assert_eq!(new_among(&all, &[]), all);
        assert_eq!(new_among(&all, &all[..2]), all[2..]);
        assert_eq!(new_among(&all[1..], &all[..3]), all[3..]);
        assert_eq!(new_among(&all, &all), []);
        // The clock was put back.
        let later = [all.to_vec(), vec![event(0, "pod/a", "5")]].concat();
        assert_eq!(new_among(&later, &all), later[4..]);
    }
}
