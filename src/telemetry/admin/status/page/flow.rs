//! What comes in and what becomes of it.

use maud::{Markup, html};

use super::chart::Chart;
use super::{format, table};
use crate::telemetry::accounts::Amount;
use crate::telemetry::admin::status::model::{Flow, Rates};

pub(super) fn section(flow: &Flow) -> Markup {
    html! {
        section id="flow" aria-labelledby="flow-title" {
            h2 id="flow-title" { "Flow" }
            div id="flow-live" data-live {
                (steps(flow))
                (charts(flow))
            }
            details {
                summary { "Since the start of the process" }
                div id="flow-totals" data-live { (totals(flow)) }
            }
        }
    }
}

/// One stop on the way of a span.
struct Step {
    name: &'static str,
    class: &'static str,
    main: String,
    more: Vec<String>,
}

fn steps(flow: &Flow) -> Markup {
    let rates = &flow.rates;
    let spans = |rate: f64| format!("{} spans/s", format::rate(rate));
    let traces = |rate: f64| format!("{} traces/s", format::rate(rate));
    let bytes = |rate: f64| format!("{}/s", format::bytes(rate as u64));
    let decided = rates.kept_spans_per_second + rates.dropped_spans_per_second;
    let of_decided = |rate: f64| {
        let share = (decided > 0.0).then(|| rate / decided);
        format!("{} of the spans decided", format::share(share))
    };
    let steps = [
        Step {
            name: "In",
            class: "in",
            main: spans(rates.received_spans_per_second),
            more: vec![
                traces(rates.received_traces_per_second),
                bytes(rates.received_bytes_per_second),
            ],
        },
        Step {
            name: "Open",
            class: "open",
            main: format!("{} traces", format::count(flow.open.traces)),
            more: vec![
                format!("{} spans", format::count(flow.open.spans)),
                format::bytes(flow.open.bytes),
            ],
        },
        Step {
            name: "Kept",
            class: "kept",
            main: spans(rates.kept_spans_per_second),
            more: vec![
                traces(rates.kept_traces_per_second),
                of_decided(rates.kept_spans_per_second),
            ],
        },
        Step {
            name: "Dropped",
            class: "dropped",
            main: spans(rates.dropped_spans_per_second),
            more: vec![
                traces(rates.dropped_traces_per_second),
                of_decided(rates.dropped_spans_per_second),
            ],
        },
        Step {
            name: "Delivered",
            class: "delivered",
            main: spans(rates.delivered_spans_per_second),
            more: vec![format!("{} spans since the start", format::count(flow.delivered_spans))],
        },
    ];
    html! {
        ol class="steps" {
            @for step in steps {
                li class=(step.class) {
                    h3 { (step.name) }
                    p class="main" { (step.main) }
                    @for more in step.more { p { (more) } }
                }
            }
        }
    }
}

fn charts(flow: &Flow) -> Markup {
    let per_second = |value: f64| format!("{}/s", format::rate(value));
    let number = |value: f64| format::count(value as u64);
    let chart = |title, class, of: fn(&Rates) -> f64, write: &dyn Fn(f64) -> String| {
        let values: Vec<f64> = flow.history.iter().map(of).collect();
        Chart { title, class, values: &values, now: of(&flow.rates), write }.render()
    };
    html! {
        div class="charts" {
            (chart("Spans in", "in", |it| it.received_spans_per_second, &per_second))
            (chart("Open traces", "open", |it| it.open_traces as f64, &number))
            (chart("Spans kept", "kept", |it| it.kept_spans_per_second, &per_second))
            (chart("Spans dropped", "dropped", |it| it.dropped_spans_per_second, &per_second))
            (chart("Spans delivered", "delivered", |it| it.delivered_spans_per_second, &per_second))
            (chart("Lag", "lag", |it| it.lag_seconds, &format::seconds))
        }
    }
}

fn totals(flow: &Flow) -> Markup {
    let rows: [(&str, Amount); 8] = [
        ("received", flow.received),
        ("kept", flow.kept),
        ("dropped", flow.dropped),
        ("open", flow.open),
        ("late, following a decision", flow.late),
        ("invalid", flow.invalid),
        ("revoked: the next owner reads them again", flow.revoked),
        ("replayed: read again after their decision", flow.replayed),
    ];
    let share = |spans: u64| {
        let all = flow.received.spans;
        format::share((all > 0).then(|| spans as f64 / all as f64))
    };
    let rows = html! {
        @for (name, amount) in rows {
            tr {
                th scope="row" { (name) }
                td { (format::count(amount.traces)) }
                td { (format::count(amount.spans)) }
                td { (share(amount.spans)) }
                td { (format::bytes(amount.bytes)) }
            }
        }
    };
    let head = ["", "traces", "spans", "of all spans", "size"];
    table(
        "What came in, and what became of it: the first row is the sum of the others",
        &head,
        rows,
    )
}
