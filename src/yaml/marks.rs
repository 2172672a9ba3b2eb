//! Byte order marks before later documents, as files have them that were put together.

use std::borrow::Cow;

const MARK: char = '\u{feff}';

/// Leaves out the marks at the beginning of documents. No place in the text moves but on the
/// lines that had one.
pub(super) fn without_marks(text: &str) -> Cow<'_, str> {
    if !text.contains(MARK) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut at_start = true;
    for line in text.split_inclusive('\n') {
        let bare = line.strip_prefix(MARK).unwrap_or(line);
        let is_boundary = is_boundary(bare);
        out.push_str(if at_start || is_boundary { bare } else { line });
        at_start = is_boundary || at_start && is_empty(bare);
    }
    Cow::Owned(out)
}

/// Returns whether a line ends one document and begins another.
fn is_boundary(line: &str) -> bool {
    let after = line.strip_prefix("---").or(line.strip_prefix("..."));
    after.is_some_and(|after| is_empty(after) && !after.starts_with('#'))
}

fn is_empty(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '\t', '\r', '\n']);
    line.is_empty() || line.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_left_out_where_a_document_begins_and_nowhere_else() {
        let cases = [
            ("\u{feff}a: 1\n", "a: 1\n"),
            ("a: 1\n---\n\u{feff}b: 2\n", "a: 1\n---\nb: 2\n"),
            ("a: 1\n\u{feff}---\r\nb: 2\n", "a: 1\n---\r\nb: 2\n"),
            ("--- # x\n# y\n\n\u{feff}b: 2", "--- # x\n# y\n\nb: 2"),
            ("...\n\u{feff}# x\n\u{feff}b: 2", "...\n# x\nb: 2"),
            ("a: 1\n\u{feff}b: 2\n", "a: 1\n\u{feff}b: 2\n"),
            ("---\na: \u{feff}b", "---\na: \u{feff}b"),
        ];
        for (text, expected) in cases {
            assert_eq!(without_marks(text), expected, "{text:?}");
        }
    }
}
