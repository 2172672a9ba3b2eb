//! Quantities such as `500m` and `1Gi`, in the canonical form the API server stores.

use std::fmt;
use std::str::FromStr;

const PATTERN_FAULT: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const NANO: i128 = 1_000_000_000;
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

/// An amount, exact to a billionth; finer ones are rounded up, as Kubernetes does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity {
    nanos: i128,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Binary,
    Decimal,
    Exponent,
}

impl Quantity {
    /// Returns the amount in billionths, to compare and to add.
    pub(crate) const fn nanos(self) -> i128 {
        self.nanos
    }

    /// Rounds up to thousandths, the finest that resources know.
    #[must_use]
    pub(crate) fn in_milli(self) -> Self {
        let milli = NANO / 1000;
        let nanos = self.nanos.div_euclid(milli) * milli;
        let rest = self.nanos.rem_euclid(milli);
        Self {
            nanos: if rest == 0 { nanos } else { nanos + milli },
            form: self.form,
        }
    }
}

impl FromStr for Quantity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = || PATTERN_FAULT.to_owned();
        let number_end = text
            .find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(number_end);
        let (scale, power, form) = suffix_of(suffix).ok_or_else(fault)?;
        let negative = number.starts_with('-');
        let number = number.strip_prefix(['+', '-']).unwrap_or(number);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(fault());
        }
        let most = i128::from(i64::MAX) * NANO;
        let value = digits.parse::<i128>().unwrap_or(most).min(most);
        let places = i32::try_from(fraction.len()).unwrap_or(i32::MAX);
        let nanos = scaled(value, scale, power.saturating_add(9).saturating_sub(places));
        let nanos = nanos.min(most);
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            form,
        })
    }
}

/// Returns what a suffix multiplies by: a power of 1024 and one of ten.
fn suffix_of(suffix: &str) -> Option<(i128, i32, Form)> {
    if let Some(index) = BINARY.iter().skip(1).position(|known| *known == suffix) {
        return Some((1_i128 << (10 * (index + 1)), 0, Form::Binary));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((1, *power, Form::Decimal));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = exponent.parse().ok()?;
    Some((1, power, Form::Exponent))
}

/// Multiplies, rounding away from zero and stopping at the largest value.
fn scaled(value: i128, scale: i128, power: i32) -> i128 {
    let value = value.saturating_mul(scale);
    let factor = 10_i128.checked_pow(power.unsigned_abs());
    match (factor, power >= 0) {
        (Some(factor), true) => value.saturating_mul(factor),
        (Some(factor), false) => value / factor + i128::from(value % factor != 0),
        (None, true) => value.saturating_mul(i128::MAX),
        (None, false) => i128::from(value != 0),
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let below_a_unit = self.nanos.abs() < 1024 * NANO;
        if self.form == Form::Binary && self.nanos % NANO == 0 {
            return write_binary(f, self.nanos / NANO);
        }
        let form = match self.form {
            Form::Binary if !below_a_unit => Form::Binary,
            Form::Binary | Form::Decimal => Form::Decimal,
            Form::Exponent => Form::Exponent,
        };
        write_decimal(f, self.nanos, form)
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, mut value: i128) -> fmt::Result {
    let mut unit = 0;
    while value % 1024 == 0 && unit + 1 < BINARY.len() {
        value /= 1024;
        unit += 1;
    }
    write!(f, "{value}{}", BINARY[unit])
}

fn write_decimal(f: &mut fmt::Formatter<'_>, mut value: i128, form: Form) -> fmt::Result {
    let mut power = -9;
    while value % 1000 == 0 && power < 18 {
        value /= 1000;
        power += 3;
    }
    if form == Form::Exponent && power != 0 {
        return write!(f, "{value}e{power}");
    }
    let suffix = DECIMAL.iter().find(|(_, known)| *known == power);
    write!(f, "{value}{}", suffix.map_or("", |(suffix, _)| *suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_stored_in_their_canonical_form() {
        let cases = [
            ("0", "0"),
            ("1", "1"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("100m", "100m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1Gi", "1Gi"),
            ("1000", "1k"),
            ("1e3", "1e3"),
            ("12e6", "12e6"),
            ("0.0001", "100u"),
            ("-1Mi", "-1Mi"),
            ("+2", "2"),
            ("1.", "1"),
            (".5", "500m"),
            ("2048", "2048"),
        ];
        for (text, stored) in cases {
            assert_eq!(
                text.parse::<Quantity>().unwrap().to_string(),
                stored,
                "{text}"
            );
        }
        let tiny: Quantity = "0.0001".parse().unwrap();
        assert_eq!(tiny.in_milli().to_string(), "1m");
    }

    #[test]
    fn what_is_no_quantity_is_told_in_the_servers_words() {
        for bad in ["", "ten", "1Zx", "1 Gi", "Mi", "1.2.3", "--1", "1ee3", "."] {
            assert_eq!(
                bad.parse::<Quantity>(),
                Err(PATTERN_FAULT.to_owned()),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn huge_quantities_stop_at_the_largest() {
        let huge: Quantity = "99999999999999999999999999999999999999999E"
            .parse()
            .unwrap();
        assert_eq!(huge.nanos(), i128::from(i64::MAX) * NANO);
    }
}
