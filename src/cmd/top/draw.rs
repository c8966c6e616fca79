//! Draws what was chosen, at any size.
//!
//! Promises not to fail however small the screen is, and that nothing is told by a colour alone.

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::app::{App, View};
use super::format;
use super::snapshot::Snapshot;
use super::stop::Stop;
use super::table::{Cell, Mark, Table, text_width, wrap};
use super::tables::{self, Numbers};

/// Of which stops there is a line where there is little room.
const MAIN_STOPS: [Stop; 7] = [
    Stop::In,
    Stop::Open,
    Stop::Kept,
    Stop::Dropped,
    Stop::Invalid,
    Stop::Refused,
    Stop::Delivered,
];

/// Lines of a usual terminal; with more there is room for more of everything.
const USUAL_HEIGHT: usize = 24;

/// Lines that are not those of a view: two above it, one below.
const FRAME: usize = 3;

/// Members that have a second line of their own where one is too narrow.
const FEW_MEMBERS: usize = 3;

/// What stands above and below what is looked at.
pub(super) struct Looks {
    /// How often members are asked, as people write it.
    pub(super) interval: String,
    pub(super) has_colors: bool,
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, snapshot: &Snapshot, looks: &Looks) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let body = body(app, snapshot, width, height);
    let page = height.saturating_sub(FRAME + body.head.len());
    let first = app.first_line(body.lines.len(), page);
    let place = place(first, page, body.lines.len());
    let shown = body.lines.into_iter().skip(first).take(page);
    let lines = [header(app, snapshot, looks, width), tabs(app, snapshot, &place, width)];
    let lines = lines.into_iter().chain(body.head).chain(shown);
    let buffer = frame.buffer_mut();
    for (y, line) in lines.take(height.saturating_sub(1)).enumerate() {
        put(buffer, area, y, &line);
    }
    if height > 0 {
        put(buffer, area, height - 1, &keys(app, width));
    }
    if !looks.has_colors {
        for cell in &mut buffer.content {
            (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
        }
    }
}

fn put(buffer: &mut Buffer, area: Rect, y: usize, line: &Line<'_>) {
    let y = area.y.saturating_add(u16::try_from(y).unwrap_or(u16::MAX));
    if y < area.bottom() {
        buffer.set_line(area.x, y, line, area.width);
        if line.style != Style::default() {
            buffer.set_style(Rect { y, height: 1, ..area }, line.style);
        }
    }
}

/// What is looked at.
struct Body {
    /// What is not scrolled.
    head: Vec<Line<'static>>,
    lines: Vec<Line<'static>>,
}

fn body(app: &App, snapshot: &Snapshot, width: usize, height: usize) -> Body {
    if app.shows_help {
        let lines = HELP.lines().flat_map(|line| help_line(line, width)).map(Line::from);
        return Body { head: Vec::new(), lines: lines.collect() };
    }
    let mut table = match app.view {
        View::Overview => {
            return Body { head: Vec::new(), lines: overview(app, snapshot, width, height) };
        }
        View::Partitions => tables::partitions(snapshot, app.sort(), Numbers::SHORT),
        View::Policies => tables::policies(snapshot, app.sort(), Numbers::SHORT),
        View::Traces => tables::traces(snapshot, app.sort(), app.with_dropped),
        View::Errors => return errors(app, snapshot, width),
    };
    table.filter(&app.filter.to_lowercase());
    let (head, lines) = table.lines(width);
    Body { head: vec![head], lines: or_nothing(lines, app) }
}

/// A line of the help, as many as it takes.
fn help_line(line: &str, width: usize) -> Vec<String> {
    if text_width(line) <= width {
        return vec![line.to_owned()];
    }
    let text = line.trim_start();
    let indent = line.len() - text.len();
    wrap(text, width.saturating_sub(indent).max(1), indent)
}

