//! Functions of times and durations. Those of data are in UTC.

use super::strptime::Layout;
use super::{Answer, Args, Prepared};
use crate::sampling::ottl::convert::readable;
use crate::sampling::ottl::error::EvalError;
use crate::sampling::ottl::operand::Operand;
use crate::sampling::ottl::time::{SECOND, Time};
use crate::sampling::ottl::value::Value;

/// A part of a time, as a whole number.
pub(super) fn part<'v>(args: Args<'v, '_>, part: impl FnOnce(Time) -> i64) -> Answer<'v> {
    Ok(Value::Int(part(args.time(0)?)))
}

/// So many seconds, and nanoseconds if they are given, after the start of 1970.
pub(super) fn unix<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let nanos = if args.call.arguments.len() > 1 { args.int(1)? } else { 0 };
    Ok(Value::Time(Time::utc(i128::from(args.int(0)?) * SECOND + i128::from(nanos))))
}

pub(super) fn truncate_time<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Time(args.time(0)?.truncated(args.duration(1)?)))
}

/// A duration in units of so many nanoseconds: in whole units and the rest, as Go does it.
pub(super) fn in_units<'v>(args: Args<'v, '_>, unit: i64) -> Answer<'v> {
    let nanos = args.duration(0)?;
    Ok(Value::Double((nanos / unit) as f64 + (nanos % unit) as f64 / unit as f64))
}

/// The same without the rest.
pub(super) fn in_whole_units<'v>(args: Args<'v, '_>, unit: i64) -> Answer<'v> {
    Ok(Value::Int(args.duration(0)? / unit))
}

pub(super) fn duration<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let text = args.text(0)?;
    let read = std::str::from_utf8(&text).ok().and_then(parsed_duration);
    read.map(Value::Duration).ok_or(EvalError::Unreadable { function: args.name() })
}

/// Go's `time.ParseDuration`: numbers with units, such as `1h15m30.918s`.
fn parsed_duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, u64); 8] = [
        ("ns", 1),
        ("us", 1000),
        ("\u{b5}s", 1000),
        ("\u{3bc}s", 1000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    const MOST: u64 = 1 << 63;
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut sum: u64 = 0;
    while sum == 0 || !rest.is_empty() {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, after) = rest.split_at(digits(rest));
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => after.split_at(digits(after)),
            None => ("", after),
        };
        let end = after.find(|char: char| char == '.' || char.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        let mut nanos = whole.checked_mul(*unit)?;
        nanos = nanos.checked_add(of_fraction(fraction, *unit))?;
        sum = sum.checked_add(nanos).filter(|sum| *sum <= MOST)?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    match text.starts_with('-') {
        true => Some((sum as i64).wrapping_neg()),
        false => i64::try_from(sum).ok(),
    }
}

/// Digits that have no place in 63 bits are passed over, as in Go.
fn of_fraction(digits: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1.0_f64);
    for digit in digits.bytes() {
        let next =
            value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
        match next.filter(|next| *next <= 1 << 63) {
            Some(next) => (value, scale) = (next, scale * 10.0),
            None => break,
        }
    }
    (value as f64 * (unit as f64 / scale)) as u64
}

/// The layout of a `Time`, and its zone: decisions must not depend on the machine's.
pub(super) fn prepare_time(arguments: &[Operand]) -> Result<Prepared, String> {
    let written = |index: usize| match arguments.get(index) {
        Some(Operand::Literal(Value::String(text))) => Some(readable(text)),
        _ => None,
    };
    if written(3).is_some() {
        return Err("names of months and days in another language are not supported".to_owned());
    }
    let location = written(2);
    let is_utc = match location.as_deref() {
        None | Some("") => false,
        Some("UTC") => true,
        Some(_) => return Err("the only location is \"UTC\": a zone needs tables".to_owned()),
    };
    Layout::new(&written(1).unwrap_or_default(), is_utc).map(Prepared::Layout)
}

pub(super) fn time<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let text = args.text(0)?;
    let read = match &args.call.prepared {
        Prepared::Layout(layout) => layout.read(&readable(&text)),
        _ => None,
    };
    read.map(Value::Time).ok_or(EvalError::Unreadable { function: args.name() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let cases = [
            ("0", Some(0)),
            ("5s", Some(5_000_000_000)),
            ("-5s", Some(-5_000_000_000)),
            ("+1.5h", Some(5_400_000_000_000)),
            ("1h15m30.918s", Some(4_530_918_000_000)),
            ("100ms", Some(100_000_000)),
            (".5us", Some(500)),
            ("1\u{b5}s1\u{3bc}s", Some(2000)),
            ("5.s", Some(5_000_000_000)),
            ("0.3333333333333333333h", Some(1_200_000_000_000)),
            ("0.830103483285477580700h", Some(2_988_372_539_827)),
            ("9223372036854775807ns", Some(i64::MAX)),
            ("-9223372036854775808ns", Some(i64::MIN)),
            ("9223372036854775808ns", None),
            ("0s", Some(0)),
            ("", None),
            ("3", None),
            ("-", None),
            ("s", None),
            (".s", None),
            ("1d", None),
            ("1 s", None),
            ("5S", None),
            ("0s1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed_duration(text), expected, "{text:?}");
        }
    }
}
