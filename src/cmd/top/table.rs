//! Tables that fit: what does not find room is left out, the least important first.
//!
//! Pure. Promises lines of at most the width that is given, and that no column is cut in the middle
//! of a number: texts are shortened, and then whole columns go.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

/// What a text says beside its words. Colours are those of the terminal's own palette, on its own
/// background: they are readable on dark and on light ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    #[default]
    Plain,
    /// The head of a table.
    Head,
    Strong,
    Quiet,
    Good,
    Bad,
}

impl Mark {
    pub(super) fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Head => Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            Self::Strong => Style::new().add_modifier(Modifier::BOLD),
            Self::Quiet => Style::new().add_modifier(Modifier::DIM),
            Self::Good => Style::new().fg(Color::Green),
            Self::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
        }
    }
}

/// How a column takes its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// A text, which may be cut to so many characters.
    Text(usize),
    /// A text that is whole or not there.
    Whole,
    /// A number, on the right side of its column.
    Number,
    /// A chart: its last characters, at least so many.
    Chart(usize),
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) fit: Fit,
    /// The largest goes first when there is too little room; 0 stays.
    pub(super) rank: u8,
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) mark: Mark,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>, mark: Mark) -> Self {
        Self { text: text.into(), mark }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Mark::Plain)
    }
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    /// As many cells as there are columns; the last cell of a shorter row has the room of all others.
    pub(super) rows: Vec<Vec<Cell>>,
    /// Columns that have no room follow below each row.
    pub(super) spills: bool,
    /// The rest of a last cell that is too long follows below its row.
    pub(super) wraps: bool,
}

/// What parts columns.
const GAP: usize = 1;

