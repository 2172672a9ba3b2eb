//! From a tree of values to a typed object, strictly.
//!
//! `serde` stops at the first wrong value and skips fields it does not know. This deserializer
//! does neither: it notes every fault with its path, puts an empty value in the place of a wrong
//! one, and goes on, so that one run shows everything. The messages are those of the API
//! server's JSON decoder, whose Go types it names by what the typed object asks for.
//! (`serde_ignored` would find the unknown fields, but not past the first wrong value.)
//!
//! The compiler makes each generic function here some 150 times, once for each type. They only
//! pass on what functions that are not generic found.

mod element;
mod error;
mod findings;
mod plain;

use std::borrow::Cow;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Expected, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use self::element::ElementType;
use self::error::DecodeError;
use self::findings::{Findings, Segment};

use super::fault::{FaultKind, Faults};
use super::go;
use super::guess::base64_fault;
use crate::model::nearest;
use crate::model::quantity::Quantity;
use crate::yaml::{MapEntry, Node, Value};

/// Decodes an object; the faults found are added to `faults`.
///
/// A wrong value is an empty one in the result, which must not be used unless no fault came up.
pub(crate) fn decode<T: DeserializeOwned>(root: &Node, faults: &mut Faults) -> Option<T> {
    let notes = Findings::default();
    let cursor = Cursor {
        node: root,
        notes: &notes,
        owner: "",
    };
    let decoded = T::deserialize(cursor);
    faults.extend(notes.faults.into_inner());
    match decoded {
        Ok(object) => Some(object),
        Err(DecodeError(message)) => {
            faults.push("", message, FaultKind::Decoding);
            None
        }
    }
}

#[derive(Clone, Copy)]
struct Cursor<'n> {
    node: &'n Node,
    notes: &'n Findings,
    /// The struct that holds the field, for Go's messages.
    owner: &'static str,
}

impl<'n> Cursor<'n> {
    /// Findings that the value has the wrong type.
    fn mismatch(&self, go_type: &str, wanted: &str, value: &str) {
        let (owner, path) = (self.owner, self.notes.go_path());
        let message = format!(
            "json: cannot unmarshal {value} into Go struct field {owner}.{path} of type {go_type}"
        );
        let plain = plain::words(wanted, &self.node.value);
        self.notes.note_with(message, Some(&plain));
    }

    fn wrong_type(&self, wanted: &str) {
        let named = go::field_type(self.owner, &self.notes.last_field());
        self.mismatch(named.unwrap_or(wanted), wanted, self.node.value.go_name());
    }

    /// Returns an integer that fits, or notes why there is none.
    fn integer(&self, wanted: &str, least: i64, most: i64) -> i64 {
        match &self.node.value {
            Value::Null => {}
            Value::Number(text) => match text.parse() {
                Ok(number) if (least..=most).contains(&number) => return number,
                _ => self.mismatch(wanted, wanted, &format!("number {text}")),
            },
            Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                self.wrong_type(wanted);
            }
        }
        0
    }

    fn string(&self, wanted: &str) -> &'n str {
        match &self.node.value {
            Value::Text(text) => return text,
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
                self.wrong_type(wanted);
            }
        }
        ""
    }

    /// Returns whether the value is text in base64, or notes why it is not.
    fn is_base64(&self) -> bool {
        let Value::Text(text) = &self.node.value else {
            self.wrong_type("[]uint8");
            return false;
        };
        let fault = base64_fault(text);
        let fine = fault.is_none();
        fault.into_iter().for_each(|fault| self.notes.note(fault));
        fine
    }

    /// Returns the elements of a list, or nothing where the value is no list.
    fn items(&self) -> Option<&'n [Node]> {
        match &self.node.value {
            Value::List(items) => Some(items),
            Value::Null => Some(&[]),
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Map(_) => None,
        }
    }

    /// Findings that the value is no list of such elements.
    fn not_a_list(&self, element: &str) {
        let named = go::field_type(self.owner, &self.notes.last_field());
        let element = named.unwrap_or(element);
        self.mismatch(&format!("[]{element}"), "[]", self.node.value.go_name());
    }

    /// Returns the entries of a map, or none where the value has the wrong type.
    fn entries(&self, wanted: impl FnOnce() -> Cow<'static, str>) -> &'n [MapEntry] {
        match &self.node.value {
            Value::Map(entries) => return entries,
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                self.wrong_type(&wanted());
            }
        }
        &[]
    }

    #[inline(never)]
    fn entries_of_map(&self) -> &'n [MapEntry] {
        self.entries(|| "map[string]string".into())
    }

    #[inline(never)]
    fn entries_of_struct(&self, name: &'static str) -> &'n [MapEntry] {
        self.entries(|| format!("v1.{name}").into())
    }

    /// Reads a quantity, which may be a number too, and writes it in its canonical form.
    fn quantity(&self) -> String {
        let text = match &self.node.value {
            Value::Text(text) | Value::Number(text) => text.trim(),
            Value::Null => "0",
            Value::Bool(_) | Value::List(_) | Value::Map(_) => "",
        };
        match text.parse::<Quantity>() {
            Ok(quantity) => quantity.to_string(),
            Err(fault) => {
                self.notes.note(fault.message);
                "0".to_owned()
            }
        }
    }

    fn time(&self) -> String {
        let text = self.string("Time");
        if text.parse::<jiff::Timestamp>().is_ok() {
            return text.to_owned();
        }
        if !text.is_empty() {
            self.notes.note(format!(
                "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?}"
            ));
        }
        "1970-01-01T00:00:00Z".to_owned()
    }
}

