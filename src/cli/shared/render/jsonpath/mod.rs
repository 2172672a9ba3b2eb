//! Templates of JSONPath, in the dialect of kubectl: `{.items[*].metadata.name}`.
//!
//! Text outside of braces is printed as it is. A path in braces prints what it finds, with spaces
//! between; `{range PATH}` to `{end}` repeats what is between for each. A path that finds nothing
//! prints nothing. The rules are those of the page "JSONPath Support" of the Kubernetes
//! documentation. Members of an object are visited in alphabetical order, where kubectl takes any.

mod find;
mod parse;
mod print;
mod syntax;

use serde_json::Value;

pub(super) use find::number_order;

use self::syntax::TemplatePart;
use crate::problem::{Kind, Problem, Result};

/// A template that was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JsonPath {
    text: String,
    parts: Vec<TemplatePart>,
}

impl JsonPath {
    /// Reads a template, as `-o jsonpath=` has it.
    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let parts = parse::template(text).map_err(|why| {
            let message = format!("cannot read the JSONPath template {text:?}: {why}");
            Problem::invalid(message).hint("an example is '{.items[*].metadata.name}'")
        })?;
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// Reads the path of a column or of `--sort-by`: with or without its braces and its first dot.
    pub(crate) fn parse_path(text: &str) -> Result<Self, Problem> {
        let inner = text.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        let path = inner.unwrap_or(text);
        let path = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() || path.contains(['{', '}']) {
            let message = format!("{text:?} is no path of fields");
            return Err(Problem::invalid(message).hint("write it as .metadata.name"));
        }
        Self::parse(&format!("{{.{path}}}"))
    }

    /// Returns what the template prints for a value.
    pub(crate) fn fill(&self, value: &Value) -> Result<String> {
        let found = find::all(&self.parts, value).map_err(|why| self.fault(&why))?;
        Ok(found.iter().map(print::words).collect())
    }

    /// Returns what the template finds, as a JSON list for each of its parts.
    pub(crate) fn fill_as_json(&self, value: &Value) -> Result<String> {
        let found = find::all(&self.parts, value).map_err(|why| self.fault(&why))?;
        found.iter().map(print::list).collect()
    }

    /// Returns the values that the path of a column finds, as kubectl prints them in a column.
    pub(crate) fn cell(&self, value: &Value) -> Result<String> {
        let found = find::all(&self.parts, value).map_err(|why| self.fault(&why))?;
        Ok(print::cell(&found.concat()))
    }

    /// Returns the first value that a path finds.
    pub(crate) fn first(&self, value: &Value) -> Result<Option<Value>> {
        let found = find::all(&self.parts, value).map_err(|why| self.fault(&why))?;
        let first = found.into_iter().flatten().next();
        Ok(first.map(std::borrow::Cow::into_owned))
    }

    /// Returns the template as it was written, a path with its braces.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    fn fault(&self, why: &str) -> Problem {
        let message = format!("error executing jsonpath {:?}: {why}", self.text);
        Problem::new(Kind::Failed, message)
    }
}

#[cfg(test)]
mod tests;
