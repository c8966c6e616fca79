//! Names and texts of others, of any kind and length.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{drawn, lines, report, status, time};
use crate::cmd::top::app::{App, View};
use crate::cmd::top::fleet::Fleet;
use crate::cmd::top::once;
use crate::cmd::top::snapshot::Snapshot;

/// Puts `text` in the place of every text that is no time.
fn poisoned(json: &mut Value, text: &str) {
    match json {
        Value::String(of) if !of.starts_with("2026-") => *of = text.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|it| poisoned(it, text)),
        Value::Object(fields) => fields.values_mut().for_each(|it| poisoned(it, text)),
        _ => {}
    }
}

fn fleet(text: &str) -> Fleet {
    let mut json = status(0, 100);
    json["member"]["notes"] = json!(["a"]);
    json["member"]["checks"] = json!([{"name": "a", "missing": "a"}]);
    json["policies"]["failure"] = json!("a");
    poisoned(&mut json, text);
    let mut fleet = Fleet::new(["a:1".to_owned()]);
    fleet.take(0, time(100), Ok(report(&json)));
    fleet
}

fn is_harmless(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns
}

fn check(text: &str, size: (u16, u16)) {
    let mut app = App::new(fleet(text));
    for view in View::ALL {
        app.view = view;
        let buffer = drawn(&mut app, size, true);
        let is_harmless = |text: &str| text.chars().all(is_harmless);
        assert!(buffer.content.iter().all(|cell| is_harmless(cell.symbol())), "{text:?}");
        let shown = lines(&buffer);
        // Numbers stay where they are, whatever stands beside them.
        if view == View::Overview && size == (80, 24) {
            assert!(shown.contains("in           1000"), "{shown}");
        }
    }
    let plain = once::text(&Snapshot::of(&app.fleet, time(100)));
    let is_harmless = |it: char| is_harmless(it) || matches!(it, '\n' | '\u{2068}' | '\u{2069}');
    assert!(plain.chars().all(is_harmless), "{text:?}");
    let isolates = plain.matches('\u{2068}').count();
    assert_eq!(isolates, plain.matches('\u{2069}').count());
}

#[test]
fn control_characters_escape_sequences_and_other_directions_do_nothing() {
    for text in [
        "\x1b[2J\x1b]0;owned\x07\x1b[31m",
        "\u{9b}31mred\u{85}\r\n\t\0",
        "\u{202e}olleh\u{2066}\u{200f}",
        "שלום 12 עולם 34",
        "",
        " ",
        "購入👩\u{200d}💻e\u{301}",
    ] {
        check(text, (80, 24));
    }
    check(&"x\u{301}".repeat(5000), (80, 24));
    check(&"ש\x1b".repeat(5000), (40, 12));
    check(&"\u{301}".repeat(10_000), (120, 40));
}

#[test]
fn right_to_left_text_is_isolated_in_plain_text() {
    let plain = once::text(&Snapshot::of(&fleet("שלום"), time(100)));
    assert!(plain.contains("\u{2068}שלום"), "{plain}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_text_at_any_size(text in any::<String>(), width in 0_u16..140, height in 0_u16..50) {
        check(&text, (width, height));
    }
}
