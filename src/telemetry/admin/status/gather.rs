//! The status, out of the metrics and what a member says beside them.

use super::history::History;
use super::model::{
    CheckStatus, ExporterStatus, Flow, LatestTraces, LogStatus, MemberStatus, PoliciesStatus,
    PolicyStatus, Stalled, Time, TraceStatus,
};
use super::scrape::{Scrape, count};
use super::trace_url::TraceUrl;
use crate::telemetry::accounts::Amount;
use crate::telemetry::admin::Check;
use crate::telemetry::latest::{EACH_SECOND, LatestTrace};
use crate::telemetry::metrics::{Family, table};
use crate::telemetry::recent_logs;
use tokio::time::Instant;

const KEPT: [Family; 3] =
    [table::KEPT_TRACES.family(), table::KEPT_SPANS.family(), table::KEPT_BYTES.family()];
const DROPPED: [Family; 3] =
    [table::DROPPED_TRACES.family(), table::DROPPED_SPANS.family(), table::DROPPED_BYTES.family()];
const ALONE: [Family; 3] =
    [table::ALONE_TRACES.family(), table::ALONE_SPANS.family(), table::ALONE_BYTES.family()];
const WOULD_KEEP: [Family; 3] = [
    table::SHADOW_KEPT_TRACES.family(),
    table::SHADOW_KEPT_SPANS.family(),
    table::SHADOW_KEPT_BYTES.family(),
];
const WOULD_DROP: [Family; 3] = [
    table::SHADOW_DROPPED_TRACES.family(),
    table::SHADOW_DROPPED_SPANS.family(),
    table::SHADOW_DROPPED_BYTES.family(),
];

/// The totals, without rates.
pub(super) fn totals(scrape: &Scrape) -> Flow {
    let spans = |spans: Family, bytes: Family| Amount {
        traces: 0,
        spans: count(scrape.sum(spans)),
        bytes: count(scrape.sum(bytes)),
    };
    Flow {
        received: scrape.amount([
            table::RECEIVED_TRACES.family(),
            table::RECEIVED_SPANS.family(),
            table::RECEIVED_BYTES.family(),
        ]),
        open: scrape.amount([
            table::OPEN_TRACES.family(),
            table::OPEN_SPANS.family(),
            table::OPEN_BYTES.family(),
        ]),
        kept: scrape.amount(KEPT),
        dropped: scrape.amount(DROPPED),
        late: spans(table::LATE_SPANS.family(), table::LATE_BYTES.family()),
        invalid: spans(table::INVALID_SPANS.family(), table::INVALID_BYTES.family()),
        revoked: scrape.amount([
            table::REVOKED_TRACES.family(),
            table::REVOKED_SPANS.family(),
            table::REVOKED_BYTES.family(),
        ]),
        replayed: spans(table::REPLAYED_SPANS.family(), table::REPLAYED_BYTES.family()),
        delivered_spans: count(
            scrape.with(table::EXPORT_SPANS.family(), &[("outcome", "delivered")]),
        ),
        lag_records: count(scrape.sum(table::LAG_RECORDS.family())),
        lag_seconds: scrape.max(table::LAG_SECONDS.family()),
        committed_lag_records: count(scrape.sum(table::COMMITTED_LAG.family())),
        ..Flow::default()
    }
}

/// The totals, and how they changed.
pub(super) fn flow(scrape: &Scrape, history: &History, now: (Instant, Time)) -> Flow {
    let mut flow = totals(scrape);
    flow.rates = history.rates_now(now.0, now.1, &flow);
    flow.history = history.rates();
    flow
}

