//! `petset patch`

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args as ClapArgs, ValueEnum};

use super::shared::amend::Amendment;
use super::shared::find::find;
use super::shared::preview::DryRunArgs;
use super::shared::render::Document;
use super::shared::session::Session;
use super::shared::startable::MissingArgs;
use super::shared::waiting::WaitArgs;
use crate::model::patch::{Patch, PatchKind};
use crate::problem::{Problem, Result};

/// Change fields of an object by a patch
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  petset patch sts/web -p '{\"spec\": {\"replicas\": 3}}'
  petset patch svc web --type json -p '[{\"op\": \"remove\", \"path\": \"/spec/ports/1\"}]'
  petset patch deploy/front --patch-file change.yaml")]
pub(crate) struct Args {
    /// Object to change, such as sts/web or svc web
    #[arg(value_name = "OBJECT", required = true, num_args = 1..=2)]
    object: Vec<String>,
    /// The patch, as JSON or YAML
    #[arg(
        short,
        long,
        value_name = "PATCH",
        required_unless_present = "patch_file"
    )]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long, value_name = "FILE", conflicts_with = "patch")]
    patch_file: Option<PathBuf>,
    /// How the patch is meant
    #[arg(long = "type", value_name = "TYPE", default_value = "strategic")]
    kind: Type,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    missing: MissingArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Type {
    /// Lists of containers, volumes, variables and so on are merged by name
    Strategic,
    /// Lists are replaced (RFC 7386)
    Merge,
    /// Operations, one after the other (RFC 6902)
    Json,
}

pub(crate) fn run(session: &Session, args: &Args) -> Result<()> {
    let patch = args.patch()?;
    let found = find(session, "patch", &args.object)?;
    let [_] = &found[..] else {
        let message = format!("{} names {} objects", args.object.join(" "), found.len());
        return Err(Problem::invalid(message)
            .hint("name one, as sts/web")
            .into());
    };
    let amendment = Amendment::Patch(&patch);
    if args.dry_run.is_on() {
        return session.preview_amended(&found, amendment, &args.dry_run, "patched");
    }
    let amended = session.amend("patch", &found, amendment, args.missing)?;
    session.conclude(
        amended,
        ("patched", Some("patched (no change)")),
        &args.wait,
    )
}

impl Args {
    fn patch(&self) -> Result<Patch> {
        let text = match (&self.patch, &self.patch_file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?,
            (None, None) => String::new(),
        };
        let kind = match self.kind {
            Type::Strategic => PatchKind::Strategic,
            Type::Merge => PatchKind::Merge,
            Type::Json => PatchKind::Json,
        };
        Document::read_patch(kind, &text)
    }
}
