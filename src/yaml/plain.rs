//! The plain part of YAML: maps and lists of one-line values, each value on a line of its own.
//!
//! Commands read all objects of a kind, and nearly all that petset stores is plain. This reader
//! takes a tenth of the time of `serde_yaml`. What it does not know it leaves to `serde_yaml`.

/// How deep maps and lists may be nested.
const MAX_DEPTH: usize = 64;
/// How long a key may be; `serde_yaml` writes longer ones in another form.
const MAX_KEY: usize = 128;

/// Returns the JSON text of a YAML map; `None` if any of it is not plain.
pub(super) fn to_json(text: &str) -> Option<String> {
    let mut reader = PlainReader {
        lines: text.lines(),
        next: None,
        json: String::with_capacity(text.len() * 5 / 4),
    };
    reader.advance()?;
    reader.map(0, MAX_DEPTH)?;
    reader.next.is_none().then_some(reader.json)
}

/// A line without its indentation, or what follows the dash of a list item.
#[derive(Debug, Clone, Copy)]
struct PlainLine<'t> {
    indent: usize,
    text: &'t str,
}

struct PlainReader<'t> {
    lines: std::str::Lines<'t>,
    /// The line to be read next.
    next: Option<PlainLine<'t>>,
    json: String,
}

impl<'t> PlainReader<'t> {
    fn advance(&mut self) -> Option<()> {
        self.next = match self.lines.next() {
            None => None,
            Some(line) => {
                let text = line.trim_start_matches(' ');
                // Also refuses an empty line, a tab, a return, and what YAML calls a line break.
                let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
                if !is_plain || text.is_empty() || text.ends_with(' ') {
                    return None;
                }
                let indent = line.len() - text.len();
                Some(PlainLine { indent, text })
            }
        };
        Some(())
    }

    /// Returns the text of the next line if it is indented by `indent`.
    fn at(&self, indent: usize) -> Option<&'t str> {
        let line = self.next.filter(|line| line.indent == indent)?;
        Some(line.text)
    }

    /// Returns `None` if the next line is indented by more than what has just been read.
    fn expect_end(&self, indent: usize) -> Option<()> {
        let goes_on = self.next.is_some_and(|line| line.indent > indent);
        (!goes_on).then_some(())
    }

    fn map(&mut self, indent: usize, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let mut before = '{';
        while let Some(text) = self.at(indent).filter(|text| after_dash(text).is_none()) {
            let (key, value) = key_and_value(text)?;
            self.json.push(before);
            before = ',';
            self.quote(key);
            self.json.push(':');
            match value {
                Some(value) => self.scalar(value)?,
                None => self.nested(indent, depth)?,
            }
        }
        self.expect_end(indent)?;
        // A map without an entry is written as `{}`.
        if before == '{' {
            return None;
        }
        self.json.push('}');
        Some(())
    }

    /// Reads what stands on the lines below a key.
    fn nested(&mut self, indent: usize, depth: usize) -> Option<()> {
        self.advance()?;
        let below = self.next.filter(|line| match after_dash(line.text) {
            Some(_) => line.indent >= indent,
            None => line.indent > indent,
        });
        match below {
            None => self.json.push_str("null"),
            Some(line) if after_dash(line.text).is_some() => self.list(line.indent, depth)?,
            Some(line) => self.map(line.indent, depth)?,
        }
        Some(())
    }

    fn list(&mut self, indent: usize, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let mut before = '[';
        while let Some(item) = self.at(indent).and_then(after_dash) {
            self.json.push(before);
            before = ',';
            let inner = indent + "- ".len();
            let line = PlainLine {
                indent: inner,
                text: item,
            };
            self.next = Some(line);
            if after_dash(item).is_some() {
                self.list(inner, depth)?;
            } else if key_and_value(item).is_some() {
                self.map(inner, depth)?;
            } else {
                self.scalar(item)?;
            }
        }
        self.expect_end(indent)?;
        self.json.push(']');
        Some(())
    }

    /// Reads the rest of the line as one value.
    fn scalar(&mut self, text: &str) -> Option<()> {
        if let "{}" | "[]" | "null" | "true" | "false" = text {
            self.json.push_str(text);
        } else if let Some(quoted) = text.strip_prefix('\'') {
            let inner = quoted.strip_suffix('\'')?;
            let bare = inner.replace("''", "\u{0}");
            if bare.contains('\'') {
                return None;
            }
            self.quote(&bare.replace('\u{0}', "'"));
        } else if is_integer(text) {
            self.json.push_str(text);
        } else if is_text(text) {
            self.quote(text);
        } else {
            return None;
        }
        self.advance()
    }

    /// Writes a JSON string; its letters are printable ASCII.
    fn quote(&mut self, text: &str) {
        self.json.push('"');
        for letter in text.chars() {
            if let '"' | '\\' = letter {
                self.json.push('\\');
            }
            self.json.push(letter);
        }
        self.json.push('"');
    }
}

