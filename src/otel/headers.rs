//! Lists of `key=value,key=value` in variables, with what is not plain written as `%XX`.
//!
//! Source: W3C Baggage, as far as OpenTelemetry's specification takes it over. What is wrong is said
//! without any value: they may be secret.

/// The pairs, in order.
///
/// # Errors
/// What is wrong with the first entry that is none.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let entries = text.split(',').map(str::trim).zip(1..);
    entries
        .filter(|(entry, _)| !entry.is_empty())
        .map(|(entry, number)| pair(entry, number))
        .collect()
}

fn pair(entry: &str, number: u32) -> Result<(String, String), String> {
    let (key, value) = entry
        .split_once('=')
        .ok_or_else(|| format!("entry {number} has no `=`; expected key1=value1,key2=value2"))?;
    let key = key.trim();
    if key.is_empty() {
        return Err(format!("entry {number} has no key before its `=`"));
    }
    let wrong = || format!("the value of {key} is not percent-encoded UTF-8; write % as %25");
    let key_text = decoded(key)
        .ok_or_else(|| format!("the key of entry {number} is not percent-encoded UTF-8"))?;
    Ok((key_text, decoded(value.trim()).ok_or_else(wrong)?))
}

/// A text in which `%XX` stands for a byte.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &after[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, String)> {
        pairs(text).unwrap()
    }

    fn pair_of(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn pairs_are_read_with_what_is_encoded_in_them() {
        let expected = [pair_of("a", "1"), pair_of("authorization", "Bearer x=y,z")];
        assert_eq!(read("a=1, authorization = Bearer%20x=y%2Cz ,"), expected);
        assert_eq!(read("k=%C3%BC"), [pair_of("k", "ü")]);
        assert_eq!(read(""), []);
        assert_eq!(read("empty="), [pair_of("empty", "")]);
    }

    #[test]
    fn what_is_wrong_is_said_without_any_value() {
        for text in [
            "hunter2",
            "a=1,hunter2",
            "=hunter2",
            "a=hunter2%2",
            "a=hunter2%zz",
            "a=hunter2%ff",
            "a=hunter2%+1",
        ] {
            let wrong = pairs(text).unwrap_err();
            assert!(!wrong.contains("hunter2"), "{text}: {wrong}");
        }
        assert!(pairs("a=1,b").unwrap_err().starts_with("entry 2 has no `=`"));
    }
}
