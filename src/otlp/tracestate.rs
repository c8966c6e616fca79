//! The `ot` entry of a W3C tracestate.
//!
//! Sources: W3C Trace Context Level 2, "tracestate header"; OpenTelemetry specification,
//! "TraceState Handling" and "TraceState: Probability Sampling".

use crate::probability::Threshold;

/// The most members a tracestate may have.
const MAX_MEMBERS: usize = 32;

/// The most characters the value of the `ot` member may have.
const MAX_OT_LENGTH: usize = 256;

/// The vendor key of OpenTelemetry.
const OT: &str = "ot";

/// A tracestate that cannot take a threshold: it, or its `ot` member, is not well-formed, or has
/// no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The explicit randomness R (`rv`): exactly 14 hexadecimal digits, lower case.
pub fn randomness(trace_state: &[u8]) -> Option<u64> {
    let digits = sub_key(ot_member(trace_state)?, "rv")?;
    (digits.len() == 14).then_some(())?;
    hexadecimal(digits)
}

/// The rejection threshold (`th`): 1 to 14 hexadecimal digits, lower case, padded with zeros.
pub fn threshold(trace_state: &[u8]) -> Option<Threshold> {
    parse_threshold(sub_key(ot_member(trace_state)?, "th")?)
}

fn parse_threshold(digits: &str) -> Option<Threshold> {
    (1..=14).contains(&digits.len()).then_some(())?;
    let padding = 4 * (14 - digits.len());
    Threshold::new(hexadecimal(digits)? << padding)
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
    if trace_state.is_empty() {
        return Ok(threshold.map_or_else(String::new, |threshold| format!("{OT}=th:{threshold}")));
    }
    let text = std::str::from_utf8(trace_state).map_err(|_| Malformed)?;
    let members: Vec<&str> =
        text.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
    if members.iter().any(|member| !member.contains('=')) || members.len() > MAX_MEMBERS {
        return Err(Malformed);
    }
    let old = members.iter().position(|member| key_of(member) == OT);
    let value = old.map_or("", |at| members[at].split_once('=').map_or("", |(_, value)| value));
    let value = ot_with_threshold(value, threshold)?;
    if value.len() > MAX_OT_LENGTH || (old.is_none() && members.len() == MAX_MEMBERS) {
        return Err(Malformed);
    }
    let ot = (!value.is_empty()).then(|| format!("{OT}={value}"));
    // A member that is new or changed is put in front, as the specification asks.
    let others = members.iter().enumerate().filter(|(at, _)| Some(*at) != old);
    let others = others.map(|(_, member)| (*member).to_owned());
    Ok(ot.into_iter().chain(others).collect::<Vec<_>>().join(","))
}

fn ot_with_threshold(value: &str, threshold: Option<Threshold>) -> Result<String, Malformed> {
    let parts = || value.split(';').filter(|part| !part.is_empty());
    for part in parts() {
        let (key, value) = part.split_once(':').ok_or(Malformed)?;
        if key.is_empty() || (key == "th" && parse_threshold(value).is_none()) {
            return Err(Malformed);
        }
    }
    let th = threshold.map(|threshold| format!("th:{threshold}"));
    let others = parts().filter(|part| !part.starts_with("th:")).map(str::to_owned);
    Ok(th.into_iter().chain(others).collect::<Vec<_>>().join(";"))
}

fn ot_member(trace_state: &[u8]) -> Option<&str> {
    if trace_state.is_empty() {
        return None;
    }
    let text = std::str::from_utf8(trace_state).ok()?;
    let member = text.split(',').map(str::trim).find(|member| key_of(member) == OT)?;
    member.split_once('=').map(|(_, value)| value)
}

fn key_of(member: &str) -> &str {
    member.split('=').next().unwrap_or_default()
}

fn sub_key<'a>(ot: &'a str, key: &str) -> Option<&'a str> {
    let parts = ot.split(';').filter_map(|part| part.split_once(':'));
    parts.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
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
            ("a=b, ot=th:c;rv:00000000000001;x:y ,c=d", Some(1)),
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
        for text in ["nonsense", "ot=nonsense", "ot=th:XYZ", "ot=:a", full.as_str(), long.as_str()]
        {
            assert_eq!(with_threshold(text.as_bytes(), th("8")), Err(Malformed), "{text}");
        }
        let almost = (0..31).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(with_threshold(almost.as_bytes(), th("8")).is_ok());
    }
}
