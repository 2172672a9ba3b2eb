//! Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) as exact numbers.

use std::str::FromStr;

/// An amount in units of a billionth, the finest that Kubernetes knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount {
    billionths: i128,
}

const BILLION: i128 = 1_000_000_000;
const RULE: &str = "quantities must match the regular expression \
     '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

impl Amount {
    /// Makes a whole amount.
    #[must_use]
    pub const fn whole(units: u64) -> Self {
        Self {
            billionths: units as i128 * BILLION,
        }
    }

    /// Returns the amount in whole units, rounded up.
    #[must_use]
    pub const fn units(self) -> i128 {
        divide_up(self.billionths, BILLION)
    }

    /// Returns the amount in thousandths, rounded up: how a processor's time is counted.
    #[must_use]
    pub const fn thousandths(self) -> i128 {
        divide_up(self.billionths, 1_000_000)
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

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| RULE.to_owned())
    }
}

fn parse(text: &str) -> Option<Amount> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let suffix_at = unsigned
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(suffix_at);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (base, exponent) = scale(suffix)?;
    let numerator = digits
        .checked_mul(base)?
        .checked_mul(power_of_ten(9 + exponent.max(0))?)?;
    let divisor = power_of_ten(fraction.len() as i32 - exponent.min(0))?;
    let magnitude = divide_up(numerator, divisor);
    let sign = if text.starts_with('-') { -1 } else { 1 };
    Some(Amount {
        billionths: sign * magnitude,
    })
}

fn power_of_ten(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

/// Returns what a suffix multiplies by: a factor, and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(power) = binary.iter().position(|known| *known == suffix) {
        return Some((1_i128 << (10 * (power + 1)), 0));
    }
    let decimal = match suffix {
        "n" => -9,
        "u" => -6,
        "m" => -3,
        "" => 0,
        "k" => 3,
        "M" => 6,
        "G" => 9,
        "T" => 12,
        "P" => 15,
        "E" => 18,
        _ => suffix.strip_prefix(['e', 'E'])?.parse().ok()?,
    };
    (-30..=30).contains(&decimal).then_some((1, decimal))
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
            let amount: Amount = text.parse().unwrap();
            let read = (amount.units(), amount.thousandths());
            assert_eq!(read, (units, thousandths), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in [
            "", ".", "1.2.3", "1 Gi", "Gi", "1Kb", "1e", "1e99", "--1", "1ki", "٣",
        ] {
            assert!(bad.parse::<Amount>().is_err(), "{bad:?}");
        }
        let huge = "9".repeat(60);
        assert!(huge.parse::<Amount>().is_err());
    }
}
