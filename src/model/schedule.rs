//! The schedule of a cron job: when it is due next (CJ02).
//!
//! It is written as for the Go package that Kubernetes uses, and what is wrong with it is told in
//! that package's words.

use jiff::{SignedDuration, Span, Zoned};

/// Where systems keep their time zones, as Go looks for them.
pub const ZONE_PLACES: [&str; 4] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/usr/lib/locale/TZ",
    "/etc/zoneinfo",
];

/// Times at which something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Whenever the clock shows one of these times.
    Clock(Clock),
    /// Again and again after a time.
    Every(SignedDuration),
}

/// What a clock may show; bit `n` of a set stands for the number `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether both the day of the month and the day of the week must fit: else, where neither is
    /// a `*`, one of them is enough.
    both_days: bool,
}

/// The numbers of a field, and their names from the first on.
struct Bounds {
    least: u64,
    most: u64,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds {
    least: 0,
    most: 59,
    names: &[],
};
const HOURS: Bounds = Bounds {
    least: 0,
    most: 23,
    names: &[],
};
const DAYS: Bounds = Bounds {
    least: 1,
    most: 31,
    names: &[],
};
const MONTHS: Bounds = Bounds {
    least: 1,
    most: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAYS: Bounds = Bounds {
    least: 0,
    most: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

/// The short forms, and what they stand for.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A schedule that is due at no time within as many years is never due.
const YEARS: i16 = 5;

impl Schedule {
    /// Reads five fields, a name such as `@hourly`, or `@every 5m`.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, in the words of the Go package.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(length) = text.strip_prefix("@every ") {
            let length = go_duration(length);
            let length = length.map_err(|why| format!("failed to parse duration {text}: {why}"))?;
            let seconds = length.as_secs().max(1);
            return Ok(Self::Every(SignedDuration::from_secs(seconds)));
        }
        if text.starts_with('@') {
            let mut named = NAMED.into_iter();
            let named = named.find_map(|(name, fields)| (name == text).then_some(fields));
            let fields = named.ok_or_else(|| format!("unrecognized descriptor: {text}"))?;
            return Self::parse(fields);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            let (count, shown) = (fields.len(), fields.join(" "));
            return Err(format!(
                "expected exactly 5 fields, found {count}: [{shown}]"
            ));
        };
        let (minutes, _) = field(minutes, &MINUTES)?;
        let (hours, _) = field(hours, &HOURS)?;
        let (days, any_day) = field(days, &DAYS)?;
        let (months, _) = field(months, &MONTHS)?;
        let (weekdays, any_weekday) = field(weekdays, &WEEKDAYS)?;
        Ok(Self::Clock(Clock {
            minutes,
            hours,
            days,
            months,
            weekdays,
            both_days: any_day || any_weekday,
        }))
    }

    /// Returns the first time after `now` at which something is due, in the time zone of `now`.
    ///
    /// A time that a clock skips when it is put forward does not count; one that it shows twice
    /// counts twice.
    #[must_use]
    pub fn next_after(&self, now: &Zoned) -> Option<Zoned> {
        match self {
            Self::Every(length) => {
                let whole = SignedDuration::from_nanos(now.subsec_nanosecond().into());
                now.checked_add(*length).ok()?.checked_sub(whole).ok()
            }
            Self::Clock(clock) => clock.next_after(now),
        }
    }
}

impl Clock {
    fn next_after(&self, now: &Zoned) -> Option<Zoned> {
        let into = i64::from(now.second()) * 1_000_000_000 + i64::from(now.subsec_nanosecond());
        let minute = SignedDuration::from_mins(1);
        let mut at = now
            .checked_add(minute - SignedDuration::from_nanos(into))
            .ok()?;
        while at.year() <= now.year() + YEARS {
            at = if !has(self.months, at.month()) {
                let first = at.first_of_month().ok()?;
                let next = first.checked_add(Span::new().months(1)).ok()?;
                next.start_of_day().ok()?
            } else if !self.is_day(&at) {
                at.tomorrow().ok()?.start_of_day().ok()?
            } else if !has(self.hours, at.hour()) {
                let rest = 60 - i64::from(at.minute());
                at.checked_add(SignedDuration::from_mins(rest)).ok()?
            } else if !has(self.minutes, at.minute()) {
                at.checked_add(minute).ok()?
            } else {
                return Some(at);
            };
        }
        None
    }

    fn is_day(&self, at: &Zoned) -> bool {
        let day = has(self.days, at.day());
        let weekday = has(self.weekdays, at.weekday().to_sunday_zero_offset());
        if self.both_days {
            day && weekday
        } else {
            day || weekday
        }
    }
}

fn has(set: u64, number: i8) -> bool {
    u32::try_from(number).is_ok_and(|number| set >> number & 1 == 1)
}

/// Reads a list of ranges; returns the numbers, and whether any number will do.
fn field(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let (mut set, mut any) = (0, false);
    for range in text.split(',').filter(|range| !range.is_empty()) {
        let (numbers, star) = numbers(range, bounds)?;
        set |= numbers;
        any |= star;
    }
    Ok((set, any))
}

/// Reads a number, a range or `*`, each perhaps with a step.
fn numbers(text: &str, bounds: &Bounds) -> Result<(u64, bool), String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts[0].split('-').collect();
    let mut star = matches!(ends[0], "*" | "?");
    let (first, mut last) = match ends.as_slice() {
        _ if star => (bounds.least, bounds.most),
        [only] => {
            let number = named_number(only, bounds)?;
            (number, number)
        }
        [first, last] => (named_number(first, bounds)?, named_number(last, bounds)?),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            if ends.len() == 1 {
                last = bounds.most;
            }
            star &= step <= 1;
            step
        }
        _ => return Err(format!("too many slashes: {text}")),
    };
    let Bounds { least, most, .. } = bounds;
    if first < *least {
        return Err(format!(
            "beginning of range ({first}) below minimum ({least}): {text}"
        ));
    }
    if last > *most {
        return Err(format!(
            "end of range ({last}) above maximum ({most}): {text}"
        ));
    }
    if first > last {
        return Err(format!(
            "beginning of range ({first}) beyond end of range ({last}): {text}"
        ));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let every = (first..=last).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    Ok((every.fold(0, |set, number| set | 1 << number), star))
}

