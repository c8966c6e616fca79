//! Screens, held against those in `golden`; and the keys.

use std::env;
use std::fs;
use std::path::Path;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

use super::fixture::{drawn, fleet, lines, time};
use crate::cmd::top::app::{App, View, Wish};
use crate::cmd::top::fleet::Fleet;
use crate::cmd::top::once;
use crate::cmd::top::snapshot::Snapshot;

fn press(app: &mut App, key: KeyCode) -> Wish {
    app.key(KeyEvent::new(key, KeyModifiers::NONE), time(104))
}

fn typed(app: &mut App, text: &str) {
    for key in text.chars() {
        assert_eq!(press(app, KeyCode::Char(key)), Wish::Nothing);
    }
}

fn held_against_golden(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cmd/top/tests/golden");
    let file = folder.join(format!("{name}.txt"));
    if env::var_os("TAILSIEVE_UPDATE").is_some() {
        fs::write(&file, text).unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap_or_default();
    assert!(golden == text, "{name} is another than in {}:\n{text}", file.display());
}

#[test]
fn each_view_at_each_size() {
    for size @ (width, height) in [(80, 24), (120, 40), (40, 12)] {
        for view in View::ALL {
            let mut app = App::new(fleet());
            app.view = view;
            let name = format!("{}-{width}x{height}", view.title().to_lowercase());
            held_against_golden(&name, &lines(&drawn(&mut app, size, true)));
        }
    }
}

#[test]
fn help_is_scrolled_and_any_other_key_leads_back() {
    let mut app = App::new(fleet());
    press(&mut app, KeyCode::Char('?'));
    held_against_golden("help-80x24", &lines(&drawn(&mut app, (80, 24), true)));
    press(&mut app, KeyCode::End);
    assert!(lines(&drawn(&mut app, (80, 24), true)).contains("what a shadow policy would"));
    assert_eq!(press(&mut app, KeyCode::Char('s')), Wish::Nothing);
    assert!(lines(&drawn(&mut app, (80, 24), true)).contains("sort: as named"));
    assert!(lines(&drawn(&mut app, (80, 24), true)).contains("FLOW"), "not scrolled");
}

/// Without trailing blanks, as the screen is.
#[test]
fn the_manual_shows_the_screen_as_it_is() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/top.md");
    let screen = lines(&drawn(&mut App::new(fleet()), (110, 36), true));
    let manual = fs::read_to_string(&file).unwrap();
    let (before, rest) = manual.split_once("```text\n").unwrap();
    let (_, after) = rest.split_once("```").unwrap();
    let is = format!("{before}```text\n{screen}```{after}");
    if env::var_os("TAILSIEVE_UPDATE").is_some() {
        fs::write(&file, &is).unwrap();
        return;
    }
    assert!(is == manual, "docs/top.md shows another screen than this one:\n{screen}");
}

#[test]
fn plain_text_has_everything_in_exact_numbers() {
    let text = once::text(&Snapshot::of(&fleet(), time(104)));
    held_against_golden("once", &text);
    let [kept, dropped, open, invalid] =
        ["kept", "dropped", "open", "invalid"].map(|stop| spans(&text, stop));
    assert_eq!(spans(&text, "in"), kept + dropped + open + invalid);
}

/// The spans of a stop: those of lines like `kept 200 20 80000 10% 20800 2080 8320000`.
fn spans(text: &str, stop: &str) -> u64 {
    let head = text.lines().find(|line| line.starts_with("FLOW")).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{stop} "))).unwrap();
    let end = head.find(" SPANS ").unwrap() + " SPANS".len();
    line[..end].split(' ').next_back().unwrap().parse().unwrap()
}

#[test]
fn nothing_is_known_yet() {
    let mut app = App::new(Fleet::new(["localhost:9464".to_owned()]));
    let text = lines(&drawn(&mut app, (80, 24), true));
    assert!(
        text.contains("0 of 1 member ready") && text.contains("localhost:9464 asked"),
        "{text}"
    );
    press(&mut app, KeyCode::Char('2'));
    assert!(lines(&drawn(&mut app, (80, 24), true)).contains("nothing yet"));
}

#[test]
fn no_size_is_too_small() {
    let mut app = App::new(fleet());
    for view in View::ALL {
        app.view = view;
        for size in (0..12).flat_map(|width| (0..12).map(move |height| (width * 3, height))) {
            drawn(&mut app, size, true);
        }
    }
}

