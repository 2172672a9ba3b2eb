//! JSON Patch (RFC 6902): a list of operations, of which each works on what the last one left.

use serde_json::Value;

use crate::problem::Problem;

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    action: Act,
    path: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Act {
    Add(Value),
    Remove,
    Replace(Value),
    Move { from: String },
    Copy { from: String },
    Test(Value),
}

impl Operation {
    /// Reads a list of operations.
    pub(super) fn all(patch: &Value) -> Result<Vec<Self>, Problem> {
        let Some(list) = patch.as_array() else {
            let message = "a patch of the type json is a list of operations";
            let hint =
                "such as [{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 3}]";
            return Err(Problem::invalid(message).hint(hint));
        };
        list.iter().map(Self::of).collect()
    }

    fn of(operation: &Value) -> Result<Self, Problem> {
        let text = |field: &str| {
            let found = operation.get(field).and_then(Value::as_str);
            let missing = || Problem::invalid(format!("{operation} has no {field:?}"));
            found.map(str::to_owned).ok_or_else(missing)
        };
        let value = || {
            let found = operation.get("value").cloned();
            found.ok_or_else(|| Problem::invalid(format!("{operation} has no \"value\"")))
        };
        let action = match &*text("op")? {
            "add" => Act::Add(value()?),
            "remove" => Act::Remove,
            "replace" => Act::Replace(value()?),
            "move" => Act::Move {
                from: text("from")?,
            },
            "copy" => Act::Copy {
                from: text("from")?,
            },
            "test" => Act::Test(value()?),
            other => {
                let message = format!("there is no operation {other:?}");
                let hint = "there are add, remove, replace, move, copy and test";
                return Err(Problem::invalid(message).hint(hint));
            }
        };
        let path = text("path")?;
        check(&path)?;
        action.from().map_or(Ok(()), |from| check(from))?;
        Ok(Self { action, path })
    }

    pub(super) fn apply(&self, object: &mut Value) -> Result<(), Problem> {
        let path = &self.path;
        match &self.action {
            Act::Add(value) => add(object, path, value.clone()),
            Act::Remove => remove(object, path).map(drop),
            Act::Replace(value) => {
                *found(object, path)? = value.clone();
                Ok(())
            }
            Act::Move { from } if path.starts_with(&format!("{from}/")) => {
                let message = format!("{from} cannot be moved into itself, to {path}");
                Err(Problem::invalid(message))
            }
            Act::Move { from } => {
                let value = remove(object, from)?;
                add(object, path, value)
            }
            Act::Copy { from } => {
                let value = found(object, from)?.clone();
                add(object, path, value)
            }
            Act::Test(value) => {
                let there = found(object, path)?;
                if there == value {
                    return Ok(());
                }
                let message = format!("the test failed: {path} is {there}, not {value}");
                Err(Problem::invalid(message))
            }
        }
    }
}

impl Act {
    const fn from(&self) -> Option<&String> {
        match self {
            Self::Move { from } | Self::Copy { from } => Some(from),
            Self::Add(_) | Self::Remove | Self::Replace(_) | Self::Test(_) => None,
        }
    }
}

/// Refuses what is no JSON pointer.
fn check(path: &str) -> Result<(), Problem> {
    if path.is_empty() || path.starts_with('/') {
        return Ok(());
    }
    let message = format!("the path {path:?} does not begin with a slash");
    Err(Problem::invalid(message))
}

fn missing(path: &str) -> Problem {
    Problem::invalid(format!("there is nothing at {path}"))
}

fn found<'a>(object: &'a mut Value, path: &str) -> Result<&'a mut Value, Problem> {
    object.pointer_mut(path).ok_or_else(|| missing(path))
}

/// Returns what is above the end of a path, and the last part of the path.
fn parent<'a>(object: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), Problem> {
    let (above, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    let last = last.replace("~1", "/").replace("~0", "~");
    Ok((found(object, above)?, last))
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), Problem> {
    if path.is_empty() {
        *object = value;
        return Ok(());
    }
    let (above, last) = parent(object, path)?;
    match above {
        Value::Object(fields) => drop(fields.insert(last, value)),
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => {
            let place = index(&last).filter(|place| *place <= list.len());
            list.insert(place.ok_or_else(|| missing(path))?, value);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err(missing(path));
        }
    }
    Ok(())
}

