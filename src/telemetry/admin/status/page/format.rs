//! Numbers, sizes, times and names, as people read them.

use maud::{Markup, html};

use super::super::model::Time;

/// Parts thousands; no line is broken there.
const THIN: char = '\u{202f}';

/// Characters of a name that are shown.
const LONGEST: usize = 80;

/// Characters of it that are there for those who want all of it.
const LONGEST_TITLE: usize = 1000;

/// A number of things: 1 234, 12.3 M.
pub(super) fn count(number: u64) -> String {
    match number {
        0..1_000_000 => grouped(number),
        1_000_000..1_000_000_000 => format!("{:.1}{THIN}M", number as f64 / 1e6),
        _ => format!("{:.1}{THIN}G", number as f64 / 1e9),
    }
}

fn grouped(number: u64) -> String {
    if number < 1000 {
        return number.to_string();
    }
    format!("{}{THIN}{:03}", grouped(number / 1000), number % 1000)
}

/// How many in a second.
pub(super) fn rate(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        ..0.1 => format!("{number:.2}"),
        ..10.0 => format!("{number:.1}"),
        _ => count(number.round() as u64),
    }
}

/// A number of bytes: 12 B, 1.5 KiB.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if number < 1024 {
        return format!("{number}{THIN}B");
    }
    let mut value = number as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"");
    while value >= 1000.0 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, next);
    }
    let digits = if value < 10.0 { 1 } else { 0 };
    format!("{value:.digits$}{THIN}{unit}")
}

/// A time that passed: 340 ms, 1.2 s, 3 min.
pub(super) fn seconds(number: f64) -> String {
    match number {
        ..=0.0 => format!("0{THIN}s"),
        ..0.9995 => format!("{:.0}{THIN}ms", (number * 1000.0).ceil()),
        ..10.0 => format!("{number:.1}{THIN}s"),
        ..120.0 => format!("{number:.0}{THIN}s"),
        ..7200.0 => format!("{:.0}{THIN}min", number / 60.0),
        ..172_800.0 => format!("{:.0}{THIN}h", number / 3600.0),
        _ => format!("{:.0}{THIN}d", number / 86400.0),
    }
}

/// A share of the whole.
pub(super) fn share(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None => "–".to_owned(),
        Some(0.0) => format!("0{THIN}%"),
        Some(percent @ ..0.1) => format!("{percent:.2}{THIN}%"),
        Some(percent @ ..10.0) => format!("{percent:.1}{THIN}%"),
        Some(percent) => format!("{percent:.0}{THIN}%"),
    }
}

/// A number that may not be known.
pub(super) fn perhaps(number: Option<i64>) -> String {
    number.map_or("–".to_owned(), |number| count(number.unsigned_abs()))
}

/// A point in time: of the day, with the date for programs and for those who ask.
pub(super) fn time(time: Time) -> Markup {
    let text = time.to_string();
    let of_day = text.get(11..19).unwrap_or(&text);
    html! { time datetime=(text) title=(text) { (of_day) } }
}

/// A text that others have chosen: it has its own direction, and is cut where it is long.
pub(super) fn name(text: &str) -> Markup {
    let shown = cut(text, LONGEST);
    let is_whole = shown == text;
    html! {
        @if is_whole { bdi { (shown) } }
        @else { bdi title=(cut(text, LONGEST_TITLE)) { (shown) } }
    }
}

/// The first characters of a text, without those that cannot be seen and control what can.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let visible = |it: char| if it.is_control() || is_direction(it) { '\u{fffd}' } else { it };
    let mut cut: String = text.chars().take(longest).map(visible).collect();
    if text.chars().nth(longest).is_some() {
        cut.push('…');
    }
    cut
}

/// The same of a text of several lines.
pub(super) fn block(text: &str, longest: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| cut(line, usize::MAX)).collect();
    let lines = lines.join("\n");
    match lines.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &lines[..end]),
        None => lines,
    }
}

/// Characters that turn the direction of what follows.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Timestamp;

    #[test]
    fn numbers_are_short_and_exact_as_far_as_they_go() {
        let thin = |text: &str| text.replace(' ', "\u{202f}");
        let counts = [0, 999, 1000, 12_005, 999_999, 1_000_000, 2_500_000_000].map(count);
        assert_eq!(counts, ["0", "999", "1 000", "12 005", "999 999", "1.0 M", "2.5 G"].map(thin));
        let rates = [0.0, 0.04, 0.1, 9.9, 12.4, 1234.5].map(rate);
        assert_eq!(rates, ["0", "0.04", "0.1", "9.9", "12", "1 235"].map(thin));
        let sizes = [0, 1023, 1024, 20_000, 1_048_576, u64::MAX].map(bytes);
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "20 KiB", "1.0 MiB", "16384 PiB"].map(thin));
        let times = [0.0, 0.0001, 0.34, 0.9999, 59.6, 600.0, 10_000.0, 500_000.0].map(seconds);
        assert_eq!(
            times,
            ["0 s", "1 ms", "340 ms", "1.0 s", "60 s", "10 min", "3 h", "6 d"].map(thin)
        );
        let shares = [None, Some(0.0), Some(0.0005), Some(0.05), Some(1.0)].map(share);
        assert_eq!(shares, ["–", "0 %", "0.05 %", "5.0 %", "100 %"].map(thin));
    }

    #[test]
    fn names_of_others_are_isolated_escaped_and_cut() {
        let text = |it: &str| name(it).into_string();
        assert_eq!(text("shop"), "<bdi>shop</bdi>");
        assert_eq!(text("<b>&\"'"), "<bdi>&lt;b&gt;&amp;&quot;'</bdi>");
        assert_eq!(
            text("\u{202e}olleh\n"),
            "<bdi title=\"\u{fffd}olleh\u{fffd}\">\u{fffd}olleh\u{fffd}</bdi>"
        );
        let long = text(&"ש".repeat(10_000));
        assert!(long.chars().count() < LONGEST + LONGEST_TITLE + 50 && long.contains("…</bdi>"));
    }

    #[test]
    fn a_block_keeps_its_lines() {
        assert_eq!(block("a: \n  b\u{202e}\r\n", 80), "a: \n  b\u{fffd}\u{fffd}\n");
        assert_eq!(block("äbc\nd", 4), "äbc\n…");
    }

    #[test]
    fn a_time_is_that_of_the_day() {
        let text = time(Time(Timestamp(3_723_004))).into_string();
        assert!(
            text.contains("datetime=\"1970-01-01T01:02:03.004Z\"") && text.contains(">01:02:03<")
        );
    }
}
