//! The page and the API of a member that says the worst.

mod streams;
mod trials;

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ids::{Partition, Timestamp};
use crate::telemetry::admin::tests::get;
use crate::telemetry::admin::{AdminServer, AdminSettings, Changes, Check};
use crate::telemetry::latest::LatestTrace;
use crate::telemetry::metrics::table;

/// Texts that others choose.
fn hostile() -> [String; 5] {
    [
        "<b onload=x>\"bold\"</b>".to_owned(),
        "'--></title></script>&amp;".to_owned(),
        "\u{202e}\u{2066}שלום <i>".to_owned(),
        "x<".repeat(5000),
        "line\nand\u{0} tab\t".to_owned(),
    ]
}

const ID: &str = "0af7651916cd43dd8448eb211c80319c";

struct Worst;

fn trace_id() -> TraceId {
    TraceId::from_hex(ID.as_bytes()).unwrap()
}

fn later<T: Send + 'static>(what: T) -> Later<T> {
    Box::pin(std::future::ready(what))
}

impl StatusSource for Worst {
    fn renew(&self) {}

    fn partitions(&self) -> Later<Vec<PartitionStatus>> {
        let partition = |number: i32, worker| PartitionStatus {
            partition: number,
            position: Some(i64::MAX),
            end: None,
            committed: Some(0),
            lag_records: Some(i64::MAX),
            lag_seconds: 1e9,
            committed_lag_records: None,
            held_back_seconds: 0.0,
            worker,
        };
        let oldest = OpenTraceStatus {
            trace_id: ID.to_owned(),
            spans: 1,
            bytes: 1,
            errors: 0,
            opened_at: Time(Timestamp(i64::MIN)),
            root_at: None,
            due_at: Time(Timestamp(i64::MAX)),
            first_offset: 0,
            last_offset: i64::MAX,
        };
        let worker = WorkerPart {
            number: 0,
            is_reading_back: false,
            clock: Some(Time(Timestamp(i64::MAX))),
            committable: 0,
            open_traces: usize::MAX,
            open_bytes: u64::MAX,
            oldest_open_trace: Some(oldest),
            remembered_decisions: 0,
        };
        later(vec![partition(0, Some(worker)), partition(1, None)])
    }

    fn search(&self, id: TraceId) -> Later<TraceSearch> {
        let is_known = id == trace_id();
        let found = |state| FoundTrace {
            policy: Some(hostile().concat()),
            decided_at: Some(Time(Timestamp(1))),
            trigger: Some("memory"),
            probability: Some(0.1),
            ..FoundTrace::new(3, state, (0, i64::MAX))
        };
        let found = if is_known { ["open", "kept", "dropped"].map(found).to_vec() } else { vec![] };
        later(TraceSearch {
            trace_id: id.to_string(),
            found,
            partition: Some(7),
            owned_partitions: vec![3],
            is_complete: is_known,
            ..TraceSearch::default()
        })
    }

    fn latest(&self, is_kept: bool) -> Vec<LatestTrace> {
        let trace = |text: String| LatestTrace {
            trace_id: trace_id(),
            partition: Partition(3),
            at: Timestamp(i64::MIN),
            policy: Some(text.as_str().into()),
            probability: is_kept.then_some(0.1),
            trigger: "root",
            spans: u32::MAX,
            bytes: u64::MAX,
            errors: 1,
            duration: Duration::MAX,
            service: Some(text.clone()),
            name: Some(text),
        };
        hostile().map(trace).to_vec()
    }

    fn policies(&self) -> PoliciesStatus {
        let policy = |name: String| PolicyStatus {
            name,
            kind: "status_code".to_owned(),
            mode: "enforce",
            ..PolicyStatus::default()
        };
        let mut policies = hostile().map(policy).to_vec();
        policies[1].mode = "shadow";
        PoliciesStatus {
            file: Some(hostile().concat()),
            hash: "aa".to_owned(),
            since: Some(Time(Timestamp(0))),
            failure: Some(hostile().concat()),
            policies,
            ..PoliciesStatus::default()
        }
    }

    fn configuration(&self) -> Vec<Setting> {
        hostile().map(|text| Setting { name: text.clone(), value: text }).to_vec()
    }

    fn trials(&self) -> Arc<dyn Trials> {
        Arc::new(trials::WorstTrials)
    }
}

/// The address of a server, which stops with the token.
async fn start() -> (String, CancellationToken) {
    start_with(Changes::Open).await
}

