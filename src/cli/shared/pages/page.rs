//! The layout of a description: kubectl's, in which the values of consecutive fields line up.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;

use crate::cli::shared::events::aggregate;
use crate::cli::shared::render::clean;
use crate::cli::shared::words::NONE;
use crate::store::journal::Event;

/// A description, line by line.
#[derive(Debug, Default)]
pub(crate) struct Page {
    lines: Vec<Line>,
}

#[derive(Debug)]
enum Line {
    /// A heading, which ends a run of fields.
    Heading(String),
    /// A name with its value.
    Field { name: String, value: String },
    /// A row of a small table.
    Row { indent: usize, cells: Vec<String> },
}

impl Page {
    /// Adds `name:` and its value, indented by two spaces per level.
    pub(crate) fn field(&mut self, level: usize, name: &str, value: impl AsRef<str>) {
        let name = format!("{:1$}{name}:", "", 2 * level);
        let value = clean(value.as_ref());
        self.lines.push(Line::Field { name, value });
    }

    /// Adds a field with several values, one per line.
    pub(crate) fn list(&mut self, level: usize, name: &str, values: &[String]) {
        let Some((first, more)) = values.split_first() else {
            return self.field(level, name, NONE);
        };
        self.field(level, name, first);
        for value in more {
            let (name, value) = (String::new(), clean(value));
            self.lines.push(Line::Field { name, value });
        }
    }

    /// Adds annotations: a long one, or one of several lines, begins on a line of its own.
    pub(crate) fn annotations(&mut self, pairs: Option<&BTreeMap<String, String>>) {
        const WIDTH: usize = 140;
        let lines = pairs.into_iter().flatten().flat_map(|(key, value)| {
            if key.len() + 2 + value.len() <= WIDTH && !value.contains('\n') {
                return vec![format!("{key}: {value}")];
            }
            let lines = value
                .lines()
                .map(|line| match line.char_indices().nth(WIDTH - 5) {
                    Some((end, _)) => format!("  {}...", &line[..end]),
                    None => format!("  {line}"),
                });
            [format!("{key}:")].into_iter().chain(lines).collect()
        });
        let lines: Vec<String> = lines.collect();
        self.list(0, "Annotations", &lines);
    }

    /// Adds labels or annotations.
    pub(crate) fn pairs(
        &mut self,
        level: usize,
        name: &str,
        between: &str,
        pairs: Option<&BTreeMap<String, String>>,
    ) {
        let pairs = pairs.into_iter().flatten();
        let lines: Vec<String> = pairs
            .map(|(key, value)| format!("{key}{between}{value}"))
            .collect();
        self.list(level, name, &lines);
    }

    /// Adds a heading that fields follow.
    pub(crate) fn heading(&mut self, level: usize, name: &str) {
        let heading = format!("{:1$}{name}:", "", 2 * level);
        self.lines.push(Line::Heading(clean_indented(&heading)));
    }

    /// Adds a row of a table; consecutive rows line up.
    pub(crate) fn row(&mut self, level: usize, cells: &[&str]) {
        let cells = cells.iter().map(|cell| clean(cell)).collect();
        let indent = 2 * level;
        self.lines.push(Line::Row { indent, cells });
    }

    /// Adds the events, as kubectl does at the end.
    pub(crate) fn events(&mut self, events: Vec<Event>, now: Timestamp) {
        let seen = aggregate(events);
        if seen.is_empty() {
            return self.field(0, "Events", NONE);
        }
        self.heading(0, "Events");
        self.row(1, &["Type", "Reason", "Age", "From", "Message"]);
        self.row(1, &["----", "------", "---", "----", "-------"]);
        for seen in &seen {
            let (event, age) = (seen.event(), seen.age(now));
            let cells = [
                seen.severity(),
                &event.reason,
                &age,
                seen.component(),
                &event.text(),
            ];
            self.row(1, &cells);
        }
    }
}

fn clean_indented(text: &str) -> String {
    let body = text.trim_start();
    format!("{:1$}{2}", "", text.len() - body.len(), clean(body))
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        while at < self.lines.len() {
            let run = &self.lines[at..];
            at += match &run[0] {
                Line::Heading(heading) => {
                    writeln!(f, "{heading}")?;
                    1
                }
                Line::Field { .. } => write_fields(f, run)?,
                Line::Row { .. } => write_rows(f, run)?,
            };
        }
        Ok(())
    }
}

/// Writes the fields that `lines` begin with; returns how many.
fn write_fields(f: &mut fmt::Formatter<'_>, lines: &[Line]) -> Result<usize, fmt::Error> {
    let fields = lines.iter().map_while(|line| match line {
        Line::Field { name, value } => Some((name, value)),
        Line::Heading(_) | Line::Row { .. } => None,
    });
    let fields: Vec<(&String, &String)> = fields.collect();
    let width = fields.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or_default() + 2;
    for (name, value) in &fields {
        writeln!(f, "{}", format!("{name:width$}{value}").trim_end())?;
    }
    Ok(fields.len())
}

/// Writes the rows that `lines` begin with; returns how many.
fn write_rows(f: &mut fmt::Formatter<'_>, lines: &[Line]) -> Result<usize, fmt::Error> {
    let rows = lines.iter().map_while(|line| match line {
        Line::Row { indent, cells } => Some((*indent, cells)),
        Line::Heading(_) | Line::Field { .. } => None,
    });
    let rows: Vec<(usize, &Vec<String>)> = rows.collect();
    let mut widths: Vec<usize> = Vec::new();
    for (_, cells) in &rows {
        widths.resize(widths.len().max(cells.len()), 0);
        for (width, cell) in widths.iter_mut().zip(*cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (indent, cells) in &rows {
        let mut line = " ".repeat(*indent);
        for (width, cell) in widths.iter().zip(*cells) {
            line.push_str(&format!("{cell:width$}  "));
        }
        // An empty line would end the page for its reader.
        let line = match line.trim_end() {
            "" => line.as_str(),
            text => text,
        };
        writeln!(f, "{line}")?;
    }
    Ok(rows.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_follow_each_other_line_up_also_across_levels() {
        let mut page = Page::default();
        page.field(0, "Update Strategy", "RollingUpdate");
        page.field(1, "Partition", "0");
        page.list(0, "Labels", &["a=b".to_owned(), "c=\u{1b}".to_owned()]);
        page.heading(0, "Containers");
        page.heading(1, "c");
        page.field(2, "Image", "img:v1");
        page.row(1, &["A", "LONG"]);
        page.row(1, &["AAA", "B"]);
        let text = "\
Update Strategy:  RollingUpdate
  Partition:      0
Labels:           a=b
                  c=\\u{1b}
Containers:
  c:
    Image:  img:v1
  A    LONG
  AAA  B
";
        assert_eq!(page.to_string(), text);
    }
}
