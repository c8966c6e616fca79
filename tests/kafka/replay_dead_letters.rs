//! `tailsieve replay-dead-letters`: what became a letter is delivered once its cause is mended.

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tailsieve::testing::testbed::receiver::Behaviour;

use crate::rig::{Rig, checked_scrape};
use crate::support::{Topic, eventually, tailsieve};

const PATIENCE: Duration = Duration::from_secs(120);

const POLICIES: &str = "
decision_wait: 2s
policies:
  - {name: everything, type: always_sample}
";

const GOOD: [u8; 16] = [1; 16];
const UNWANTED: [u8; 16] = [2; 16];
const POISONED: [u8; 16] = [3; 16];
const OTHER: [u8; 16] = [4; 16];

/// Two spans of a trace, in a record of their own.
fn record(trace_id: [u8; 16]) -> Vec<u8> {
    let span = |id| Span { trace_id: trace_id.into(), span_id: vec![id; 8], ..Span::default() };
    let scope = ScopeSpans { spans: vec![span(1), span(2)], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}

/// A backend that refuses one trace for as long as it is told to, and counts what it takes.
#[derive(Default)]
struct Backend {
    is_picky: AtomicBool,
    taken: Mutex<BTreeMap<Vec<u8>, usize>>,
}

impl Backend {
    fn judge(&self, request: &Bytes) -> Behaviour {
        let request = TracesData::decode(request.clone()).unwrap();
        let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let traces: Vec<_> =
            scopes.flat_map(|scope| &scope.spans).map(|span| span.trace_id.clone()).collect();
        if self.is_picky.load(Ordering::Relaxed) && traces.contains(&UNWANTED.to_vec()) {
            return Behaviour::Code(tonic::Code::InvalidArgument, None);
        }
        let mut taken = self.taken.lock().unwrap();
        traces.into_iter().for_each(|trace| *taken.entry(trace).or_default() += 1);
        Behaviour::Accept
    }

    /// Spans that were taken of a trace.
    fn taken(&self, trace_id: [u8; 16]) -> usize {
        self.taken.lock().unwrap().get(trace_id.as_slice()).copied().unwrap_or(0)
    }
}

fn write(rig: &Rig, partition: i32, key: &[u8], value: &[u8], headers: Option<OwnedHeaders>) {
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    let mut record = BaseRecord::to(rig.topic.name()).partition(partition).key(key).payload(value);
    record.headers = headers;
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// Runs it to its end; what it prints.
fn replay(rig: &Rig, arguments: &[&str]) -> (Option<i32>, String) {
    let file = rig.scratch.join("replay.yaml");
    fs::write(&file, rig.config().replace("$ADMIN", "127.0.0.1:0")).unwrap();
    let mut command = tailsieve();
    command.arg("replay-dead-letters").arg("--config").arg(file).args(arguments);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap();
    println!("replay-dead-letters {}: {status}\n{text}", arguments.join(" "));
    (status.code(), text)
}

fn header(letter: &OwnedMessage, name: &str) -> Option<String> {
    let headers = letter.headers()?;
    let header = headers.iter().find(|header| header.key == name)?;
    String::from_utf8(header.value?.to_vec()).ok()
}

/// The letters on the topic, in order: reason and attempts.
fn letters(dead: &Topic) -> Vec<(String, String)> {
    let get = |letter, name| header(letter, name).unwrap_or_default();
    let records = dead.records();
    records
        .iter()
        .map(|letter| (get(letter, "tailsieve.reason"), get(letter, "tailsieve.attempts")))
        .collect()
}

fn expected(letters: &[(&str, &str)]) -> Vec<(String, String)> {
    letters.iter().map(|(reason, times)| ((*reason).into(), (*times).into())).collect()
}

/// Scenario: a record is cut short, and a backend refuses a trace for a while. Letters are replayed
/// before and after both are mended, by reason and all together.
/// Guarantees: what is still wrong is a letter again that says how often; what is not asked for
/// stays a letter; what is mended is delivered once, and what was judged is not judged again; the
/// next replay finds nothing.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn dead_letters_are_fed_back_once_when_their_cause_is_mended() {
    let rig = Rig::new("replay", POLICIES);
    let dead = rig.kafka.topic("replay-dead", 1, &[]);
    let repair = rig.kafka.topic("replay-repair", 1, &[]);
    let rig = rig.with(&format!("dead_letter: {{topic: {}}}\n", dead.name()));
    let backend = Arc::new(Backend::default());
    backend.is_picky.store(true, Ordering::Relaxed);
    let judge = Arc::clone(&backend);
    let judge = Behaviour::Judge(Arc::new(move |request| judge.judge(request)));
    rig.receiver.as_ref().unwrap().behave(judge);
    let member = rig.member("member");
    let whole = record(POISONED);
    let (cut, rest) = whole.split_at(whole.len() - 4);
    write(&rig, 5, b"poisoned", cut, None);
    write(&rig, 0, b"good", &record(GOOD), None);
    write(&rig, 1, b"unwanted", &record(UNWANTED), None);
    // What else is accepted is the evidence against the one that is not.
    eventually("the unwanted trace to be refused", PATIENCE, || {
        write(&rig, 0, b"other", &record(OTHER), None);
        Some(()).filter(|()| letters(&dead).len() == 2)
    });
    rig.settle();
    let both = expected(&[("malformed", "1"), ("INVALID_ARGUMENT", "1")]);
    assert_eq!(letters(&dead), both);
    let received = |member| checked_scrape(member).sum("tailsieve_received_spans_total");
    let judged = received(&member);

    // To look at them changes nothing.
    let (code, text) = replay(&rig, &["--dry-run"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("malformed, refused 1x") && text.contains("exporter default"), "{text}");
    assert_eq!(letters(&dead), both);

    // Nothing is mended: the record is refused again; the other one is all there is for its backend,
    // so that nobody knows whose fault it is, and is put back as it was.
    assert_eq!(replay(&rig, &[]).0, Some(1));
    rig.settle();
    let mut again = eventually("the record to be refused again", PATIENCE, || {
        Some(letters(&dead)).filter(|letters| letters.len() == 4)
    });
    again[2..].sort();
    assert_eq!(again[2..], expected(&[("INVALID_ARGUMENT", "1"), ("malformed", "2")]));
    let back = rig.topic.records().into_iter().filter(|it| it.key() == Some(b"poisoned"));
    let partitions: Vec<_> = back.map(|record| record.partition()).collect();
    assert_eq!(partitions, [5, 5], "it goes where it came from");

    // The record is taken aside, and the other letter stays one, as it is.
    assert_eq!(replay(&rig, &["--reason", "malformed", "--to", repair.name()]).0, Some(0));
    assert_eq!(letters(&dead)[4..], expected(&[("INVALID_ARGUMENT", "1")]));
    let aside = repair.records().pop().unwrap();
    assert_eq!(aside.payload(), Some(cut));
    let attempts = header(&aside, "tailsieve.attempts");
    assert_eq!(attempts.as_deref(), Some("2"));
    let header = Header { key: "tailsieve.attempts", value: attempts.as_ref() };
    let headers = Some(OwnedHeaders::new().insert(header));
    write(&rig, 5, aside.key().unwrap(), &[cut, rest].concat(), headers);
    rig.settle();
    assert_eq!(backend.taken(POISONED), 2);

    // While there is no backend, nothing is touched.
    let receiver = rig.receiver.as_ref().unwrap();
    receiver.behave(Behaviour::Page(503));
    let (code, text) = replay(&rig, &[]);
    assert_eq!(code, Some(1));
    assert!(text.contains("takes nothing: UNAVAILABLE") && text.contains("stay"), "{text}");
    assert_eq!(letters(&dead).len(), 5);
    let judge = Arc::clone(&backend);
    receiver.behave(Behaviour::Judge(Arc::new(move |request| judge.judge(request))));

    // The backend is mended, too.
    backend.is_picky.store(false, Ordering::Relaxed);
    let ends = rig.topic.end_offsets();
    assert_eq!(replay(&rig, &["--since", "1h"]).0, Some(0));
    assert_eq!([GOOD, UNWANTED, POISONED].map(|trace| backend.taken(trace)), [2, 2, 2]);
    assert_eq!(rig.topic.end_offsets(), ends, "what was judged goes to no topic");
    assert_eq!(received(&member), judged + 2.0, "only the mended record is judged");

    let (code, text) = replay(&rig, &[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("no letters"), "{text}");
    assert_eq!(letters(&dead).len(), 5);
    assert_eq!(backend.taken(UNWANTED), 2);
}
