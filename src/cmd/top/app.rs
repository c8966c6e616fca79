//! What the person before the screen has chosen: the view, its order, its filter; and the keys.
//!
//! Pure: keys come in, and what is to be drawn goes out.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::fleet::Fleet;
use super::snapshot::Snapshot;
use super::tables;
use crate::ids::Timestamp;

/// Characters of a filter.
const LONGEST_FILTER: usize = 60;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Partitions,
    Policies,
    Traces,
    Errors,
}

impl View {
    pub(super) const ALL: [Self; 5] =
        [Self::Overview, Self::Partitions, Self::Policies, Self::Traces, Self::Errors];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Partitions => "Partitions",
            Self::Policies => "Policies",
            Self::Traces => "Traces",
            Self::Errors => "Errors",
        }
    }

    /// How what it shows can be sorted; of the overview, the members.
    pub(super) fn sorts(self) -> &'static [&'static str] {
        match self {
            Self::Overview => &tables::MEMBER_SORTS,
            Self::Partitions => &tables::PARTITION_SORTS,
            Self::Policies => &tables::POLICY_SORTS,
            Self::Traces => &tables::TRACE_SORTS,
            Self::Errors => &tables::LOG_SORTS,
        }
    }

    /// The view so many places further, round and round.
    fn moved(self, places: usize) -> Self {
        Self::ALL[(self as usize + places) % Self::ALL.len()]
    }
}

/// What a key asks for beside what the [`App`] does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Nothing,
    /// To draw all of it anew, because another program has written to the terminal.
    Redraw,
    Quit,
}

/// What was chosen, and what is known.
#[derive(Debug)]
pub(super) struct App {
    pub(super) fleet: Fleet,
    pub(super) view: View,
    pub(super) filter: String,
    /// The filter is being typed.
    pub(super) is_typing: bool,
    pub(super) shows_help: bool,
    pub(super) with_dropped: bool,
    /// How it was when it was paused.
    paused: Option<Snapshot>,
    sorts: [usize; View::ALL.len()],
    /// The first line that is seen of each view, and at the end of the help.
    scrolls: [usize; View::ALL.len() + 1],
    /// Lines that can be seen at once, and how far it can be scrolled: as it was drawn last.
    page: usize,
    furthest: usize,
}

impl App {
    pub(super) fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            view: View::Overview,
            filter: String::new(),
            is_typing: false,
            shows_help: false,
            with_dropped: false,
            paused: None,
            sorts: Default::default(),
            scrolls: Default::default(),
            page: 1,
            furthest: 0,
        }
    }

    /// What is to be drawn.
    pub(super) fn snapshot(&self, now: Timestamp) -> Snapshot {
        self.paused.clone().unwrap_or_else(|| Snapshot::of(&self.fleet, now))
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// Which of the view's orders it has.
    pub(super) fn sort(&self) -> usize {
        self.sorts[self.view as usize]
    }

    /// The first line that is to be seen of so many, `page` of which can be seen at once.
    pub(super) fn first_line(&mut self, lines: usize, page: usize) -> usize {
        self.page = page.max(1);
        self.furthest = lines.saturating_sub(page);
        let scroll = &mut self.scrolls[self.place()];
        *scroll = (*scroll).min(self.furthest);
        *scroll
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent, now: Timestamp) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Nothing;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Wish::Quit,
                KeyCode::Char('l') => Wish::Redraw,
                _ => Wish::Nothing,
            };
        }
        if self.is_typing {
            self.type_filter(key.code);
            return Wish::Nothing;
        }
        if self.scroll(key.code) {
            return Wish::Nothing;
        }
        if self.shows_help {
            self.shows_help = false;
            return if key.code == KeyCode::Char('q') { Wish::Quit } else { Wish::Nothing };
        }
        self.choose(key.code, now)
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(character)
                if !character.is_control() && self.filter.chars().count() < LONGEST_FILTER =>
            {
                self.filter.push(character);
            }
            _ => {}
        }
        self.scroll_to(0);
    }

    fn choose(&mut self, key: KeyCode, now: Timestamp) -> Wish {
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Tab | KeyCode::Right => self.view = self.view.moved(1),
            KeyCode::BackTab | KeyCode::Left => self.view = self.view.moved(View::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='5') => {
                self.view = View::ALL[digit as usize - '1' as usize]
            }
            KeyCode::Char('s') => {
                let sort = &mut self.sorts[self.view as usize];
                *sort = (*sort + 1) % self.view.sorts().len();
                self.scroll_to(0);
            }
            KeyCode::Char('p') => {
                self.paused = match self.paused {
                    Some(_) => None,
                    None => Some(Snapshot::of(&self.fleet, now)),
                };
            }
            KeyCode::Char('d') => self.with_dropped = !self.with_dropped,
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('?' | 'h') => {
                self.shows_help = true;
                self.scrolls[View::ALL.len()] = 0;
            }
            _ => {}
        }
        Wish::Nothing
    }

    /// Whether it is a key that scrolls.
    fn scroll(&mut self, key: KeyCode) -> bool {
        let scroll = self.scrolls[self.place()];
        match key {
            KeyCode::Down | KeyCode::Char('j') => self.scroll_to(scroll + 1),
            KeyCode::Up | KeyCode::Char('k') => self.scroll_to(scroll.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll_to(scroll + self.page),
            KeyCode::PageUp => self.scroll_to(scroll.saturating_sub(self.page)),
            KeyCode::Home => self.scroll_to(0),
            KeyCode::End => self.scroll_to(self.furthest),
            _ => return false,
        }
        true
    }

    fn scroll_to(&mut self, line: usize) {
        let place = self.place();
        self.scrolls[place] = line.min(self.furthest);
    }

    /// Where it is remembered how far what is seen was scrolled.
    fn place(&self) -> usize {
        if self.shows_help { View::ALL.len() } else { self.view as usize }
    }
}
