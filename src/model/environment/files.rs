//! Variables from files that a container wrote into a volume (V28).
//!
//! A file holds lines `NAME='value'`; a value may go over several lines. Empty lines and those that
//! begin with `#` are passed over.

use crate::problem::Problem;

/// Returns the value of a variable in the text of a file.
///
/// # Errors
///
/// Says which line is wrong.
pub(crate) fn value_in(text: &str, wanted: &str) -> Result<Option<String>, Problem> {
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let begin = line.trim_start();
        if begin.is_empty() || begin.starts_with('#') {
            continue;
        }
        let fault = |what: &str| Problem::invalid(format!("line {}: {what}", number + 1));
        let quoted = begin.split_once('=');
        let (name, rest) = quoted.ok_or_else(|| fault("it is not NAME='value'"))?;
        let open = rest.strip_prefix('\'');
        let mut value = open
            .ok_or_else(|| fault("the value must be within single quotes"))?
            .to_owned();
        let rest = loop {
            if let Some(end) = value.find('\'') {
                let rest = value[end + 1..].trim().to_owned();
                value.truncate(end);
                break rest;
            }
            let (_, more) = lines
                .next()
                .ok_or_else(|| fault("the value has no end: a single quote is missing"))?;
            value.push('\n');
            value.push_str(more);
        };
        if !(rest.is_empty() || rest.starts_with('#')) {
            return Err(fault("something follows the value"));
        }
        if name.trim_end() == wanted {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v28_values_are_within_single_quotes() {
        let text = "# note\n\nA='one word'\n  B='' # none\nC='two\nlines'\nD='x'";
        let of = |name: &str| value_in(text, name).unwrap();
        assert_eq!(of("A").as_deref(), Some("one word"));
        assert_eq!(of("B").as_deref(), Some(""));
        assert_eq!(of("C").as_deref(), Some("two\nlines"));
        assert_eq!(of("D").as_deref(), Some("x"));
        assert_eq!(of("E"), None);
        for wrong in ["A=x", "A", "A='x", "A='x' y", "A=\"x\""] {
            assert!(value_in(wrong, "B").is_err(), "{wrong}");
        }
    }
}
