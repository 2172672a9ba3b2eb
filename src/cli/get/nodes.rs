//! `petset get nodes`: the one node, which is this machine.

use std::env::consts::ARCH;

use super::Args;
use crate::cli::shared::render::{self, Document, Output};
use crate::cli::shared::selector::selects;
use crate::cli::shared::session::Session;
use crate::model::node::this_node;
use crate::model::printer;
use crate::problem::{Kind, Problem, Result};

impl Args {
    /// Returns whether they ask for nodes.
    pub(super) fn ask_for_nodes(&self) -> bool {
        let first = self.what.first().map_or("", |word| word.as_str());
        let kind = first.split('/').next().unwrap_or_default();
        matches!(kind, "node" | "nodes" | "no")
    }

    /// Shows the node.
    pub(super) fn show_node(&self, session: &Session) -> Result<()> {
        show(session, self)
    }
}

fn show(session: &Session, args: &Args) -> Result<()> {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let labels = &session.store.settings().node_labels;
    let node = this_node(ARCH, version, labels);
    let name = node.metadata.name.clone().unwrap_or_default();
    let (first, rest) = args
        .what
        .split_first()
        .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let slashed = first.split_once('/').map(|(_, name)| name);
    let mut asked = slashed.into_iter().chain(rest.iter().map(String::as_str));
    if let Some(other) = asked.find(|asked| *asked != name) {
        let message = format!("nodes {other:?} not found");
        let hint = format!("there is one node, this machine: {name}");
        return Err(Problem::new(Kind::NotFound, message).hint(hint).into());
    }
    let labels = node.metadata.labels.as_ref();
    if let Some(selector) = &args.selector
        && !selects(selector, labels)
    {
        session.say_nothing_found(None);
        return Ok(());
    }
    match &args.output {
        Some(Output::Name) => render::line(&format!("node/{name}")),
        Some(Output::Wide) | None => {
            let mut headings = vec!["NAME", "STATUS", "ROLES", "AGE", "VERSION"];
            let row = [name.as_str(), "Ready", "<none>", "<unknown>", version];
            let mut row = row.map(str::to_owned).to_vec();
            if args.show_labels {
                headings.push("LABELS");
                row.push(printer::labels_text(labels));
            }
            render::table(&headings, &[row])
        }
        Some(whole) => {
            let named = slashed.is_some() || !rest.is_empty();
            whole.print(vec![Document::of(&node)?], named)
        }
    }
}
