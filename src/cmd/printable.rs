//! Texts that others have chosen, made harmless for a terminal.
//!
//! Promises that what is printed moves no cursor, changes no colour and no direction, and hides
//! nothing: whoever may write to a topic, or names a service, does not write to the terminal.

/// The first characters of `text`, with a visible mark in place of each that controls others or
/// cannot be seen; an ellipsis says that there are more.
pub(super) fn printable(text: &str, longest: usize) -> String {
    let mut characters = text.chars();
    let mut shown: String = characters.by_ref().take(longest).map(visible).collect();
    if characters.next().is_some() {
        shown.push('…');
    }
    shown
}

fn visible(character: char) -> char {
    if character.is_control() || is_invisible(character) {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    }
}

/// Characters without a width of their own that turn the direction of others, part lines, or hide
/// that two texts differ. Marks that belong to a letter are none.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_printed_controls_the_terminal() {
        let all = |text: &str| printable(text, 100);
        assert_eq!(all("shop-ü 購入 שלום"), "shop-ü 購入 שלום");
        assert_eq!(all("\x1b[2Ja\r\n\tb\u{9b}1m\u{7f}"), "�[2Ja���b�1m�");
        assert_eq!(all("\u{202e}evil\u{2066}\u{200b}\u{feff}\u{e0041}"), "�evil����");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(printable("äöü", 3), "äöü");
        assert_eq!(printable("äöüß", 3), "äöü…");
        assert_eq!(printable(&"x".repeat(10_000), 80).chars().count(), 81);
    }
}
