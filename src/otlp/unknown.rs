//! Records that are in order and hold no span that is understood.

use super::split::for_each_field;
use super::wire::ScanError;

/// How the messages from the outside to a span are called, and which of their fields are known:
/// the one that leads on, and the others.
const LEVELS: [(&str, u32, &[u32]); 3] =
    [("TracesData", 1, &[]), ("ResourceSpans", 2, &[1, 3]), ("ScopeSpans", 2, &[1, 3])];

/// `instrumentation_library_spans` of `ResourceSpans`, removed from OTLP in 2022.
const OLD_SCOPE_SPANS: (&str, u32) = ("ResourceSpans", 1000);

/// What `record`, which was scanned and has no spans, has instead: the first field where spans might
/// be that is not known. `None` if it is just empty.
pub fn not_understood(record: &[u8]) -> Option<String> {
    let mut found = None;
    // What was scanned can be read once more.
    let _ = find(record, (0, record.len()), &LEVELS, &mut found);
    found.map(|(message, field)| match (message, field) {
        OLD_SCOPE_SPANS => format!(
            "field {field} of {message}, instrumentation_library_spans as OTLP called scope_spans \
             until 2022: bring the sender up to date"
        ),
        _ => format!("field {field} of {message}"),
    })
}

fn find(
    record: &[u8],
    (start, end): (usize, usize),
    levels: &[(&'static str, u32, &[u32])],
    found: &mut Option<(&'static str, u32)>,
) -> Result<(), ScanError> {
    let Some(((message, inner, known), deeper)) = levels.split_first() else { return Ok(()) };
    for_each_field(record, start, end, |field| {
        if field.number == *inner {
            find(record, (field.body, field.end), deeper, found)?;
        } else if found.is_none() && !known.contains(&field.number) {
            *found = Some((message, field.number));
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire::delimited_field as field;
    use super::*;

    #[test]
    fn what_is_empty_is_told_from_what_is_not_understood() {
        let scope = field(2, &field(1, b""));
        let empty = [
            vec![],
            field(1, b""),
            field(1, &field(1, &field(1, b""))),
            field(1, &[field(3, b"url"), scope.clone()].concat()),
        ];
        for record in empty {
            assert_eq!(not_understood(&record), None, "{record:02x?}");
        }
        let cases = [
            (field(1000, b"abc"), "field 1000 of TracesData"),
            (field(1, &field(9, b"abc")), "field 9 of ResourceSpans"),
            (field(1, &field(2, &field(5, b""))), "field 5 of ScopeSpans"),
            (vec![0x20, 1], "field 4 of TracesData"),
        ];
        for (record, expected) in cases {
            assert_eq!(not_understood(&record).as_deref(), Some(expected));
        }
        let old = field(1, &[scope, field(1000, &field(2, b""))].concat());
        let told = not_understood(&old).unwrap();
        assert!(told.starts_with("field 1000 of ResourceSpans, instrumentation_library"), "{told}");
    }
}
