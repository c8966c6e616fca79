//! Members of a W3C tracestate, as OpenTelemetry's Go library reads them
//! (`go.opentelemetry.io/otel/trace`, `ParseTraceState`): one fault spoils the whole.

/// The most members a tracestate may have.
const MAX_MEMBERS: usize = 32;

/// The longest key and the longest value.
const MAX_LENGTH: usize = 256;

/// The longest tenant and the longest system of a key `tenant@system`.
const MAX_TENANT: usize = 241;
const MAX_SYSTEM: usize = 14;

/// The value of the member `key`, empty if there is no such member; `None` if the whole is
/// malformed.
pub(super) fn member<'a>(trace_state: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut seen: [&[u8]; MAX_MEMBERS] = [b""; MAX_MEMBERS];
    let mut found: &[u8] = b"";
    let members = trace_state.split(|byte| *byte == b',').filter(|member| !member.is_empty());
    for (count, member) in members.enumerate() {
        let equals = member.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (trim_start(&member[..equals]), trim_end(&member[equals + 1..]));
        if !is_key(name) || !is_value(value) || seen.get(..count)?.contains(&name) {
            return None;
        }
        *seen.get_mut(count)? = name;
        if name == key.as_bytes() {
            found = value;
        }
    }
    Some(found)
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().take_while(|byte| is_blank(**byte)).count();
    &bytes[start..]
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().rev().take_while(|byte| is_blank(**byte)).count();
    &bytes[..bytes.len() - blanks]
}

fn is_key(key: &[u8]) -> bool {
    match key.iter().position(|byte| *byte == b'@') {
        None => is_part(key, MAX_LENGTH, |first| first.is_ascii_lowercase()),
        Some(at) => {
            let starts_tenant = |first: u8| first.is_ascii_lowercase() || first.is_ascii_digit();
            is_part(&key[..at], MAX_TENANT, starts_tenant)
                && is_part(&key[at + 1..], MAX_SYSTEM, |first| first.is_ascii_lowercase())
        }
    }
}

fn is_part(part: &[u8], longest: usize, starts: impl Fn(u8) -> bool) -> bool {
    let may_follow =
        |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(byte);
    part.len() <= longest
        && part.first().is_some_and(|first| starts(*first))
        && part.iter().all(may_follow)
}

/// Printable ASCII other than `,` and `=`, not ending with a space.
fn is_value(value: &[u8]) -> bool {
    let is_allowed = |byte: &u8| matches!(byte, b' '..=b'~') && !b",=".contains(byte);
    (1..=MAX_LENGTH).contains(&value.len())
        && value.iter().all(is_allowed)
        && !value.ends_with(b" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_there_or_empty_or_the_whole_is_malformed() {
        let many = |members: usize| {
            let others: Vec<String> = (1..members).map(|n| format!("k{n}=v")).collect();
            format!("tk=v1,{}", others.join(","))
        };
        let cases: &[(&str, Option<&str>)] = &[
            ("tk=v1,x=y", Some("v1")),
            ("x=y, tk=v1\t", Some("v1")),
            (",tk=a b,,", Some("a b")),
            ("t@s=1,tk=v", Some("v")),
            ("x=y", Some("")),
            ("", Some("")),
            (",", Some("")),
            (&many(32), Some("v1")),
            (&many(33), None),
            ("tk=v1, ", None),
            ("tk =v1", None),
            ("tk=v1,x", None),
            ("tk=v1,X=y", None),
            ("tk=v1,tk=v2", None),
            ("tk=v1,x=", None),
            ("tk=v1,x=a=b", None),
            ("tk=v1,x=\u{e9}", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(str::as_bytes);
            assert_eq!(member(text.as_bytes(), "tk"), expected, "{text:?}");
        }
    }
}
