//! Layouts of times, and texts read by them: the part of the Collector's `strptime`
//! (`internal/coreinternal/timeutils`) that says a point in time without a look at the clock or
//! at the zone of the machine.

use crate::sampling::ottl::time::{Date, SECOND, Time};

/// A layout that was understood.
#[derive(Clone, Debug)]
pub(in crate::sampling::ottl) struct Layout(Vec<Item>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Char(char),
    Year,
    Month,
    /// In full, or its first three letters.
    MonthName {
        is_full: bool,
    },
    Day,
    Hour,
    Hour12,
    Minute,
    /// A fraction may follow it, whether the layout has one or not.
    Second,
    /// The point and the digits of a fraction.
    Fraction,
    HalfOfDay {
        is_upper: bool,
    },
    /// `Z`, `+0100`, `+01:00` or `+01`.
    Offset,
    /// `+01:00`.
    OffsetWithColon,
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl Layout {
    pub(super) fn new(layout: &str, is_utc: bool) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut chars = layout.chars();
        while let Some(char) = chars.next() {
            match char {
                '%' => directive(chars.next(), &mut items)?,
                '0'..='9' => return Err("a layout of a time has no digits".to_owned()),
                ' ' if items.last() == Some(&Item::Char(' ')) => {}
                char => items.push(Item::Char(char)),
            }
        }
        // What the Collector takes for a part of a time where it is written as it is.
        if let Some(word) =
            ["Jan", "Mon", "MST", "PM", "pm"].iter().find(|one| layout.contains(**one))
        {
            return Err(format!("`{word}` cannot stand in a layout of a time"));
        }
        let has = |wanted: Item| items.contains(&wanted);
        if !has(Item::Year) {
            return Err("a time without a year is one of the current year, and that depends on \
                        when it is read"
                .to_owned());
        }
        let ends_in_zulu = items.last() == Some(&Item::Char('Z'));
        if !(is_utc || ends_in_zulu || has(Item::Offset) || has(Item::OffsetWithColon)) {
            return Err(
                "a time without an offset is one in the zone of the machine: give \"UTC\" \
                        as the third argument"
                    .to_owned(),
            );
        }
        Ok(Self(items))
    }

    /// The point in time that `text` says.
    pub(super) fn read(&self, text: &str) -> Option<Time> {
        let mut read = Read { rest: text, ..Read::default() };
        let with_fraction = self.0.contains(&Item::Fraction);
        for item in &self.0 {
            read.item(*item, with_fraction)?;
        }
        if !read.rest.is_empty() {
            return None;
        }
        read.time()
    }
}

fn directive(letter: Option<char>, items: &mut Vec<Item>) -> Result<(), String> {
    use Item::{Char, Day, Hour, Minute, Month, Second, Year};
    let simple = match letter {
        Some('Y') => Year,
        Some('m' | 'o' | 'q') => Month,
        Some('b' | 'h') => Item::MonthName { is_full: false },
        Some('B') => Item::MonthName { is_full: true },
        Some('d' | 'e' | 'g') => Day,
        Some('H') => Hour,
        Some('I' | 'l') => Item::Hour12,
        Some('M') => Minute,
        Some('S') => Second,
        Some('L' | 'f' | 's') => match items.pop() {
            Some(Char('.' | ',')) => Item::Fraction,
            _ => return Err("a fraction stands behind a `.` or a `,`".to_owned()),
        },
        Some('p') => Item::HalfOfDay { is_upper: true },
        Some('P') => Item::HalfOfDay { is_upper: false },
        Some('z') => Item::Offset,
        Some('j') => Item::OffsetWithColon,
        Some('%') => Char('%'),
        Some('F') => {
            items.extend([Year, Char('-'), Month, Char('-'), Day]);
            return Ok(());
        }
        Some('T' | 'X') => {
            items.extend([Hour, Char(':'), Minute, Char(':'), Second]);
            return Ok(());
        }
        Some('R') => {
            items.extend([Hour, Char(':'), Minute]);
            return Ok(());
        }
        Some(other) => return Err(format!("`%{other}` is not supported in a layout of a time")),
        None => return Err("a layout of a time ends in `%`".to_owned()),
    };
    items.push(simple);
    Ok(())
}

#[derive(Default)]
struct Read<'t> {
    rest: &'t str,
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    is_afternoon: Option<bool>,
    offset_seconds: i32,
}

