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

/// Reads a size, for example `64MiB`, or as Kubernetes writes it: `64Mi`, `1G`, `1.5Gi`.
///
/// # Errors
/// What is wrong, and what was expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let trimmed = text.trim();
    let end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let factor: Option<u64> = match unit.trim() {
        "" | "B" => Some(1),
        "k" | "kB" | "KB" => Some(1000),
        "M" | "MB" => Some(1_000_000),
        "G" | "GB" => Some(1_000_000_000),
        "T" | "TB" => Some(1_000_000_000_000),
        "Ki" | "KiB" => Some(1 << 10),
        "Mi" | "MiB" => Some(1 << 20),
        "Gi" | "GiB" => Some(1 << 30),
        "Ti" | "TiB" => Some(1 << 40),
        _ => None,
    };
    factor.and_then(|factor| times(number, factor)).ok_or_else(|| {
        format!(
            "{text:?} is not a size, expected e.g. `64MiB`, `512Mi`, `1GB` or a number of bytes"
        )
    })
}

/// A decimal number times `factor`; `None` if that is no whole number.
fn times(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction.trim_end_matches('0')),
        None => (number, ""),
    };
    let whole: u128 = whole.parse().ok()?;
    let whole = whole.checked_mul(factor.into())?;
    if fraction.is_empty() {
        return u64::try_from(whole).ok();
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u128>().ok()?.checked_mul(factor.into())?;
    if part % scale != 0 {
        return None;
    }
    u64::try_from(whole.checked_add(part / scale)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_written() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("1 GB"), Ok(1_000_000_000));
        assert_eq!(parse_size("7"), Ok(7));
        for (kubernetes, bytes) in [("512Mi", 512 << 20), ("1Gi", 1 << 30), ("1G", 1_000_000_000)] {
            assert_eq!(parse_size(kubernetes), Ok(bytes));
        }
        assert_eq!(parse_size("1.5Gi"), Ok(3 << 29));
        assert_eq!((parse_size("250k"), parse_size("1Ti")), (Ok(250_000), Ok(1 << 40)));
        for wrong in ["MiB", "1.5", "0.3Ki", "1.Gi", ".5Gi", "1..5Gi", "1K", "100m", "1e3", "-1Gi"]
        {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert!(parse_size("99999999999GiB").is_err());
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("200ms"), Ok(Duration::from_millis(200)));
        assert!(parse_duration("5").is_err());
    }
}
