//! `petset get`

mod columns;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use jiff::Timestamp;
use serde::Serialize;

use super::shared::events::EventArgs;
use super::shared::render::{Columns, Document, Format, List};
use super::shared::selector::{self, selects};
use super::shared::session::Session;
use super::shared::sort::Asked;
use super::shared::watcher::Watcher;
use super::shared::{events, render, stopped};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::{Namespace, ObjectName, Selector};
use crate::problem::{Kind, Problem, Result};
use crate::store;

/// Show sets, pets, services, claims and other objects
///
/// The command reads the state directory; the supervisor need not run. Without arguments it shows
/// sets, pets, services and claims.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset get pets                 all pets of the namespace
  petset get pets web             the pets of the set web
  petset get sets,pets -o wide    with addresses, revisions, and what each pet waits for
  petset get sts/web -o yaml      the whole object
  petset get pets -l app=web -w   the pets with a label, then each change, until Ctrl-C")]
pub(crate) struct Args {
    /// Kinds of objects (sets, pets, services, claims, endpoints, revisions, configmaps, secrets,
    /// events, all), then names; or names such as sts/web
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
    /// Keep watching and print changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Label selector, such as app=web or 'tier in (db,cache)'
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = selector::parse)]
    selector: Option<Selector>,
    /// Show the objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Print no headings
    #[arg(long)]
    no_headers: bool,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    if let Some(asked) = EventArgs::of_get(&args.what, args.all_namespaces, args.watch, args.output)
    {
        return events::show(session, &asked?);
    }
    let asked = Asked::of(&args.what, session, "get")?;
    if let (Asked::Named(_), Some(_)) = (&asked, &args.selector) {
        let message = "names cannot be given together with a selector";
        return Err(Problem::invalid(message).into());
    }
    let view = View::new(session, args, asked)?;
    if args.watch {
        view.watch()
    } else {
        view.show()
    }
}

/// The objects that one command shows, and how.
struct View<'a> {
    session: &'a Session,
    args: &'a Args,
    asked: Asked,
    namespaces: Vec<Namespace>,
}

/// The objects that were found, and the names that were not.
struct Selection {
    items: Vec<Object>,
    missing: Vec<(ObjectKind, ObjectName)>,
}

/// What `-o json` and `-o yaml` print.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Whole {
    One(Document),
    List(List),
}

impl<'a> View<'a> {
    fn new(session: &'a Session, args: &'a Args, asked: Asked) -> Result<Self> {
        let namespaces = if args.all_namespaces {
            session.namespaces()?
        } else {
            vec![session.namespace.clone()]
        };
        Ok(Self {
            session,
            args,
            asked,
            namespaces,
        })
    }

    fn find(&self) -> Result<Selection> {
        let mut found = Selection {
            items: Vec::new(),
            missing: Vec::new(),
        };
        let mut there: BTreeSet<(ObjectKind, ObjectName)> = BTreeSet::new();
        for namespace in &self.namespaces {
            match &self.asked {
                Asked::All(sorts) => {
                    for sort in sorts {
                        found.items.extend(self.session.items(*sort, namespace)?);
                    }
                }
                Asked::Named(named) => {
                    for (sort, name) in named {
                        let items = self.session.named(*sort, namespace, name)?;
                        if items.is_empty() {
                            found.missing.push((*sort, name.clone()));
                        } else {
                            there.insert((*sort, name.clone()));
                        }
                        found.items.extend(items);
                    }
                }
            }
        }
        if let Some(selector) = &self.args.selector {
            let fits = |item: &Object| selects(selector, item.metadata().labels.as_ref());
            found.items.retain(fits);
        }
        if self.args.all_namespaces {
            // A named object may be in any of the namespaces.
            found.missing.retain(|wanted| !there.contains(wanted));
        }
        Ok(found)
    }

    fn show(&self) -> Result<()> {
        let found = self.find()?;
        match self.args.output {
            Some(Format::Json) => render::json(&self.whole(&found)?)?,
            Some(Format::Yaml) => render::yaml(&self.whole(&found)?)?,
            Some(Format::Name) => {
                for item in &found.items {
                    render::line(&item.full_name())?;
                }
            }
            Some(Format::Wide) | None if found.items.is_empty() => self.say_nothing_found(&found),
            Some(Format::Wide) | None => self.show_tables(&found.items)?,
        }
        if self.is_table() && self.asked.sorts().contains(&ObjectKind::Pod) {
            stopped::say_how_to_start(self.session);
        }
        self.refuse_missing(&found)
    }