/// The process; `started_at` and `at` are when it started and when this is.
pub(super) fn member(
    scrape: &Scrape,
    (started_at, at): (Time, Time),
    checks: Vec<Check>,
    notes: Vec<String>,
) -> MemberStatus {
    let is_ready = checks.iter().all(|check| check.state.is_ok());
    let checks = checks.into_iter();
    let stalled = table::STALLED_WORKERS.family();
    let reasons = scrape.values(stalled, "reason").into_iter();
    let stalled_workers = reasons.map(|reason| {
        let workers = count(scrape.with(stalled, &[("reason", &reason)]));
        Stalled { reason, workers }
    });
    let exporters = scrape.values(table::EXPORT_UP.family(), "exporter").into_iter();
    MemberStatus {
        version: env!("CARGO_PKG_VERSION"),
        at,
        started_at,
        is_ready,
        checks: checks
            .map(|check| CheckStatus { name: check.name, missing: check.state.err() })
            .collect(),
        notes,
        resident_bytes: scrape.get("process_resident_memory_bytes").map(count),
        buffer_bytes: count(scrape.sum(table::BUFFER_BYTES.family())),
        buffer_limit_bytes: count(scrape.sum(table::BUFFER_LIMIT.family())),
        stalled_workers: stalled_workers.filter(|stalled| stalled.workers > 0).collect(),
        exporters: exporters.map(|name| exporter(scrape, name)).collect(),
    }
}

fn exporter(scrape: &Scrape, name: String) -> ExporterStatus {
    let of = |family: Family| count(scrape.with(family, &[("exporter", &name)]));
    let spans = |outcome| {
        let labels = [("exporter", &*name), ("outcome", outcome)];
        count(scrape.with(table::EXPORT_SPANS.family(), &labels))
    };
    ExporterStatus {
        is_up: of(table::EXPORT_UP.family()) > 0,
        queue_bytes: of(table::EXPORT_QUEUE.family()),
        queue_capacity_bytes: of(table::EXPORT_QUEUE_CAPACITY.family()),
        delivered_spans: spans("delivered"),
        refused_spans: spans("refused") + spans("rejected"),
        retries: of(table::EXPORT_RETRIES.family()),
        name,
    }
}

/// The policies in force, with what they did.
pub(super) fn policies(scrape: &Scrape, in_force: PoliciesStatus) -> PoliciesStatus {
    let decided = scrape.sum(KEPT[0]) + scrape.sum(DROPPED[0]);
    let policies = in_force.policies.into_iter().map(|policy| {
        let name = &*policy.name;
        let votes = |vote| {
            let labels = [("policy", name), ("vote", vote)];
            count(scrape.with(table::POLICY_VOTES.family(), &labels))
        };
        let kept = scrape.amount_of(KEPT, name);
        PolicyStatus {
            votes_to_keep: votes("keep"),
            votes_to_drop: votes("drop"),
            no_votes: votes("none"),
            errors: count(scrape.with(table::POLICY_ERRORS.family(), &[("policy", name)])),
            kept,
            kept_share: (decided > 0.0).then(|| kept.traces as f64 / decided),
            dropped: scrape.amount_of(DROPPED, name),
            alone: scrape.amount_of(ALONE, name),
            would_keep: scrape.amount_of(WOULD_KEEP, name),
            would_drop: scrape.amount_of(WOULD_DROP, name),
            ..policy
        }
    });
    let policies = policies.collect();
    PoliciesStatus { policies, dropped_by_none: scrape.amount_of(DROPPED, "none"), ..in_force }
}

/// The traces that were decided last.
pub(super) fn latest(
    kept: Vec<LatestTrace>,
    dropped: Vec<LatestTrace>,
    url: Option<&TraceUrl>,
) -> LatestTraces {
    let all = |traces: Vec<LatestTrace>, url: Option<&TraceUrl>| {
        traces.into_iter().map(|trace| status_of(trace, url)).collect()
    };
    // What was dropped is not to be found anywhere.
    LatestTraces {
        most_each_second: EACH_SECOND,
        kept: all(kept, url),
        dropped: all(dropped, None),
    }
}

fn status_of(trace: LatestTrace, url: Option<&TraceUrl>) -> TraceStatus {
    let link = url.map(|url| url.of(trace.trace_id));
    TraceStatus { link, ..trace.into() }
}

/// The warnings and errors that were logged last.
pub(super) fn logs() -> Vec<LogStatus> {
    let recent = recent_logs::recent().into_iter();
    recent
        .map(|logged| LogStatus {
            at: logged.at.into(),
            level: logged.level,
            target: logged.target,
            event: logged.event,
            fields: logged.fields,
        })
        .collect()
}
