//! `petset label` and `petset annotate`

use std::collections::BTreeMap;

use clap::Args as ClapArgs;

use super::shared::amend::Amendment;
use super::shared::find::find;
use super::shared::preview::{DryRunArgs, show_object};
use super::shared::render;
use super::shared::selector;
use super::shared::session::Session;
use super::shared::startable::MissingArgs;
use crate::model::object::Object;
use crate::model::{Notes, Selector};
use crate::problem::{Kind, Problem, Result};

/// Set, change or remove labels of objects
///
/// Labels of a Deployment, a set or another owner are its own; those of its pods stand in its
/// template. Services and selectors see a new label at once. What is said of a pod that has an
/// owner ends with that pod: the next one is as the template says. A pod that its owner does not
/// select any more is let go, and replaced.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset label sts/web tier=front
  petset label svc web tier=back --overwrite
  petset label sts/web tier-            remove the label tier
  petset label pod web-0 role=primary   until this pod ends
  petset label pods --all --list")]
pub(crate) struct LabelArgs {
    #[command(flatten)]
    notes: NoteArgs,
}

/// Set, change or remove annotations of objects
///
/// What is said of a pod that has an owner ends with that pod.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset annotate sts/web team=db
  petset annotate sts/web team-         remove the annotation team")]
pub(crate) struct AnnotateArgs {
    #[command(flatten)]
    notes: NoteArgs,
}

#[derive(Debug, ClapArgs)]
struct NoteArgs {
    /// Objects, such as sts/web or pods web-0; then KEY=VALUE to set, and KEY- to remove
    #[arg(value_name = "OBJECT|KEY=VALUE|KEY-", required = true)]
    words: Vec<String>,
    /// Change what has another value
    #[arg(long)]
    overwrite: bool,
    /// All objects of the kind
    #[arg(long, conflicts_with = "selector")]
    all: bool,
    /// The objects of the kind that have these labels
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = selector::parse)]
    selector: Option<Selector>,
    /// List them, and change nothing else than asked
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
}

/// What is set: the field of the metadata, and words for what was done.
struct Sort {
    verb: &'static str,
    field: &'static str,
    set: &'static str,
    removed: &'static str,
    unchanged: &'static str,
}

const LABELS: Sort = Sort {
    verb: "label",
    field: "labels",
    set: "labeled",
    removed: "unlabeled",
    unchanged: "not labeled",
};

const ANNOTATIONS: Sort = Sort {
    verb: "annotate",
    field: "annotations",
    set: "annotated",
    removed: "annotated",
    unchanged: "annotated",
};

pub(crate) fn label(session: &Session, args: &LabelArgs) -> Result<()> {
    run(session, &args.notes, &LABELS)
}

pub(crate) fn annotate(session: &Session, args: &AnnotateArgs) -> Result<()> {
    run(session, &args.notes, &ANNOTATIONS)
}

/// A note to set (`Some`) or to remove.
type Note = (String, Option<String>);

fn run(session: &Session, args: &NoteArgs, sort: &Sort) -> Result<()> {
    let is_note = |word: &&String| word.contains('=') || word.ends_with('-');
    let first = args.words.iter().position(|word| is_note(&word));
    let (objects, notes) = args.words.split_at(first.unwrap_or(args.words.len()));
    let notes = notes.iter().map(|word| note(word));
    let notes = notes.collect::<Result<Vec<Note>, Problem>>()?;
    if notes.is_empty() && !args.list {
        let message = format!("at least one {} update is required", sort.verb);
        let hint = format!(
            "write `petset {} {} KEY=VALUE`",
            sort.verb,
            objects.join(" ")
        );
        return Err(Problem::invalid(message).hint(hint).into());
    }
    check_once(&notes)?;
    let found = args.find(session, sort, objects)?;
    for object in &found {
        refuse_others(args, sort, object, &notes)?;
    }
    let asked: Notes = notes.iter().cloned().collect();
    let (verb, amendment) = (sort.verb, Amendment::Notes(sort.field, &asked));
    let objects = match notes.is_empty() || args.dry_run.is_on() {
        true if notes.is_empty() => found.clone(),
        true => {
            let amended = found.iter().map(|it| session.amended(it, amendment));
            amended.collect::<Result<_>>()?
        }
        false => {
            let missing = MissingArgs::default();
            let amended = session.amend(verb, &found, amendment, missing)?;
            session.wait_for_overlays(&found, amendment)?;
            amended.objects
        }
    };
    for (before, after) in found.iter().zip(&objects) {
        if args.list {
            list(sort, after, found.len() > 1)?;
        } else {
            let done = done(sort, before, &notes);
            match args.dry_run.is_on() {
                true => show_object(&args.dry_run, after, done)?,
                false => render::line(&format!("{} {done}", after.full_name()))?,
            }
        }
    }
    Ok(())
}

