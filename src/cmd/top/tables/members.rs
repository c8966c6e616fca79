//! The members, a line for each.

use std::cmp::Reverse;

use super::{Numbers, column, largest_first};
use crate::cmd::top::format::{self, perhaps, seconds};
use crate::cmd::top::snapshot::{MemberState, Snapshot, State};
use crate::cmd::top::table::{Cell, Column, Fit, Mark, Table};

const MEMBERS: [Column; 17] = [
    column("MEMBER", Fit::Text(12), 0),
    column("STATE", Fit::Whole, 0),
    column("LAG", Fit::Number, 0),
    column("BEHIND", Fit::Number, 1),
    column("TO COMMIT", Fit::Number, 1),
    column("HELD", Fit::Number, 8),
    column("PARTS", Fit::Number, 1),
    column("OPEN", Fit::Number, 2),
    column("BUFFER", Fit::Number, 4),
    column("OLDEST", Fit::Number, 3),
    column("RSS", Fit::Number, 4),
    column("EXPORT", Fit::Whole, 2),
    column("QUEUE", Fit::Number, 3),
    column("RETRIES", Fit::Number, 6),
    column("REFUSED", Fit::Number, 5),
    column("UP", Fit::Number, 7),
    column("VERSION", Fit::Text(7), 9),
];

/// How members can be sorted.
pub(in crate::cmd::top) const MEMBER_SORTS: [&str; 4] =
    ["as named", "lag", "open traces", "memory"];

/// The members.
pub(in crate::cmd::top) fn members(snapshot: &Snapshot, sort: usize, numbers: Numbers) -> Table {
    let mut table = Table::new(&MEMBERS);
    let mut members: Vec<&MemberState> = snapshot.members.iter().collect();
    match sort {
        1 => members.sort_by(|one, other| largest_first(one.lag_seconds, other.lag_seconds)),
        2 => members.sort_by_key(|it| Reverse(it.open_traces)),
        3 => members.sort_by_key(|it| Reverse(it.resident_bytes)),
        _ => {}
    }
    for member in members {
        let (state, mark) = match member.state {
            State::Asked => ("asked", Mark::Quiet),
            State::Ready => ("ready", Mark::Good),
            State::NotReady => ("NOT READY", Mark::Bad),
            State::Away => ("AWAY", Mark::Bad),
        };
        let mut row = vec![Cell::from(&*member.address), Cell::new(state, mark)];
        match member.state {
            State::Asked => row.push(Cell::default()),
            State::Away => row.push(Cell::new(away(snapshot, member), Mark::Bad)),
            State::Ready | State::NotReady => row.extend(figures(member, numbers)),
        }
        table.rows.push(row);
    }
    table
}

/// Why it is away.
fn away(snapshot: &Snapshot, member: &MemberState) -> String {
    let is_it = |of: Option<&str>| of == Some(&member.address);
    let problem = snapshot.problems.iter().find(|it| is_it(it.member.as_deref()));
    problem.map_or_else(String::new, |problem| problem.text.clone())
}

fn figures(member: &MemberState, numbers: Numbers) -> Vec<Cell> {
    let Numbers { count, bytes } = numbers;
    let of = |amount: Option<u64>, limit: Option<u64>| {
        let is_full = amount.zip(limit).is_some_and(|(amount, limit)| limit > 0 && amount >= limit);
        Cell::new(perhaps(amount, bytes), if is_full { Mark::Bad } else { Mark::Plain })
    };
    let export = match member.is_export_up {
        None => Cell::from(format::UNKNOWN),
        Some(true) => Cell::new("up", Mark::Good),
        Some(false) => Cell::new("DOWN", Mark::Bad),
    };
    let is_refused = member.refused_spans.is_some_and(|spans| spans > 0);
    let refused = if is_refused { Mark::Bad } else { Mark::Plain };
    vec![
        perhaps(member.lag_seconds, seconds).into(),
        perhaps(member.lag_records, count).into(),
        perhaps(member.committed_lag_records, count).into(),
        perhaps(member.held_back_seconds, seconds).into(),
        perhaps(member.partitions, count).into(),
        perhaps(member.open_traces, count).into(),
        of(member.open_bytes, member.buffer_limit_bytes),
        perhaps(member.oldest_seconds, seconds).into(),
        perhaps(member.resident_bytes, bytes).into(),
        export,
        of(member.queue_bytes, member.queue_capacity_bytes),
        perhaps(member.retries, count).into(),
        Cell::new(perhaps(member.refused_spans, count), refused),
        perhaps(member.up_seconds, seconds).into(),
        perhaps(member.version.clone(), |it| it).into(),
    ]
}
