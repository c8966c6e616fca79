//! The partitions of all members.

use std::cmp::Reverse;

use super::{Numbers, column, largest_first};
use crate::cmd::top::format::{perhaps, seconds};
use crate::cmd::top::report::Partition;
use crate::cmd::top::snapshot::{Owned, Snapshot};
use crate::cmd::top::table::{Cell, Column, Fit, Table};

const PARTITIONS: [Column; 14] = [
    column("PARTITION", Fit::Number, 0),
    column("MEMBER", Fit::Text(12), 4),
    column("LAG", Fit::Number, 0),
    column("BEHIND", Fit::Number, 1),
    column("TO COMMIT", Fit::Number, 1),
    column("HELD", Fit::Number, 2),
    column("OPEN", Fit::Number, 2),
    column("BYTES", Fit::Number, 3),
    column("OLDEST", Fit::Number, 2),
    column("POSITION", Fit::Number, 6),
    column("COMMITTED", Fit::Number, 7),
    column("END", Fit::Number, 7),
    column("STATE", Fit::Text(5), 5),
    column("OLDEST TRACE", Fit::Whole, 8),
];

/// How partitions can be sorted.
pub(in crate::cmd::top) const PARTITION_SORTS: [&str; 5] =
    ["number", "lag", "records to commit", "open traces", "oldest trace"];

/// The partitions of all members.
pub(in crate::cmd::top) fn partitions(snapshot: &Snapshot, sort: usize, numbers: Numbers) -> Table {
    let mut table = Table::new(&PARTITIONS);
    let mut partitions: Vec<&Owned<Partition>> = snapshot.partitions.iter().collect();
    match sort {
        1 => {
            partitions.sort_by(|one, other| largest_first(one.of.lag_seconds, other.of.lag_seconds))
        }
        2 => partitions.sort_by_key(|it| Reverse(it.of.committed_lag_records)),
        3 => partitions.sort_by_key(|it| Reverse(it.of.open_traces)),
        4 => partitions
            .sort_by(|one, other| largest_first(one.of.oldest_seconds, other.of.oldest_seconds)),
        _ => {}
    }
    let offset = |offset: Option<i64>| Cell::from(perhaps(offset, |it| it.to_string()));
    for Owned { member, of } in partitions {
        let count = |number| Cell::from(perhaps(number, numbers.count));
        let time = |number| Cell::from(perhaps(number, seconds));
        table.rows.push(vec![
            of.number.to_string().into(),
            Cell::from(&**member),
            time(of.lag_seconds),
            count(of.lag_records),
            count(of.committed_lag_records),
            time(of.held_back_seconds),
            count(of.open_traces),
            perhaps(of.open_bytes, numbers.bytes).into(),
            time(of.oldest_seconds),
            offset(of.position),
            offset(of.committed),
            offset(of.end),
            if of.is_reading_back { "reading back" } else { "" }.into(),
            of.oldest_trace.clone().unwrap_or_default().into(),
        ]);
    }
    table
}