/// A line that says why there are none.
fn or_nothing(lines: Vec<Line<'static>>, app: &App) -> Vec<Line<'static>> {
    let why = match app.filter.is_empty() {
        true => "nothing yet",
        false => "nothing that the filter finds",
    };
    if lines.is_empty() { vec![Line::styled(why, Mark::Quiet.style())] } else { lines }
}

/// What is wrong now, and what was logged, in whole.
fn errors(app: &App, snapshot: &Snapshot, width: usize) -> Body {
    let mut lines = Vec::new();
    let all = [tables::problems(snapshot), tables::logs(snapshot, app.sort())];
    for (mut table, is_always_there) in all.into_iter().zip([false, true]) {
        table.wraps = true;
        table.filter(&app.filter.to_lowercase());
        if is_always_there || !table.rows.is_empty() {
            let (head, rows) = table.lines(width);
            lines.push(head);
            lines.extend(if is_always_there { or_nothing(rows, app) } else { rows });
        }
    }
    Body { head: Vec::new(), lines }
}

/// The most important lines of everything.
fn overview(app: &App, snapshot: &Snapshot, width: usize, height: usize) -> Vec<Line<'static>> {
    let is_high = height > USUAL_HEIGHT;
    let more = height.saturating_sub(USUAL_HEIGHT);
    let mut lines = Vec::new();
    let mut add = |mut table: Table, most: usize| {
        table.rows.truncate(most);
        let (head, mut below) = table.lines(width);
        if is_high && !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(head);
        lines.append(&mut below);
    };
    let mut problems = tables::problems(snapshot);
    let most = 2 + more / 4;
    if problems.rows.len() > most {
        let left_out = problems.rows.split_off(most - 1).len();
        let text = format!("and {left_out} more: view 5, Errors");
        problems.rows.push(vec![Cell::new(text, Mark::Bad)]);
    }
    if !problems.rows.is_empty() {
        add(problems, most);
    }
    let stops: &[Stop] = if is_high { &Stop::ALL } else { &MAIN_STOPS };
    add(tables::flow(snapshot, stops, Numbers::SHORT), usize::MAX);
    let filter = app.filter.to_lowercase();
    let filtered = |mut table: Table| {
        table.filter(&filter);
        table
    };
    let mut members = filtered(tables::members(snapshot, app.sort(), Numbers::SHORT));
    members.spills = members.rows.len() <= FEW_MEMBERS;
    add(members, usize::MAX);
    // Those that keep most, and the last ones: all of them are in the other views.
    let most = (2 + more / 4).min(10);
    add(filtered(tables::policies(snapshot, 1, Numbers::SHORT)), most + 1);
    add(filtered(tables::traces(snapshot, 0, false)), most);
    if !snapshot.logs.is_empty() {
        add(filtered(tables::logs(snapshot, 0)), most);
    }
    lines
}

/// Who is there, in one line.
fn header(app: &App, snapshot: &Snapshot, looks: &Looks, width: usize) -> Line<'static> {
    let (ready, all) = (snapshot.ready(), snapshot.members.len());
    let mark = if ready == all { Mark::Good } else { Mark::Bad };
    let members = if all == 1 { "member" } else { "members" };
    let mut spans = vec![
        Span::styled("tailsieve", Mark::Strong.style()),
        Span::raw("  "),
        Span::styled(format!("{ready} of {all} {members} ready"), mark.style()),
    ];
    let time = format::time_of_day(snapshot.at);
    let state = match app.is_paused() {
        true => format!("PAUSED {time}"),
        false => format!("every {}  {time} UTC", looks.interval),
    };
    let lag = snapshot.members.iter().filter_map(|it| it.lag_seconds).reduce(f64::max);
    let more = [
        Some(format!("{} partitions", snapshot.partitions.len())),
        lag.map(|lag| format!("lag {}", format::seconds(lag))),
    ];
    let mut used: usize = spans.iter().map(Span::width).sum();
    for text in more.into_iter().flatten() {
        if used + text_width(&text) + text_width(&state) + 4 <= width {
            used += text_width(&text) + 2;
            spans.push(Span::raw(format!("  {text}")));
        }
    }
    let gap = width.saturating_sub(used + text_width(&state));
    if gap > 0 {
        spans.push(Span::raw(" ".repeat(gap)));
        let mark = if app.is_paused() { Mark::Strong } else { Mark::Quiet };
        spans.push(Span::styled(state, mark.style()));
    }
    Line::from(spans)
}