impl Read<'_> {
    fn item(&mut self, item: Item, with_fraction: bool) -> Option<()> {
        match item {
            // Any number of them, and none at the end.
            Item::Char(' ') if self.rest.is_empty() || self.rest.starts_with(' ') => {
                self.rest = self.rest.trim_start_matches(' ');
            }
            Item::Char(char) => self.rest = self.rest.strip_prefix(char)?,
            Item::Year => self.year = self.number(4, 4, 0..=9999)?,
            Item::Month => self.month = Some(self.number(1, 2, 1..=12)?),
            Item::MonthName { is_full } => self.month = Some(self.month_name(is_full)?),
            Item::Day => self.day = Some(self.number(1, 2, 1..=31)?),
            Item::Hour => self.hour = self.number(1, 2, 0..=23)?,
            Item::Hour12 => self.hour = self.number(1, 2, 0..=12)?,
            Item::Minute => self.minute = self.number(1, 2, 0..=59)?,
            Item::Second => {
                self.second = self.number(1, 2, 0..=59)?;
                if !with_fraction {
                    self.nanos = self.fraction().unwrap_or(0);
                }
            }
            // It may be left out, with its point.
            Item::Fraction => self.nanos = self.fraction().unwrap_or(0),
            Item::HalfOfDay { is_upper } => self.is_afternoon = Some(self.half_of_day(is_upper)?),
            Item::Offset => self.offset_seconds = self.offset(false)?,
            Item::OffsetWithColon => self.offset_seconds = self.offset(true)?,
        }
        Some(())
    }

    fn digits(&mut self, most: usize) -> &str {
        let count = self.rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        digits
    }

    fn number(
        &mut self,
        least: usize,
        most: usize,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let digits = self.digits(most);
        let value = digits.parse().ok().filter(|_| digits.len() >= least)?;
        range.contains(&value).then_some(value)
    }

    /// The fraction that stands here, if one does.
    fn fraction(&mut self) -> Option<i64> {
        let behind = self.rest.strip_prefix(['.', ','])?;
        let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let (fraction, rest) = behind.split_at(digits);
        self.rest = rest;
        let digit = |place: usize| fraction.as_bytes().get(place).map_or(0, |digit| digit - b'0');
        Some((0..9).fold(0, |nanos, place| nanos * 10 + i64::from(digit(place))))
    }

    fn month_name(&mut self, is_full: bool) -> Option<i64> {
        const REST: [&str; 12] =
            ["uary", "ruary", "ch", "il", "", "e", "y", "ust", "tember", "ober", "ember", "ember"];
        let name = self.rest.get(..3)?.to_ascii_lowercase();
        let month = MONTHS.iter().position(|month| *month == name)?;
        self.rest = &self.rest[3..];
        if is_full {
            let (behind, rest) = self.rest.split_at_checked(REST[month].len())?;
            self.rest = rest;
            if !behind.eq_ignore_ascii_case(REST[month]) {
                return None;
            }
        }
        Some(month as i64 + 1)
    }

    fn half_of_day(&mut self, is_upper: bool) -> Option<bool> {
        let (half, rest) = self.rest.split_at_checked(2)?;
        self.rest = rest;
        match (half, is_upper) {
            ("AM", true) | ("am", false) => Some(false),
            ("PM", true) | ("pm", false) => Some(true),
            _ => None,
        }
    }

    fn offset(&mut self, with_colon: bool) -> Option<i32> {
        if !with_colon && let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(0);
        }
        let sign = match self.rest.chars().next()? {
            '+' => 1,
            '-' => -1,
            _ => return None,
        };
        self.rest = &self.rest[1..];
        let hours = self.number(2, 2, 0..=24)?;
        let colon = self.rest.strip_prefix(':');
        let minutes = match colon {
            Some(rest) => {
                self.rest = rest;
                self.number(2, 2, 0..=60)?
            }
            None if with_colon => return None,
            None if self.rest.starts_with(|next: char| next.is_ascii_digit()) => {
                self.number(2, 2, 0..=60)?
            }
            None => 0,
        };
        Some(sign * (hours * 3600 + minutes * 60) as i32)
    }

    fn time(self) -> Option<Time> {
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        let date = Date { year: self.year, month, day };
        let is_leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let last = match month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let hour = match self.is_afternoon {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let seconds =
            date.days_since_1970() * 86_400 + hour * 3600 + self.minute * 60 + self.second
                - i64::from(self.offset_seconds);
        let unix_nanos = i128::from(seconds) * SECOND + i128::from(self.nanos);
        (day <= last).then_some(Time { unix_nanos, offset_seconds: self.offset_seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_by_their_layout() {
        let cases = [
            ("%Y-%m-%dT%H:%M:%S%z", "2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("%Y-%m-%dT%H:%M:%S%z", "2023-1-4T22:3:2+0130", "2023-01-04T22:03:02+01:30"),
            ("%Y-%m-%dT%H:%M:%S%z", "2023-11-14T22:13:20.5-05:00", "2023-11-14T22:13:20.5-05:00"),
            ("%F %T.%f%z", "2023-11-14 22:13:20.123456+01", "2023-11-14T22:13:20.123456+01:00"),
            ("%FT%TZ", "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("%d %B %Y  %I:%M %P %j", "1 March 2023 12:05   am +00:00", "2023-03-01T00:05:00Z"),
            ("%d %b %Y %R %j", "1 mar 2023 23:59 -00:30", "2023-03-01T23:59:00-00:30"),
        ];
        for (layout, text, expected) in cases {
            let time = Layout::new(layout, false).unwrap().read(text);
            let found = time.and_then(Time::rfc3339);
            assert_eq!(found.as_deref(), Some(expected), "{text} by {layout}");
        }
        let layout = Layout::new("%Y-%m-%d %H:%M:%S", true).unwrap();
        for text in [
            "2023-02-29 00:00:00",
            "2023-13-01 00:00:00",
            "23-01-01 00:00:00",
            "",
            "2023-01-01 00:00:00Z",
        ] {
            assert_eq!(layout.read(text), None, "{text}");
        }
    }

    #[test]
    fn what_the_machine_would_have_to_add_is_refused() {
        for layout in ["%H:%M:%S%z", "%Y-%m-%d", "%Y %Z", "%y-%m-%d %z", "%Y%f%z", "2006%z", "%Y%"]
        {
            assert!(Layout::new(layout, false).is_err(), "{layout}");
        }
    }
}
