//! Quotes for words that YAML 1.1 takes for something else.
//!
//! `serde_yaml` leaves the text `yes` bare, as YAML 1.2 allows; Kubernetes would read a bool.
//! Text that petset writes must mean the same to both, and to readers of all of YAML 1.1, which
//! has dates, times (`12:30:45` is 45045), a key to merge (`<<`) and one for defaults (`=`).

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
        return matches!(word, "=" | "<<") || is_date(word) || is_base_60(word);
    }
    let modern = serde_yaml::from_str::<serde_yaml::Value>(word);
    modern.is_ok_and(|value| value.is_string())
}

/// Returns whether a word is a date, or begins with one and goes on as a time.
fn is_date(word: &str) -> bool {
    let mut parts = word.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let end = rest.find(|letter: char| !letter.is_ascii_digit());
    let (day, time) = rest.split_at(end.unwrap_or(rest.len()));
    let is_time = |letter: char| letter.is_ascii_digit() || ":.+-Zz \t".contains(letter);
    year.len() == 4
        && matches!(month.len(), 1 | 2)
        && matches!(day.len(), 1 | 2)
        && [year, month, day].iter().all(|part| is_number(part))
        && (time.is_empty()
            || time.starts_with(['T', 't', ' ', '\t']) && time[1..].chars().all(is_time))
}

/// Returns whether a word is a number of base 60, such as a time.
fn is_base_60(word: &str) -> bool {
    let unsigned = word.strip_prefix(['+', '-']).unwrap_or(word);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let Some((first, places)) = whole.split_once(':') else {
        return false;
    };
    let is_place = |place: &str| is_number(place) && place.parse::<u32>().is_ok_and(|it| it < 60);
    first.starts_with(|letter: char| letter.is_ascii_digit())
        && is_number(&first.replace('_', ""))
        && places
            .split(':')
            .all(|place| place.len() <= 2 && is_place(place))
        && (fraction.is_empty() || is_number(&fraction.replace('_', "")))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_other_readers_take_for_something_else_are_quoted() {
        let quoted = [
            "2026-01-02",
            "2026-1-2",
            "2026-01-02T03:04:05Z",
            "2026-01-02 03:04:05.6 +1:00",
            "12:30:45",
            "-1:30",
            "190:20:30.15",
            "=",
            "<<",
            "yes",
            "0400",
        ];
        for word in quoted {
            let yaml = crate::yaml::to_string(&[word]).unwrap();
            assert_eq!(yaml.replace('"', "'"), format!("- '{word}'\n"));
        }
        let bare = [
            "2026-01",
            "2026-01-02x",
            "2026-01-02-backup",
            "12:60",
            "8080:80",
            "a:1",
            "10.0.0.1",
            "1.2.3",
            "==",
            "<",
            "::1",
            "12:",
            ":12",
            "1:2:",
            "redis:7",
            "1Gi",
        ];
        for word in bare {
            let yaml = crate::yaml::to_string(&[word]).unwrap();
            assert!(!yaml.contains('"') && !differs(word), "{yaml}");
        }
        let keys = std::collections::BTreeMap::from([("<<", 1), ("=", 2)]);
        assert_eq!(crate::yaml::to_string(&keys).unwrap(), "'<<': 1\n'=': 2\n");
    }
}
