//! Durations as people write them.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;

/// Reads a duration such as `30s`, `1m30s` or `250ms`; it is never negative.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Problem> {
    let wish = || {
        let rule = "is not a duration such as 30s, 1m30s or 250ms";
        Problem::invalid(format!("{text:?} {rule}"))
    };
    let signed: SignedDuration = text.parse().map_err(|_| wish())?;
    Duration::try_from(signed).map_err(|_| wish())
}

/// Reads a duration in a settings file.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).map_err(serde::de::Error::custom)
}
