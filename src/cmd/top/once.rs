//! One look as plain text, for scripts and tickets.
//!
//! Pure. Numbers are exact, so that they can be added up, and nothing is cut.

use super::snapshot::Snapshot;
use super::stop::Stop;
use super::table::Table;
use super::tables::{self, Numbers};
use crate::telemetry::admin::status::Time;

/// Traces and log entries that are listed.
const LATEST: usize = 10;

/// All of it.
pub(super) fn text(snapshot: &Snapshot) -> String {
    let mut text = format!(
        "{} of {} members ready, {} partitions, {}\n",
        snapshot.ready(),
        snapshot.members.len(),
        snapshot.partitions.len(),
        Time(snapshot.at),
    );
    let mut flow = tables::flow(snapshot, &Stop::ALL, Numbers::EXACT);
    // Charts are for a look.
    flow.columns.pop();
    flow.rows.iter_mut().for_each(|row| drop(row.pop()));
    let mut traces = tables::traces(snapshot, 0, false);
    let mut logs = tables::logs(snapshot, 0);
    [&mut traces, &mut logs].into_iter().for_each(|table| table.rows.truncate(LATEST));
    let all = [
        tables::problems(snapshot),
        flow,
        tables::members(snapshot, 0, Numbers::EXACT),
        tables::policies(snapshot, 0, Numbers::EXACT),
        tables::partitions(snapshot, 0, Numbers::EXACT),
        traces,
        logs,
    ];
    for table in all.iter().filter(|table| !table.rows.is_empty()) {
        text.push('\n');
        append(&mut text, table);
    }
    text
}

fn append(text: &mut String, table: &Table) {
    let (head, lines) = table.lines(usize::MAX);
    for line in [head].iter().chain(&lines) {
        let line: String = line.spans.iter().map(|span| isolated(&span.content)).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// A text that is read from right to left does not turn what stands around it.
fn isolated(text: &str) -> String {
    match text.chars().any(is_right_to_left) {
        true => format!("\u{2068}{text}\u{2069}"),
        false => text.to_owned(),
    }
}

/// The blocks of scripts that are written from right to left.
fn is_right_to_left(character: char) -> bool {
    matches!(character,
        '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
}