async fn start_with(changes: Changes) -> (String, CancellationToken) {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        for (number, name) in hostile().iter().enumerate() {
            table::KEPT_TRACES.with(&[name]).increment(number as u64 + 1);
        }
        table::DROPPED_TRACES.with(&["none"]).increment(85);
        table::EXPORT_UP.with(&[&hostile()[0]]).set(0.0);
        table::STALLED_WORKERS.with(&["export"]).set(2.0);
    });
    let handle = recorder.handle();
    let missing = || Err(hostile().concat());
    let pages = Pages {
        metrics: Arc::new(move || handle.render()),
        readiness: Arc::new(move || vec![Check { name: "backend", state: missing() }]),
        notes: Arc::new(|| hostile().to_vec()),
        policies: None,
        status: Some(Arc::new(Worst)),
    };
    let settings = AdminSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        changes,
        trace_url: Some(TraceUrl::new("https://grafana/\"<t>/{traceId}").unwrap()),
    };
    let server = AdminServer::bind(settings).await.unwrap();
    let base = format!("http://{}", server.address());
    let stop = CancellationToken::new();
    tokio::spawn(server.serve(pages, stop.clone()));
    (base, stop)
}

/// The names of the elements of a page; panics where a text of others became one.
fn elements(page: &str) -> Vec<&str> {
    let known = [
        "!DOCTYPE",
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "div",
        "p",
        "span",
        "nav",
        "ul",
        "li",
        "main",
        "h1",
        "h2",
        "h3",
        "section",
        "ol",
        "figure",
        "figcaption",
        "svg",
        "path",
        "polyline",
        "details",
        "summary",
        "table",
        "caption",
        "thead",
        "tr",
        "th",
        "tbody",
        "td",
        "bdi",
        "code",
        "time",
        "pre",
        "form",
        "label",
        "input",
        "button",
        "footer",
        "b",
        "dl",
        "dt",
        "dd",
        "textarea",
        "br",
    ];
    let names = page
        .split('<')
        .skip(1)
        .map(|it| it.trim_start_matches('/').split([' ', '>', '\n']).next().unwrap_or_default());
    let names: Vec<&str> = names.collect();
    for name in &names {
        assert!(known.contains(name), "<{name}> of {page}");
    }
    names
}

