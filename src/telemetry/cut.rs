//! Texts of others, cut where they are too long to be remembered.

/// The beginning of `text`, of at most so many bytes.
pub fn beginning(text: &str, bytes: usize) -> &str {
    let mut ends = (0..=bytes.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut() {
        assert_eq!(
            [0, 1, 2, 3, 4, 9].map(|bytes| beginning("aäb", bytes)),
            ["", "a", "a", "aä", "aäb", "aäb"]
        );
    }
}
