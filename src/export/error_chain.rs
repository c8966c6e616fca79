//! The causes of an error, in one line for the log.

use std::error::Error;

/// The error and what caused it, as one line.
pub(super) fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in sources(error).map(ToString::to_string) {
        // Some errors already repeat the text of their source.
        if !texts.iter().any(|seen| seen.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// The error and all its causes.
pub(super) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("{text}")]
        struct Layer {
            text: &'static str,
            source: Option<Box<Layer>>,
        }
        let layer = |text, source| Layer { text, source };
        let refused = layer("connection refused", None);
        let repeated = layer("tcp: connection refused", Some(Box::new(refused)));
        let error = layer("transport error", Some(Box::new(repeated)));
        assert_eq!(with_sources(&error), "transport error: tcp: connection refused");
    }
}
