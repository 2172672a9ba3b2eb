//! What `-o` asks for: whole objects, or what a template finds in them.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::Context;
use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command};

use super::jsonpath::JsonPath;
use super::{Columns, Document, List, json, line, text, yaml};
use crate::problem::{Problem, Result};

/// The output formats of objects that are there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// A table with more columns.
    Wide,
    /// The objects as JSON.
    Json,
    /// The objects as YAML.
    Yaml,
    /// One name per line, such as `statefulset.apps/web`.
    Name,
    /// What a template finds, as text.
    JsonPath(JsonPath),
    /// What a template finds, as JSON.
    JsonPathAsJson(JsonPath),
    /// A table with these headings and paths.
    CustomColumns(Vec<(String, JsonPath)>),
}

/// The formats as the help and completions show them.
const FORMS: [(&str, &str); 9] = [
    ("wide", "A table with more columns"),
    ("json", "The objects as JSON"),
    ("yaml", "The objects as YAML"),
    ("name", "One name per line, such as statefulset.apps/web"),
    (
        "jsonpath=TEMPLATE",
        "What a template finds, such as '{.items[*].metadata.name}'",
    ),
    ("jsonpath-as-json=TEMPLATE", "The same as JSON"),
    (
        "jsonpath-file=FILE",
        "The same, with the template from a file",
    ),
    (
        "custom-columns=COLUMNS",
        "A table, such as NAME:.metadata.name,IP:.status.podIP",
    ),
    (
        "custom-columns-file=FILE",
        "The same, with a line of headings and a line of paths",
    ),
];

impl Output {
    /// Reads the value of `-o`.
    pub(crate) fn parse(value: &str) -> Result<Self> {
        let (form, rest) = value.split_once('=').unwrap_or((value, ""));
        let with = |what: &str| match rest {
            "" => {
                let message = format!("{form} needs {what}");
                Err(Problem::invalid(message).hint(format!("write {form}={what}")))
            }
            rest => Ok(rest),
        };
        Ok(match form {
            "wide" | "json" | "yaml" | "name" if value.contains('=') => {
                return Err(Problem::invalid(format!("{form} takes no value")).into());
            }
            "wide" => Self::Wide,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            "name" => Self::Name,
            "jsonpath" => Self::JsonPath(JsonPath::parse(with("TEMPLATE")?)?),
            "jsonpath-as-json" => Self::JsonPathAsJson(JsonPath::parse(with("TEMPLATE")?)?),
            "jsonpath-file" => Self::JsonPath(JsonPath::parse(&read(with("FILE")?)?)?),
            "custom-columns" => Self::CustomColumns(columns(with("COLUMNS")?)?),
            "custom-columns-file" => Self::CustomColumns(columns_of_file(&read(with("FILE")?)?)?),
            "go-template" | "go-template-file" | "template" | "templatefile" => {
                // The parser of the command line shows the message alone.
                let message = "templates of Go are not supported: -o jsonpath='{range \
                               .items[*]}{.metadata.name}{\"\\n\"}{end}' prints a line for each \
                               object";
                return Err(Problem::invalid(message).into());
            }
            _ => {
                let known: Vec<&str> = FORMS.map(|(form, _)| form).to_vec();
                let message = format!("there is no output format {form:?}");
                let hint = format!("there are {}", known.join(", "));
                return Err(Problem::invalid(message).hint(hint).into());
            }
        })
    }

    /// Returns whether this prints a table of petset's own.
    pub(crate) const fn is_table(&self) -> bool {
        matches!(self, Self::Wide)
    }

    /// Prints documents: one by itself if `alone`, else as a list.
    pub(crate) fn print(&self, mut documents: Vec<Document>, alone: bool) -> Result<()> {
        if let Self::CustomColumns(wanted) = self {
            let rows = [headings(wanted)].into_iter().map(Ok);
            let cells = documents.iter().map(|document| cells(wanted, document));
            let rows: Result<Vec<_>> = rows.chain(cells).collect();
            return text(&Columns::default().lay_out(&rows?));
        }
        match documents.pop() {
            Some(only) if alone => self.print_one(&only),
            last => {
                documents.extend(last);
                self.print_one(&Document::of(&List::fetched(documents))?)
            }
        }
    }

    /// Prints one document more of those that are watched.
    pub(crate) fn print_next(&self, document: &Document, columns: &mut Columns) -> Result<()> {
        if *self == Self::Yaml {
            text("---\n")?;
        }
        if let Self::CustomColumns(wanted) = self {
            return text(&columns.lay_out(&[cells(wanted, document)?]));
        }
        self.print_one(document)
    }

