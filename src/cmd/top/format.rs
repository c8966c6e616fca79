//! Numbers, sizes and times in few characters, for the columns of a terminal.

use crate::ids::Timestamp;

/// What stands for a number that is not known.
pub(super) const UNKNOWN: &str = "-";

/// A number of things, exactly.
pub(super) fn exact(number: u64) -> String {
    number.to_string()
}

/// A number of things, in at most five characters: 99999, 123k, 1.23M.
pub(super) fn count(number: u64) -> String {
    match number {
        0..100_000 => number.to_string(),
        _ => with_unit(number as f64, 1000.0, &["", "k", "M", "G", "T", "P", "E"]),
    }
}

/// How many in a second.
pub(super) fn rate(number: f64) -> String {
    match number {
        ..=0.0 => "0".to_owned(),
        ..0.1 => format!("{number:.2}"),
        ..9.95 => format!("{number:.1}"),
        _ => count(number.round() as u64),
    }
}

/// A number of bytes: 12B, 1.50K, 145M; of 1024 each, as `top` and `free -h` have them.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1024 => format!("{number}B"),
        _ => with_unit(number as f64, 1024.0, &["B", "K", "M", "G", "T", "P", "E"]),
    }
}

/// Three significant digits, and the unit that they need.
fn with_unit(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut unit = 0;
    // 999.5 would be written as 1000.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= step;
        unit += 1;
    }
    let digits = match value {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{}", units[unit])
}

/// A time that passed: 340ms, 1.2s, 3min, 5h.
pub(super) fn seconds(number: f64) -> String {
    match number {
        ..=0.0 => "0s".to_owned(),
        ..0.9995 => format!("{:.0}ms", (number * 1e6).round().div_euclid(1e3).max(1.0)),
        ..9.95 => format!("{number:.1}s"),
        ..120.0 => format!("{number:.0}s"),
        ..7200.0 => format!("{:.0}min", number / 60.0),
        ..172_800.0 => format!("{:.0}h", number / 3600.0),
        _ => format!("{:.0}d", number / 86400.0),
    }
}

/// A share of the whole.
pub(super) fn share(share: f64) -> String {
    match share * 100.0 {
        ..=0.0 => "0%".to_owned(),
        percent @ ..0.1 => format!("{percent:.2}%"),
        percent @ ..9.95 => format!("{percent:.1}%"),
        percent => format!("{percent:.0}%"),
    }
}

/// What is known of a number, written.
pub(super) fn perhaps<T>(number: Option<T>, write: impl Fn(T) -> String) -> String {
    number.map_or_else(|| UNKNOWN.to_owned(), write)
}

/// The time of the day, in UTC.
pub(super) fn time_of_day(at: Timestamp) -> String {
    let seconds = at.0.div_euclid(1000).rem_euclid(86400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A character for each value, as high as it is beside the largest; blanks where none is known.
pub(super) fn sparkline(values: &[Option<f64>]) -> String {
    let largest = values.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |value: f64| {
        let height = if largest > 0.0 { value / largest * 8.0 } else { 0.0 };
        BARS[(height.ceil() as usize).clamp(1, 8) - 1]
    };
    values.iter().map(|value| value.map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_nowhere_far_off() {
        let counts = [0, 99_999, 100_000, 999_499, 999_500, 1_234_567, 99_960_000].map(count);
        assert_eq!(counts, ["0", "99999", "100k", "999k", "1.00M", "1.23M", "100M"]);
        assert_eq!(count(u64::MAX), "18.4E");
        let rates = [0.0, 0.04, 0.1, 9.94, 9.96, 1234.5, f64::NAN].map(rate);
        assert_eq!(rates, ["0", "0.04", "0.1", "9.9", "10", "1235", "0"]);
        let sizes = [0, 1023, 1024, 20_000, 1_048_576, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0B", "1023B", "1.00K", "19.5K", "1.00M", "16.0E"]);
        let times = [0.0, 0.0001, 0.34, 0.9999, 59.6, 600.0, 10_000.0, 500_000.0].map(seconds);
        assert_eq!(times, ["0s", "1ms", "340ms", "1.0s", "60s", "10min", "3h", "6d"]);
        assert_eq!(
            [0.0, 0.0005, 0.05, 0.999, 1.0].map(share),
            ["0%", "0.05%", "5.0%", "100%", "100%"]
        );
    }

    #[test]
    fn a_time_is_that_of_the_day_whatever_it_is() {
        let times = [3_723_004, -1000, i64::MAX, i64::MIN].map(|at| time_of_day(Timestamp(at)));
        assert_eq!(times, ["01:02:03", "23:59:59", "07:12:55", "16:47:04"]);
    }

    #[test]
    fn the_largest_value_is_the_highest_bar_and_nothing_is_a_blank() {
        assert_eq!(sparkline(&[None, Some(0.0), Some(1.0), Some(4.0), Some(8.0)]), " ▁▁▄█");
        assert_eq!(sparkline(&[Some(0.0), Some(0.0)]), "▁▁");
    }
}
