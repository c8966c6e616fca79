//! The policies, and what each does.

use std::cmp::Reverse;

use super::{Numbers, column};
use crate::cmd::top::format::{self, perhaps, share};
use crate::cmd::top::report::sum;
use crate::cmd::top::snapshot::{PolicySum, Snapshot};
use crate::cmd::top::table::{Cell, Column, Fit, Mark, Table};

const POLICIES: [Column; 11] = [
    column("POLICY", Fit::Text(12), 0),
    column("TYPE", Fit::Text(8), 7),
    column("MODE", Fit::Whole, 3),
    column("ASKED", Fit::Number, 6),
    column("VOTES KEEP", Fit::Number, 4),
    column("VOTES DROP", Fit::Number, 5),
    column("KEPT", Fit::Number, 0),
    column("SHARE", Fit::Number, 0),
    column("DROPPED", Fit::Number, 1),
    column("ALONE", Fit::Number, 2),
    column("ERRORS", Fit::Number, 1),
];

/// How policies can be sorted.
pub(in crate::cmd::top) const POLICY_SORTS: [&str; 4] =
    ["as in the file", "kept", "dropped", "errors"];

/// The policies, added up over the members.
pub(in crate::cmd::top) fn policies(snapshot: &Snapshot, sort: usize, numbers: Numbers) -> Table {
    let mut table = Table::new(&POLICIES);
    let mut policies: Vec<&PolicySum> = snapshot.policies.iter().collect();
    match sort {
        1 => policies.sort_by_key(|it| Reverse(it.figures.kept)),
        2 => policies.sort_by_key(|it| Reverse(it.figures.dropped)),
        3 => policies.sort_by_key(|it| Reverse(it.figures.errors)),
        _ => {}
    }
    for PolicySum { name, kind, is_shadow, figures } in policies {
        let asked = [figures.votes_to_keep, figures.votes_to_drop, figures.no_votes];
        let asked = sum(asked.into_iter());
        let count = |number| Cell::from(perhaps(number, numbers.count));
        // What a shadow policy would have done.
        let done = |number| match is_shadow {
            true => Cell::from(format!("({})", perhaps(number, numbers.count))),
            false => count(number),
        };
        let share = snapshot.share_of_decided(figures.kept).map(share);
        let share = share.map(|share| if *is_shadow { format!("({share})") } else { share });
        let has_errors = figures.errors.is_some_and(|errors| errors > 0);
        let errors = if has_errors { Mark::Bad } else { Mark::Plain };
        table.rows.push(vec![
            Cell::from(&**name),
            Cell::from(&**kind),
            if *is_shadow { "shadow" } else { "" }.into(),
            count(asked),
            count(figures.votes_to_keep),
            count(figures.votes_to_drop),
            done(figures.kept),
            share.unwrap_or_else(|| format::UNKNOWN.to_owned()).into(),
            done(figures.dropped),
            if *is_shadow { Cell::default() } else { count(figures.alone) },
            Cell::new(perhaps(figures.errors, numbers.count), errors),
        ]);
    }
    if let Some(traces) = snapshot.dropped_by_none {
        let mut row = vec![Cell::default(); POLICIES.len()];
        row[0] = Cell::new("none of them", Mark::Quiet);
        row[8] = (numbers.count)(traces).into();
        table.rows.push(row);
    }
    table
}