#[test]
fn colors_are_those_of_the_terminal_or_none_and_nothing_depends_on_them() {
    let mut app = App::new(fleet());
    let buffer = drawn(&mut app, (80, 24), true);
    let colors = [Color::Reset, Color::Red, Color::Green];
    assert!(buffer.content.iter().all(|cell| colors.contains(&cell.fg) && cell.bg == Color::Reset));
    assert!(buffer.content.iter().any(|cell| cell.fg == Color::Red));
    let plain = drawn(&mut app, (80, 24), false);
    let is_plain =
        |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
    assert!(plain.content.iter().all(is_plain));
    assert_eq!(lines(&plain), lines(&buffer));
    let chosen = plain.content.iter().filter(|it| it.modifier.contains(Modifier::REVERSED));
    let chosen: String = chosen.map(ratatui::buffer::Cell::symbol).collect();
    assert_eq!(chosen, " 1 Overview ");
}

#[test]
fn keys_choose_the_view() {
    let mut app = App::new(fleet());
    for (key, view) in [
        (KeyCode::Tab, View::Partitions),
        (KeyCode::Char('5'), View::Errors),
        (KeyCode::Right, View::Overview),
        (KeyCode::BackTab, View::Errors),
        (KeyCode::Left, View::Traces),
    ] {
        assert_eq!(press(&mut app, key), Wish::Nothing);
        assert_eq!(app.view, view, "{key:?}");
    }
    assert_eq!(press(&mut app, KeyCode::Char('q')), Wish::Quit);
    let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
    assert_eq!(app.key(control('c'), time(104)), Wish::Quit);
    assert_eq!(app.key(control('l'), time(104)), Wish::Redraw);
}

#[test]
fn lines_are_scrolled_and_never_past_the_last_one() {
    let mut app = App::new(fleet());
    app.view = View::Partitions;
    let first = |app: &mut App| {
        let text = lines(&drawn(app, (80, 10), true));
        text.lines().nth(3).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(first(&mut app), "0");
    press(&mut app, KeyCode::Down);
    assert_eq!(first(&mut app), "1");
    press(&mut app, KeyCode::PageDown);
    assert_eq!(first(&mut app), "6", "twelve lines, of which six are seen");
    press(&mut app, KeyCode::Up);
    assert_eq!(first(&mut app), "5");
    press(&mut app, KeyCode::End);
    assert_eq!(first(&mut app), "6");
    press(&mut app, KeyCode::Home);
    assert_eq!(first(&mut app), "0");
    press(&mut app, KeyCode::Char('s'));
    assert_eq!(first(&mut app), "11", "the largest lag");
    assert!(lines(&drawn(&mut app, (80, 10), true)).contains("sort: lag"));
}

#[test]
fn a_filter_leaves_the_rows_that_have_it() {
    let mut app = App::new(fleet());
    app.view = View::Partitions;
    press(&mut app, KeyCode::Char('/'));
    typed(&mut app, "READING baq");
    press(&mut app, KeyCode::Backspace);
    typed(&mut app, "c");
    let text = lines(&drawn(&mut app, (80, 24), true));
    assert!(text.contains("filter: READING bac_"), "{text}");
    assert_eq!(press(&mut app, KeyCode::Enter), Wish::Nothing);
    let text = lines(&drawn(&mut app, (120, 24), true));
    assert_eq!(text.matches("tailsieve-0").count(), 1, "{text}");
    press(&mut app, KeyCode::Char('3'));
    assert!(lines(&drawn(&mut app, (80, 24), true)).contains("nothing that the filter finds"));
    press(&mut app, KeyCode::Esc);
    assert!(lines(&drawn(&mut app, (80, 24), true)).contains("the-rest"));
}

#[test]
fn q_in_a_filter_is_a_letter() {
    let mut app = App::new(fleet());
    press(&mut app, KeyCode::Char('/'));
    assert_eq!(press(&mut app, KeyCode::Char('q')), Wish::Nothing);
    assert_eq!(app.filter, "q");
}

#[test]
fn what_is_paused_stands_still_and_goes_on_with_the_present() {
    let mut app = App::new(fleet());
    press(&mut app, KeyCode::Char('p'));
    app.fleet.take(0, time(104), Err("gone".to_owned()));
    let paused = lines(&drawn(&mut app, (80, 24), true));
    assert!(paused.contains("PAUSED 09:01:44") && paused.contains("2 of 3"), "{paused}");
    press(&mut app, KeyCode::Char('p'));
    assert!(lines(&drawn(&mut app, (80, 24), true)).contains("1 of 3"));
}

#[test]
fn dropped_traces_are_shown_on_demand() {
    let mut app = App::new(fleet());
    app.view = View::Traces;
    assert!(!lines(&drawn(&mut app, (80, 24), true)).contains("dropped  none"));
    press(&mut app, KeyCode::Char('d'));
    let text = lines(&drawn(&mut app, (80, 24), true));
    assert!(text.contains("dropped  none"), "{text}");
}
