//! The `ot` member of a W3C tracestate: what it says of sampling, and how that is changed.
//!
//! Sources: OpenTelemetry specification, "TraceState Handling" and "TraceState: Probability
//! Sampling". As in the Collector's `pkg/sampling`, one fault spoils the whole: a tracestate that
//! is malformed anywhere says nothing, and is not written to.

use smallvec::SmallVec;

use crate::otlp::probability::Threshold;
use crate::otlp::tracestate::{BlankMembers, MAX_MEMBERS, members};

/// The most characters the value of the `ot` member may have.
const MAX_OT_LENGTH: usize = 256;

/// The vendor key of OpenTelemetry.
const OT: &str = "ot";

/// The rejection threshold T: 1 to 14 hexadecimal digits, lower case, padded with zeros.
const THRESHOLD: &str = "th";

/// The explicit randomness R: exactly 14 hexadecimal digits, lower case.
const RANDOMNESS: &str = "rv";

/// A tracestate that cannot take a threshold: it, or its `ot` member, is not well-formed, or has
/// no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The explicit randomness R (`rv`).
pub fn randomness(trace_state: &[u8]) -> Option<u64> {
    read(trace_state)?.randomness
}

/// The rejection threshold (`th`).
pub fn threshold(trace_state: &[u8]) -> Option<Threshold> {
    read(trace_state)?.threshold
}

/// What the tracestate of a kept span becomes: with `th` set, or without one where that is `None`.
/// The other members, and the other parts of the `ot` member, stay as they are, in order.
///
/// # Errors
///
/// If it is not well-formed or would break the limits of the format; it is then to be left alone.
pub fn with_threshold(
    trace_state: &[u8],
    threshold: Option<Threshold>,
) -> Result<String, Malformed> {
    let members = members(trace_state, BlankMembers::Ignored).ok_or(Malformed)?;
    let old = members.iter().find(|(key, _)| *key == OT);
    let ot = old.map_or(Some(Ot::default()), |(_, value)| Ot::parse(value)).ok_or(Malformed)?;
    let value = ot.with_threshold(threshold);
    let is_new = old.is_none() && !value.is_empty();
    if value.len() > MAX_OT_LENGTH || (is_new && members.len() == MAX_MEMBERS) {
        return Err(Malformed);
    }
    // A member that is new or changed is put in front, as the W3C asks.
    let first = (!value.is_empty()).then_some((OT, &*value));
    let others = members.iter().copied().filter(|(key, _)| *key != OT);
    let all = first.into_iter().chain(others).map(|(key, value)| format!("{key}={value}"));
    Ok(all.collect::<Vec<_>>().join(","))
}

fn read(trace_state: &[u8]) -> Option<Ot<'_>> {
    if trace_state.is_empty() {
        return None;
    }
    let members = members(trace_state, BlankMembers::Ignored)?;
    let (_, value) = members.into_iter().find(|(key, _)| *key == OT)?;
    Ot::parse(value)
}

/// The `ot` member, well-formed.
#[derive(Debug, Default)]
struct Ot<'a> {
    threshold: Option<Threshold>,
    randomness: Option<u64>,
    /// Everything but the threshold, in order.
    others: SmallVec<[&'a str; 4]>,
}

impl<'a> Ot<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut ot = Self::default();
        for part in value.split(';') {
            let (key, value) = part.split_once(':')?;
            if !is_sub_key(key) || !value.bytes().all(is_sub_value) {
                return None;
            }
            match key {
                THRESHOLD if ot.threshold.is_some() => return None,
                THRESHOLD => ot.threshold = Some(parse_threshold(value)?),
                RANDOMNESS if ot.randomness.is_some() => return None,
                RANDOMNESS => {
                    ot.randomness = Some(parse_randomness(value)?);
                    ot.others.push(part);
                }
                _ => ot.others.push(part),
            }
        }
        Some(ot)
    }

    fn with_threshold(&self, threshold: Option<Threshold>) -> String {
        let threshold = threshold.map(|threshold| format!("{THRESHOLD}:{threshold}"));
        let parts = threshold.as_deref().into_iter().chain(self.others.iter().copied());
        parts.collect::<Vec<_>>().join(";")
    }
}

