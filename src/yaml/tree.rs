//! YAML text as a tree of values that remember where they stand.
//!
//! Two parsers are at work in petset. `libyaml-safer` reads what people write: it is libyaml in
//! safe Rust, and Kubernetes' parser is libyaml in Go, so both accept the same texts (stricter
//! ones refuse the JSON annotations of the first pet sets). Its events tell quoted from plain
//! scalars and carry line and column, which the YAML 1.1 rules of Kubernetes and good messages
//! both need. `serde_yaml` (see `yaml.rs`) writes what petset stores, and reads that back. Anchors, aliases and merge keys are resolved here; how much they may expand
//! is limited, so that no manifest can fill the memory.

use std::collections::HashMap;
use std::fmt;

use libyaml_safer::{Event, EventData, Mark, Parser, ScalarStyle};

use super::guard::guarded;
use super::{scalar, surrogate};

/// The most values one file may hold after its aliases are expanded.
const MAX_VALUES: usize = 250_000;
/// The deepest nesting of lists and maps.
const MAX_DEPTH: usize = 128;

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

/// What JSON knows; a number keeps its text, so that none is rounded.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key: value`.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Position,
    pub(crate) node: Node,
    merged: bool,
}

/// Something wrong with the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFault {
    pub(crate) at: Position,
    pub(crate) message: String,
}

impl Value {
    /// Returns what Go's JSON decoder calls this sort of value.
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
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
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
            None => entries.push(Entry {
                key: key.to_owned(),
                at,
                node: Node { value, at },
                merged: false,
            }),
        }
    }

    fn weight(&self) -> (usize, usize) {
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

/// The documents of one file, and what is wrong with its text.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) roots: Vec<Node>,
    pub(crate) faults: Vec<TextFault>,
}

/// Reads all documents of a file; empty ones are left out.
///
/// After a syntax error nothing more of the file is read, what came before it stays.
pub(crate) fn read(text: &str) -> Documents {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = surrogate::joined(text);
    let mut builder = Builder::new(&text);
    let mut documents = Documents::default();
    if let Err(fault) = builder.read_all(&mut documents.roots) {
        builder.faults.push(fault);
    }
    documents.faults = builder.faults;
    documents
}

struct Builder<'t> {
    text: &'t [u8],
    parser: Parser<&'t [u8]>,
    anchors: HashMap<String, (Node, usize, usize)>,
    faults: Vec<TextFault>,
    values: usize,
    /// Where the latest event ended.
    at: Position,
}

