//! Finds the values that a template names.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::syntax::{PathStep, Relation, TemplatePart};

/// Values of a document, or of the template itself.
pub(super) type Found<'v> = Vec<Cow<'v, Value>>;

/// Returns the values of each part of a template, in order.
///
/// # Errors
///
/// Says in kubectl's words what cannot be done with a value.
pub(super) fn all<'v>(
    nodes: &'v [TemplatePart],
    value: &'v Value,
) -> Result<Vec<Found<'v>>, String> {
    let mut parts = Vec::new();
    for node in nodes {
        match node {
            TemplatePart::Text(text) => parts.push(vec![Cow::Owned(Value::String(text.clone()))]),
            TemplatePart::Path(steps) => parts.push(walk(steps, vec![Cow::Borrowed(value)])?),
            TemplatePart::Range(over, body) => {
                for each in walk(over, vec![Cow::Borrowed(value)])? {
                    for part in all(body, &each)? {
                        parts.push(
                            part.into_iter()
                                .map(|it| Cow::Owned(it.into_owned()))
                                .collect(),
                        );
                    }
                }
            }
        }
    }
    Ok(parts)
}

fn walk<'v>(steps: &'v [PathStep], mut found: Found<'v>) -> Result<Found<'v>, String> {
    for step in steps {
        found = take(step, found)?;
    }
    Ok(found)
}

fn take<'v>(step: &'v PathStep, input: Found<'v>) -> Result<Found<'v>, String> {
    let mut found = Vec::new();
    match step {
        PathStep::Literal(value @ Value::String(_)) => found.push(Cow::Borrowed(value)),
        PathStep::Literal(value) => found.extend(input.iter().map(|_| Cow::Borrowed(value))),
        PathStep::Union(paths) => {
            for path in paths {
                found.extend(walk(path, input.clone())?);
            }
        }
        PathStep::Field(name) => found.extend(input.into_iter().filter_map(|it| member(it, name))),
        PathStep::Wildcard => found.extend(input.into_iter().flat_map(children)),
        PathStep::Recursive => input.into_iter().for_each(|it| descend(it, &mut found)),
        PathStep::Element(_) | PathStep::Slice { .. } => {
            for value in input.into_iter().filter(|value| !value.is_null()) {
                found.extend(elements(value, step)?);
            }
        }
        PathStep::Exists(_) | PathStep::Compare(..) => {
            for value in input {
                for element in list(value, "and cannot be filtered")? {
                    if passes(step, &element)? {
                        found.push(element);
                    }
                }
            }
        }
    }
    Ok(found)
}

fn member<'v>(value: Cow<'v, Value>, name: &str) -> Option<Cow<'v, Value>> {
    match value {
        Cow::Borrowed(value) => value.as_object()?.get(name).map(Cow::Borrowed),
        Cow::Owned(value) => value.as_object()?.get(name).cloned().map(Cow::Owned),
    }
}

/// Returns the members of an object in alphabetical order, or the elements of a list.
fn children(value: Cow<'_, Value>) -> Found<'_> {
    match value {
        Cow::Borrowed(Value::Array(list)) => list.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(map)) => map.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(list)) => list.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(map)) => map.into_iter().map(|(_, it)| Cow::Owned(it)).collect(),
        Cow::Borrowed(_) | Cow::Owned(_) => Vec::new(),
    }
}

/// Adds a value and all below it that have children.
fn descend<'v>(value: Cow<'v, Value>, found: &mut Found<'v>) {
    let below = children(value.clone());
    if !below.is_empty() {
        found.push(value);
        below.into_iter().for_each(|it| descend(it, found));
    }
}

fn list<'v>(value: Cow<'v, Value>, more: &str) -> Result<Found<'v>, String> {
    if value.is_array() {
        return Ok(children(value));
    }
    let why = format!("{value} is not array or slice {more}");
    Err(why.trim_end().to_owned())
}

/// Returns the elements of a list that an index or slice means.
fn elements<'v>(value: Cow<'v, Value>, step: &PathStep) -> Result<Found<'v>, String> {
    let mut all = list(value, "")?;
    let length = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let from_end = |place: i64| if place < 0 { place + length } else { place };
    let (start, end, every) = match step {
        PathStep::Element(place) => (from_end(*place), from_end(*place) + 1, 1),
        PathStep::Slice { start, end, step } => (
            from_end(start.unwrap_or(0)),
            from_end(end.unwrap_or(length)),
            step.unwrap_or(1),
        ),
        PathStep::Field(_)
        | PathStep::Wildcard
        | PathStep::Recursive
        | PathStep::Union(_)
        | PathStep::Exists(_)
        | PathStep::Compare(..)
        | PathStep::Literal(_) => return Ok(Vec::new()),
    };
    if start == end {
        return Ok(Vec::new());
    }
    let outside = |place: i64| format!("array index out of bounds: index {place}, length {length}");
    if !(0..length).contains(&start) {
        return Err(outside(start));
    }
    if !(0..=length).contains(&end) {
        return Err(outside(end - 1));
    }
    if start > end {
        return Err(format!(
            "starting index {start} is greater than ending index {end}"
        ));
    }
    let every = usize::try_from(every).ok().filter(|every| *every > 0);
    let every = every.ok_or("step must be > 0")?;
    let bound = |place: i64| usize::try_from(place).unwrap_or_default();
    Ok(all.drain(bound(start)..bound(end)).step_by(every).collect())
}

/// Returns whether a filter keeps an element.
fn passes(filter: &PathStep, element: &Value) -> Result<bool, String> {
    let of = |path| walk(path, vec![Cow::Borrowed(element)]);
    match filter {
        PathStep::Exists(path) => Ok(of(path).is_ok_and(|found| !found.is_empty())),
        PathStep::Compare(left, operator, right) => match (&of(left)?[..], &of(right)?[..]) {
            ([], _) | (_, []) => Ok(false),
            ([left], [right]) => compare(left, *operator, right),
            _ => Err("can only compare one element at a time".to_owned()),
        },
        PathStep::Field(_)
        | PathStep::Wildcard
        | PathStep::Recursive
        | PathStep::Element(_)
        | PathStep::Slice { .. }
        | PathStep::Union(_)
        | PathStep::Literal(_) => Ok(true),
    }
}

fn compare(left: &Value, operator: Relation, right: &Value) -> Result<bool, String> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => {
            number_order(left, right).ok_or("incompatible types for comparison")?
        }
        (Value::Bool(left), Value::Bool(right)) => match operator {
            Relation::Equal | Relation::NotEqual => left.cmp(right),
            Relation::Less
            | Relation::LessOrEqual
            | Relation::Greater
            | Relation::GreaterOrEqual => return Err("invalid type for comparison".to_owned()),
        },
        _ => return Err("incompatible types for comparison".to_owned()),
    };
    Ok(match operator {
        Relation::Equal => order.is_eq(),
        Relation::NotEqual => order.is_ne(),
        Relation::Less => order.is_lt(),
        Relation::LessOrEqual => order.is_le(),
        Relation::Greater => order.is_gt(),
        Relation::GreaterOrEqual => order.is_ge(),
    })
}

/// Returns the order of two whole numbers, or of two that are not; there is none between these.
pub(in crate::cli::shared::render) fn number_order(
    left: &Number,
    right: &Number,
) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
        return Some(left.cmp(&right));
    }
    match left.is_f64() == right.is_f64() {
        true => left.as_f64()?.partial_cmp(&right.as_f64()?),
        false => None,
    }
}