fn remove(object: &mut Value, path: &str) -> Result<Value, Problem> {
    if path.is_empty() {
        return Ok(object.take());
    }
    let (above, last) = parent(object, path)?;
    let removed = match above {
        Value::Object(fields) => fields.remove(&last),
        Value::Array(list) => {
            let place = index(&last).filter(|place| *place < list.len());
            place.map(|place| list.remove(place))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    removed.ok_or_else(|| missing(path))
}

/// Reads an index; one with a sign or a leading zero is none.
fn index(text: &str) -> Option<usize> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    fn patched(before: &str, patch: &str) -> Result<Value, Problem> {
        let mut object = value(before);
        for operation in Operation::all(&value(patch))? {
            operation.apply(&mut object)?;
        }
        Ok(object)
    }

    /// Examples of RFC 6902, appendix A, and its rules for arrays.
    const PATCHES: [(&str, &str, &str); 12] = [
        (
            r#"{"foo":"bar"}"#,
            r#"[{"op":"add","path":"/baz","value":"qux"}]"#,
            r#"{"baz":"qux","foo":"bar"}"#,
        ),
        (
            r#"{"foo":["bar","baz"]}"#,
            r#"[{"op":"add","path":"/foo/1","value":"qux"}]"#,
            r#"{"foo":["bar","qux","baz"]}"#,
        ),
        (
            r#"{"foo":["bar"]}"#,
            r#"[{"op":"add","path":"/foo/-","value":["abc"]}]"#,
            r#"{"foo":["bar",["abc"]]}"#,
        ),
        (
            r#"{"baz":"qux","foo":"bar"}"#,
            r#"[{"op":"remove","path":"/baz"}]"#,
            r#"{"foo":"bar"}"#,
        ),
        (
            r#"{"foo":["bar","qux","baz"]}"#,
            r#"[{"op":"remove","path":"/foo/1"}]"#,
            r#"{"foo":["bar","baz"]}"#,
        ),
        (
            r#"{"baz":"qux"}"#,
            r#"[{"op":"replace","path":"/baz","value":"boo"}]"#,
            r#"{"baz":"boo"}"#,
        ),
        (
            r#"{"foo":{"bar":"baz","waldo":"fred"},"qux":{}}"#,
            r#"[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]"#,
            r#"{"foo":{"bar":"baz"},"qux":{"thud":"fred"}}"#,
        ),
        (
            r#"{"foo":["all","grass","cows","eat"]}"#,
            r#"[{"op":"move","from":"/foo/1","path":"/foo/3"}]"#,
            r#"{"foo":["all","cows","eat","grass"]}"#,
        ),
        (
            r#"{"a":{"b":1}}"#,
            r#"[{"op":"copy","from":"/a","path":"/c"}]"#,
            r#"{"a":{"b":1},"c":{"b":1}}"#,
        ),
        (
            r#"{"baz":"qux"}"#,
            r#"[{"op":"test","path":"/baz","value":"qux"},{"op":"add","path":"/a","value":null}]"#,
            r#"{"baz":"qux","a":null}"#,
        ),
        (
            r#"{"/":9,"~1":10}"#,
            r#"[{"op":"test","path":"/~01","value":10},{"op":"remove","path":"/~1"}]"#,
            r#"{"~1":10}"#,
        ),
        ("[1]", r#"[{"op":"add","path":"","value":{}}]"#, "{}"),
    ];

    #[test]
    fn operations_work_as_their_rfc_says() {
        for (before, patch, after) in PATCHES {
            assert_eq!(patched(before, patch).unwrap(), value(after), "{patch}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let refused = [
            (
                r#"{"baz":"qux"}"#,
                r#"[{"op":"test","path":"/baz","value":"bar"}]"#,
            ),
            (
                r#"{"foo":"bar"}"#,
                r#"[{"op":"add","path":"/baz/bat","value":"qux"}]"#,
            ),
            ("{}", r#"[{"op":"remove","path":"/a"}]"#),
            ("{}", r#"[{"op":"replace","path":"/a","value":1}]"#),
            ("[1]", r#"[{"op":"add","path":"/5","value":1}]"#),
            ("[1,2]", r#"[{"op":"remove","path":"/01"}]"#),
            (
                r#"{"a":{}}"#,
                r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
            ),
            ("{}", r#"[{"op":"spin","path":"/a"}]"#),
            ("{}", r#"[{"op":"remove"}]"#),
            ("{}", r#"[{"op":"add","path":"/a"}]"#),
            ("{}", r#"[{"op":"remove","path":"a"}]"#),
            ("{}", r#"{"op":"remove","path":"/a"}"#),
        ];
        for (before, patch) in refused {
            assert!(patched(before, patch).is_err(), "{patch}");
        }
    }
}
