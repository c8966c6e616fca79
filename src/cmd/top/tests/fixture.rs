//! Members as they answer, and what is made of them.

use serde_json::{Value, json};

use crate::cmd::top::app::App;
use crate::cmd::top::draw::{self, Looks};
use crate::cmd::top::fleet::Fleet;
use crate::cmd::top::report::Report;
use crate::ids::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// 2026-11-30T09:00:00Z.
pub(super) const START: i64 = 1_796_029_200_000;

pub(super) fn time(seconds: i64) -> Timestamp {
    Timestamp(START + seconds * 1000)
}

fn text(seconds: i64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(time(seconds).0 as u64);
    humantime::format_rfc3339_millis(at).to_string()
}

/// A member, `seconds` after it started; it reads 1000 spans a second.
pub(super) fn status(member: i64, seconds: i64) -> Value {
    let spans = seconds * 1000;
    let amount = |spans: i64| json!({"traces": spans / 10, "spans": spans, "bytes": spans * 400});
    let past = |back: i64| {
        let rate = 1000 - back * 10;
        json!({
            "at": text(seconds - back * 5), "seconds": 5.0,
            "received_spans_per_second": rate, "received_traces_per_second": rate / 10,
            "received_bytes_per_second": rate * 400, "kept_spans_per_second": rate / 10,
            "dropped_spans_per_second": rate * 9 / 10, "delivered_spans_per_second": rate / 10,
            "open_traces": back, "lag_seconds": 0.0,
        })
    };
    let history: Vec<Value> = (0..(seconds / 5).min(60)).rev().map(past).collect();
    let mut rates = past(0);
    rates["kept_traces_per_second"] = json!(10.0);
    json!({
        "member": {
            "version": "0.1.0", "at": text(seconds), "started_at": text(-member), "is_ready": true,
            "checks": [{"name": "kafka", "missing": null}], "notes": [],
            "resident_bytes": 152_043_520, "buffer_bytes": 4_000_000, "buffer_limit_bytes": 1 << 30,
            "stalled_workers": [],
            "exporters": [{"name": "default", "is_up": true, "queue_bytes": 12_345,
                "queue_capacity_bytes": 67_108_864, "delivered_spans": spans / 10,
                "refused_spans": 0, "retries": 3}],
        },
        "flow": {
            "received": amount(spans), "open": amount(2000), "kept": amount(spans / 10),
            "dropped": amount(spans - spans / 10 - 2000 - 7), "invalid": amount(7),
            "late": amount(0), "revoked": amount(0), "replayed": amount(0),
            "delivered_spans": spans / 10, "lag_records": 12, "lag_seconds": 0.4,
            "committed_lag_records": 2100, "rates": rates, "history": history,
        },
        "partitions": (0..6).map(|of| partition(member * 6 + of, seconds)).collect::<Vec<_>>(),
        "policies": policies(spans),
        "traces": {"most_each_second": 5,
            "kept": (0..4).map(|back| trace(member, seconds - back, true)).collect::<Vec<_>>(),
            "dropped": [trace(member, seconds, false)]},
        "logs": [
            {"at": text(seconds - 30), "level": "WARN", "target": "tailsieve::export", "event": "export.retry",
             "fields": "exporter=\"default\" attempt=2 error=\"the backend at tempo:4317 does not answer within 5s\""},
            {"at": text(seconds - 90), "level": "ERROR", "target": "tailsieve::kafka",
             "event": "kafka.disconnected", "fields": "broker=1"},
        ],
    })
}

fn partition(number: i64, seconds: i64) -> Value {
    json!({
        "partition": number, "position": 10_000 + number, "end": 10_002 + number,
        "committed": 9_650 + number, "lag_records": 2, "lag_seconds": 0.1 * number as f64,
        "committed_lag_records": 352, "held_back_seconds": 1.5,
        "worker": {
            "number": 0, "is_reading_back": number == 5, "clock": text(seconds), "committable": 9_650,
            "open_traces": 30 + number, "open_bytes": 150_000, "remembered_decisions": 100,
            "oldest_open_trace": {
                "trace_id": format!("{number:032x}"), "spans": 3, "bytes": 900, "errors": 0,
                "opened_at": text(seconds - number), "root_at": null, "due_at": text(seconds + 5),
                "first_offset": 9_650, "last_offset": 9_700,
            },
        },
    })
}

fn policies(spans: i64) -> Value {
    let traces = spans / 10;
    let amount =
        |traces: i64| json!({"traces": traces, "spans": traces * 10, "bytes": traces * 4000});
    let policy = |name: &str, kind: &str, mode: &str, kept: i64| {
        let is_shadow = mode == "shadow";
        let (real, would) = if is_shadow { (0, kept) } else { (kept, 0) };
        json!({
            "name": name, "type": kind, "mode": mode, "votes_to_keep": kept, "votes_to_drop": 0,
            "no_votes": traces - kept, "errors": 0, "kept": amount(real), "kept_share": 0.1,
            "dropped": amount(0), "alone": amount(real), "would_keep": amount(would),
            "would_drop": amount(0),
        })
    };
    json!({
        "file": "/etc/tailsieve/policies.yaml", "hash": "02af9f5d82892b93", "since": text(0), "failure": null,
        "policies": [
            policy("errors", "status_code", "enforce", traces / 50),
            policy("slow", "latency", "enforce", traces / 100),
            policy("the-rest", "probabilistic", "enforce", traces / 10 - traces / 50 - traces / 100),
            policy("checkout", "string_attribute", "shadow", traces / 5),
        ],
        "dropped_by_none": amount(traces * 9 / 10),
    })
}

fn trace(member: i64, seconds: i64, is_kept: bool) -> Value {
    json!({
        "trace_id": format!("{:032x}", (seconds << 8) + member), "link": null, "partition": member,
        "decided_at": text(seconds), "policy": is_kept.then_some("slow"),
        "probability": if seconds % 2 == 0 { 0.1 } else { 1.0 }, "trigger": "root", "spans": 12, "bytes": 4800,
        "errors": seconds % 3, "duration_seconds": 1.25 + seconds as f64 / 100.0,
        "service": "frontend", "name": "POST /cart/checkout",
    })
}

pub(super) fn report(json: &Value) -> Report {
    Report::read(&json.to_string()).unwrap()
}

/// Two members, in order, and a third one that does not answer.
pub(super) fn fleet() -> Fleet {
    let addresses = ["tailsieve-0", "tailsieve-1", "tailsieve-2"];
    let mut fleet = Fleet::new(addresses.map(str::to_owned));
    for seconds in [100, 102, 104] {
        for member in [0, 1] {
            let answer = report(&status(member as i64, seconds));
            fleet.take(member, time(seconds), Ok(answer));
        }
    }
    fleet.take(2, time(92), Err("Connection refused (os error 111)".to_owned()));
    fleet
}

/// What stands on a screen of that size.
pub(super) fn drawn(app: &mut App, (width, height): (u16, u16), has_colors: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let snapshot = app.snapshot(time(104));
    let looks = Looks { interval: "2s".to_owned(), has_colors };
    terminal.draw(|frame| draw::draw(frame, app, &snapshot, &looks)).unwrap();
    terminal.backend().buffer().clone()
}

/// Its lines.
pub(super) fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    if width == 0 {
        return String::new();
    }
    let line = |cells: &[ratatui::buffer::Cell]| {
        let line: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    };
    buffer.content.chunks(width).map(line).collect()
}
