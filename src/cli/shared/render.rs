//! Standard output: tables, JSON, YAML and names.
//!
//! The sole user of comfy-table, and the sole writer to standard output.

mod document;
mod jsonpath;
mod output;
mod sorting;

use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::problem::Result;
use crate::yaml;
pub(crate) use document::{Document, List};
pub(crate) use jsonpath::JsonPath;
pub(crate) use output::{Output, OutputParser};
pub(crate) use sorting::sort_by;

/// The output formats of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table with more columns
    Wide,
    /// The objects as JSON
    Json,
    /// The objects as YAML
    Yaml,
    /// One name per line, such as statefulset.apps/web
    Name,
}

/// Returns whether standard output shows colours.
pub(crate) fn shows_colours() -> bool {
    anstream::stdout().current_choice() != anstream::ColorChoice::Never
}

/// Writes text to standard output as it is.
///
/// The program exits silently if the reader is gone (`petset get | head -1`).
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

/// Columns whose widths stay the same, or grow, from one part of a table to the next.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    widths: Vec<usize>,
}

impl Columns {
    /// The space between two columns.
    const GAP: usize = 3;

    /// Lays out rows, with control characters escaped.
    pub(crate) fn lay_out(&mut self, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| clean_row(row)).collect();
        for row in &rows {
            self.widths.resize(self.widths.len().max(row.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &rows {
            let mut line = String::new();
            for (width, cell) in self.widths.iter().zip(row) {
                line.push_str(&format!("{cell:width$}", width = width + Self::GAP));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn clean_row(row: &[String]) -> Vec<String> {
    row.iter().map(|cell| clean(cell)).collect()
}

/// Escapes control characters, which could change the terminal, and joins lines by spaces.
pub(crate) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => clean.push(' '),
            letter if letter.is_control() => clean.extend(letter.escape_default()),
            letter => clean.push(letter),
        }
    }
    clean
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

    #[test]
    fn columns_keep_their_widths_and_nothing_reaches_the_terminal() {
        let mut columns = Columns::default();
        let row = |cells: [&str; 2]| vec![cells.map(str::to_owned).to_vec()];
        assert_eq!(columns.lay_out(&row(["NAME", "WHY"])), "NAME   WHY\n");
        assert_eq!(
            columns.lay_out(&row(["db", "a\nb\u{1b}[31m"])),
            "db     a b\\u{1b}[31m\n"
        );
    }
}