type Step<T> = Result<T, TextFault>;

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let mut parser = Parser::new();
        parser.set_encoding(libyaml_safer::Encoding::Utf8);
        parser.set_input(text.as_bytes());
        Self {
            text: text.as_bytes(),
            parser,
            anchors: HashMap::new(),
            faults: Vec::new(),
            values: 0,
            at: Position { line: 1, column: 1 },
        }
    }

    fn next(&mut self) -> Step<Event> {
        let parser = &mut self.parser;
        match guarded(|| parser.parse()) {
            Ok(Ok(event)) => {
                self.at = position(event.end_mark);
                Ok(event)
            }
            Ok(Err(error)) => {
                let at = match error.problem_mark() {
                    Some(mark) => position(mark),
                    None => self.first_odd_byte(),
                };
                let mut message = format!("this is not YAML: {}", error.problem());
                if self.is_tab(at) {
                    message.push_str(" (it is a tab: YAML is indented with spaces)");
                }
                Err(TextFault { at, message })
            }
            Err(_) => {
                let message = "what follows here is YAML that petset cannot read".to_owned();
                Err(TextFault {
                    at: self.at,
                    message,
                })
            }
        }
    }

    fn is_tab(&self, at: Position) -> bool {
        let line = self.text.split(|&byte| byte == b'\n').nth(at.line - 1);
        line.and_then(|line| line.get(at.column - 1)) == Some(&b'\t')
    }

    /// Finds what a reader refuses without saying where: a control character.
    fn first_odd_byte(&self) -> Position {
        let odd = |&byte: &u8| byte < b' ' && !b"\t\r\n".contains(&byte) || byte == 0x7f;
        let offset = self.text.iter().position(odd).unwrap_or_default();
        let before = &self.text[..offset];
        let line_start = before.iter().rposition(|&byte| byte == b'\n');
        Position {
            line: before.iter().filter(|&&byte| byte == b'\n').count() + 1,
            column: offset - line_start.map_or(0, |at| at + 1) + 1,
        }
    }

    fn read_all(&mut self, roots: &mut Vec<Node>) -> Step<()> {
        loop {
            let event = self.next()?;
            match event.data {
                EventData::StreamEnd => return Ok(()),
                EventData::StreamStart { .. }
                | EventData::DocumentStart { .. }
                | EventData::DocumentEnd { .. }
                | EventData::SequenceEnd
                | EventData::MappingEnd => {}
                EventData::Alias { .. }
                | EventData::Scalar { .. }
                | EventData::SequenceStart { .. }
                | EventData::MappingStart { .. } => {
                    let root = self.node(event, 0)?;
                    self.anchors.clear();
                    if !matches!(root.value, Value::Null) {
                        roots.push(root);
                    }
                }
            }
        }
    }

    fn node(&mut self, event: Event, depth: usize) -> Step<Node> {
        let at = position(event.start_mark);
        self.spend(1, depth, at)?;
        let (anchor, value) = match event.data {
            EventData::Alias { anchor } => return self.alias(&anchor, at, depth),
            EventData::Scalar {
                anchor,
                tag,
                value,
                style,
                ..
            } => (anchor, typed(value, style, tag.as_deref())),
            EventData::SequenceStart { anchor, .. } => (anchor, self.list(depth)?),
            EventData::MappingStart { anchor, .. } => (anchor, self.map(depth)?),
            EventData::StreamStart { .. }
            | EventData::StreamEnd
            | EventData::DocumentStart { .. }
            | EventData::DocumentEnd { .. }
            | EventData::SequenceEnd
            | EventData::MappingEnd => (None, Value::Null),
        };
        let node = Node { value, at };
        if let Some(anchor) = anchor {
            let (count, height) = node.weight();
            self.anchors.insert(anchor, (node.clone(), count, height));
        }
        Ok(node)
    }

    fn spend(&mut self, values: usize, depth: usize, at: Position) -> Step<()> {
        self.values += values;
        let message = match (self.values > MAX_VALUES, depth > MAX_DEPTH) {
            (true, _) => format!("the file holds more than {MAX_VALUES} values"),
            (_, true) => format!("lists and maps are nested more than {MAX_DEPTH} deep"),
            (false, false) => return Ok(()),
        };
        Err(TextFault { at, message })
    }

    fn alias(&mut self, anchor: &str, at: Position, depth: usize) -> Step<Node> {
        let Some((_, count, height)) = self.anchors.get(anchor) else {
            let message = format!("unknown anchor {anchor:?} referenced");
            return Err(TextFault { at, message });
        };
        let (count, height) = (*count, *height);
        self.spend(count, depth + height, at)?;
        let value = self.anchors[anchor].0.value.clone();
        Ok(Node { value, at })
    }

    fn list(&mut self, depth: usize) -> Step<Value> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Step<Value> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                return Ok(Value::Map(entries));
            }
            let is_merge = is_merge_key(&event.data);
            let key = self.node(event, depth + 1)?;
            let event = self.next()?;
            let node = self.node(event, depth + 1)?;
            if is_merge {
                self.merge(&mut entries, node)?;
            } else {
                self.add(&mut entries, key, node)?;
            }
        }
    }

    fn add(&mut self, entries: &mut Vec<Entry>, key: Node, node: Node) -> Step<()> {
        let at = key.at;
        let key = key_text(key)?;
        let merged = false;
        let entry = Entry {
            key,
            at,
            node,
            merged,
        };
        match entries.iter_mut().find(|known| known.key == entry.key) {
            None => entries.push(entry),
            Some(known) if known.merged => *known = entry,
            Some(known) => {
                let (key, first) = (&entry.key, known.at.line);
                let message = format!("key {key:?} already set in map (on line {first})");
                self.faults.push(TextFault { at, message });
            }
        }
        Ok(())
    }

    /// Adds what `<<` names; keys of the map itself win, then the earlier of several maps.
    fn merge(&mut self, entries: &mut Vec<Entry>, source: Node) -> Step<()> {
        let at = source.at;
        let fault = || TextFault {
            at,
            message: "map merge requires map or sequence of maps as the value".to_owned(),
        };
        let maps = match source.value {
            Value::Map(map) => vec![map],
            Value::List(items) => items
                .into_iter()
                .map(|item| match item.value {
                    Value::Map(map) => Ok(map),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Text(_)
                    | Value::List(_) => Err(fault()),
                })
                .collect::<Step<_>>()?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return Err(fault()),
        };
        for mut entry in maps.into_iter().flatten() {
            if !entries.iter().any(|known| known.key == entry.key) {
                entry.merged = true;
                entries.push(entry);
            }
        }
        Ok(())
    }
}

fn position(mark: Mark) -> Position {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Position {
        line: whole(mark.line).saturating_add(1),
        column: whole(mark.column).saturating_add(1),
    }
}

fn is_merge_key(event: &EventData) -> bool {
    let EventData::Scalar {
        value, style, tag, ..
    } = event
    else {
        return false;
    };
    value == "<<" && *style == ScalarStyle::Plain && tag.is_none()
}

/// Map keys are text to JSON, whatever YAML takes them for: `on:` is the key `true`.
fn key_text(key: Node) -> Step<String> {
    match key.value {
        Value::Text(text) | Value::Number(text) => Ok(text),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => Err(TextFault {
            at: key.at,
            message: format!("a map key must be text, not {}", key.value.go_name()),
        }),
    }
}

fn typed(text: String, style: ScalarStyle, tag: Option<&str>) -> Value {
    let plain = matches!(style, ScalarStyle::Plain | ScalarStyle::Any);
    let core = tag.map(|tag| tag.strip_prefix("tag:yaml.org,2002:").unwrap_or_default());
    match core {
        Some("int" | "float" | "bool" | "null") => scalar::resolve(&text),
        None if plain => scalar::resolve(&text),
        Some(_) | None => Value::Text(text),
    }
}

#[cfg(test)]
mod tests;
