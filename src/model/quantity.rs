//! Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) as exact numbers, and the canonical form in which
//! the API server stores them.

use std::fmt;
use std::str::FromStr;

use crate::problem::Problem;

const RULE: &str =
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
pub struct Quantity {
    nanos: i128,
    notation: Notation,
}

/// How a quantity was written, which decides about its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Binary,
    Decimal,
    Exponent,
}

impl Quantity {
    /// Makes a whole amount.
    #[must_use]
    pub const fn whole(units: u64) -> Self {
        Self {
            nanos: units as i128 * NANO,
            notation: Notation::Decimal,
        }
    }

    /// Returns the amount in whole units, rounded up.
    #[must_use]
    pub const fn units(self) -> i128 {
        divide_up(self.nanos, NANO)
    }

    /// Returns the amount in thousandths, rounded up: how a processor's time is counted.
    #[must_use]
    pub const fn thousandths(self) -> i128 {
        divide_up(self.nanos, NANO / 1000)
    }

    /// Returns the amount in billionths, to compare and to add.
    #[must_use]
    pub const fn nanos(self) -> i128 {
        self.nanos
    }

    /// Rounds up to thousandths, the finest that resources know.
    #[must_use]
    pub fn in_milli(self) -> Self {
        let milli = NANO / 1000;
        let nanos = self.nanos.div_euclid(milli) * milli;
        let rest = self.nanos.rem_euclid(milli);
        Self {
            nanos: if rest == 0 { nanos } else { nanos + milli },
            notation: self.notation,
        }
    }
}

impl FromStr for Quantity {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let fault = || Problem::invalid(RULE);
        let number_end = text
            .find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(number_end);
        let (scale, power, notation) = suffix_of(suffix).ok_or_else(fault)?;
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
            notation,
        })
    }
}

/// Returns the factors of a suffix: a power of 1024 and one of ten.
fn suffix_of(suffix: &str) -> Option<(i128, i32, Notation)> {
    if let Some(index) = BINARY.iter().skip(1).position(|known| *known == suffix) {
        return Some((1_i128 << (10 * (index + 1)), 0, Notation::Binary));
    }
    if let Some((_, power)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((1, *power, Notation::Decimal));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let power: i32 = exponent.parse().ok()?;
    Some((1, power, Notation::Exponent))
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

/// Divides and rounds up; anything divided by nothing is itself (V21: the divisor's default is 1).
#[must_use]
pub const fn divide_up(number: i128, divisor: i128) -> i128 {
    if divisor == 0 {
        return number;
    }
    let (quotient, rest) = (number / divisor, number % divisor);
    if rest != 0 && (rest > 0) == (divisor > 0) {
        quotient + 1
    } else {
        quotient
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return f.write_str("0");
        }
        let below_a_unit = self.nanos.abs() < 1024 * NANO;
        if self.notation == Notation::Binary && self.nanos % NANO == 0 {
            return write_binary(f, self.nanos / NANO);
        }
        let notation = match self.notation {
            Notation::Binary if !below_a_unit => Notation::Binary,
            Notation::Binary | Notation::Decimal => Notation::Decimal,
            Notation::Exponent => Notation::Exponent,
        };
        write_decimal(f, self.nanos, notation)
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

fn write_decimal(f: &mut fmt::Formatter<'_>, mut value: i128, notation: Notation) -> fmt::Result {
    let mut power = -9;
    while value % 1000 == 0 && power < 18 {
        value /= 1000;
        power += 3;
    }
    if notation == Notation::Exponent && power != 0 {
        return write!(f, "{value}e{power}");
    }
    let suffix = DECIMAL.iter().find(|(_, known)| *known == power);
    write!(f, "{value}{}", suffix.map_or("", |(suffix, _)| *suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let cases = [
            ("0", 0, 0),
            ("1", 1, 1000),
            ("500m", 1, 500),
            ("1500m", 2, 1500),
            ("0.1", 1, 100),
            (".5", 1, 500),
            ("1.", 1, 1000),
            ("100n", 1, 1),
            ("2e3", 2000, 2_000_000),
            ("2E-3", 1, 2),
            ("1k", 1000, 1_000_000),
            ("1Ki", 1024, 1_024_000),
            ("1.5Gi", 1_610_612_736, 1_610_612_736_000),
            ("64Mi", 67_108_864, 67_108_864_000),
            (
                "1E",
                1_000_000_000_000_000_000,
                1_000_000_000_000_000_000_000,
            ),
            ("+2", 2, 2000),
            ("-2", -2, -2000),
        ];
        for (text, units, thousandths) in cases {
            let amount: Quantity = text.parse().unwrap();
            let read = (amount.units(), amount.thousandths());
            assert_eq!(read, (units, thousandths), "{text}");
        }
    }

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
        for bad in [
            "", "ten", "1Zx", "1 Gi", "Mi", "1.2.3", "--1", "1ee3", ".", "Gi", "1Kb", "1e", "1ki",
            "٣",
        ] {
            assert_eq!(
                bad.parse::<Quantity>(),
                Err(Problem::invalid(RULE)),
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
        let digits = "9".repeat(60);
        for huge in ["1e99", digits.as_str()] {
            let huge: Quantity = huge.parse().unwrap();
            assert_eq!(huge.nanos(), i128::from(i64::MAX) * NANO);
        }
        let tiny: Quantity = "1e-99".parse().unwrap();
        assert_eq!(tiny.nanos(), 1);
    }
}
