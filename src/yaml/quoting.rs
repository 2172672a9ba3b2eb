//! Quotes for words that YAML 1.1 takes for something else.
//!
//! `serde_yaml` leaves the text `yes` bare, as YAML 1.2 allows; Kubernetes would read a bool.
//! Text that petset writes must mean the same to both.

use libyaml_safer::{EventData, Mark, Parser, ScalarStyle};

use super::scalar;
use super::value::Value;

/// Puts quotes around the bare texts of `yaml` that are texts in YAML 1.2 only.
pub(super) fn quoted(yaml: String) -> String {
    let words = words(&yaml);
    if words.is_empty() {
        return yaml;
    }
    let mut out = String::with_capacity(yaml.len() + 2 * words.len());
    let mut done = 0;
    for (start, end) in words {
        let (before, word) = (&yaml[done..start], &yaml[start..end]);
        out.extend([before, "'", word, "'"]);
        done = end;
    }
    out.push_str(&yaml[done..]);
    out
}

/// Finds where such words begin and end, in bytes.
fn words(yaml: &str) -> Vec<(usize, usize)> {
    let mut parser = Parser::new();
    parser.set_input(yaml.as_bytes());
    let mut found = Vec::new();
    for event in parser.map_while(Result::ok) {
        if let EventData::Scalar {
            value,
            style,
            tag: None,
            ..
        } = &event.data
            && *style == ScalarStyle::Plain
            && differs(value)
        {
            found.push((offset(event.start_mark), offset(event.end_mark)));
        }
    }
    found
}

fn offset(mark: Mark) -> usize {
    usize::try_from(mark.index).unwrap_or(usize::MAX)
}

fn differs(word: &str) -> bool {
    if matches!(scalar::resolve(word), Value::Text(_)) {
        return false;
    }
    let modern = serde_yaml::from_str::<serde_yaml::Value>(word);
    modern.is_ok_and(|value| value.is_string())
}
