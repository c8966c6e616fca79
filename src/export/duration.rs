//! Durations in settings as people write them: `200ms`, `5s`, `1m 30s`, `0s`.
//!
//! Used as `#[serde(with = "duration")]`. A bare number is refused except for `0`, because nobody
//! can tell whether it means seconds or milliseconds.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

/// Reads a duration from its text.
///
/// # Errors
/// When the text is not a number with a unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(&text)
        .map_err(|error| serde::de::Error::custom(format!("not a duration such as 5s: {error}")))
}

/// Writes a duration as its text.
///
/// # Errors
/// Only those of the serializer.
pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*value))
}