fn named_number(text: &str, bounds: &Bounds) -> Result<u64, String> {
    let lower = text.to_lowercase();
    match bounds.names.iter().position(|name| *name == lower) {
        Some(place) => Ok(bounds.least + place as u64),
        None => number(text),
    }
}

/// Reads a number as Go's `Atoi` does.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let why = match (is_number, text.parse::<i64>()) {
        (true, Ok(number)) if number < 0 => {
            return Err(format!("negative number ({number}) not allowed: {text}"));
        }
        (true, Ok(number)) => return Ok(number.unsigned_abs()),
        (true, Err(_)) => "value out of range",
        (false, _) => "invalid syntax",
    };
    Err(format!(
        "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}"
    ))
}

/// The units of Go's durations, in nanoseconds.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 6e10),
    ("h", 3.6e12),
];

/// Reads a duration as Go writes it: `1h30m`, `1.5s`.
fn go_duration(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let is_digit = |letter: char| letter.is_ascii_digit() || letter == '.';
        let (count, after) = rest.split_at(rest.find(|it| !is_digit(it)).unwrap_or(rest.len()));
        let count: f64 = count.parse().map_err(|_| invalid())?;
        let (unit, after) = after.split_at(after.find(is_digit).unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}"));
        }
        let known = UNITS.into_iter().find(|(name, _)| *name == unit);
        let (_, length) =
            known.ok_or_else(|| format!("time: unknown unit {unit:?} in duration {text:?}"))?;
        total += count * length;
        rest = after;
    }
    SignedDuration::try_from_secs_f64(sign * total / 1e9).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn next(schedule: &str, now: &str, zone: &TimeZone) -> String {
        let now: jiff::Timestamp = now.parse().unwrap();
        let now = now.to_zoned(zone.clone());
        let next = Schedule::parse(schedule).unwrap().next_after(&now);
        next.map_or_else(|| "never".to_owned(), |at| at.timestamp().to_string())
    }

    #[test]
    fn cj02_a_schedule_is_five_fields_or_a_name() {
        let cases = [
            (
                "*/5 * * * *",
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:05:00Z",
            ),
            (
                "*/5 * * * *",
                "2026-01-01T00:04:59.9Z",
                "2026-01-01T00:05:00Z",
            ),
            ("@hourly", "2026-01-01T00:00:01Z", "2026-01-01T01:00:00Z"),
            (
                "@every 90s",
                "2026-01-01T00:00:01.5Z",
                "2026-01-01T00:01:31Z",
            ),
            (
                "0 0 * JAN MON-FRI",
                "2026-01-02T09:00:00Z",
                "2026-01-05T00:00:00Z",
            ),
            (
                "0 0 13 * FRI",
                "2026-01-10T00:00:00Z",
                "2026-01-13T00:00:00Z",
            ),
            ("0 0 ? * 5", "2026-01-10T00:00:00Z", "2026-01-16T00:00:00Z"),
            (
                "30 23 31 * *",
                "2026-02-01T00:00:00Z",
                "2026-03-31T23:30:00Z",
            ),
            ("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 0 31 2 *", "2026-01-01T00:00:00Z", "never"),
            (
                "10/20 3 * * *",
                "2026-01-01T03:10:00Z",
                "2026-01-01T03:30:00Z",
            ),
        ];
        for (schedule, now, then) in cases {
            assert_eq!(
                next(schedule, now, &TimeZone::UTC),
                then,
                "{schedule} {now}"
            );
        }
    }

    #[test]
    fn cj06_a_schedule_goes_by_the_clock_of_its_time_zone() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let cases = [
            ("0 12 * * *", "2026-07-01T00:00:00Z", "2026-07-01T10:00:00Z"),
            // The clock goes from 2:00 to 3:00 on 29 March 2026.
            ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
            // And from 3:00 to 2:00 on 25 October 2026.
            ("30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
            ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ];
        for (schedule, now, then) in cases {
            assert_eq!(next(schedule, now, &berlin), then, "{schedule} {now}");
        }
    }

    #[test]
    fn cj02_a_wrong_schedule_is_refused_in_the_words_of_the_go_package() {
        let cases = [
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            (
                "5-1 * * * *",
                "beginning of range (5) beyond end of range (1): 5-1",
            ),
            (
                "*/0 * * * *",
                "step of range should be a positive number: */0",
            ),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("*/-1 * * * *", "negative number (-1) not allowed: -1"),
            (
                "x * * * *",
                "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            ("@often", "unrecognized descriptor: @often"),
            (
                "@every 5",
                "failed to parse duration @every 5: time: missing unit in duration \"5\"",
            ),
            (
                "@every 5x",
                "failed to parse duration @every 5x: time: unknown unit \"x\" in duration \"5x\"",
            ),
        ];
        for (schedule, words) in cases {
            assert_eq!(
                Schedule::parse(schedule),
                Err(words.to_owned()),
                "{schedule}"
            );
        }
    }
}
