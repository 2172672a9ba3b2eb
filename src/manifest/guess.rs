//! Guesses at what a wrong text was meant to be, and where it went wrong.

/// Returns the word that differs from `key` by a slip: its case, or two letters at most.
pub(crate) fn nearest<'f>(key: &str, fields: &[&'f str]) -> Option<&'f str> {
    let distance = |field: &&&str| edits(&key.to_lowercase(), &field.to_lowercase());
    let best = fields.iter().min_by_key(distance)?;
    let allowed = (key.len() / 3).min(2);
    (distance(&best) <= allowed).then_some(*best)
}

/// Counts the letters to insert, remove or replace to turn one word into the other.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

/// Returns Go's complaint about text that is not base64.
pub(super) fn base64_fault(text: &str) -> Option<String> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !b"\r\n".contains(byte))
        .collect();
    let body = digits
        .iter()
        .rposition(|&byte| byte != b'=')
        .map_or(0, |at| at + 1);
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let wrong = digits[..body].iter().position(|byte| !valid(byte));
    let at = match wrong {
        Some(at) => at,
        None if digits.len().is_multiple_of(4) && digits.len() - body <= 2 => return None,
        None => body,
    };
    Some(format!("illegal base64 data at input byte {at}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let fields = ["replicas", "selector", "serviceName", "args"];
        assert_eq!(nearest("replica", &fields), Some("replicas"));
        assert_eq!(nearest("servicename", &fields), Some("serviceName"));
        assert_eq!(nearest("selectro", &fields), Some("selector"));
        assert_eq!(nearest("arg", &fields), Some("args"));
        assert_eq!(nearest("volumes", &fields), None);
        assert_eq!(nearest("x", &fields), None);
    }

    #[test]
    fn base64_is_checked_as_go_does() {
        assert_eq!(base64_fault(""), None);
        assert_eq!(base64_fault("YQ=="), None);
        assert_eq!(base64_fault("YW\nJj"), None);
        let fault = |at: usize| Some(format!("illegal base64 data at input byte {at}"));
        assert_eq!(base64_fault("hello!"), fault(5));
        assert_eq!(base64_fault("YQ="), fault(2));
    }
}
