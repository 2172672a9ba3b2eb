//! The order of objects by a field, as `kubectl get --sort-by` has it.

use std::cmp::Ordering;

use serde_json::Value;

use super::Document;
use super::jsonpath::{JsonPath, number_order};
use crate::model::quantity::Quantity;
use crate::problem::{Problem, Result};

/// Sorts documents, each with something of the caller's, by what a path finds in them. Those
/// without it come first; equal ones stay in their order.
///
/// # Errors
///
/// Is invalid if no document has such a field.
pub(crate) fn sort_by<T>(items: &mut [(Document, T)], path: &JsonPath) -> Result<()> {
    let keys = items.iter().map(|(document, _)| document.first(path));
    let keys: Vec<Option<Value>> = keys.collect::<Result<_>>()?;
    if !keys.is_empty() && keys.iter().all(Option::is_none) {
        let message = format!(
            "couldn't find any field with path {:?} in the list of objects",
            path.text()
        );
        return Err(Problem::invalid(message).into());
    }
    let mut places: Vec<usize> = (0..items.len()).collect();
    places.sort_by(|one, other| order(keys[*one].as_ref(), keys[*other].as_ref()));
    reorder(items, &places);
    Ok(())
}

/// Puts the item at `places[n]` to place n.
fn reorder<T>(items: &mut [T], places: &[usize]) {
    let mut ranks = vec![0; places.len()];
    for (rank, place) in places.iter().enumerate() {
        ranks[*place] = rank;
    }
    for at in 0..items.len() {
        while ranks[at] != at {
            let target = ranks[at];
            items.swap(at, target);
            ranks.swap(at, target);
        }
    }
}

fn order(one: Option<&Value>, other: Option<&Value>) -> Ordering {
    match (one, other) {
        (Some(Value::Number(one)), Some(Value::Number(other))) => {
            number_order(one, other).unwrap_or(Ordering::Equal)
        }
        (Some(Value::String(one)), Some(Value::String(other))) => {
            match (one.parse::<Quantity>(), other.parse::<Quantity>()) {
                (Ok(one), Ok(other)) => one.nanos().cmp(&other.nanos()),
                _ => natural(one, other),
            }
        }
        (Some(Value::Bool(one)), Some(Value::Bool(other))) => one.cmp(other),
        (Some(Value::Null) | None, Some(Value::Null) | None) => Ordering::Equal,
        (Some(Value::Null) | None, Some(_)) => Ordering::Less,
        (Some(_), Some(Value::Null) | None) => Ordering::Greater,
        (Some(one), Some(other)) => natural(&one.to_string(), &other.to_string()),
    }
}

/// Compares texts with the numbers in them by their value: web-9 before web-10.
fn natural(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() && !other.is_empty() {
        let (left, right) = (piece(&mut one), piece(&mut other));
        let numbers = [left, right].map(|piece| piece.starts_with(|it: char| it.is_ascii_digit()));
        let ordered = match numbers {
            [true, true] => {
                let [a, b] = [left, right].map(|digits| digits.trim_start_matches('0'));
                let by_value = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
                by_value.then_with(|| left.len().cmp(&right.len()))
            }
            _ => left.cmp(right),
        };
        if ordered.is_ne() {
            return ordered;
        }
    }
    one.len().cmp(&other.len())
}

/// Takes the digits at the front, or one other letter.
fn piece<'t>(text: &mut &'t str) -> &'t str {
    let digits = text.find(|letter: char| !letter.is_ascii_digit());
    let end = match digits.unwrap_or(text.len()) {
        0 => text.chars().next().map_or(0, char::len_utf8),
        end => end,
    };
    let (piece, rest) = text.split_at(end);
    *text = rest;
    piece
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let sorted = ["a", "web-2", "web-9", "web-10", "web-10a", "web-x", "x"];
        for (at, one) in sorted.iter().enumerate() {
            for (place, other) in sorted.iter().enumerate() {
                assert_eq!(natural(one, other), at.cmp(&place), "{one} and {other}");
            }
        }
    }

    #[test]
    fn objects_are_sorted_by_what_a_path_finds() {
        let mut items: Vec<(Document, usize)> = Vec::new();
        for (place, size) in [json!("10Gi"), json!("9Gi"), json!(null), json!("512Mi")]
            .iter()
            .enumerate()
        {
            items.push((Document::of(&json!({"size": size})).unwrap(), place));
        }
        items.push((Document::of(&json!({})).unwrap(), 4));
        sort_by(&mut items, &JsonPath::parse_path("size").unwrap()).unwrap();
        let places: Vec<usize> = items.iter().map(|(_, place)| *place).collect();
        assert_eq!(places, [2, 4, 3, 1, 0]);
        let error = sort_by(&mut items, &JsonPath::parse_path(".age").unwrap()).unwrap_err();
        let why = "couldn't find any field with path \"{.age}\" in the list of objects";
        assert_eq!(error.to_string(), why);
    }
}
