//! The forwarded headers of a Kafka record, as one string of bytes that travels with its spans.
//!
//! Only spans with the same headers may share a request, so headers are compared and hashed far more
//! often than they are read. Few records have any; without any the string is empty.

/// Adds a header to `headers`.
pub fn push(headers: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), value] {
        let length = u32::try_from(part.len()).expect("headers of a record are below 2 GiB");
        headers.extend_from_slice(&length.to_be_bytes());
        headers.extend_from_slice(part);
    }
}

/// The headers that were added, in order.
pub fn iter(headers: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let mut rest = headers;
    std::iter::from_fn(move || {
        let name = std::str::from_utf8(next(&mut rest)?).ok()?;
        Some((name, next(&mut rest)?))
    })
}

fn next<'h>(rest: &mut &'h [u8]) -> Option<&'h [u8]> {
    let (length, behind) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (part, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_added_is_there_in_order(
            all in prop::collection::vec((".*", prop::collection::vec(any::<u8>(), 0..20)), 0..4),
        ) {
            let mut headers = Vec::new();
            all.iter().for_each(|(name, value)| push(&mut headers, name, value));
            let read: Vec<_> = iter(&headers).map(|(n, v)| (n.to_owned(), v.to_vec())).collect();
            prop_assert_eq!(read, all);
        }

        #[test]
        fn anything_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            iter(&bytes).for_each(drop);
        }
    }
}
