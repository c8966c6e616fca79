//! The members of a W3C tracestate, read strictly: one fault spoils the whole.
//!
//! Sources: W3C Trace Context, "tracestate header"; OpenTelemetry's Go library
//! (`go.opentelemetry.io/otel/trace`, `ParseTraceState`), which is stricter in one point.

use smallvec::SmallVec;

/// The most members a tracestate may have.
pub const MAX_MEMBERS: usize = 32;

/// The longest key and the longest value.
const MAX_LENGTH: usize = 256;

/// The longest tenant and the longest system of a key `tenant@system`.
const MAX_TENANT: usize = 241;
const MAX_SYSTEM: usize = 14;

/// The keys and values of a tracestate, in order. Kept on the stack.
pub type Members<'a> = SmallVec<[(&'a str, &'a str); MAX_MEMBERS]>;

/// What members of nothing but blanks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlankMembers {
    /// Passed over, as the W3C has it.
    Ignored,
    /// Malformed, as the Collector has it.
    Malformed,
}

/// The members of a tracestate; `None` if it is malformed.
pub fn members(trace_state: &[u8], blank: BlankMembers) -> Option<Members<'_>> {
    let text = std::str::from_utf8(trace_state).ok()?;
    let is_space = |c| c == ' ' || c == '\t';
    let mut members = Members::new();
    for member in text.split(',').filter(|member| !member.is_empty()) {
        if blank == BlankMembers::Ignored && member.trim_matches(is_space).is_empty() {
            continue;
        }
        let (key, value) = member.split_once('=')?;
        let (key, value) = (key.trim_start_matches(is_space), value.trim_end_matches(is_space));
        let is_known = members.iter().any(|(known, _)| *known == key);
        if !is_key(key) || !is_value(value) || is_known || members.len() == MAX_MEMBERS {
            return None;
        }
        members.push((key, value));
    }
    Some(members)
}

/// The value of the member `key` as the Collector reads it, empty if there is no such member;
/// `None` if the whole is malformed.
pub fn member<'a>(trace_state: &'a [u8], key: &str) -> Option<&'a str> {
    let members = members(trace_state, BlankMembers::Malformed)?;
    Some(members.into_iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value))
}

fn is_key(key: &str) -> bool {
    match key.split_once('@') {
        None => is_part(key, MAX_LENGTH, |first| first.is_ascii_lowercase()),
        Some((tenant, system)) => {
            let starts_tenant = |first: u8| first.is_ascii_lowercase() || first.is_ascii_digit();
            is_part(tenant, MAX_TENANT, starts_tenant)
                && is_part(system, MAX_SYSTEM, |first| first.is_ascii_lowercase())
        }
    }
}

fn is_part(part: &str, longest: usize, starts: impl Fn(u8) -> bool) -> bool {
    let may_follow =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
    part.len() <= longest && part.bytes().next().is_some_and(starts) && part.bytes().all(may_follow)
}

/// Printable ASCII other than `,` and `=`, not ending with a space.
fn is_value(value: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    (1..=MAX_LENGTH).contains(&value.len())
        && value.bytes().all(is_allowed)
        && !value.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_there_or_empty_or_the_whole_is_malformed() {
        let cases = [
            ("tk=v1,x=y", Some("v1")),
            ("x=y, tk=v1\t", Some("v1")),
            (",tk=a b,,", Some("a b")),
            ("t@s=1,tk=v", Some("v")),
            ("x=y", Some("")),
            ("", Some("")),
            (",", Some("")),
            ("tk=v1, ", None),
            ("tk =v1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(member(text.as_bytes(), "tk"), expected, "{text:?}");
        }
        let lenient = members(b"tk=v1, ,x=y", BlankMembers::Ignored).unwrap();
        assert_eq!(lenient.as_slice(), [("tk", "v1"), ("x", "y")]);
    }

    #[test]
    fn one_fault_spoils_the_whole() {
        let many = |count: usize| {
            let others: Vec<String> = (1..count).map(|n| format!("k{n}=v")).collect();
            format!("tk=v1,{}", others.join(","))
        };
        assert!(member(many(32).as_bytes(), "tk").is_some());
        let long = format!("tk=v1,x={}", "v".repeat(257));
        let faults = [
            "tk=v1,x",
            "tk=v1,=y",
            "tk=v1,X=y",
            "tk=v1,tk=v2",
            "tk=v1,1x=y",
            "tk=v1,x=",
            "tk=v1,x=a=b",
            "tk=v1,x=\u{e9}",
            "tk=v1,t@=y",
            "tk=v1,@s=y",
            &many(33),
            &long,
        ];
        for fault in faults {
            assert_eq!(members(fault.as_bytes(), BlankMembers::Ignored), None, "{fault:?}");
        }
        assert_eq!(member(b"tk=v1,\xff=y", "tk"), None);
    }
}
