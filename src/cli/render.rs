//! What goes to standard output: tables, JSON, YAML, names.
//!
//! The sole user of comfy-table, and the sole writer to standard output.

use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::manifest::yaml;
use crate::problem::Result;

/// The forms that `-o` offers for objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table with more columns
    Wide,
    /// The objects as JSON
    Json,
    /// The objects as YAML
    Yaml,
    /// One name a line, such as statefulset.apps/web
    Name,
}

/// Writes text to standard output as it is.
///
/// A reader that has gone away (`petset get | head -1`) ends the program silently.
pub(crate) fn text(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Writes bytes to standard output as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        done => done.context("cannot write to standard output"),
    }
}

/// Writes one line to standard output.
pub(crate) fn line(line: &str) -> Result<()> {
    text(&format!("{line}\n"))
}

/// Writes a value as JSON, indented.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<()> {
    let value = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    line(&value)
}

/// Writes a value as YAML.
pub(crate) fn yaml<T: Serialize>(value: &T) -> Result<()> {
    text(&yaml::to_string(value)?)
}

/// Writes rows below their headings, as kubectl does: no frame, three spaces between columns.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> Result<()> {
    text(&lay_out(headings, rows))
}

/// Lays out rows below their headings.
pub(crate) fn lay_out(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(headings);
    table.add_rows(rows);
    let last = headings.len().saturating_sub(1);
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if place == last { 0 } else { 3 }));
    }
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_looks_like_kubectls() {
        let rows = [
            vec!["web".to_owned(), "3/3".to_owned()],
            vec!["kctl".to_owned(), "0/1".to_owned()],
        ];
        assert_eq!(
            lay_out(&["NAME", "READY"], &rows),
            "NAME   READY\nweb    3/3\nkctl   0/1\n"
        );
    }
}
