//! The status page and the API, held against the metrics of a real member and what was written.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::ModelSettings;

use crate::rig::{Rig, checked_scrape};
use crate::support::{Member, Scrape, eventually, http_get};

/// One of them has a name that is markup, one is a shadow.
const POLICIES: &str = "
decision_wait: 8s
decision_wait_after_root_received: 3s
policies:
  - {name: '<b>errors</b>', type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: the-rest, type: probabilistic, probabilistic: {sampling_percentage: 10}}
  - {name: everything, type: always_sample, mode: shadow}
";

const PATIENCE: Duration = Duration::from_secs(60);

fn api(member: &Member, path: &str) -> Value {
    let (status, text) = http_get(member.admin(), &format!("/api/v1/{path}")).expect("it answers");
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

fn page(member: &Member, path: &str) -> String {
    let (status, text) = http_get(member.admin(), path).expect("it answers");
    assert_eq!(status, 200, "{path}: {text}");
    text
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The totals of the API are those of the scrape.
fn check_flow(flow: &Value, scrape: &Scrape) {
    for what in ["received", "kept", "dropped", "late", "invalid", "revoked", "replayed"] {
        for unit in ["spans", "bytes"] {
            let total = scrape.sum(&format!("tailsieve_{what}_{unit}_total"));
            assert_eq!(number(&flow[what][unit]), total, "{what} {unit}");
        }
    }
    for what in ["received", "kept", "dropped", "revoked"] {
        let total = scrape.sum(&format!("tailsieve_{what}_traces_total"));
        assert_eq!(number(&flow[what]["traces"]), total, "{what} traces");
    }
    assert_eq!(number(&flow["open"]["traces"]), scrape.sum("tailsieve_open_traces"));
    let delivered = "tailsieve_export_spans_total{exporter=\"default\",outcome=\"delivered\"}";
    assert_eq!(number(&flow["delivered_spans"]), scrape.get(delivered).unwrap());
}

fn check_policies(policies: &Value, scrape: &Scrape) {
    let listed = policies["policies"].as_array().unwrap();
    assert_eq!(listed.len(), 3);
    for policy in listed {
        let name = policy["name"].as_str().unwrap();
        let of = |metric: &str| scrape.get(&format!("{metric}{{policy=\"{name}\"}}"));
        let votes = |vote: &str| {
            let series =
                format!("tailsieve_policy_votes_total{{policy=\"{name}\",vote=\"{vote}\"}}");
            scrape.get(&series)
        };
        assert_eq!(Some(number(&policy["votes_to_keep"])), votes("keep"), "{name}");
        assert_eq!(Some(number(&policy["no_votes"])), votes("none"), "{name}");
        for (part, metric) in [("kept", "kept"), ("dropped", "dropped"), ("alone", "alone")] {
            let total = of(&format!("tailsieve_{metric}_spans_total"));
            assert_eq!(Some(number(&policy[part]["spans"])), total, "{name} {part}");
        }
    }
    let would_keep = number(&listed[2]["would_keep"]["traces"]);
    assert_eq!(listed[2]["mode"], "shadow");
    assert_eq!(would_keep, number(&policies["dropped_by_none"]["traces"]), "all that is dropped");
    assert!(would_keep > 0.0 && number(&listed[0]["alone"]["traces"]) > 0.0);
}

/// What the API says of the partitions adds up to the metrics of the consumer.
fn check_partitions(partitions: &Value, scrape: &Scrape) {
    let partitions = partitions.as_array().unwrap();
    let numbers: Vec<i64> = partitions.iter().map(|it| it["partition"].as_i64().unwrap()).collect();
    assert_eq!(numbers, Vec::from_iter(0..12));
    let sum = |of: &str| partitions.iter().filter_map(|it| it[of].as_f64()).sum::<f64>();
    assert_eq!(sum("lag_records"), scrape.sum("tailsieve_kafka_lag_records"));
    assert_eq!(sum("committed_lag_records"), scrape.sum("tailsieve_kafka_committed_lag_records"));
    let workers = partitions.iter().map(|it| &it["worker"]);
    let open = |worker: &Value| number(&worker["open_traces"]);
    assert_eq!(workers.map(open).sum::<f64>(), scrape.sum("tailsieve_open_traces"));
}

/// The ids of the traces of one kind that were decided last.
fn latest(member: &Member, kind: &str) -> Vec<Value> {
    api(member, "traces")[kind].as_array().unwrap().clone()
}

/// Scenario: a member decides traffic; then another one joins.
/// Guarantees: page and API say what the metrics say; a trace that was decided is found, with the policy
/// that the backend saw, by the member that has its partition, and by no other; names stay text.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn the_status_page_says_what_the_metrics_say() {
    let rig = Rig::new("status", POLICIES);
    let member = rig.member("one");
    let settings = ModelSettings {
        seed: 7,
        start: source::now(),
        rate: 3_000.0,
        max_spans: Some(15_000),
        ..ModelSettings::default()
    };
    let writing = rig.write(settings, true);
    let open = eventually("an open trace", PATIENCE, || {
        let partitions = api(&member, "partitions");
        let mut oldest = partitions.as_array()?.iter().map(|it| &it["worker"]["oldest_open_trace"]);
        Some(oldest.find_map(|oldest| oldest["trace_id"].as_str())?.to_owned())
    });
    let found = api(&member, &format!("traces/{open}"));
    assert_eq!(found["trace_id"], open.as_str());
    assert!(!found["found"].as_array().unwrap().is_empty(), "{found}");
    writing.finish();
    rig.settle();

    eventually("the lag to be that of the metrics", PATIENCE, || {
        let scrape = checked_scrape(&member);
        let status = api(&member, "status");
        let is_settled = number(&status["flow"]["committed_lag_records"]) == 0.0;
        let same = number(&status["flow"]["received"]["spans"]);
        let is_same = same == scrape.sum("tailsieve_received_spans_total");
        if !is_settled || !is_same || scrape.sum("tailsieve_kafka_committed_lag_records") != 0.0 {
            return None;
        }
        check_flow(&status["flow"], &scrape);
        check_policies(&status["policies"], &scrape);
        check_partitions(&status["partitions"], &scrape);
        Some(())
    });
    assert_eq!(api(&member, "member")["is_ready"], true);
    let overview = page(&member, "/");
    assert!(overview.contains("Ready") && overview.contains("&lt;b&gt;errors&lt;/b&gt;"));
    assert!(!overview.contains("<b>errors</b>"));

    let (kept, dropped) = (latest(&member, "kept"), latest(&member, "dropped"));
    assert!(!kept.is_empty() && !dropped.is_empty());
    for (trace, state) in
        kept.iter().map(|it| (it, "kept")).chain(dropped.iter().map(|it| (it, "dropped")))
    {
        let id = trace["trace_id"].as_str().unwrap();
        let known = &api(&member, &format!("traces/{id}"))["found"][0];
        assert_eq!(
            (&known["state"], &known["policy"]),
            (&Value::from(state), &trace["policy"]),
            "{id}"
        );
        assert!(trace["service"].is_string(), "{trace}");
        let at_backend = rig.policies_of(TraceId::from_hex(id.as_bytes()).unwrap());
        let expected: Vec<String> = match state {
            "kept" => vec![trace["policy"].as_str().unwrap().to_owned()],
            _ => Vec::new(),
        };
        assert_eq!(at_backend, expected, "{id}");
    }

    let other = rig.member("two");
    let (id, partition) = (kept[0]["trace_id"].as_str().unwrap(), &kept[0]["partition"]);
    eventually("the partitions to be shared", PATIENCE, || {
        let both = [&member, &other].map(|member| api(member, &format!("traces/{id}")));
        let owned = both.each_ref().map(|answer| {
            let owned = answer["owned_partitions"].as_array().unwrap().iter();
            owned.map(|it| it.as_i64().unwrap()).collect::<BTreeSet<i64>>()
        });
        let is_shared =
            owned.iter().all(|owned| owned.len() == 6) && owned[0].is_disjoint(&owned[1]);
        let finders = both.iter().zip(&owned).filter(|(answer, owned)| {
            let is_owner = owned.contains(&partition.as_i64().unwrap());
            answer["found"].as_array().unwrap().is_empty() != is_owner
        });
        (is_shared && finders.count() == 2).then_some(())
    });

    // Who listens does not hold up the end, and is told of it.
    let mut stream = TcpStream::connect(member.admin()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", member.admin()).unwrap();
    let mut heard = [0; 1024];
    stream.read_exact(&mut heard).unwrap();
    assert!(String::from_utf8_lossy(&heard).contains("event: status\n"));
    let mut member = member;
    let stopping = Instant::now();
    assert!(member.process.terminate().success());
    println!("stopped within {:?}", stopping.elapsed());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "the last chunk says that it is over");
}
