//! What comes in and what becomes of it.

use super::{Numbers, blank, column};
use crate::cmd::top::format::{self, rate, share};
use crate::cmd::top::snapshot::Snapshot;
use crate::cmd::top::stop::{SPANS, Stop};
use crate::cmd::top::table::{Cell, Column, Fit, Mark, Table};

const FLOW: [Column; 9] = [
    column("FLOW", Fit::Whole, 0),
    column("SPANS/S", Fit::Number, 0),
    column("TRACES/S", Fit::Number, 4),
    column("BYTES/S", Fit::Number, 5),
    column("SHARE", Fit::Number, 3),
    column("SPANS", Fit::Number, 2),
    column("TRACES", Fit::Number, 3),
    column("BYTES", Fit::Number, 6),
    column("LAST 5 MINUTES", Fit::Chart(8), 1),
];

/// What comes in and what becomes of it, of all members.
pub(in crate::cmd::top) fn flow(snapshot: &Snapshot, stops: &[Stop], numbers: Numbers) -> Table {
    let mut table = Table::new(&FLOW);
    for stop in stops {
        let rates = &snapshot.rates[*stop as usize];
        let totals = &snapshot.totals[*stop as usize];
        let is_wrong = matches!(stop, Stop::Invalid | Stop::Refused);
        let mark = match rates[SPANS] {
            Some(spans) if is_wrong && spans > 0.0 => Mark::Bad,
            _ => Mark::Plain,
        };
        // Of what is open there is an amount, and nothing in a second.
        let rates = if *stop == Stop::Open { [None; 3] } else { *rates };
        let chart = format::sparkline(&snapshot.charts[*stop as usize]);
        table.rows.push(vec![
            Cell::new(stop_name(*stop), mark),
            Cell::new(blank(rates[1], rate), mark),
            blank(rates[0], rate).into(),
            blank(rates[2], |it| (numbers.bytes)(it as u64)).into(),
            blank(share_of_decided(snapshot, *stop), share).into(),
            blank(totals[1], numbers.count).into(),
            blank(totals[0], numbers.count).into(),
            blank(totals[2], numbers.bytes).into(),
            chart.trim_start().into(),
        ]);
    }
    table
}

fn stop_name(stop: Stop) -> &'static str {
    match stop {
        Stop::In => "in",
        Stop::Open => "open",
        Stop::Kept => "kept",
        Stop::Dropped => "dropped",
        Stop::Invalid => "invalid",
        Stop::Refused => "refused",
        Stop::Delivered => "delivered",
        Stop::Late => "late",
        Stop::Revoked => "revoked",
        Stop::Replayed => "replayed",
    }
}

/// Of the spans that are decided now.
fn share_of_decided(snapshot: &Snapshot, stop: Stop) -> Option<f64> {
    let spans = |stop| Snapshot::of_stop(&snapshot.rates, stop, SPANS);
    let decided = spans(Stop::Kept)? + spans(Stop::Dropped)?;
    let is_decision = matches!(stop, Stop::Kept | Stop::Dropped);
    (is_decision && decided > 0.0).then_some(spans(stop)? / decided)
}