    fn refuse_missing(&self, found: &Selection) -> Result<()> {
        if found.missing.is_empty() {
            return Ok(());
        }
        let root = self.session.store.layout().root().display();
        let namespace = &self.session.namespace;
        let hint = if self.args.all_namespaces {
            format!("this is {root}; see what exists with `petset get all -A`")
        } else {
            format!(
                "this is namespace {namespace} of {root}; see what exists with `petset get all`"
            )
        };
        let not_found = |(sort, name): &(ObjectKind, ObjectName)| {
            format!("{} \"{name}\" not found", sort.plural())
        };
        let messages = found.missing.iter().map(not_found);
        let message = if self.args.all_namespaces {
            // Each namespace without the object adds its message.
            let once: BTreeSet<String> = messages.collect();
            Vec::from_iter(once).join(", ")
        } else {
            messages.collect::<Vec<_>>().join(", ")
        };
        Err(Problem::new(Kind::NotFound, message).hint(hint).into())
    }

    fn say_nothing_found(&self, found: &Selection) {
        if !found.missing.is_empty() {
            return;
        }
        let one = !self.args.all_namespaces;
        let namespace = one.then_some(&self.session.namespace);
        self.session.say_nothing_found(namespace);
    }

    /// Returns one object, or a list of them, as kubectl does.
    fn whole(&self, found: &Selection) -> Result<Whole> {
        if let (Asked::Named(named), [only]) = (&self.asked, found.items.as_slice())
            && let [(sort, name)] = named.as_slice()
            && *sort == only.kind()
            && name.as_str() == only.name()
        {
            return Ok(Whole::One(Document::of_object(only)?));
        }
        let items: Result<Vec<_>> = found.items.iter().map(Document::of_object).collect();
        Ok(Whole::List(List::fetched(items?)))
    }

    const fn is_wide(&self) -> bool {
        matches!(self.args.output, Some(Format::Wide))
    }

    fn show_tables(&self, items: &[Object]) -> Result<()> {
        let mut first = true;
        for sort in self.asked.sorts() {
            let of_sort: Vec<&Object> = items.iter().filter(|item| item.kind() == sort).collect();
            if of_sort.is_empty() {
                continue;
            }
            let mut rows = Vec::new();
            if !self.args.no_headers {
                rows.push(self.headings(sort));
            }
            let now = Timestamp::now();
            rows.extend(of_sort.iter().map(|item| self.row(item, now)));
            let gap = if first { "" } else { "\n" };
            let table = Columns::default().lay_out(&rows);
            render::text(&format!("{gap}{table}"))?;
            first = false;
        }
        Ok(())
    }

    fn headings(&self, sort: ObjectKind) -> Vec<String> {
        let mut headings = columns::headings(sort, self.is_wide());
        if self.args.all_namespaces {
            headings.insert(0, "NAMESPACE");
        }
        headings.into_iter().map(str::to_owned).collect()
    }

    fn row(&self, item: &Object, now: Timestamp) -> Vec<String> {
        let layout = self.session.store.layout();
        let mut row = columns::cells(layout, item, self.is_wide(), now);
        if self.asked.sorts().len() > 1 {
            row[0] = item.full_name();
        }
        if self.args.all_namespaces {
            row.insert(0, item.namespace().to_owned());
        }
        row
    }

    /// Prints all objects once, and then each object that changes.
    fn watch(mut self) -> Result<()> {
        let sorts = self.asked.sorts();
        let [sort] = sorts.as_slice() else {
            let message = "only objects of one sort can be watched at a time";
            let hint = "name one, such as `petset get pets --watch`";
            return Err(Problem::invalid(message).hint(hint).into());
        };
        let mut watcher = Watcher::for_reader()?;
        let mut columns = Columns::default();
        let mut known: BTreeMap<(String, String), (String, Object)> = BTreeMap::new();
        let mut first = true;
        loop {
            if self.args.all_namespaces {
                self.namespaces = self.session.namespaces()?;
            }
            watcher.watch(&self.places(*sort)?)?;
            let found = self.find()?;
            if first {
                self.refuse_missing(&found)?;
                if found.items.is_empty() && self.is_table() {
                    self.say_nothing_found(&found);
                }
            }
            self.show_changes(
                found.items,
                &mut known,
                &mut columns,
                first.then_some(*sort),
            )?;
            first = false;
            watcher.wait(None)?;
        }
    }

