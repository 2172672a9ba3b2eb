//! `petset get`

mod columns;
mod fields;
mod nodes;

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fields::FieldSelector;
use jiff::Timestamp;

use super::shared::events::EventArgs;
use super::shared::render::{Columns, Document, JsonPath, Output, OutputParser};
use super::shared::selector::{self, selects};
use super::shared::session::Session;
use super::shared::sort::Asked;
use super::shared::watcher::Watcher;
use super::shared::{events, live_names, render, stopped};
use crate::model::kind::ObjectKind;
use crate::model::object::Object;
use crate::model::{Namespace, ObjectName, Selector, printer};
use crate::problem::{Kind, Problem, Result};
use crate::sorted::{SortedMap, SortedSet};
use crate::store;

/// Show sets, pets, workloads, services, claims and other objects
///
/// The command reads the state directory; the supervisor need not run. Without arguments it shows
/// sets, pets, workloads, services and claims.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  petset get pets                 all pets of the namespace
  petset get pets web             the pets of the set web
  petset get sets,pets -o wide    with addresses, revisions, and what each pet waits for
  petset get sts/web -o yaml      the whole object
  petset get pets -l app=web -w   the pets with a label, then each change, until Ctrl-C
  petset get pets -o jsonpath='{.items[*].status.podIP}'
  petset get pets -o custom-columns=NAME:.metadata.name,IP:.status.podIP --sort-by .status.podIP")]
