//! For how long nothing of a partition is delivered when a member dies and comes back, or joins.
//!
//! `./tests/run with-kafka cargo bench --bench gaps`. Each partition gets a trace every 20 ms, and
//! everything is kept; a gap is the longest time in which nothing of a partition arrived at the
//! backend around the event, less what there was before it. Printed are the median and the largest
//! of all partitions, of each turn. `TAILSIEVE_BIN` names another binary to compare with; of the events, those
//! are taken that a text names (`cargo bench --bench gaps -- join`).

// A bench that cannot go on ends by a panic.
#![allow(clippy::unwrap_used)]
// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use prost::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tailsieve::testing::testbed::receiver::Receiver;
use tokio::runtime::Runtime;

use support::{Kafka, Member, Scratch, Topic, eventually};

const PARTITIONS: i32 = 8;
const EVERY: Duration = Duration::from_millis(20);
const TURNS: usize = 3;

/// How long there is traffic before the event, and at most after it.
const BEFORE: Duration = Duration::from_secs(6);
const AFTER: Duration = Duration::from_secs(75);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    /// One of two members is killed, and started again at once.
    KillAndRestart,
    /// A third member joins.
    Join,
}

/// When something of each partition arrived.
type Arrivals = Arc<Mutex<HashMap<u8, Vec<Instant>>>>;

fn main() {
    // Options are cargo's (`--bench`) and have no meaning here.
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| name.contains(wanted));
    let runtime = Runtime::new().unwrap();
    let cases = [
        ("kill -9 and restart, classic, dynamic", "classic", false, Event::KillAndRestart),
        ("kill -9 and restart, classic, static", "classic", true, Event::KillAndRestart),
        ("a member joins, classic", "classic", false, Event::Join),
        ("a member joins, consumer", "consumer", false, Event::Join),
    ];
    println!("| event | turn | gap of a partition, median | largest |\n|---|---|---|---|");
    for (name, protocol, is_static, event) in cases {
        if !is_wanted(name) {
            continue;
        }
        for turn in 1..=TURNS {
            let gaps = turn_of(&runtime, protocol, is_static, event);
            let (median, largest) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
            println!("| {name} | {turn} | {median:.1?} | {largest:.1?} |");
        }
    }
}

/// One turn; the gap of each partition, sorted.
fn turn_of(runtime: &Runtime, protocol: &str, is_static: bool, event: Event) -> Vec<Duration> {
    let kafka = Kafka::from_env();
    let topic = kafka.topic("gaps", PARTITIONS, &[]);
    let scratch = Scratch::new("gaps");
    scratch.write(
        "policies.yaml",
        "decision_wait: 5s\ndecision_wait_after_root_received: 100ms\n\
         policies: [{name: all, type: always_sample}]\n",
    );
    let arrivals = Arrivals::default();
    let receiver = receiver(runtime, &arrivals);
    let config = |number: u32| {
        let topic = topic.name();
        let instance = format!("\n  group_instance_id: member-{number}");
        format!(
            "kafka:\n  brokers: {}\n  topic: {topic}\n  group_id: {topic}\n  group_protocol: \
             {protocol}{}\nexport:\n  endpoint: {}\n  flush_interval: 20ms\nadmin:\n  listen: \
             $ADMIN\npolicies: policies.yaml\n",
            kafka.address(),
            if is_static { instance.as_str() } else { "" },
            receiver.local_addr(),
        )
    };
    let start =
        |number: u32| Member::start(scratch.path(), &format!("member-{number}"), &config(number));
    let mut members: Vec<Member> = (0..2).map(start).collect();
    members.iter_mut().for_each(Member::wait_ready);
    let over = Arc::new(AtomicBool::new(false));
    let writing = write(&kafka, &topic, &over);
    thread::sleep(BEFORE);
    let usual = longest(&arrivals, Instant::now() - BEFORE / 2);
    let at = Instant::now();
    match event {
        Event::KillAndRestart => {
            members[1].process.kill();
            members[1] = start(1);
        }
        Event::Join => members.push(start(2)),
    }
    // It is over when everybody is ready and every partition has been flowing for a while.
    let newest = if event == Event::Join { 2 } else { 1 };
    members[newest].wait_ready();
    let flows = || {
        let arrivals = arrivals.lock().unwrap();
        let is_fresh = |times: &Vec<Instant>| times.last().unwrap().elapsed() < EVERY * 25;
        (arrivals.len() == PARTITIONS as usize && arrivals.values().all(is_fresh)).then_some(())
    };
    eventually("all partitions to flow", AFTER, flows);
    thread::sleep(Duration::from_secs(3));
    eventually("all partitions to flow again", AFTER, flows);
    over.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    let around = longest(&arrivals, at);
    let mut gaps: Vec<Duration> = (around.iter())
        .map(|(partition, gap)| {
            gap.saturating_sub(usual.get(partition).copied().unwrap_or_default())
        })
        .collect();
    gaps.sort();
    gaps
}

/// The longest time without an arrival, by partition, since `from`.
fn longest(arrivals: &Arrivals, from: Instant) -> HashMap<u8, Duration> {
    let arrivals = arrivals.lock().unwrap();
    let gap = |times: &Vec<Instant>| {
        let since = times.iter().rposition(|at| *at < from).unwrap_or(0);
        let pairs = times[since..].windows(2);
        pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    };
    arrivals.iter().map(|(partition, times)| (*partition, gap(times))).collect()
}

/// A backend that notes when something of a partition comes, which the first byte of an id says.
fn receiver(runtime: &Runtime, arrivals: &Arrivals) -> Receiver {
    let arrivals = Arc::clone(arrivals);
    let sink = move |request: bytes::Bytes| {
        let now = Instant::now();
        let request = TracesData::decode(request).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let mut arrivals = arrivals.lock().unwrap();
        for span in scopes.flat_map(|scope| scope.spans) {
            arrivals.entry(span.trace_id[0] - 1).or_default().push(now);
        }
    };
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    runtime.block_on(Receiver::start(address, Box::new(sink))).unwrap()
}

fn write(kafka: &Kafka, topic: &Topic, over: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let producer: BaseProducer = kafka.client().set("linger.ms", "1").create().unwrap();
    let (topic, over) = (topic.name().to_owned(), Arc::clone(over));
    thread::spawn(move || {
        let mut number = 0_u64;
        while !over.load(Ordering::Relaxed) {
            number += 1;
            for partition in 0..PARTITIONS {
                let mut id = [partition as u8 + 1; 16];
                id[8..].copy_from_slice(&number.to_be_bytes());
                let value = one_span(&id);
                let record: BaseRecord<'_, (), _> = BaseRecord::to(&topic);
                let record = record.partition(partition).payload(&value);
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
            producer.poll(Duration::ZERO);
            thread::sleep(EVERY);
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    })
}

fn one_span(id: &[u8; 16]) -> Vec<u8> {
    let span = Span { trace_id: id.to_vec(), span_id: vec![1; 8], ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    TracesData { resource_spans: vec![resource] }.encode_to_vec()
}