    const fn is_table(&self) -> bool {
        matches!(self.args.output, None | Some(Format::Wide))
    }

    /// Prints new and changed objects, and those that are gone as they were last, as kubectl does.
    fn show_changes(
        &self,
        items: Vec<Object>,
        known: &mut BTreeMap<(String, String), (String, Object)>,
        columns: &mut Columns,
        headings: Option<ObjectKind>,
    ) -> Result<()> {
        let mut changed = Vec::new();
        let mut there = BTreeSet::new();
        for item in items {
            let key = (item.namespace().to_owned(), item.name().to_owned());
            let looks = self.looks(&item)?;
            there.insert(key.clone());
            if known.get(&key).is_none_or(|(before, _)| *before != looks) {
                changed.push(item.clone());
                known.insert(key, (looks, item));
            }
        }
        let gone: Vec<_> = known
            .keys()
            .filter(|key| !there.contains(*key))
            .cloned()
            .collect();
        let gone = gone.iter().filter_map(|key| known.remove(key));
        changed.extend(gone.map(|(_, item)| item));
        self.print_changes(&changed, columns, headings)
    }

    /// Prints objects of one kind below what was printed before.
    fn print_changes(
        &self,
        changed: &[Object],
        columns: &mut Columns,
        headings: Option<ObjectKind>,
    ) -> Result<()> {
        let now = Timestamp::now();
        match self.args.output {
            Some(Format::Json) => changed
                .iter()
                .try_for_each(|item| render::json(&Document::of_object(item)?)),
            Some(Format::Yaml) => changed.iter().try_for_each(|item| {
                render::text("---\n")?;
                render::yaml(&Document::of_object(item)?)
            }),
            Some(Format::Name) => changed
                .iter()
                .try_for_each(|item| render::line(&item.full_name())),
            Some(Format::Wide) | None => {
                let headings = headings.filter(|_| !self.args.no_headers);
                let mut rows: Vec<_> = headings
                    .map(|sort| self.headings(sort))
                    .into_iter()
                    .collect();
                rows.extend(changed.iter().map(|item| self.row(item, now)));
                render::text(&columns.lay_out(&rows))
            }
        }
    }

    /// Returns an object as it is printed, without its age.
    fn looks(&self, item: &Object) -> Result<String> {
        Ok(match self.args.output {
            Some(Format::Json | Format::Yaml) => Document::of_object(item)?.to_string(),
            Some(Format::Name | Format::Wide) | None => {
                self.row(item, Timestamp::UNIX_EPOCH).join("\n")
            }
        })
    }

    /// Lists the directories in which objects of a kind change.
    fn places(&self, sort: ObjectKind) -> Result<Vec<PathBuf>> {
        let layout = self.session.store.layout();
        let mut places = Vec::new();
        if self.args.all_namespaces {
            places.extend([layout.wanted(), layout.seen(), layout.pets()]);
        }
        for namespace in &self.namespaces {
            let wanted = |kind| layout.wanted_kind(namespace, kind);
            match sort {
                ObjectKind::StatefulSet => {
                    places.extend([
                        wanted(ObjectKind::StatefulSet),
                        layout.set_statuses(namespace),
                    ]);
                }
                ObjectKind::Pod => {
                    let all = layout.pets_of(namespace);
                    let pets = store::names_in(&all)?;
                    places.extend(pets.iter().map(|pet| all.join(pet)));
                    places.push(all);
                    places.push(wanted(ObjectKind::Pod));
                }
                ObjectKind::Service => places.push(wanted(ObjectKind::Service)),
                ObjectKind::PersistentVolumeClaim => places.extend([
                    wanted(ObjectKind::PersistentVolumeClaim),
                    layout.claims(namespace),
                    layout.volumes(namespace),
                ]),
                ObjectKind::Endpoints => places.push(layout.endpoints(namespace)),
                ObjectKind::ControllerRevision => {
                    let any = layout.revisions(namespace, "any");
                    places.extend(any.parent().map(ToOwned::to_owned));
                }
                ObjectKind::Secret | ObjectKind::ConfigMap | ObjectKind::Eviction => {
                    places.push(wanted(sort));
                }
            }
        }
        Ok(places)
    }
}