impl<'de> Deserializer<'de> for Cursor<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(_) if expects(&visitor, "IntOrString") => {
                let message = "json: cannot unmarshal bool into Go value of type int32";
                let plain = "must be a number or text, not true or false";
                self.notes.note_with(message.to_owned(), Some(plain));
                visitor.visit_i32(0)
            }
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(_) if expects(&visitor, "IntOrString") => {
                let (least, most) = (i64::from(i32::MIN), i64::from(i32::MAX));
                visitor.visit_i64(self.integer("int32", least, most))
            }
            Value::Number(text) => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(whole), _) => visitor.visit_i64(whole),
                (_, Ok(number)) => visitor.visit_f64(number),
                (Err(_), Err(_)) => visitor.visit_str(text),
            },
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => visitor.visit_seq(Items::of(self, items)),
            Value::Map(entries) => visitor.visit_map(Fields::of_map(self, entries)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if matches!(self.node.value, Value::Null) {
            return visitor.visit_none();
        }
        if expects(&visitor, "a base64-encoded string") && !self.is_base64() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Null => visitor.visit_bool(false),
            Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                self.wrong_type("bool");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let (least, most) = (i64::from(i32::MIN), i64::from(i32::MAX));
        visitor.visit_i64(self.integer("int32", least, most))
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_i64(self.integer("int64", i64::MIN, i64::MAX))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.string("string"))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match name {
            "Quantity" => visitor.visit_newtype_struct(StrDeserializer::new(&self.quantity())),
            "Time" | "MicroTime" => {
                visitor.visit_newtype_struct(StrDeserializer::new(&self.time()))
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if let Some(items) = self.items() {
            return visitor.visit_seq(Items::of(self, items));
        }
        let mut element = String::new();
        let empty = visitor.visit_seq(ElementType(&mut element));
        self.not_a_list(&element);
        empty
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_map(Fields::of_map(self, self.entries_of_map()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let entries = self.entries_of_struct(name);
        visitor.visit_map(Fields::of_struct(self, name, fields, entries))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple
        tuple_struct enum identifier
    }
}

fn expects<'de, V: Visitor<'de>>(visitor: &V, what: &str) -> bool {
    is_called(visitor, what)
}

fn is_called(expected: &dyn Expected, what: &str) -> bool {
    expected.to_string() == what
}

struct Items<'n> {
    parent: Cursor<'n>,
    items: &'n [Node],
    next: usize,
}

impl<'n> Items<'n> {
    const fn of(parent: Cursor<'n>, items: &'n [Node]) -> Self {
        let next = 0;
        Self {
            parent,
            items,
            next,
        }
    }

    /// Moves to the next element, if there is one; the caller has to leave it.
    #[inline(never)]
    fn enter_next(&mut self) -> Option<Cursor<'n>> {
        let index = self.next;
        let node = self.items.get(index)?;
        self.next += 1;
        self.parent.notes.enter(Segment::Index(index));
        Some(Cursor {
            node,
            ..self.parent
        })
    }
}

impl<'n> SeqAccess<'n> for Items<'n> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(cursor) = self.enter_next() else {
            return Ok(None);
        };
        let element = seed.deserialize(cursor);
        self.parent.notes.leave();
        element.map(Some)
    }
}

struct Fields<'n> {
    parent: Cursor<'n>,
    entries: &'n [MapEntry],
    next: usize,
    known: Option<(&'static str, &'static [&'static str])>,
}

impl<'n> Fields<'n> {
    const fn of_map(parent: Cursor<'n>, entries: &'n [MapEntry]) -> Self {
        Self {
            parent,
            entries,
            next: 0,
            known: None,
        }
    }

    const fn of_struct(
        parent: Cursor<'n>,
        name: &'static str,
        fields: &'static [&'static str],
        entries: &'n [MapEntry],
    ) -> Self {
        Self {
            parent,
            entries,
            next: 0,
            known: Some((name, fields)),
        }
    }

    fn note_unknown(&self, key: &str, fields: &[&'static str]) {
        let notes = self.parent.notes;
        notes.enter(Segment::Field(key.to_owned()));
        let path = notes.path();
        let nearest = nearest(key, fields);
        notes.faults.borrow_mut().unknown(&path, nearest);
        notes.leave();
    }

    /// Returns the next key, past those that the struct does not know.
    #[inline(never)]
    fn next_known(&mut self) -> Option<&'n str> {
        while let Some(entry) = self.entries.get(self.next) {
            match self.known {
                Some((_, fields)) if !fields.contains(&entry.key.as_str()) => {
                    self.note_unknown(&entry.key, fields);
                    self.next += 1;
                }
                Some(_) | None => return Some(&entry.key),
            }
        }
        None
    }

    /// Moves to the value of the next key; the caller has to leave it.
    #[inline(never)]
    fn enter_next(&mut self) -> Cursor<'n> {
        let entry = &self.entries[self.next];
        self.next += 1;
        let (segment, owner) = match self.known {
            Some((name, _)) => (Segment::Field(entry.key.clone()), name),
            None => (Segment::Key(entry.key.clone()), self.parent.owner),
        };
        self.parent.notes.enter(segment);
        Cursor {
            node: &entry.node,
            notes: self.parent.notes,
            owner,
        }
    }
}

impl<'n> MapAccess<'n> for Fields<'n> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some(key) = self.next_known() else {
            return Ok(None);
        };
        let key = seed.deserialize(StrDeserializer::<DecodeError>::new(key));
        key.map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'n>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let value = seed.deserialize(self.enter_next());
        self.parent.notes.leave();
        value
    }
}