pub(crate) struct Args {
    /// Kinds of objects (sets, pets, deployments, replicasets, replicationcontrollers, daemonsets,
    /// jobs, cronjobs, services, claims, pv, sc, endpoints, revisions, configmaps,
    /// secrets, nodes, events, all), then names; or names such as sts/web
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_parser = OutputParser)]
    output: Option<Output>,
    /// Keep watching and print changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// Print changes, until Ctrl-C, but not what is there now
    #[arg(long)]
    watch_only: bool,
    /// Label selector, such as app=web or 'tier in (db,cache)'
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = selector::parse)]
    selector: Option<Selector>,
    /// Field selector, such as status.phase=Running
    #[arg(long, value_name = "FIELDS", value_parser = FieldSelector::parse)]
    field_selector: Option<FieldSelector>,
    /// Sort by a field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH", value_parser = JsonPath::parse_path)]
    sort_by: Option<JsonPath>,
    /// Add a column with all labels
    #[arg(long)]
    show_labels: bool,
    /// Add a column for each of these labels
    #[arg(short = 'L', long, value_name = "LABELS", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Show the objects of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Print no headings
    #[arg(long)]
    no_headers: bool,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let watch = args.watch || args.watch_only;
    if let Some(asked) =
        EventArgs::of_get(&args.what, args.all_namespaces, watch, args.output.clone())
    {
        return events::show(session, &asked?);
    }
    if args.ask_for_nodes() {
        return args.show_node(session);
    }
    let asked = Asked::of(&args.what, session, "get")?;
    if let (Asked::Named(_), Some(_)) = (&asked, &args.selector) {
        let message = "names cannot be given together with a selector";
        return Err(Problem::invalid(message).into());
    }
    if let Some(fields) = &args.field_selector {
        let sorts = asked.sorts();
        sorts.into_iter().try_for_each(|sort| fields.check(sort))?;
    }
    let view = View::new(session, args, asked)?;
    if watch { view.watch() } else { view.show() }
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
        let mut there: SortedSet<(ObjectKind, ObjectName)> = SortedSet::new();
        for namespace in &self.namespaces {
            match &self.asked {
                Asked::All(sorts) => {
                    for sort in sorts {
                        if !sort.is_namespaced() && Some(namespace) != self.namespaces.first() {
                            continue;
                        }
                        found.items.extend(self.session.items(*sort, namespace)?);
                    }
                }
                Asked::Named(named) => {
                    for (sort, name) in named {
                        if !sort.is_namespaced() && Some(namespace) != self.namespaces.first() {
                            continue;
                        }
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
        self.choose_and_sort(&mut found)?;
        if self.args.all_namespaces {
            // A named object may be in any of the namespaces.
            found.missing.retain(|wanted| !there.contains(wanted));
        }
        Ok(found)
    }

    /// Keeps what the fields of the command line select, in the order that it asks for.
    fn choose_and_sort(&self, found: &mut Selection) -> Result<()> {
        let (fields, path) = (&self.args.field_selector, &self.args.sort_by);
        if fields.is_none() && path.is_none() {
            return Ok(());
        }
        let items = std::mem::take(&mut found.items).into_iter();
        let mut pairs = items
            .map(|item| Ok((Document::of_object(&item)?, item)))
            .collect::<Result<Vec<_>>>()?;
        if let Some(fields) = fields {
            pairs.retain(|(document, _)| fields.selects(document));
        }
        if let Some(path) = path {
            render::sort_by(&mut pairs, path)?;
        }
        found.items = pairs.into_iter().map(|(_, item)| item).collect();
        Ok(())
    }

    fn show(&self) -> Result<()> {
        let found = self.find()?;
        match &self.args.output {
            Some(Output::Wide) | None if found.items.is_empty() => self.say_nothing_found(&found),
            Some(Output::Wide) | None => self.show_tables(&found.items)?,
            Some(Output::Name) => {
                for item in &found.items {
                    render::line(&item.full_name())?;
                }
            }
            Some(whole) => {
                let documents = found.items.iter().map(Document::of_object);
                whole.print(documents.collect::<Result<_>>()?, self.is_alone(&found))?;
            }
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
        let layout = self.session.store.layout();
        let namespace = &self.session.namespace;
        let meant = match &found.missing[..] {
            [(kind, name)] => live_names::meant(layout, namespace, &[*kind], name.as_str()),
            _ => None,
        };
        let hint = meant.unwrap_or_else(|| match self.args.all_namespaces {
            true => {
                let root = layout.root().display();
                format!("this is {root}; see what exists with `petset get all -A`")
            }
            false => self.session.whereabouts(),
        });
        let not_found = |(sort, name): &(ObjectKind, ObjectName)| {
            format!("{} \"{name}\" not found", sort.plural())
        };
        let messages = found.missing.iter().map(not_found);
        let message = if self.args.all_namespaces {
            // Each namespace without the object adds its message.
            let once: SortedSet<String> = messages.collect();
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

    /// Returns whether one object was named and found, which is shown without a list around it.
    fn is_alone(&self, found: &Selection) -> bool {
        if let (Asked::Named(named), [only]) = (&self.asked, found.items.as_slice())
            && let [(sort, name)] = named.as_slice()
        {
            return *sort == only.kind() && name.as_str() == only.name();
        }
        false
    }

    const fn is_wide(&self) -> bool {
        matches!(self.args.output, Some(Output::Wide))
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
        if self.args.all_namespaces && sort.is_namespaced() {
            headings.insert(0, "NAMESPACE");
        }
        let mut headings: Vec<String> = headings.into_iter().map(str::to_owned).collect();
        let labels = self.args.label_columns.iter();
        headings.extend(labels.map(|label| columns::label_heading(label)));
        headings.extend(self.args.show_labels.then(|| "LABELS".to_owned()));
        headings
    }

    fn row(&self, item: &Object, now: Timestamp) -> Vec<String> {
        let layout = self.session.store.layout();
        let mut row = columns::cells(layout, item, self.is_wide(), now);
        if self.asked.sorts().len() > 1 {
            row[0] = item.full_name();
        }
        if self.args.all_namespaces && item.kind().is_namespaced() {
            row.insert(0, item.namespace().to_owned());
        }
        let labels = item.metadata().labels.as_ref();
        let chosen = self.args.label_columns.iter();
        row.extend(chosen.map(|label| {
            let value = labels.and_then(|labels| labels.get(label));
            value.cloned().unwrap_or_default()
        }));
        row.extend(self.args.show_labels.then(|| printer::labels_text(labels)));
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
        let mut known: SortedMap<(String, String), (String, Object)> = SortedMap::new();
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
            let silent = first && self.args.watch_only;
            let headings = first.then_some(*sort);
            self.show_changes(found.items, &mut known, &mut columns, headings, silent)?;
            first = false;
            watcher.wait(None)?;
        }
    }

    fn is_table(&self) -> bool {
        self.args.output.as_ref().is_none_or(Output::is_table)
    }

    /// Prints new and changed objects, and those that are gone as they were last, as kubectl does.
    fn show_changes(
        &self,
        items: Vec<Object>,
        known: &mut SortedMap<(String, String), (String, Object)>,
        columns: &mut Columns,
        headings: Option<ObjectKind>,
        silent: bool,
    ) -> Result<()> {
        let mut changed = Vec::new();
        let mut there = SortedSet::new();
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
        if silent {
            changed.clear();
        }
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
        let headings = headings.filter(|_| !self.args.no_headers);
        match &self.args.output {
            Some(Output::Name) => changed
                .iter()
                .try_for_each(|item| render::line(&item.full_name())),
            Some(Output::Wide) | None => {
                let mut rows: Vec<_> = headings
                    .map(|sort| self.headings(sort))
                    .into_iter()
                    .collect();
                rows.extend(changed.iter().map(|item| self.row(item, now)));
                render::text(&columns.lay_out(&rows))
            }
            Some(whole) => {
                if let Some(row) = whole.headings().filter(|_| headings.is_some()) {
                    render::text(&columns.lay_out(&[row]))?;
                }
                changed
                    .iter()
                    .try_for_each(|item| whole.print_next(&Document::of_object(item)?, columns))
            }
        }
    }

    /// Returns an object as it is printed, without its age.
    fn looks(&self, item: &Object) -> Result<String> {
        Ok(match &self.args.output {
            Some(Output::Name | Output::Wide) | None => {
                self.row(item, Timestamp::UNIX_EPOCH).join("\n")
            }
            Some(_) => Document::of_object(item)?.to_string(),
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
                ObjectKind::Endpoints => {
                    places.extend([wanted(sort), layout.endpoints(namespace)]);
                }
                ObjectKind::ControllerRevision => {
                    let any = layout.revisions(namespace, "any");
                    places.extend(any.parent().map(ToOwned::to_owned));
                    let any = layout.daemon_revisions(namespace, "any");
                    places.extend(any.parent().map(ToOwned::to_owned));
                }
                ObjectKind::Workload(kind) => {
                    places.extend([wanted(sort), layout.workload_statuses(namespace, kind)]);
                }
                ObjectKind::Secret
                | ObjectKind::EndpointSlice
                | ObjectKind::ConfigMap
                | ObjectKind::Eviction
                | ObjectKind::Overlay
                | ObjectKind::StorageClass => {
                    places.push(wanted(sort));
                }
                ObjectKind::PersistentVolume => {
                    places.push(wanted(sort));
                    for namespace in self.session.namespaces()? {
                        places.push(layout.claims(&namespace));
                    }
                }
            }
        }
        Ok(places)
    }
}