/// The views, and where in the chosen one we are.
fn tabs(app: &App, snapshot: &Snapshot, place: &str, width: usize) -> Line<'static> {
    let title = |view: View| match (view, snapshot.problems.len()) {
        (View::Errors, 1..) => format!("{} ({})", view.title(), snapshot.problems.len()),
        _ => view.title().to_owned(),
    };
    let all = |is_narrow: bool| -> Vec<Span<'static>> {
        let tab = |view: View| {
            let number = view as usize + 1;
            let is_chosen = view == app.view && !app.shows_help;
            let text = match is_narrow && !is_chosen {
                true => format!(" {number} "),
                false => format!(" {number} {} ", title(view)),
            };
            let style = if is_chosen {
                Style::new().add_modifier(Modifier::REVERSED)
            } else {
                Style::new()
            };
            Span::styled(text, style)
        };
        View::ALL.into_iter().map(tab).collect()
    };
    let used = |spans: &[Span<'_>]| spans.iter().map(Span::width).sum::<usize>();
    let mut spans = all(false);
    if used(&spans) > width {
        spans = all(true);
    }
    let gap = width.saturating_sub(used(&spans) + text_width(place));
    if gap > 0 {
        spans.push(Span::raw(" ".repeat(gap)));
        spans.push(Span::styled(place.to_owned(), Mark::Quiet.style()));
    }
    Line::from(spans)
}

/// Which lines are to be seen, if not all are.
fn place(first: usize, page: usize, lines: usize) -> String {
    if lines <= page {
        return String::new();
    }
    format!("{}-{} of {lines}", first + 1, (first + page).min(lines))
}

/// What keys do, as far as there is room; or what is being typed.
fn keys(app: &App, width: usize) -> Line<'static> {
    if app.is_typing {
        return Line::from(format!("filter: {}_  (Enter keeps it, Esc clears it)", app.filter));
    }
    if app.shows_help {
        return Line::styled(
            "arrows, PgUp, PgDn: scroll  any other key: back",
            Mark::Quiet.style(),
        );
    }
    let sort = format!("sort: {}", app.view.sorts()[app.sort()]);
    let filter = match app.filter.is_empty() {
        true => "filter".to_owned(),
        false => format!("filter: {} (Esc clears it)", app.filter),
    };
    let pause = if app.is_paused() { "go on" } else { "pause" };
    let dropped = if app.with_dropped { "kept only" } else { "dropped, too" };
    let mut keys = vec![("q", "quit"), ("?", "help"), ("Tab 1-5", "view")];
    keys.extend((app.view == View::Traces).then_some(("d", dropped)));
    keys.extend([
        ("s", &*sort),
        ("/", &*filter),
        ("p", pause),
        ("\u{2191}\u{2193} PgUp PgDn", "scroll"),
    ]);
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, does) in keys {
        let gap = if spans.is_empty() { "" } else { "  " };
        let needed = text_width(gap) + text_width(key) + 1 + text_width(does);
        if used + needed > width {
            break;
        }
        used += needed;
        spans.push(Span::raw(gap));
        spans.push(Span::styled(key.to_owned(), Mark::Strong.style()));
        spans.push(Span::raw(format!(" {does}")));
    }
    Line::from(spans)
}

const HELP: &str = "\
Keys
  q, Ctrl-C         quit
  Tab, 1 to 5       the next view, or that one; also the left and right arrows
  arrows, j, k      scroll; PgUp, PgDn, Home, End go further
  s                 another order; of the overview, of its members
  /                 filter: rows that have this text in them; Esc clears it
  d                 traces: those that were dropped, too
  p                 pause, and go on
  Ctrl-L            draw all of it anew

Flow, of all members that answer
  spans, traces and bytes in a second (the last ten), and since each member started
  in = kept + dropped + open + late + invalid + revoked + replayed
  invalid           could not be read; dead letters
  refused           kept, and refused by a backend
  delivered         taken by backends; with two exporters a span counts twice
  share             of the spans that are decided now

Members and partitions
  LAG               how old the last record is that was read, if more are waiting
  BEHIND            records that are not read yet
  TO COMMIT         records that a restart would read again: those of open traces, too
  HELD              since when no commit came, although records were read
  BUFFER            bytes of open traces and of traces on their way to a backend
  OLDEST            since when the oldest open trace is open, on the partition's clock
  QUEUE             bytes that wait for a backend, or are on their way
  RETRIES, REFUSED  attempts that repeat a failed one; spans that a backend refused

Policies, in traces
  KEPT, SHARE       kept on its account, and how much of all decided traces that is
  ALONE             what no other policy would have decided so
  (12)              what a shadow policy would keep or drop";