/// Returns what stands behind the dash of a list item.
fn after_dash(text: &str) -> Option<&str> {
    text.strip_prefix("- ")
}

/// Splits `key: value` or `key:`.
fn key_and_value(text: &str) -> Option<(&str, Option<&str>)> {
    let (key, rest) = text.split_once(':')?;
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    if key.len() > MAX_KEY || !key.bytes().all(is_plain) || !is_text(key) {
        return None;
    }
    if rest.is_empty() {
        return Some((key, None));
    }
    let value = rest.strip_prefix(' ')?;
    Some((key, Some(value)))
}

/// Returns whether a bare word is an integer that JSON writes in the same way.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_short = (1..=18).contains(&digits.len());
    is_short && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0')
        || text == "0"
}

/// Returns whether a bare text is certainly a string, and the whole of it.
fn is_text(text: &str) -> bool {
    let mut bytes = text.bytes();
    let begins_text = match bytes.next() {
        Some(b'-') => bytes.next().is_some_and(|second| second != b' '),
        Some(first) => first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/' | b'$' | b'('),
        None => false,
    };
    let is_number = text.parse::<f64>().is_ok() || may_have_radix(text);
    let words = ["null", "true", "false"];
    let is_word = words.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_whole = !text.contains(": ") && !text.contains(" #") && !text.ends_with(':');
    begins_text && is_whole && !is_number && !is_word && !text.starts_with("---")
}

/// Returns whether a text begins like `0x1f`.
fn may_have_radix(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let mut bytes = digits.bytes();
    bytes.next() == Some(b'0') && bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn by_library(text: &str) -> Option<Value> {
        serde_yaml::from_str(text).ok()
    }

    fn read(text: &str) -> Option<Value> {
        Some(serde_json::from_str(&to_json(text)?).unwrap())
    }

    #[test]
    fn a_stored_object_is_plain() {
        let object = json!({
            "kind": "StatefulSet",
            "metadata": {"annotations": {"petset.dev/isolation": "full"}, "generation": 1},
            "spec": {
                "containers": [{
                    "args": ["--name=$(POD)", "it's", "1000", "-1", ["a", "b"]],
                    "command": ["/bin/sh", "-c", "a: b # c"],
                    "resources": {},
                    "env": [],
                    "timeout": "10s", "image": "10.0.0.1:5000/x", "none": null, "tty": true,
                }, {"name": "second"}],
            },
        });
        let text = crate::yaml::to_string(&object).unwrap();
        assert_eq!(read(&text).as_ref(), Some(&object), "{text}");
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_library() {
        for text in [
            "",
            "word\n",
            "a: |\n  b\n",
            "a: \"b\"\n",
            "a: &x b\n",
            "a: b\n  c\n",
            "a: 'b\n  c'\n",
            "a: b # c\n",
            "# c\na: b\n",
            "a: {b: c}\n",
            "a:\n    b: c\n  d: e\n",
            "a: .5\n",
            "a: 0x1f\n",
            "a: 007\n",
            "a: True\n",
            "a: 1e3\n",
            "a: ü\n",
            "a:  b\n",
            "a: b \n",
            "---\na: b\n",
            "a: b\n---\nc: d\n",
            "a: b\n\nc: d\n",
            "a: 'b' 'c'\n",
            "? a\n: b\n",
            "a:\n\t- b\n",
            "- a\n",
            "null: a\n",
            "a: b: c\n",
            "a: -\n",
            "a:\n  b\n",
            "...\n",
            "a: 12345678901234567890\n",
            "a: -0\n",
            "a: inf\n",
            "a: ---x\n",
        ] {
            assert_eq!(to_json(text), None, "{text:?}");
        }
        let deep = format!("a:\n{}b\n", "- ".repeat(100_000));
        assert_eq!(to_json(&deep), None);
    }

    fn word() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "a", "b", "0", "1", "-", ".", "'", "\"", "\\", ": ", ":", " #", " ", "- ", "~", "{}",
            "[]", "null", "true", "e", "x", "_", "/", "$(", "\n", "|", "&", "*", "é", "\t", "yes",
        ];
        prop::collection::vec(prop::sample::select(PIECES), 0..5).prop_map(|it| it.concat())
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            word().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let map = prop::collection::btree_map(word(), inner.clone(), 0..5);
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(Value::from),
                map.prop_map(|map| map.into_iter().collect::<Value>()),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn what_is_read_is_what_the_library_reads(
            value in value(),
            cuts in prop::collection::vec((any::<prop::sample::Index>(), word()), 0..3),
        ) {
            let mut text = crate::yaml::to_string(&json!({"a": value})).unwrap();
            if let Some(read) = read(&text) {
                prop_assert_eq!(Some(read), by_library(&text), "{}", text);
            }
            for (place, piece) in cuts {
                let place = place.index(text.len());
                if text.is_char_boundary(place) {
                    text.insert_str(place, &piece);
                }
            }
            if let Some(read) = read(&text) {
                prop_assert_eq!(Some(read), by_library(&text), "{}", text);
            }
        }
    }
}
