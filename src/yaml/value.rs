//! Values that remember where they stand in a file.

use std::fmt;

/// A place in a file; lines and columns count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// The line.
    pub(crate) line: usize,
    /// The column, in characters.
    pub(crate) column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) at: Position,
}

/// A value of JSON; a number keeps its text, so that none is rounded.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<MapEntry>),
}

/// One `key: value`.
#[derive(Debug, Clone)]
pub(crate) struct MapEntry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) node: Node,
    /// Whether it was merged by `<<`, so that a key of the map itself wins.
    pub(super) merged: bool,
}

impl Value {
    /// Returns the name that Go's JSON decoder has for this type of value.
    pub(crate) const fn go_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Number(_) => "number",
            Self::Text(_) => "string",
            Self::List(_) => "array",
            Self::Map(_) => "object",
        }
    }
}

impl Value {
    /// Returns the value without its place. A number that JSON cannot hold is text.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(value) => (*value).into(),
            Self::Number(text) => {
                let number = serde_json::from_str::<serde_json::Number>(text);
                number.map_or_else(|_| text.as_str().into(), Into::into)
            }
            Self::Text(text) => text.as_str().into(),
            Self::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Self::Map(entries) => {
                let fields = entries.iter();
                let fields = fields.map(|it| (it.key.clone(), it.node.value.to_json()));
                serde_json::Value::Object(fields.collect())
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(text) => f.write_str(text),
            Self::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Self::List(items) => write!(f, "[{} items]", items.len()),
            Self::Map(entries) => write!(f, "{{{} keys}}", entries.len()),
        }
    }
}

impl Node {
    /// Returns the entry of a map under `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&MapEntry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                None
            }
        }
    }

    /// Returns the text of a map's entry, where that is text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.node.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                None
            }
        }
    }

    /// Puts text under a key of a map, at the place of what was there.
    pub(crate) fn set_text(&mut self, key: &str, text: &str) {
        let at = self.at;
        let Value::Map(entries) = &mut self.value else {
            return;
        };
        let value = Value::Text(text.to_owned());
        match entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => entry.node.value = value,
            None => entries.push(MapEntry {
                key: key.to_owned(),
                at,
                node: Node { value, at },
                merged: false,
            }),
        }
    }

    /// Returns how many values it holds, itself included, and how deep they are nested.
    pub(super) fn weight(&self) -> (usize, usize) {
        let children: Vec<(usize, usize)> = match &self.value {
            Value::List(items) => items.iter().map(Self::weight).collect(),
            Value::Map(entries) => entries.iter().map(|entry| entry.node.weight()).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return (1, 0),
        };
        let count = children.iter().map(|(count, _)| count).sum::<usize>();
        let height = children.iter().map(|(_, height)| *height).max();
        (count + 1, height.unwrap_or(0) + 1)
    }
}
