//! The position of a field in the text.

use crate::yaml::{Node, Position, Value};

/// Finds the place of `path` in a document, or of the nearest thing around it that is there.
///
/// The place of a single value is where it begins; that of a map or list is its key.
pub(crate) fn locate(root: &Node, path: &str) -> Position {
    let (node, place) = find(root, path);
    match node.map(|node| &node.value) {
        Some(Value::Bool(_) | Value::Number(_) | Value::Text(_)) => {
            node.map_or(place, |node| node.at)
        }
        Some(Value::Null | Value::List(_) | Value::Map(_)) | None => place,
    }
}

/// Finds the place of the key at the end of `path`, or of the nearest thing around it.
pub(crate) fn locate_key(root: &Node, path: &str) -> Position {
    find(root, path).1
}

/// Returns the value at `path`, if it is there, and the place of the last key or item found.
fn find<'n>(root: &'n Node, path: &str) -> (Option<&'n Node>, Position) {
    let (mut node, mut place) = (root, root.at);
    for step in steps(path) {
        let next = match (&node.value, &step) {
            (Value::Map(_), PathSegment::Key(key)) => {
                node.entry(key).map(|entry| (&entry.node, entry.at))
            }
            (Value::List(items), PathSegment::Index(index)) => {
                items.get(*index).map(|item| (item, item.at))
            }
            _ => None,
        };
        let Some(found) = next else {
            return (None, place);
        };
        (node, place) = found;
    }
    (Some(node), place)
}

enum PathSegment {
    Key(String),
    Index(usize),
}

/// Splits `spec.ports[0].name`; what stands in brackets is an index, or a key with dots in it.
fn steps(path: &str) -> Vec<PathSegment> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, after) = inner.split_once(']').unwrap_or((inner, ""));
            steps.push(match inside.parse() {
                Ok(index) => PathSegment::Index(index),
                Err(_) => PathSegment::Key(inside.to_owned()),
            });
            rest = after.strip_prefix('.').unwrap_or(after);
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(PathSegment::Key(rest[..end].to_owned()));
            rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::read;

    #[test]
    fn a_path_is_found_or_the_nearest_thing_around_it() {
        let text = "a:\n  b:\n  - c: 1\n  - c: {d.e: x}\n  f:\n";
        let root = read(text).roots.remove(0);
        let cases = [
            ("a.b[0].c", "3:8"),
            ("a.b[1].c[d.e]", "4:14"),
            ("a.b[1].c.x", "4:5"),
            ("a.b[7]", "2:3"),
            ("a.b", "2:3"),
            ("a.f", "5:3"),
            ("x", "1:1"),
            ("", "1:1"),
        ];
        for (path, place) in cases {
            assert_eq!(locate(&root, path).to_string(), place, "{path}");
        }
        assert_eq!(locate_key(&root, "a.b[0].c").to_string(), "3:5");
        assert_eq!(locate_key(&root, "a.b[1].c[d.e]").to_string(), "4:9");
    }
}