impl Table {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), spills: false, wraps: false }
    }

    /// Leaves the rows in which `wanted`, in small letters, is nowhere to be found.
    pub(super) fn filter(&mut self, wanted: &str) {
        let has = |cell: &Cell| cell.text.to_lowercase().contains(wanted);
        self.rows.retain(|row| wanted.is_empty() || row.iter().any(has));
    }

    /// The head, and the lines below it.
    pub(super) fn lines(&self, width: usize) -> (Line<'static>, Vec<Line<'static>>) {
        let widths = self.widths(width);
        let head = self.columns.iter().map(|column| Cell::new(column.title, Mark::Head));
        let head = self.line(&head.collect::<Vec<_>>(), &widths, width).style(Mark::Head.style());
        let mut lines = Vec::new();
        for row in &self.rows {
            let (first, below) = self.part(row, &widths);
            lines.push(self.line(&first, &widths, width));
            let below = below.iter().flat_map(|it| wrap(it, width.saturating_sub(2), 2));
            lines.extend(below.map(quiet));
        }
        (head, lines)
    }

    /// The width of each column that has room.
    fn widths(&self, width: usize) -> Vec<Option<usize>> {
        let mut widths: Vec<Option<usize>> =
            (0..self.columns.len()).map(|place| Some(self.natural_width(place))).collect();
        loop {
            let least = |(place, width): (usize, &Option<usize>)| {
                width.map(|width| width.min(self.least_width(place)) + GAP)
            };
            let needed: usize = widths.iter().enumerate().filter_map(least).sum();
            if needed <= width.saturating_add(GAP) {
                break;
            }
            let there = widths.iter().enumerate().filter(|(_, width)| width.is_some());
            let next = there.map(|(place, _)| place).max_by_key(|it| self.columns[*it].rank);
            match next.filter(|place| self.columns[*place].rank > 0) {
                Some(place) => widths[place] = None,
                None => break,
            }
        }
        self.shrink(&mut widths, width);
        widths
    }

    /// Takes from the widest of those that can be cut until all fit.
    fn shrink(&self, widths: &mut [Option<usize>], width: usize) {
        let taken =
            |widths: &[Option<usize>]| widths.iter().flatten().map(|it| it + GAP).sum::<usize>();
        let mut too_much = taken(widths).saturating_sub(width.saturating_add(GAP));
        while too_much > 0 {
            let can = |(place, width): (usize, &Option<usize>)| {
                let spare = width.and_then(|it| it.checked_sub(self.least_width(place)))?;
                (spare > 0).then_some((spare, place))
            };
            let Some((_, place)) = widths.iter().enumerate().filter_map(can).max() else { break };
            widths[place] = widths[place].map(|it| it - 1);
            too_much -= 1;
        }
    }

    fn natural_width(&self, place: usize) -> usize {
        // The last cell of a shorter row takes the room of all others.
        let is_there = |row: &&Vec<Cell>| row.len() == self.columns.len() || place + 1 < row.len();
        let cells = self.rows.iter().filter(is_there).map(|row| text_width(&row[place].text));
        cells.chain([text_width(self.columns[place].title)]).max().unwrap_or(0)
    }

    fn least_width(&self, place: usize) -> usize {
        let natural = self.natural_width(place);
        match self.columns[place].fit {
            Fit::Text(least) | Fit::Chart(least) => natural.min(least),
            Fit::Whole | Fit::Number => natural,
        }
    }

    fn line(&self, row: &[Cell], widths: &[Option<usize>], width: usize) -> Line<'static> {
        let mut spans = Vec::new();
        let mut used = 0;
        let is_short = row.len() < self.columns.len();
        let there = widths.iter().enumerate().filter_map(|(place, width)| Some((place, (*width)?)));
        for (place, of_column) in there {
            let Some(cell) = row.get(place) else { break };
            let is_last = is_short && place + 1 == row.len();
            let of_cell = if is_last { width.saturating_sub(used) } else { of_column };
            let text = match (self.columns[place].fit, is_last) {
                (_, true) => cut(&cell.text, of_cell),
                (Fit::Number, _) => pad_left(&cell.text, of_cell),
                (Fit::Chart(_), _) => last(&cell.text, of_cell),
                (Fit::Text(_) | Fit::Whole, _) => pad_right(&cut(&cell.text, of_cell), of_cell),
            };
            used += text_width(&text) + GAP;
            spans.push(Span::styled(text, cell.mark.style()));
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        spans.pop();
        Line::from(spans)
    }

    /// What of a row stands in its line, and what follows below.
    fn part(&self, row: &[Cell], widths: &[Option<usize>]) -> (Vec<Cell>, Option<String>) {
        let mut first = row.to_vec();
        if self.spills {
            let rest = self.rest(row, widths);
            return (first, (!rest.is_empty()).then_some(rest));
        }
        let room = widths.last().copied().flatten().filter(|_| row.len() == widths.len());
        let (Some(room), Some(last)) = (room.filter(|_| self.wraps), first.last_mut()) else {
            return (first, None);
        };
        if text_width(&last.text) <= room {
            return (first, None);
        }
        let mut parts = wrap(&last.text, room, 0);
        let rest = parts.split_off(1);
        last.text = parts.concat();
        (first, Some(rest.join(" ")))
    }

    /// What has no room: titles and values.
    fn rest(&self, row: &[Cell], widths: &[Option<usize>]) -> String {
        if row.len() < self.columns.len() {
            return String::new();
        }
        let all = self.columns.iter().zip(row).zip(widths);
        let left_out = all.filter(|((column, cell), width)| {
            width.is_none() && !cell.text.is_empty() && !matches!(column.fit, Fit::Chart(_))
        });
        let parts = left_out
            .map(|((column, cell), _)| format!("{} {}", column.title.to_lowercase(), cell.text));
        parts.collect::<Vec<_>>().join(", ")
    }
}

fn quiet(text: String) -> Line<'static> {
    Line::styled(text, Mark::Quiet.style())
}

/// How many columns of a terminal a text takes.
pub(super) fn text_width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The beginning of `text`, with an ellipsis if that is not all.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text_width(text) <= width {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut used = 0;
    for character in text.chars() {
        let more = text_width(character.encode_utf8(&mut [0; 4]));
        if used + more + 1 > width {
            break;
        }
        used += more;
        shown.push(character);
    }
    if width > 0 {
        shown.push('…');
    }
    shown
}

fn pad_right(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text_width(text))))
}

fn pad_left(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(text_width(text))))
}

/// The last characters of a chart, each of which is one column wide.
fn last(text: &str, width: usize) -> String {
    let length = text.chars().count();
    pad_left(&text.chars().skip(length.saturating_sub(width)).collect::<String>(), width)
}

