//! Durations and sizes as people write them in files: `5s`, `64MiB`.
//!
//! A bare number is refused as a duration, except for `0`, because nobody can tell whether it means
//! seconds or milliseconds.

use std::time::Duration;

/// Reads a duration, for example `5s`.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|error| {
        format!("{text:?} is not a duration ({error}), expected e.g. `200ms` or `5s`")
    })
}

/// Reads a size, for example `64MiB`.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor: Option<u64> = match unit.trim() {
        "" | "B" => Some(1),
        "kB" | "KB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = number.parse().ok();
    number.zip(factor).and_then(|(number, factor)| number.checked_mul(factor)).ok_or_else(|| {
        format!("{text:?} is not a size, expected e.g. `64MiB`, `1GB` or a number of bytes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_written() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1 GB"), Ok(1_000_000_000));
        assert_eq!(parse_size("7"), Ok(7));
        assert!(parse_size("MiB").is_err() && parse_size("1.5MiB").is_err());
        assert!(parse_size("99999999999GiB").is_err());
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("200ms"), Ok(Duration::from_millis(200)));
        assert!(parse_duration("5").is_err());
    }
}
