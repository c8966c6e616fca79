//! Parts of a file as texts of their own, in which every line keeps its number and every character
//! its column: what does not belong to the part is left out, its line breaks are not.

use super::super::diagnostics::Place;

/// The documents of a YAML file.
pub(super) fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    let mut line_breaks = String::new();
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        let is_marker =
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if is_marker {
            documents.push(line_breaks.clone());
        }
        if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
        line_breaks.push_str(if line.ends_with('\n') { "\n" } else { "" });
    }
    let is_blank = |document: &String| {
        let mut lines = document.lines().map(str::trim);
        lines.all(|line| line.is_empty() || line.starts_with('#') || line == "---")
    };
    documents.retain(|document| !is_blank(document));
    documents
}

/// The lines of a block scalar (`|`) that starts at `place` and came out as `content`; `None` if
/// it is written in another way.
pub(super) fn block(text: &str, place: Place, content: &str) -> Option<String> {
    let first = place.line.checked_sub(1)?;
    let indentation = place.column.checked_sub(1)?;
    let mut cut = "\n".repeat(first);
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
    Some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_keep_their_lines() {
        let text = "# c\n---\na: 1\n---\n---\nb: |\n  ---\n--- \nc: 1";
        let documents = documents(text);
        assert_eq!(
            documents,
            ["\n---\na: 1\n", "\n\n\n\n---\nb: |\n  ---\n", "\n\n\n\n\n\n\n--- \nc: 1"]
        );
        assert_eq!(super::documents("a: 1\nb: 2\n").len(), 1);
        assert_eq!(super::documents("---\na: 1\n---\n").len(), 1);
        assert_eq!(super::documents("").len(), 0);
        assert_eq!(super::documents("---a: 1\n").len(), 1);
    }

    #[test]
    fn blocks_keep_their_lines_and_columns() {
        let text = "a:\n  b: |\n    x:\n      y\n\n    z\n  c: 1\n";
        let place = Place { line: 3, column: 5, ..Place::default() };
        assert_eq!(block(text, place, "x:\n  y\n\nz\n").unwrap(), "\n\n    x:\n      y\n\n    z\n");
        assert_eq!(block(text, place, "x: y\nz\n"), None);
        assert_eq!(block("a: \"x\\ny\"", Place { line: 1, column: 4, ..place }, "x\ny"), None);
    }
}
