//! Parts of a file, each of which knows how many lines are above it, so that what stands in it keeps
//! its place in the file. Every character of a part keeps its column.

use std::borrow::Cow;

use super::super::diagnostics::Place;
use super::super::document::Part;

/// Documents in one file; all resources of a large chart have fewer.
pub(super) const MAX_DOCUMENTS: usize = 1000;

/// The documents of a YAML file; the line of the first one that is too many, if there is one.
pub(super) fn documents(text: &str) -> Result<Vec<Part<'_>>, usize> {
    let mut documents = Vec::new();
    let (mut start, mut above, mut offset) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        let is_marker =
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker {
            if documents.len() == MAX_DOCUMENTS {
                return Err(number + 1);
            }
            documents.push(Part { text: Cow::Borrowed(&text[start..offset]), above });
            (start, above) = (offset, number);
        }
        offset += line.len();
    }
    documents.push(Part { text: Cow::Borrowed(&text[start..]), above });
    let is_blank = |document: &Part<'_>| {
        let mut lines = document.text.lines().map(str::trim);
        lines.all(|line| line.is_empty() || line.starts_with('#') || line == "---")
    };
    documents.retain(|document| !is_blank(document));
    Ok(documents)
}

/// The lines of a block scalar (`|`) that starts at `place` and came out as `content`; `None` if
/// it is written in another way.
pub(super) fn block(text: &str, place: Place, content: &str) -> Option<Part<'static>> {
    let first = place.line.checked_sub(1)?;
    let indentation = place.column.checked_sub(1)?;
    let mut cut = String::with_capacity(content.len());
    let mut lines = text.split('\n').skip(first);
    for wanted in content.trim_end_matches('\n').split('\n') {
        let line = lines.next()?;
        let line = line.strip_suffix('\r').unwrap_or(line);
        let is_same = match line.get(indentation..) {
            Some(rest) => rest == wanted && line[..indentation].trim().is_empty(),
            None => wanted.is_empty() && line.trim().is_empty(),
        };
        if !is_same {
            return None;
        }
        cut.push_str(line);
        cut.push('\n');
    }
    Some(Part { text: Cow::Owned(cut), above: first })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_know_what_is_above() {
        let text = "# c\n---\na: 1\n---\n---\nb: |\n  ---\n--- \nc: 1";
        let parts = documents(text).unwrap();
        let parts: Vec<(&str, usize)> = parts.iter().map(|it| (&*it.text, it.above)).collect();
        assert_eq!(parts, [("---\na: 1\n", 1), ("---\nb: |\n  ---\n", 4), ("--- \nc: 1", 7)]);
        let count = |text| documents(text).unwrap().len();
        assert_eq!(count("a: 1\nb: 2\n"), 1);
        assert_eq!(count("---\na: 1\n---\n"), 1);
        assert_eq!(count(""), 0);
        assert_eq!(count("---a: 1\n"), 1);
    }

    #[test]
    fn more_documents_than_there_may_be_are_not_cut() {
        let text = "---\n".repeat(MAX_DOCUMENTS - 1);
        assert_eq!(documents(&format!("{text}---\na: 1\n")).map(|it| it.len()), Ok(1));
        assert_eq!(documents(&format!("{text}---\n---\na: 1\n")), Err(MAX_DOCUMENTS + 1));
    }

    #[test]
    fn blocks_keep_their_columns() {
        let text = "a:\n  b: |\n    x:\n      y\n\n    z\n  c: 1\n";
        let place = Place { line: 3, column: 5, ..Place::default() };
        let part = block(text, place, "x:\n  y\n\nz\n").unwrap();
        assert_eq!((&*part.text, part.above), ("    x:\n      y\n\n    z\n", 2));
        assert_eq!(block(text, place, "x: y\nz\n"), None);
        assert_eq!(block("a: \"x\\ny\"", Place { line: 1, column: 4, ..place }, "x\ny"), None);
    }
}
