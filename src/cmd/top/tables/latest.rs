//! What happened last: traces, warnings and errors; and what is wrong now.

use std::cmp::Reverse;

use super::{blank, column, largest_first};
use crate::cmd::top::format::{self, perhaps, seconds, share};
use crate::cmd::top::report::{Log, Trace};
use crate::cmd::top::snapshot::{Owned, Snapshot};
use crate::cmd::top::table::{Cell, Column, Fit, Mark, Table};

const TRACES: [Column; 12] = [
    column("TIME", Fit::Whole, 0),
    column("DECISION", Fit::Whole, 3),
    column("POLICY", Fit::Text(8), 0),
    column("CHANCE", Fit::Number, 7),
    column("SERVICE", Fit::Text(8), 1),
    column("NAME", Fit::Text(6), 4),
    column("TOOK", Fit::Number, 1),
    column("SPANS", Fit::Number, 5),
    column("ERRORS", Fit::Number, 5),
    column("TRIGGER", Fit::Whole, 6),
    column("MEMBER", Fit::Text(8), 8),
    column("TRACE ID", Fit::Whole, 2),
];

/// How traces can be sorted.
pub(in crate::cmd::top) const TRACE_SORTS: [&str; 4] =
    ["newest", "longest", "most spans", "most errors"];

/// The traces that were decided last: those that were kept, or all.
pub(in crate::cmd::top) fn traces(snapshot: &Snapshot, sort: usize, with_dropped: bool) -> Table {
    let mut table = Table::new(&TRACES);
    let is_wanted = |it: &&Owned<Trace>| it.of.is_kept || with_dropped;
    let mut traces: Vec<&Owned<Trace>> = snapshot.traces.iter().filter(is_wanted).collect();
    match sort {
        1 => traces.sort_by(|one, other| largest_first(one.of.seconds, other.of.seconds)),
        2 => traces.sort_by_key(|it| Reverse(it.of.spans)),
        3 => traces.sort_by_key(|it| Reverse(it.of.errors)),
        _ => {}
    }
    for Owned { member, of } in traces {
        let has_errors = of.errors.is_some_and(|errors| errors > 0);
        let errors = if has_errors { Mark::Bad } else { Mark::Plain };
        let chance = of.probability.filter(|it| *it < 1.0);
        table.rows.push(vec![
            format::time_of_day(of.decided_at).into(),
            if of.is_kept { Cell::new("kept", Mark::Good) } else { "dropped".into() },
            of.policy.clone().unwrap_or_else(|| "none".to_owned()).into(),
            blank(chance, share).into(),
            Cell::from(&*of.service),
            Cell::from(&*of.name),
            perhaps(of.seconds, seconds).into(),
            perhaps(of.spans, format::count).into(),
            Cell::new(perhaps(of.errors, format::count), errors),
            Cell::from(&*of.trigger),
            Cell::from(&**member),
            Cell::from(&*of.id),
        ]);
    }
    table
}

const PROBLEMS: [Column; 2] = [column("PROBLEMS", Fit::Text(12), 0), column("", Fit::Text(20), 0)];

/// What is wrong now.
pub(in crate::cmd::top) fn problems(snapshot: &Snapshot) -> Table {
    let mut table = Table::new(&PROBLEMS);
    for problem in &snapshot.problems {
        let member = problem.member.as_deref().unwrap_or("several");
        table.rows.push(vec![Cell::new(member, Mark::Bad), Cell::new(&*problem.text, Mark::Bad)]);
    }
    table
}

const LOGS: [Column; 4] = [
    column("TIME", Fit::Whole, 0),
    column("LEVEL", Fit::Whole, 2),
    column("MEMBER", Fit::Text(8), 3),
    column("LATEST ERRORS AND WARNINGS", Fit::Text(20), 0),
];

/// How errors can be sorted.
pub(in crate::cmd::top) const LOG_SORTS: [&str; 2] = ["newest", "errors first"];

/// The warnings and errors that were logged last, each in a line.
pub(in crate::cmd::top) fn logs(snapshot: &Snapshot, sort: usize) -> Table {
    let mut table = Table::new(&LOGS);
    let mut logs: Vec<&Owned<Log>> = snapshot.logs.iter().collect();
    if sort == 1 {
        logs.sort_by_key(|it| it.of.level != "ERROR");
    }
    for Owned { member, of } in logs {
        let mark = if of.level == "ERROR" { Mark::Bad } else { Mark::Plain };
        table.rows.push(vec![
            format::time_of_day(of.at).into(),
            Cell::new(&*of.level, mark),
            Cell::from(&**member),
            format!("{} {}", of.event, of.fields).trim_end().into(),
        ]);
    }
    table
}
