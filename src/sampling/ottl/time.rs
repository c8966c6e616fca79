//! Points in time and their parts, as Go's `time` package has them, on the proleptic Gregorian
//! calendar.

/// Nanoseconds of a second.
pub(super) const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;
/// From 0000-03-01 to 1970-01-01, in days.
const DAYS_TO_1970: i64 = 719_468;
/// Days of 400 years.
const ERA: i64 = 146_097;
/// The first moment of year 1, from which Go counts, in days before 1970.
const DAYS_FROM_YEAR_1: i128 = 719_162;

/// A point in time, and the zone it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    /// Nanoseconds since 1970, UTC.
    pub(super) unix_nanos: i128,
    /// How far its zone is ahead of UTC.
    pub(super) offset_seconds: i32,
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: i64,
    /// From 1.
    pub(super) day: i64,
}

impl Date {
    /// Days since 1970 (Hinnant, "chrono-compatible low-level date algorithms").
    pub(super) fn days_since_1970(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let of_era = year.rem_euclid(400);
        let of_year = (153 * ((self.month + 9) % 12) + 2) / 5 + self.day - 1;
        year.div_euclid(400) * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year
            - DAYS_TO_1970
    }

    fn of_days(days_since_1970: i64) -> Self {
        let days = days_since_1970 + DAYS_TO_1970;
        let of_era = days.rem_euclid(ERA);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + days.div_euclid(ERA) * 400 + i64::from(month <= 2);
        Self { year, month, day }
    }
}

impl Time {
    pub(super) fn utc(unix_nanos: i128) -> Self {
        Self { unix_nanos, offset_seconds: 0 }
    }

    /// A time of a span or an event. What a 64-bit number with a sign does not hold wraps.
    pub(super) fn of_span(unix_nanos: u64) -> Self {
        Self::utc(unix_nanos.cast_signed().into())
    }

    /// The largest or the least duration where the difference is none.
    pub(super) fn since(self, other: Self) -> i64 {
        let nanos = self.unix_nanos - other.unix_nanos;
        i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })
    }

    pub(super) fn plus(self, nanos: i64) -> Self {
        Self { unix_nanos: self.unix_nanos + i128::from(nanos), ..self }
    }

    /// Rounded down to a multiple of `nanos` since year 1.
    pub(super) fn truncated(self, nanos: i64) -> Self {
        if nanos <= 0 {
            return self;
        }
        let since_year_1 = self.unix_nanos + DAYS_FROM_YEAR_1 * DAY;
        Self { unix_nanos: self.unix_nanos - since_year_1.rem_euclid(nanos.into()), ..self }
    }

    /// Year 1, which Go has for no time at all.
    pub(super) fn is_zero(self) -> bool {
        self.unix_nanos == -DAYS_FROM_YEAR_1 * DAY
    }

    /// So many whole `units` since 1970, rounded down.
    pub(super) fn unix(self, unit_nanos: i128) -> i64 {
        self.unix_nanos.div_euclid(unit_nanos) as i64
    }

    fn local(self) -> i128 {
        self.unix_nanos + i128::from(self.offset_seconds) * SECOND
    }

    fn days(self) -> i64 {
        self.local().div_euclid(DAY) as i64
    }

    pub(super) fn date(self) -> Date {
        Date::of_days(self.days())
    }

    /// From 0 for Sunday.
    pub(super) fn weekday(self) -> i64 {
        (self.days() + 4).rem_euclid(7)
    }

    pub(super) fn hour(self) -> i64 {
        self.second_of_day() / 3600
    }

    pub(super) fn minute(self) -> i64 {
        self.second_of_day() / 60 % 60
    }

    pub(super) fn second(self) -> i64 {
        self.second_of_day() % 60
    }

    pub(super) fn nanosecond(self) -> i64 {
        self.unix_nanos.rem_euclid(SECOND) as i64
    }

    fn second_of_day(self) -> i64 {
        (self.local().rem_euclid(DAY) / SECOND) as i64
    }

    /// As RFC 3339, with as much of a fraction as there is; Go has no such text for the years
    /// before 0 and after 9999.
    pub(super) fn rfc3339(self) -> Option<String> {
        let Date { year, month, day } = self.date();
        if !(0..=9999).contains(&year) {
            return None;
        }
        let (hour, minute, second) = (self.hour(), self.minute(), self.second());
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        let fraction = format!("{:09}", self.nanosecond());
        match fraction.trim_end_matches('0') {
            "" => {}
            digits => text.extend([".", digits]),
        }
        let minutes = self.offset_seconds / 60;
        match minutes {
            0 => text.push('Z'),
            _ => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let (hours, minutes) = (minutes.abs() / 60, minutes.abs() % 60);
                text.push_str(&format!("{sign}{hours:02}:{minutes:02}"));
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_time_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z", 4),
            (-1, "1969-12-31T23:59:59.999999999Z", 3),
            (1_700_000_000_123_456_000, "2023-11-14T22:13:20.123456Z", 2),
            (951_782_400_000_000_000, "2000-02-29T00:00:00Z", 2),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00Z", 1),
            (-62_135_596_800_000_000_000, "0001-01-01T00:00:00Z", 1),
        ];
        for (unix_nanos, expected, weekday) in cases {
            let time = Time::utc(unix_nanos);
            assert_eq!(time.rfc3339().as_deref(), Some(expected));
            assert_eq!(time.weekday(), weekday, "{expected}");
            assert_eq!(i128::from(time.date().days_since_1970()), unix_nanos.div_euclid(DAY));
        }
        assert!(Time::utc(-62_135_596_800_000_000_000).is_zero());
        let ahead = Time { unix_nanos: 0, offset_seconds: 5 * 3600 + 1800 };
        assert_eq!(ahead.rfc3339().as_deref(), Some("1970-01-01T05:30:00+05:30"));
        assert_eq!(Time::utc(-62_167_219_200_000_000_001).rfc3339(), None);
    }

    #[test]
    fn times_are_rounded_down_from_year_1() {
        let hour = 3_600_000_000_000;
        assert_eq!(
            Time::utc(1_700_000_000 * SECOND).truncated(hour),
            Time::utc(1_699_999_200 * SECOND)
        );
        assert_eq!(Time::utc(-1).truncated(hour), Time::utc(-i128::from(hour)));
        // 1970-01-01 was a Thursday, and year 1 began on a Monday.
        let week = 7 * 24 * hour;
        assert_eq!(Time::utc(0).truncated(week), Time::utc(-3 * DAY));
        assert_eq!(Time::utc(5).truncated(0), Time::utc(5));
    }
}
