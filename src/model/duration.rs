//! Durations as people write them.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer};

/// Reads a duration such as `30s`, `1m30s` or `250ms`; it is never negative.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wish = || format!("{text:?} is not a duration such as 30s, 1m30s or 250ms");
    let signed: SignedDuration = text.parse().map_err(|_| wish())?;
    Duration::try_from(signed).map_err(|_| wish())
}

/// Reads a duration in a settings file.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse_duration(&text).map_err(serde::de::Error::custom)
}
