//! `petset edit`

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use clap::Args as ClapArgs;

use super::shared::amend::{Amended, Amendment};
use super::shared::find::find;
use super::shared::render::Document;
use super::shared::session::{Session, say};
use super::shared::startable::MissingArgs;
use super::shared::waiting::WaitArgs;
use crate::model::object::Object;
use crate::problem::{Problem, Result, hints_of};
use crate::yaml;

/// The comment above the object.
const ABOVE: &str = "\
# Change the object below, save it, and leave the editor. Lines that begin with # are comments;
# an empty file changes nothing. If the object cannot be stored, it is opened again with the reason.
#
";

/// Change an object in your editor
///
/// The editor is $KUBE_EDITOR, else $EDITOR, else vi.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset edit sts/web
  EDITOR=nano petset edit svc web")]
pub(crate) struct Args {
    /// Object to change, such as sts/web or svc web
    #[arg(value_name = "OBJECT", required = true, num_args = 1..=2)]
    object: Vec<String>,
    #[command(flatten)]
    missing: MissingArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let found = find(session, "edit", &args.object)?;
    let [object] = &found[..] else {
        let message = format!("{} names {} objects", args.object.join(" "), found.len());
        return Err(Problem::invalid(message)
            .hint("name one, as sts/web")
            .into());
    };
    match edit(session, object, args.missing)? {
        Some(amended) => session.conclude(amended, ("edited", None), &args.wait),
        None => Ok(()),
    }
}

/// Lets the user change the object until it can be stored; `None` when that is given up.
fn edit(session: &Session, object: &Object, missing: MissingArgs) -> Result<Option<Amended>> {
    let seen = Document::of_object(&session.given(object)?)?.without_status();
    let original = yaml::to_string(&seen)?;
    let dir = tempfile::Builder::new().prefix("petset-edit-").tempdir();
    let dir = dir.context("cannot make a directory for the file to edit")?;
    let file = dir.path().join(format!("{}.yaml", object.name()));
    let mut text = format!("{ABOVE}{original}");
    loop {
        fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        open_editor(&file)?;
        let new = fs::read_to_string(&file);
        let new = new.with_context(|| format!("cannot read {}", file.display()))?;
        let content = without_comments(&new);
        if content.trim().is_empty() {
            say("Edit cancelled, saved file was empty.");
            return Ok(None);
        }
        if content == original {
            say("Edit cancelled, no changes made.");
            return Ok(None);
        }
        let amendment = Amendment::Text(&content, &seen);
        let found = std::slice::from_ref(object);
        let error = match session.amend("edit", found, amendment, missing) {
            Ok(amended) => return Ok(Some(amended)),
            Err(error) => error,
        };
        if content == without_comments(&text) {
            // The user has left it as it could not be stored.
            let kept = dir.keep().join(file.file_name().unwrap_or_default());
            say(format!("your changes are kept in {}", kept.display()));
            return Err(error);
        }
        let mut reasons = format!("{error:#}");
        hints_of(&error).for_each(|hint| reasons.push_str(&format!("\nhint: {hint}")));
        let reasons = reasons.lines().map(|line| format!("# {line}\n"));
        text = format!("{ABOVE}{}#\n{content}", reasons.collect::<String>());
    }
}

/// Comments of the first column are gone; all else stays as it is.
fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

fn open_editor(file: &Path) -> Result<()> {
    let named = ["KUBE_EDITOR", "EDITOR"].map(|name| env::var(name).ok());
    let named = named.into_iter().flatten().find(|it| !it.trim().is_empty());
    let editor = named.unwrap_or_else(|| "vi".to_owned());
    // The variable may hold options, and quotes.
    let status = Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file)
        .status();
    let status = status.with_context(|| format!("cannot start the editor {editor:?}"))?;
    if status.success() {
        return Ok(());
    }
    let message = format!("the editor {editor:?} failed: {status}");
    Err(Problem::failed(message)
        .hint("set EDITOR to one that this machine has")
        .into())
}