#[tokio::test]
async fn whatever_others_are_called_stays_text() {
    let (base, _stop) = start().await;
    let trial = format!("/trials/{}", trials::ID);
    let of_trace = format!("/trace?id={ID}");
    for path in ["/", &of_trace, "/trace?id=%3Cb%3E%22", "/trials", &trial] {
        let (_, page) = get(format!("{base}{path}")).await;
        let names = elements(&page);
        let bold = names.iter().filter(|name| **name == "b").count();
        assert!(!page.contains("<b onload") && bold % 2 == 0, "{path}");
        assert!(!page.contains("</title></script>") && !page.contains("style="), "{path}");
        assert!(!page.contains(&"x&lt;".repeat(2600)), "{path}: it is cut");
        assert!(!page.contains('\u{202e}') && !page.contains('\u{0}'), "{path}");
        assert!(page.len() < 150_000, "{path}: {}", page.len());
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere_and_needs_no_script() {
    let (base, _stop) = start().await;
    let (status, page) = get(base.clone()).await;
    assert_eq!(status, 200);
    let links = page.split("href=\"").skip(1).chain(page.split("src=\"").skip(1));
    for link in links {
        let link = link.split('"').next().unwrap();
        assert!(
            link.starts_with(['/', '#']) || link.starts_with("https://grafana/&quot;&lt;t&gt;/")
        );
    }
    for asset in ["status.css", "status.js", "icon.svg"] {
        assert!(page.contains(&format!("/assets/{asset}\"")), "{asset}");
        assert_eq!(get(format!("{base}/assets/{asset}")).await.0, 200, "{asset}");
    }
    for text in ["Not ready", "workers wait", "accepts nothing", "85", "the file", "did not answer"]
    {
        assert!(page.to_lowercase().contains(&text.to_lowercase()), "{text}");
    }
    for id in ["flow", "policies", "traces", "partitions", "exporters", "logs"] {
        let (section, link) = (format!("<section id=\"{id}\""), format!("href=\"#{id}\""));
        assert!(page.contains(&section) && page.contains(&link), "{id}");
    }
}

#[tokio::test]
async fn a_trace_is_searched_by_its_id() {
    let (base, _stop) = start().await;
    let (status, known) = get(format!("{base}/trace?id=+{}", ID.to_uppercase())).await;
    assert_eq!(status, 200);
    assert!(known.contains("Kept") && known.contains("memory bound") && known.contains(ID));
    assert!(known.contains("href=\"https://grafana/"), "it was kept, so it can be looked at");
    let (status, unknown) = get(format!("{base}/trace?id={}", "1".repeat(32))).await;
    assert_eq!(status, 200);
    assert!(unknown.contains("belongs to partition 7") && unknown.contains("ask again"));
    assert!(!unknown.contains("https://grafana/"));
    for wrong in ["", "?id=", "?id=abc", &format!("?id={}", "0".repeat(32))] {
        let (status, page) = get(format!("{base}/trace{wrong}")).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(page.contains("32 hexadecimal digits"));
    }
}

#[tokio::test]
async fn one_look_a_second_serves_all() {
    let (base, _stop) = start().await;
    let at = async || {
        let (_, text) = get(format!("{base}/api/v1/member")).await;
        serde_json::from_str::<Value>(&text).unwrap()["at"].clone()
    };
    assert_eq!(at().await, at().await);
}

/// What a value has that its schema does not allow.
fn violations(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = root.pointer(reference.strip_prefix('#').unwrap()).expect(reference);
        return violations(root, schema, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let of_each = any.iter().map(|one| violations(root, one, value, at));
        return of_each.min_by_key(Vec::len).unwrap();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    let is_right = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().any(is_kind),
        one => is_kind(one),
    };
    if !is_right {
        return vec![format!("{at}: {kind} instead of {}", schema["type"])];
    }
    if let Some(all) = schema["enum"].as_array()
        && !all.contains(value)
    {
        return vec![format!("{at}: {value} is none of {all:?}")];
    }
    match value {
        Value::Array(items) => {
            let items = items.iter();
            items.flat_map(|item| violations(root, &schema["items"], item, at)).collect()
        }
        Value::Object(fields) => {
            let known = schema["properties"].as_object().unwrap();
            let mut wrong = Vec::new();
            let required = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str);
            wrong.extend(
                required
                    .filter(|name| !fields.contains_key(*name))
                    .map(|name| format!("{at}: no {name}")),
            );
            for (name, field) in fields {
                let at = format!("{at}.{name}");
                match known.get(name) {
                    Some(schema) => wrong.extend(violations(root, schema, field, &at)),
                    None => wrong.push(format!("{at} is not described")),
                }
            }
            wrong
        }
        _ => Vec::new(),
    }
}

/// Scenario: each path of the description is asked, with what the worst source says.
/// Guarantees: the answers are what it describes, no more and no less.
#[tokio::test]
async fn answers_are_as_described() {
    let (base, _stop) = start().await;
    let (_, text) = get(format!("{base}/api/v1/openapi.json")).await;
    let root: Value = serde_json::from_str(&text).unwrap();
    let schema = |path: &str, status: &str| {
        let response = &root["paths"][path]["get"]["responses"][status];
        response["content"]["application/json"]["schema"].clone()
    };
    for path in root["paths"].as_object().unwrap().keys() {
        if path == "/api/v1/events" {
            continue; // It never ends.
        }
        let asked = path.replace("{trace_id}", ID).replace("{trial_id}", trials::ID);
        let (status, text) = get(format!("{base}{asked}")).await;
        assert_eq!(status, 200, "{path}");
        let value = serde_json::from_str(&text).unwrap();
        assert_eq!(violations(&root, &schema(path, "200"), &value, path), Vec::<String>::new());
    }
    let path = "/api/v1/traces/{trace_id}";
    let (status, text) = get(format!("{base}/api/v1/traces/nonsense")).await;
    assert_eq!(status, 400);
    let mut value: Value = serde_json::from_str(&text).unwrap();
    let error = schema(path, "400");
    assert_eq!(violations(&root, &error, &value, path), Vec::<String>::new());
    value["more"] = Value::Null;
    value["error"] = Value::Bool(true);
    assert_eq!(violations(&root, &error, &value, path).len(), 2, "the check finds mistakes");
    assert_eq!(violations(&root, &schema(path, "200"), &value, path).len(), 8);
}

/// The page of the worst source, for a browser: names its address, and serves it until nothing more
/// comes from standard input. Only where that is asked for: nobody else would end it.
#[tokio::test]
#[ignore = "serves a browser: run tests/status/run"]
async fn the_worst_is_served() {
    if std::env::var_os("TAILSIEVE_SERVE_WORST").is_none() {
        return;
    }
    let (base, _stop) = start().await;
    println!("serving {base}");
    let read = || std::io::read_to_string(std::io::stdin());
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
}
