//! Parameters of queries.

/// The value of a parameter of a query, as forms send it; white space around it is not meant. `None` if
/// the query does not have it.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|it| char::from(it).to_digit(16));
                let (high, low) = (digit(), digit());
                high.zip(low).map_or(b'?', |(high, low)| (high << 4 | low) as u8)
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_as_forms_send_it() {
        let parameter = |query, name| parameter(query, name).unwrap_or_else(|| "none".to_owned());
        let query = "x=1&id=%3Cb%3e+ab%C3%BC%4&id=2";
        assert_eq!(parameter(query, "id"), "<b> abü?");
        assert_eq!(parameter("id=+ab%20", "id"), "ab");
        assert_eq!(parameter("id=", "id"), "");
        assert_eq!(parameter("idx=1", "id"), "none");
        assert_eq!(parameter("", "id"), "none");
    }
}
