//! Characters that JSON writes as two escapes and YAML as one.

use std::borrow::Cow;

/// Joins surrogate pairs (`\ud83d\ude00`) of a JSON text into the one escape that YAML knows.
///
/// Each pair makes its line two letters shorter, which places to the right of it show.
pub(super) fn joined(text: &str) -> Cow<'_, str> {
    if !text.trim_start().starts_with(['{', '[']) || !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = match pair(escape) {
            Some(letter) => {
                out.push_str(&format!("\\U{:08x}", u32::from(letter)));
                12
            }
            None => {
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                out.push_str(&escape[..length]);
                length
            }
        };
        rest = &escape[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the character that two escapes at the beginning stand for.
fn pair(text: &str) -> Option<char> {
    let high = unit(text)?;
    let low = unit(text.get(6..)?)?;
    char::decode_utf16([high, low])
        .next()?
        .ok()
        .filter(|_| (0xd800..0xdc00).contains(&high))
}

fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_joined_and_all_else_stays() {
        let cases = [
            (r#"{"a": "\ud83d\ude00!"}"#, r#"{"a": "\U0001f600!"}"#),
            (r#"{"a": "\\ud83d\\ude00"}"#, r#"{"a": "\\ud83d\\ude00"}"#),
            (r#"{"a": "\u00e9\ud83d"}"#, r#"{"a": "\u00e9\ud83d"}"#),
            (r#"a: "\ud83d\ude00""#, r#"a: "\ud83d\ude00""#),
            (r#"{"a": "\u"#, r#"{"a": "\u"#),
            (r#"{"a": "\ué"#, r#"{"a": "\ué"#),
        ];
        for (text, expected) in cases {
            assert_eq!(joined(text), expected, "{text}");
        }
    }
}
