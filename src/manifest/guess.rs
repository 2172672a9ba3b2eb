//! Guesses at where a wrong text went wrong.

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
    fn base64_is_checked_as_go_does() {
        assert_eq!(base64_fault(""), None);
        assert_eq!(base64_fault("YQ=="), None);
        assert_eq!(base64_fault("YW\nJj"), None);
        let fault = |at: usize| Some(format!("illegal base64 data at input byte {at}"));
        assert_eq!(base64_fault("hello!"), fault(5));
        assert_eq!(base64_fault("YQ="), fault(2));
    }
}
