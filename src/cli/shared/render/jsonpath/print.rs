//! Prints values as kubectl does.

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use super::find::Found;
use crate::problem::Result;

/// Returns values with spaces between: objects and lists as JSON, others as they are.
pub(super) fn words(values: &Found<'_>) -> String {
    let words: Vec<String> = values.iter().map(|value| word(value)).collect();
    words.join(" ")
}

fn word(value: &Value) -> String {
    match value {
        Value::Object(_) | Value::Array(_) => escaped(&value.to_string()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => plain(value),
    }
}

/// Returns values as one JSON list, four spaces a level.
pub(super) fn list(values: &Found<'_>) -> Result<String> {
    let mut text = Vec::new();
    let indented = PrettyFormatter::with_indent(b"    ");
    let list = Value::Array(values.iter().map(|value| value.as_ref().clone()).collect());
    list.serialize(&mut Serializer::with_formatter(&mut text, indented))
        .context("cannot write JSON")?;
    Ok(escaped(&String::from_utf8(text)?) + "\n")
}

/// Returns values with commas between; `<none>` where there is none.
pub(super) fn cell(values: &Found<'_>) -> String {
    let words: Vec<String> = values.iter().map(|value| plain(value)).collect();
    match words.is_empty() {
        true => "<none>".to_owned(),
        false => words.join(","),
    }
}

/// Returns a value as Go prints it: `map[app:web]`, `[80 443]`, `<nil>`.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let words: Vec<String> = list.iter().map(plain).collect();
            format!("[{}]", words.join(" "))
        }
        Value::Object(map) => {
            let one = |(name, value): (&String, &Value)| format!("{name}:{}", plain(value));
            let words: Vec<String> = map.iter().map(one).collect();
            format!("map[{}]", words.join(" "))
        }
    }
}

/// Escapes what Go escapes in JSON, lest it is taken for HTML.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            _ => text.push(letter),
        }
    }
    text
}
