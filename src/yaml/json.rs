//! JSON text as a tree of values: one object, or several one after the other.
//!
//! JSON is not quite YAML: its strings may hold DEL and line separators as they are, its surrogate
//! pairs are two escapes, and its objects need nothing between them (`jq -c`).

use std::collections::HashMap;

use super::document::{Budget, Documents, Parsed, TextFault, given_twice};
use super::scalar;
use super::value::{MapEntry, Node, Position, Value};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads JSON objects that follow each other, with or without `---` between them.
///
/// The error is what came before the text stopped being JSON, and where it did. The text may
/// still be YAML then, which has maps in braces too.
pub(super) fn read(text: &str) -> Result<Documents, Documents> {
    let mut reader = Reader {
        rest: text,
        at: Position { line: 1, column: 1 },
        budget: Budget::default(),
        faults: Vec::new(),
    };
    let mut roots = Vec::new();
    let stopped = reader.read_all(&mut roots).err();
    let mut faults = reader.faults;
    match stopped {
        None => Ok(Documents { roots, faults }),
        Some(fault) => {
            faults.push(fault);
            Err(Documents { roots, faults })
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
    /// Where `rest` begins.
    at: Position,
    budget: Budget,
    faults: Vec<TextFault>,
}

impl<'t> Reader<'t> {
    fn read_all(&mut self, roots: &mut Vec<Node>) -> Parsed<()> {
        loop {
            self.skip_between();
            match self.rest.chars().next() {
                None => return Ok(()),
                Some('{') => roots.push(self.value(0)?),
                Some(_) => return self.expected("an object"),
            }
        }
    }

    /// Skips what may stand between objects.
    fn skip_between(&mut self) {
        loop {
            self.skip_space();
            if self.rest.starts_with(BYTE_ORDER_MARK) {
                self.rest = &self.rest[BYTE_ORDER_MARK.len_utf8()..];
            } else if self.at.column == 1 && is_separator(self.rest) {
                self.take(3);
            } else {
                return;
            }
        }
    }

    fn value(&mut self, depth: usize) -> Parsed<Node> {
        let at = self.at;
        self.budget.spend(1, depth, at)?;
        let value = match self.rest.chars().next() {
            Some('{') => self.map(depth)?,
            Some('[') => self.list(depth)?,
            Some('"') => Value::Text(self.string()?),
            Some(_) | None => self.word()?,
        };
        Ok(Node { value, at })
    }

    fn map(&mut self, depth: usize) -> Parsed<Value> {
        let mut entries: Vec<MapEntry> = Vec::new();
        let mut known: HashMap<String, Position> = HashMap::new();
        self.take(1);
        if self.has('}') {
            return Ok(Value::Map(entries));
        }
        loop {
            self.skip_space();
            let at = self.at;
            let key = self.string()?;
            if !self.has(':') {
                return self.expected("':'");
            }
            self.skip_space();
            let node = self.value(depth + 1)?;
            match known.get(&key) {
                Some(first) => self.faults.push(given_twice(&key, at, *first)),
                None => {
                    known.insert(key.clone(), at);
                    let merged = false;
                    entries.push(MapEntry {
                        key,
                        at,
                        node,
                        merged,
                    });
                }
            }
            if self.has('}') {
                return Ok(Value::Map(entries));
            }
            if !self.has(',') {
                return self.expected("',' or '}'");
            }
        }
    }

    fn list(&mut self, depth: usize) -> Parsed<Value> {
        let mut items = Vec::new();
        self.take(1);
        if self.has(']') {
            return Ok(Value::List(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth + 1)?);
            if self.has(']') {
                return Ok(Value::List(items));
            }
            if !self.has(',') {
                return self.expected("',' or ']'");
            }
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let Some(length) = length_of_string(self.rest) else {
            return self.expected("a string in double quotes");
        };
        match serde_json::from_str(&self.rest[..length]) {
            Ok(text) => {
                self.take(length);
                Ok(text)
            }
            Err(_) => self.expected("a string that is JSON"),
        }
    }

    /// Reads a number, `true`, `false` or `null`.
    fn word(&mut self) -> Parsed<Value> {
        let ends = |letter: char| matches!(letter, ',' | ':' | ']' | '}') || letter.is_whitespace();
        let word = &self.rest[..self.rest.find(ends).unwrap_or(self.rest.len())];
        if serde_json::from_str::<serde::de::IgnoredAny>(word).is_err() {
            return self.expected("a value");
        }
        self.take(word.len());
        Ok(scalar::resolve(word))
    }

    /// Takes `letter`, if it is the next one after white space.
    fn has(&mut self, letter: char) -> bool {
        self.skip_space();
        let is_next = self.rest.starts_with(letter);
        if is_next {
            self.take(letter.len_utf8());
        }
        is_next
    }

    fn skip_space(&mut self) {
        let after = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.take(self.rest.len() - after.len());
    }

    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        for letter in taken.chars() {
            if letter == '\n' {
                self.at.line += 1;
                self.at.column = 0;
            }
            self.at.column += 1;
        }
        self.rest = rest;
    }

    fn expected<T>(&self, what: &str) -> Parsed<T> {
        let message = format!("this is not JSON: expected {what}");
        Err(TextFault {
            at: self.at,
            message,
        })
    }
}

/// Returns whether a text begins with a line of three dashes.
fn is_separator(text: &str) -> bool {
    let after = text.strip_prefix("---");
    after.is_some_and(|after| {
        after
            .trim_start_matches([' ', '\t', '\r'])
            .starts_with('\n')
    })
}

/// Returns the bytes of the string that a text begins with, its quotes included.
fn length_of_string(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let inside = text.strip_prefix('"')?;
    let end = inside.find(|letter: char| {
        let is_end = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        is_end
    });
    end.map(|end| end + 2)
}
