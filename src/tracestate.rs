//! The members of a W3C tracestate, read strictly: what is malformed has none.
//!
//! Source: W3C Trace Context, "tracestate header"; like the Collector's reader, empty members are
//! passed over, and a key that stands twice makes the whole malformed.

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

/// The members of a tracestate; `None` if it is malformed.
pub fn members(trace_state: &[u8]) -> Option<Members<'_>> {
    let text = std::str::from_utf8(trace_state).ok()?;
    let is_space = |c| c == ' ' || c == '\t';
    let mut members = Members::new();
    let found = text.split(',').map(|member| member.trim_matches(is_space));
    for member in found.filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=')?;
        let is_known = members.iter().any(|(known, _)| *known == key);
        if !is_key(key) || !is_value(value) || is_known || members.len() == MAX_MEMBERS {
            return None;
        }
        members.push((key, value));
    }
    Some(members)
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
    fn members_are_found_in_what_is_well_formed() {
        let cases = [
            ("tk=v1,x=y", Some("v1")),
            ("x=y , tk=v1\t", Some("v1")),
            (",tk=a b", Some("a b")),
            ("t@s=1,tk=v", Some("v")),
            ("x=y", None),
            ("", None),
        ];
        let member = |text: &str| {
            let found = members(text.as_bytes())?.into_iter().find(|(key, _)| *key == "tk");
            found.map(|(_, value)| value.to_owned())
        };
        for (text, expected) in cases {
            assert_eq!(member(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn one_fault_spoils_the_whole() {
        let many = |count: usize| {
            let others: Vec<String> = (1..count).map(|n| format!("k{n}=v")).collect();
            format!("tk=v1,{}", others.join(","))
        };
        assert!(members(many(32).as_bytes()).is_some());
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
            assert_eq!(members(fault.as_bytes()), None, "{fault:?}");
        }
        assert_eq!(members(b"tk=v1,\xff=y"), None);
    }
}
