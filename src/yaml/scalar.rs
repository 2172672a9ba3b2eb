//! The meaning of an unquoted scalar of YAML to Kubernetes.
//!
//! Kubernetes reads manifests with `sigs.k8s.io/yaml`, which resolves plain scalars mostly by
//! YAML 1.1: `yes` is true, `0400` is octal, `1_000` is a number, `~` is null. Dates stay text.

use super::value::Value;

/// Resolves the text of a plain scalar.
///
/// Floats that JSON cannot express (`.nan`, `.inf`) stay text: Kubernetes refuses them in every
/// field, and so does the typed decoding that follows.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => number(text).map_or_else(|| Value::Text(text.to_owned()), Value::Number),
    }
}

/// Returns a number as JSON would write it, or `None` where `text` is no number.
fn number(text: &str) -> Option<String> {
    let first = text.bytes().next()?;
    if first == b'.' {
        return float(text);
    }
    if !first.is_ascii_digit() && !matches!(first, b'+' | b'-') {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| float(&plain))
}

/// Reads decimal, `0x`, `0o`, `0b` and old octal (`0400`) integers, as Go's base 0 does.
fn integer(plain: &str) -> Option<String> {
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => ("-", &plain[1..]),
        b'+' => ("", &plain[1..]),
        _ => ("", plain),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    let value = match u128::from_str_radix(digits, radix) {
        Ok(value) => value.to_string(),
        Err(_) if radix == 10 => digits.to_owned(),
        Err(_) => return None,
    };
    let sign = if value == "0" { "" } else { sign };
    Some(format!("{sign}{value}"))
}

/// Reads a float and writes it as JSON does, so that `1e3` and `1.0` end as integers.
fn float(plain: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !plain.bytes().all(allowed) || !plain.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: f64 = plain.parse().ok()?;
    value.is_finite().then(|| json_float(value))
}

fn json_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        return format!("{value:e}");
    }
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_mean_what_kubernetes_takes_them_for() {
        let cases = [
            ("yes", "true"),
            ("Off", "false"),
            ("y", "true"),
            ("~", "null"),
            ("", "null"),
            ("0400", "256"),
            ("0o400", "256"),
            ("0x1F", "31"),
            ("-0b11", "-3"),
            ("1_000", "1000"),
            ("+5", "5"),
            ("-0", "0"),
            ("1e3", "1000"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("18446744073709551616", "18446744073709551616"),
            ("089", "89"),
            ("1.2.3", "\"1.2.3\""),
            ("2016-01-02", "\"2016-01-02\""),
            ("12:30", "\"12:30\""),
            ("-", "\"-\""),
            ("1Gi", "\"1Gi\""),
            ("yEs", "\"yEs\""),
            (".inf", "\".inf\""),
            ("0x", "\"0x\""),
        ];
        for (text, json) in cases {
            assert_eq!(resolve(text).to_string(), json, "{text:?}");
        }
    }
}
