//! Partitions, exporters, the log, and the configuration.

use maud::{Markup, html};

use super::{format, table};
use crate::telemetry::admin::status::model::{
    ExporterStatus, LogStatus, MemberStatus, PartitionStatus, Setting, Time, WorkerPart,
};

/// How many warnings and errors are on the page.
const LOGS: usize = 20;

const PARTITIONS: [&str; 9] = [
    "partition",
    "lag",
    "lag, records",
    "not committed, records",
    "held back",
    "clock",
    "open traces",
    "oldest open",
    "worker",
];

pub(super) fn partitions(partitions: &[PartitionStatus]) -> Markup {
    let caption = format!("{} partitions of this member", partitions.len());
    html! {
        section id="partitions" aria-labelledby="partitions-title" {
            h2 id="partitions-title" { "Partitions" }
            div id="partitions-live" data-live {
                (table(&caption, &PARTITIONS, html! {
                    @if partitions.is_empty() { tr { td colspan=(PARTITIONS.len()) { "none at the moment" } } }
                    @for partition in partitions { (row(partition)) }
                }))
            }
            p class="quiet" {
                "Open traces hold the committed offset back by design: a lag of commits is no backlog."
            }
        }
    }
}

fn row(partition: &PartitionStatus) -> Markup {
    html! {
        tr {
            th scope="row" { (partition.partition) }
            td { (format::seconds(partition.lag_seconds)) }
            td { (format::perhaps(partition.lag_records)) }
            td { (format::perhaps(partition.committed_lag_records)) }
            td { (format::seconds(partition.held_back_seconds)) }
            @match &partition.worker {
                Some(worker) => (of_worker(worker)),
                None => { td { "–" } td { "–" } td { "–" } td { "did not answer" } },
            }
        }
    }
}

fn of_worker(worker: &WorkerPart) -> Markup {
    let age = |opened: Time| {
        let age = worker.clock.map_or(0.0, |clock| clock.0.since(opened.0).as_secs_f64());
        format::seconds(age)
    };
    html! {
        td { @match worker.clock { Some(clock) => (format::time(clock)), None => "–" } }
        td { (format::count(worker.open_traces as u64)) }
        td {
            @if worker.is_reading_back { "reads its decision log" }
            @else if let Some(oldest) = &worker.oldest_open_trace {
                @let age = age(oldest.opened_at);
                a href={ "/trace?id=" (oldest.trace_id) } aria-label={ (age) ", trace " (oldest.trace_id) } {
                    (age)
                }
            }
            @else { "–" }
        }
        td { (worker.number) }
    }
}

const EXPORTERS: [&str; 6] =
    ["exporter", "backend", "queue", "delivered spans", "refused spans", "retries"];

pub(super) fn exporters(member: &MemberStatus) -> Markup {
    html! {
        section id="exporters" aria-labelledby="exporters-title" {
            h2 id="exporters-title" { "Exporters" }
            div id="exporters-live" data-live {
                (table("Where kept traces go", &EXPORTERS, html! {
                    @for exporter in &member.exporters { (exporter_row(exporter)) }
                }))
                p class="quiet" {
                    "Memory of open traces and traces on their way: " (format::bytes(member.buffer_bytes))
                    " of " (format::bytes(member.buffer_limit_bytes)) "."
                }
            }
        }
    }
}

fn exporter_row(exporter: &ExporterStatus) -> Markup {
    html! {
        tr {
            th scope="row" { (format::name(&exporter.name)) }
            td class=(if exporter.is_up { "good" } else { "bad" }) {
                (if exporter.is_up { "accepts" } else { "accepts nothing" })
            }
            td { (format::bytes(exporter.queue_bytes)) " of " (format::bytes(exporter.queue_capacity_bytes)) }
            td { (format::count(exporter.delivered_spans)) }
            td class=[(exporter.refused_spans > 0).then_some("bad")] {
                (format::count(exporter.refused_spans))
            }
            td { (format::count(exporter.retries)) }
        }
    }
}

const LOG: [&str; 4] = ["when", "level", "event", "what else it says"];

pub(super) fn logs(logs: &[LogStatus]) -> Markup {
    html! {
        section id="logs" aria-labelledby="logs-title" {
            h2 id="logs-title" { "Log" }
            div id="logs-live" data-live {
                (table("The last warnings and errors", &LOG, html! {
                    @if logs.is_empty() { tr { td colspan=(LOG.len()) { "none" } } }
                    @for log in logs.iter().take(LOGS) {
                        tr {
                            td { (format::time(log.at)) }
                            td class=(if log.level == "ERROR" { "bad" } else { "warn" }) {
                                (log.level.to_lowercase())
                            }
                            td class="text" { (format::cut(&log.event, 300)) }
                            td class="text" { (format::cut(&log.fields, 500)) }
                        }
                    }
                }))
            }
        }
    }
}

pub(super) fn configuration(settings: &[Setting]) -> Markup {
    html! {
        section id="configuration" aria-labelledby="configuration-title" {
            h2 id="configuration-title" { "Configuration" }
            details {
                summary { "The static file as it was read, without secrets" }
                (table("Options that the file sets", &["option", "value"], html! {
                    @for setting in settings {
                        tr {
                            th scope="row" { (format::cut(&setting.name, 200)) }
                            td class="text" { code { (format::cut(&setting.value, 500)) } }
                        }
                    }
                }))
            }
        }
    }
}
