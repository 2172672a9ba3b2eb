//! YAML text as a tree of values that remember where they stand.
//!
//! Two parsers are at work in petset. `libyaml-safer` reads what people write: it is libyaml in
//! safe Rust, and Kubernetes' parser is libyaml in Go, so both accept the same texts (stricter
//! ones refuse the JSON annotations of the first pet sets). Its events tell quoted from plain
//! scalars and carry line and column, which the YAML 1.1 rules of Kubernetes and good messages
//! both need. `serde_yaml` (see `written.rs`) writes what petset stores, and reads that back.
//! Anchors, aliases and merge keys are resolved here; how much they may expand is limited, so that
//! no manifest can fill the memory.

use std::collections::HashMap;

use libyaml_safer::{Event, EventData, Mark, Parser, ScalarStyle};

use super::document::{Budget, Documents, Parsed, TextFault, given_twice};
use super::guard::guarded;
use super::marks::without_marks;
use super::value::{MapEntry, Node, Position, Value};
use super::{json, scalar};

/// Reads all documents of a file; empty ones are left out.
///
/// After a syntax error nothing more of the file is read, what came before it stays.
pub(crate) fn read(text: &str) -> Documents {
    let text = without_marks(text);
    if !text.trim_start().starts_with('{') {
        return read_yaml(&text);
    }
    json::read(&text).unwrap_or_else(|json| {
        let yaml = read_yaml(&text);
        let last = |documents: &Documents| documents.faults.last().map(|fault| fault.at);
        let is_json =
            !json.roots.is_empty() && last(&yaml).is_some_and(|at| last(&json) >= Some(at));
        if is_json { json } else { yaml }
    })
}

fn read_yaml(text: &str) -> Documents {
    let mut builder = Builder::new(text);
    let documents = builder.documents();
    if !builder.has_panicked || text.ends_with('\n') {
        return documents;
    }
    // The parser panics on a block scalar whose last line has no end.
    let ended = format!("{text}\n");
    let mut builder = Builder::new(&ended);
    builder.has_added_end = true;
    builder.documents()
}

struct Builder<'t> {
    text: &'t [u8],
    parser: Parser<&'t [u8]>,
    anchors: HashMap<String, (Node, usize, usize)>,
    faults: Vec<TextFault>,
    budget: Budget,
    /// The end of the latest event.
    at: Position,
    has_panicked: bool,
    /// Whether the last line break of the text is not the author's.
    has_added_end: bool,
}

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
            budget: Budget::default(),
            at: Position { line: 1, column: 1 },
            has_panicked: false,
            has_added_end: false,
        }
    }

    fn documents(&mut self) -> Documents {
        let mut roots = Vec::new();
        if let Err(fault) = self.read_all(&mut roots) {
            self.faults.push(fault);
        }
        let faults = std::mem::take(&mut self.faults);
        Documents { roots, faults }
    }

    fn next(&mut self) -> Parsed<Event> {
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
                self.has_panicked = true;
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

    fn read_all(&mut self, roots: &mut Vec<Node>) -> Parsed<()> {
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

    fn node(&mut self, event: Event, depth: usize) -> Parsed<Node> {
        let at = position(event.start_mark);
        let end = event.end_mark;
        self.budget.spend(1, depth, at)?;
        let (anchor, value) = match event.data {
            EventData::Alias { anchor } => return self.alias(&anchor, at, depth),
            EventData::Scalar {
                anchor,
                tag,
                mut value,
                style,
                ..
            } => {
                if self.is_cut_off(style, end) && value.ends_with('\n') {
                    value.pop();
                }
                (anchor, typed(value, style, tag.as_deref()))
            }
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

    /// Returns whether it is a block scalar that goes on to the end of a text without line end.
    fn is_cut_off(&self, style: ScalarStyle, end: Mark) -> bool {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        is_block && self.has_added_end && end.index == self.text.len() as u64
    }

    fn alias(&mut self, anchor: &str, at: Position, depth: usize) -> Parsed<Node> {
        let Some((_, count, height)) = self.anchors.get(anchor) else {
            let message = format!("unknown anchor {anchor:?} referenced");
            return Err(TextFault { at, message });
        };
        let (count, height) = (*count, *height);
        self.budget.spend(count, depth + height, at)?;
        let value = self.anchors[anchor].0.value.clone();
        Ok(Node { value, at })
    }

    fn list(&mut self, depth: usize) -> Parsed<Value> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                return Ok(Value::List(items));
            }
            items.push(self.node(event, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Parsed<Value> {
        let mut entries = Entries::default();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                return Ok(Value::Map(entries.all));
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

    fn add(&mut self, entries: &mut Entries, key: Node, node: Node) -> Parsed<()> {
        let at = key.at;
        let key = key_text(key)?;
        let merged = false;
        let entry = MapEntry {
            key,
            at,
            node,
            merged,
        };
        match entries.find(&entry.key) {
            None => entries.push(entry),
            Some(known) if known.merged => *known = entry,
            Some(known) => {
                self.faults.push(given_twice(&entry.key, at, known.at));
            }
        }
        Ok(())
    }

    /// Adds what `<<` names; keys of the map itself win, then the earlier of several maps.
    fn merge(&mut self, entries: &mut Entries, source: Node) -> Parsed<()> {
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
                .collect::<Parsed<_>>()?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return Err(fault()),
        };
        for mut entry in maps.into_iter().flatten() {
            if entries.find(&entry.key).is_none() {
                entry.merged = true;
                entries.push(entry);
            }
        }
        Ok(())
    }
}

/// The entries of a map, with an index of its keys.
#[derive(Default)]
struct Entries {
    all: Vec<MapEntry>,
    places: HashMap<String, usize>,
}

impl Entries {
    fn find(&mut self, key: &str) -> Option<&mut MapEntry> {
        self.all.get_mut(*self.places.get(key)?)
    }

    /// Adds an entry whose key is new.
    fn push(&mut self, entry: MapEntry) {
        self.places.insert(entry.key.clone(), self.all.len());
        self.all.push(entry);
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
fn key_text(key: Node) -> Parsed<String> {
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