    /// Returns the headings of the columns that were asked for.
    pub(crate) fn headings(&self) -> Option<Vec<String>> {
        match self {
            Self::CustomColumns(wanted) => Some(headings(wanted)),
            Self::Wide
            | Self::Json
            | Self::Yaml
            | Self::Name
            | Self::JsonPath(_)
            | Self::JsonPathAsJson(_) => None,
        }
    }

    fn print_one(&self, document: &Document) -> Result<()> {
        match self {
            Self::Json => json(document),
            Self::Yaml => yaml(document),
            Self::JsonPath(template) => text(&document.fill(template)?),
            Self::JsonPathAsJson(template) => text(&document.fill_as_json(template)?),
            Self::CustomColumns(wanted) => {
                text(&Columns::default().lay_out(&[cells(wanted, document)?]))
            }
            Self::Name | Self::Wide => {
                let name = document.text_at("/metadata/name").unwrap_or_default();
                let kind = document.text_at("/kind").unwrap_or_default();
                line(&format!("{}/{name}", kind.to_lowercase()))
            }
        }
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(Path::new(path)).with_context(|| format!("cannot read {path}"))
}

/// Reads `NAME:.metadata.name,IP:.status.podIP`.
fn columns(spec: &str) -> Result<Vec<(String, JsonPath)>> {
    let one = |part: &str| {
        let Some((heading, path)) = part.split_once(':') else {
            let message = format!("the column {part:?} has no path");
            return Err(Problem::invalid(message)
                .hint("write it as NAME:.metadata.name")
                .into());
        };
        Ok((heading.to_owned(), JsonPath::parse_path(path)?))
    };
    spec.split(',').map(one).collect()
}

/// Reads a line of headings and a line of as many paths.
fn columns_of_file(text: &str) -> Result<Vec<(String, JsonPath)>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let mut words = || lines.next().unwrap_or_default().split_whitespace();
    let (headings, paths): (Vec<&str>, Vec<&str>) = (words().collect(), words().collect());
    if headings.is_empty() || headings.len() != paths.len() {
        let message = format!(
            "a file of columns has a line of headings and a line of as many paths, here {} and {}",
            headings.len(),
            paths.len()
        );
        return Err(Problem::invalid(message).into());
    }
    let pairs = headings.into_iter().zip(paths);
    pairs
        .map(|(heading, path)| Ok((heading.to_owned(), JsonPath::parse_path(path)?)))
        .collect()
}

fn headings(wanted: &[(String, JsonPath)]) -> Vec<String> {
    wanted.iter().map(|(heading, _)| heading.clone()).collect()
}

fn cells(wanted: &[(String, JsonPath)], document: &Document) -> Result<Vec<String>> {
    let paths = wanted.iter().map(|(_, path)| document.cell(path));
    paths.collect()
}

/// Reads the value of `-o`, and names the formats to the help and to completions.
#[derive(Debug, Clone)]
pub(crate) struct OutputParser;

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Output, clap::Error> {
        StringValueParser::new()
            .try_map(|text| Output::parse(&text))
            .parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let value =
            |(form, help): (&'static str, &'static str)| PossibleValue::new(form).help(help);
        Some(Box::new(FORMS.into_iter().map(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_needs_its_value_and_takes_no_other() {
        for fine in ["wide", "jsonpath={.kind}", "custom-columns=A:.kind,B:kind"] {
            assert!(Output::parse(fine).is_ok(), "{fine}");
        }
        let cases = [
            ("jsonpath", "jsonpath needs TEMPLATE"),
            ("json=x", "json takes no value"),
            ("jsno", "there is no output format \"jsno\""),
            ("custom-columns=A", "the column \"A\" has no path"),
            (
                "go-template={{.kind}}",
                "templates of Go are not supported: -o jsonpath='{range \
                 .items[*]}{.metadata.name}{\"\\n\"}{end}' prints a line for each object",
            ),
        ];
        for (wrong, why) in cases {
            let error = Output::parse(wrong).unwrap_err();
            assert_eq!(error.to_string(), why, "{wrong}");
        }
    }

    #[test]
    fn a_file_of_columns_has_as_many_paths_as_headings() {
        let columns = columns_of_file("NAME    IP\n.metadata.name  .status.podIP\n").unwrap();
        assert_eq!(headings(&columns), ["NAME", "IP"]);
        assert!(columns_of_file("NAME IP\n.metadata.name\n").is_err());
        assert!(columns_of_file("").is_err());
    }
}