impl NoteArgs {
    fn find(&self, session: &Session, sort: &Sort, words: &[String]) -> Result<Vec<Object>> {
        let message = "one or more objects must be named, as TYPE NAME or TYPE/NAME";
        let Some(first) = words.first() else {
            return Err(Problem::invalid(message).into());
        };
        let mut found = find(session, sort.verb, words)?;
        let chosen = self.all || self.selector.is_some();
        let names_kind_alone = words.len() == 1 && !first.contains('/');
        let is_one = found.len() == 1 && found[0].name() == first;
        if chosen != (names_kind_alone && !is_one) {
            let hint = "write --all, or -l with labels, to mean all objects of a kind";
            return Err(Problem::invalid(message).hint(hint).into());
        }
        if let Some(selector) = &self.selector {
            found.retain(|it| selector::selects(selector, it.metadata().labels.as_ref()));
        }
        if found.is_empty() {
            session.say_nothing_found(Some(&session.namespace));
        }
        Ok(found)
    }
}

fn note(word: &str) -> Result<Note, Problem> {
    if let Some((key, value)) = word.split_once('=') {
        return Ok((key.to_owned(), Some(value.to_owned())));
    }
    match word.strip_suffix('-') {
        Some(key) => Ok((key.to_owned(), None)),
        None => {
            let message = format!("{word:?} is neither KEY=VALUE nor KEY-");
            Err(Problem::invalid(message).hint("the objects come first, then the changes"))
        }
    }
}

fn check_once(notes: &[Note]) -> Result<(), Problem> {
    for (place, (key, value)) in notes.iter().enumerate() {
        if let Some((_, other)) = notes[..place].iter().find(|(other, _)| other == key) {
            let message = match value.is_some() == other.is_some() {
                true => format!("{key} is given twice"),
                false => format!("can not both modify and remove {key} in the same command"),
            };
            return Err(Problem::invalid(message));
        }
    }
    Ok(())
}

/// Returns the labels, or the annotations, of an object.
fn notes_of<'a>(sort: &Sort, object: &'a Object) -> Option<&'a BTreeMap<String, String>> {
    let meta = object.metadata();
    match sort.field {
        "labels" => meta.labels.as_ref(),
        _ => meta.annotations.as_ref(),
    }
}

fn value<'a>(sort: &Sort, object: &'a Object, key: &str) -> Option<&'a String> {
    notes_of(sort, object)?.get(key)
}

/// Refuses to change a value that somebody has set, without being told to.
fn refuse_others(args: &NoteArgs, sort: &Sort, object: &Object, notes: &[Note]) -> Result<()> {
    for (key, new) in notes {
        let (Some(new), Some(old)) = (new, value(sort, object, key)) else {
            continue;
        };
        if args.overwrite || (old == new && sort.field == "labels") {
            continue;
        }
        let message = format!("{key:?} already has a value ({old}), and --overwrite is false");
        let problem = Problem::new(Kind::Conflict, message);
        return Err(problem
            .hint(format!("{} is left as it is", object.full_name()))
            .into());
    }
    Ok(())
}

/// Returns kubectl's word for what was done.
fn done(sort: &Sort, before: &Object, notes: &[Note]) -> &'static str {
    let is_set = |(key, new): &Note| new.is_some() && value(sort, before, key) != new.as_ref();
    let is_removed = |(key, new): &Note| new.is_none() && value(sort, before, key).is_some();
    match () {
        () if notes.iter().any(is_set) => sort.set,
        () if notes.iter().any(is_removed) => sort.removed,
        () => sort.unchanged,
    }
}

fn list(sort: &Sort, object: &Object, names: bool) -> Result<()> {
    if names {
        render::line(&format!(
            "Listing {} for {}:",
            sort.field,
            object.full_name()
        ))?;
    }
    let lines = notes_of(sort, object).into_iter().flatten();
    lines
        .map(|(key, value)| format!("{key}={value}"))
        .try_for_each(|line| render::line(&line))
}