fn is_sub_key(key: &str) -> bool {
    key.starts_with(|first: char| first.is_ascii_lowercase())
        && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_sub_value(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

fn parse_threshold(digits: &str) -> Option<Threshold> {
    (1..=14).contains(&digits.len()).then_some(())?;
    let padding = 4 * (14 - digits.len());
    Threshold::new(hexadecimal(digits)? << padding)
}

fn parse_randomness(digits: &str) -> Option<u64> {
    (digits.len() == 14).then_some(())?;
    hexadecimal(digits)
}

fn hexadecimal(digits: &str) -> Option<u64> {
    let is_lower_hex = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    digits.bytes().all(is_lower_hex).then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn th(digits: &str) -> Option<Threshold> {
        parse_threshold(digits)
    }

    #[test]
    fn randomness_is_14_lower_case_digits() {
        let cases: [(&str, Option<u64>); 8] = [
            ("ot=rv:80000000000000", Some(0x80000000000000)),
            ("a=b, ot=th:c;rv:00000000000001;x:Y.-_1 ,c=d", Some(1)),
            ("ot=rv:8000000000000", None),
            ("ot=rv:800000000000000", None),
            ("ot=rv:8000000000000G", None),
            ("ot=rv:8000000000000A", None),
            ("oot=rv:80000000000000", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(randomness(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(randomness(b"\xff"), None);
    }

    #[test]
    fn thresholds_are_padded_on_the_right() {
        assert_eq!(threshold(b"ot=th:8").map(Threshold::value), Some(1 << 55));
        assert_eq!(threshold(b"ot=th:0"), Some(Threshold::ALWAYS));
        assert_eq!(threshold(b"ot=th:"), None);
        assert_eq!(threshold(b"ot=th:123456789012345"), None);
    }

    #[test]
    fn th_is_set_and_the_rest_stays() {
        let cases = [
            ("", "8", "ot=th:8"),
            ("a=b,c=d", "8", "ot=th:8,a=b,c=d"),
            ("a=b,ot=rv:80000000000000;th:4;x:y,c=d", "8", "ot=th:8;rv:80000000000000;x:y,a=b,c=d"),
        ];
        for (before, digits, after) in cases {
            assert_eq!(with_threshold(before.as_bytes(), th(digits)).unwrap(), after);
        }
        let erased = with_threshold(b"ot=th:8;rv:80000000000000,a=b", None).unwrap();
        assert_eq!(erased, "ot=rv:80000000000000,a=b");
        assert_eq!(with_threshold(b"ot=th:8,a=b", None).unwrap(), "a=b");
    }

    #[test]
    fn what_is_malformed_or_full_is_left_alone() {
        let full = (0..32).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let long = format!("ot=x:{}", "y".repeat(253));
        let malformed = [
            "nonsense",
            "A=b",
            "a=b,a=c",
            "=b",
            "a=b,ot=th:c,x",
            "ot=",
            "ot=nonsense",
            "ot=th:XYZ",
            "ot=th:",
            "ot=th:8;",
            "ot=th:8;th:9",
            "ot=th:8;rv:0",
            "ot=th:8;Rv:1",
            "ot=th:8;x:y z",
            "ot=th:8,ot=th:9",
            "ot=:a",
            full.as_str(),
            long.as_str(),
        ];
        for text in malformed {
            assert_eq!(with_threshold(text.as_bytes(), th("8")), Err(Malformed), "{text}");
            let says = (threshold(text.as_bytes()), randomness(text.as_bytes()));
            assert_eq!(says, (None, None), "{text}");
        }
        // To erase is no reason to mend it.
        assert_eq!(with_threshold(b"ot=th:8;", None), Err(Malformed));
        // What is full has room where nothing is added.
        assert_eq!(with_threshold(full.as_bytes(), None).unwrap(), full);
        let almost = (0..31).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(with_threshold(almost.as_bytes(), th("8")).is_ok());
    }
}