/// Lines of at most `width` columns, broken between words where that is possible, and indented.
pub(super) fn wrap(text: &str, width: usize, indent: usize) -> Vec<String> {
    let indent = " ".repeat(indent);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let is_first = used == 0;
        if !is_first && used + 1 + text_width(word) <= width {
            append(&mut lines, &format!(" {word}"));
            used += 1 + text_width(word);
            continue;
        }
        if !is_first {
            lines.push(String::new());
            used = 0;
        }
        for character in word.chars() {
            let more = text_width(character.encode_utf8(&mut [0; 4]));
            if used > 0 && used + more > width {
                lines.push(String::new());
                used = 0;
            }
            append(&mut lines, character.encode_utf8(&mut [0; 4]));
            used += more;
        }
    }
    lines.into_iter().map(|line| format!("{indent}{line}")).collect()
}

fn append(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let column = |title, fit, rank| Column { title, fit, rank };
        let mut table = Table::new(&[
            column("NAME", Fit::Text(4), 0),
            column("COUNT", Fit::Number, 1),
            column("MORE", Fit::Whole, 2),
            column("CHART", Fit::Chart(3), 3),
        ]);
        table.rows.push(["a-long-name", "12", "yes", "▁▂▃▄▅▆▇█"].map(Cell::from).to_vec());
        table.rows.push(["購入購入", "1234567", "no", ""].map(Cell::from).to_vec());
        table.rows.push(vec![Cell::from("short"), Cell::from("what takes the room of all others")]);
        table
    }

    fn text(table: &Table, width: usize) -> Vec<String> {
        let (head, lines) = table.lines(width);
        [head].iter().chain(&lines).map(|line| line.to_string().trim_end().to_owned()).collect()
    }

    #[test]
    fn what_has_no_room_goes_the_least_important_first() {
        let table = table();
        assert_eq!(
            text(&table, 80),
            [
                "NAME          COUNT MORE    CHART",
                "a-long-name      12 yes  ▁▂▃▄▅▆▇█",
                "購入購入    1234567 no",
                "short       what takes the room of all others",
            ]
        );
        assert_eq!(text(&table, 25)[1], "a-lon…      12 yes  ▄▅▆▇█");
        assert_eq!(
            text(&table, 17)[1..3],
            ["a-l…      12 yes", "購…  1234567 no"].map(str::to_owned)
        );
        assert_eq!(text(&table, 12)[1], "a-l…      12");
        assert_eq!(text(&table, 5), ["NAME", "a-lo…", "購入…", "short"]);
        for width in 0..80 {
            let (head, lines) = table.lines(width);
            let is_narrow = |line: &Line<'_>| line.width() <= width.max(4);
            assert!([head].iter().chain(&lines).all(is_narrow), "{width}: {lines:?}");
        }
    }

    #[test]
    fn what_has_no_room_may_follow_below() {
        let mut table = table();
        table.spills = true;
        assert_eq!(text(&table, 13)[1..3], ["a-lo…      12", "  more yes"].map(str::to_owned));
    }

    #[test]
    fn a_long_text_may_go_on_below() {
        let column = |title, fit| Column { title, fit, rank: 0 };
        let mut table = Table::new(&[column("A", Fit::Whole), column("B", Fit::Text(5))]);
        table.rows.push(["a", "one two three four"].map(Cell::from).to_vec());
        table.wraps = true;
        assert_eq!(text(&table, 9), ["A B", "a one two", "  three", "  four"]);
        assert_eq!(text(&table, 90)[1], "a one two three four");
    }

    #[test]
    fn rows_are_found_by_any_of_their_texts() {
        let mut table = table();
        table.filter("yes");
        assert_eq!(table.rows.len(), 1);
        table.filter("");
        assert_eq!(table.rows.len(), 1);
        table.filter("nothing");
        assert!(table.rows.is_empty());
    }

    #[test]
    fn long_texts_are_broken_between_words_or_within_one() {
        assert_eq!(wrap("one two three", 7, 0), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4, 1), [" abcd", " efgh", " ij k"]);
        assert_eq!(wrap("購入", 1, 0), ["購", "入"]);
        assert_eq!(wrap("", 5, 0), [""]);
    }
}
