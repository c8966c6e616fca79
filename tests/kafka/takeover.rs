//! A member that takes over what another one has decided for a minute.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use serde_json::Value;
use tailsieve::testing::ids::{
    Generation, Offset, Origin, Partition, Position, Timestamp, TraceId,
};
use tailsieve::testing::kafka::decision_log::{
    DecisionLog, DecisionLogSettings, Log as _, LogBatch, LogEvent, LogSink, LogTicket, OwnerId,
    Topics,
};
use tailsieve::testing::kafka::source::{CommitMetadata, now};
use tailsieve::testing::otlp::probability::Threshold;
use tailsieve::testing::sampling::decided::{DecisionRecord, Kept, SamplingDecision};
use tailsieve::testing::sampling::trace::Trigger;

use crate::rig::{KEEP_ALL, Rig, checked_scrape, one_span};
use crate::support::{Topic, eventually};

const PARTITIONS: i32 = 8;

/// Decisions of one partition in a second, and for how long.
const RATE: i64 = 200;
const SECONDS: i64 = 60;
const DECISIONS: i64 = RATE * SECONDS;

/// Decisions of a record.
const TOGETHER: usize = 20;

/// Records of a partition that the decisions cover, each a trace of its own, and how many of them
/// are below the committed offset.
const COVERED: i64 = 100;
const COMMITTED: i64 = 50;

/// How long a step may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The trace number `number` of a partition.
fn id(partition: i32, number: i64) -> TraceId {
    let mut bytes = [1; 16];
    bytes[..4].copy_from_slice(&partition.to_be_bytes());
    bytes[4..12].copy_from_slice(&number.to_be_bytes());
    TraceId::from_slice(&bytes).unwrap()
}

/// Every second one was kept.
fn is_kept(number: i64) -> bool {
    number % 2 == 0
}

/// Of the trace `number`: in the order of the records of which the first hundred are on the topic.
fn recorded(partition: i32, number: i64, begin: Timestamp) -> DecisionRecord {
    let kept = Kept { policy: "before".into(), threshold: Threshold::ALWAYS, consistent: true };
    let offset = Offset(number.min(COVERED - 1));
    DecisionRecord {
        trace_id: id(partition, number),
        decision: if is_kept(number) {
            SamplingDecision::Kept(kept)
        } else {
            SamplingDecision::Dropped
        },
        dropped_by: None,
        first: offset,
        last: offset,
        at: Timestamp(begin.0 + number * 1000 / RATE),
        trigger: Trigger::Wait,
        delivered: true,
    }
}

/// Writes what an owner before has decided, as it would have done it itself.
fn write_decisions(rig: &Rig, log: &Topic, begin: Timestamp) {
    let settings = DecisionLogSettings {
        topic: log.name().to_owned(),
        brokers: rig.kafka.address().to_owned(),
        group_id: rig.topic.name().to_owned(),
        client_id: "before".to_owned(),
        properties: Vec::new(),
        index: None,
    };
    let written = Arc::new(AtomicU64::new(0));
    let (recovered, owned) = mpsc::channel();
    let count = Arc::clone(&written);
    let sink: LogSink = Box::new(move |event| match event {
        LogEvent::Written(lines) => {
            count.fetch_add(lines.len() as u64, Ordering::Relaxed);
        }
        LogEvent::ReadBack { origin, .. } => recovered.send(origin.partition).unwrap(),
        LogEvent::Unwritten { batch, .. } => panic!("not written: {batch:?}"),
        LogEvent::Decisions { .. } => {}
    });
    let log = DecisionLog::start(&settings, vec![sink]).unwrap();
    let origin = |partition| {
        let partition = Partition(partition);
        Origin { worker: 0, partition, generation: Generation(1) }
    };
    let ticket = |partition, sequence| LogTicket { origin: origin(partition), sequence };
    let owner = |partition: i32| OwnerId(partition.unsigned_abs().into());
    (0..PARTITIONS).for_each(|it| log.read_back(origin(it), owner(it), Topics::default(), None));
    for _ in 0..PARTITIONS {
        owned.recv_timeout(PATIENCE).unwrap();
    }
    for first in (0..DECISIONS).step_by(TOGETHER) {
        for partition in 0..PARTITIONS {
            let mut batch = LogBatch::new(log.group(), owner(partition));
            for number in first..first + TOGETHER as i64 {
                batch.push(&recorded(partition, number, begin), None);
            }
            let ticket = ticket(partition, first.unsigned_abs());
            while let Err(refused) = log.append(ticket, batch) {
                batch = refused;
                std::thread::yield_now();
            }
        }
    }
    let all = DECISIONS.unsigned_abs() / TOGETHER as u64 * u64::from(PARTITIONS.unsigned_abs());
    eventually("the decisions to be written", PATIENCE, || {
        (written.load(Ordering::Relaxed) == all).then_some(())
    });
}

/// The records that the decisions cover, and behind them: late spans of a trace that was kept and
/// of one that was dropped, both long ago, a new trace, and one whose time closes that.
fn write_records(rig: &Rig, begin: Timestamp) {
    let producer: BaseProducer = rig.kafka.client().create().unwrap();
    let end = begin.0 + SECONDS * 1000;
    for partition in 0..PARTITIONS {
        let covered = (0..COVERED).map(|it| (it, 1, begin.0 + it * 1000 / RATE));
        let more =
            [(0, 2, end), (1, 2, end), (DECISIONS, 1, end), (DECISIONS + 1, 1, end + 40_000)];
        for (number, span, at) in covered.chain(more) {
            let (id, value) = (id(partition, number), one_span(id(partition, number), span, None));
            let key = id.to_string();
            let record = BaseRecord::to(rig.topic.name()).partition(partition).timestamp(at);
            producer.send(record.key(&key).payload(&value)).map_err(|(error, _)| error).unwrap();
        }
    }
    producer.flush(PATIENCE).unwrap();
}

/// What the owner before has committed.
fn commit(rig: &Rig, begin: Timestamp) {
    let mut config = rig.kafka.client();
    let consumer: BaseConsumer = config.set("group.id", rig.topic.name()).create().unwrap();
    let metadata = CommitMetadata {
        clock: Some(Timestamp(begin.0 + 250)),
        log: Some(Position(0)),
        topic: None,
    };
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let offset = KafkaOffset::Offset(COMMITTED);
        list.add_partition_offset(rig.topic.name(), partition, offset).unwrap();
        list.find_partition(rig.topic.name(), partition).unwrap().set_metadata(metadata.to_text());
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
}

/// The lines of a log with this message.
fn lines(log: &str, message: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|batch| serde_json::from_str::<Value>(batch).ok());
    lines.filter(|batch| batch["message"] == message).collect()
}

fn sum(lines: &[Value], field: &str) -> i64 {
    lines.iter().map(|batch| batch[field].as_i64().unwrap()).sum()
}

fn time_of(batch: &Value) -> SystemTime {
    humantime::parse_rfc3339(batch["timestamp"].as_str().unwrap()).unwrap()
}

/// When a record was written, if it is of a trace that nobody had decided before.
fn first_of_own(record: &OwnedMessage) -> Option<SystemTime> {
    let id = id(record.partition(), DECISIONS);
    let value = record.payload().unwrap_or_default();
    let is_own = value.windows(16).any(|bytes| bytes == id.as_bytes());
    let millis = record.timestamp().to_millis().filter(|_| is_own)?;
    Some(UNIX_EPOCH + Duration::from_millis(millis.unsigned_abs()))
}

/// Scenario: a member takes over eight partitions, of which another one has decided two hundred
/// traces a second for a minute, and committed half of the records.
/// Guarantees: it reads all of that back and honours it, for what it reads again and for late
/// spans, before it judges the first trace of its own. How long that took is printed.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn who_takes_over_knows_a_minute_of_decisions_before_the_first_of_its_own() {
    let mut rig = Rig::new("takeover", KEEP_ALL);
    rig.topic = rig.kafka.topic("takeover", PARTITIONS, &[]);
    let log = rig.kafka.topic_named(
        &format!("{}_decisions", rig.topic.name()),
        PARTITIONS,
        &[("cleanup.policy", "delete")],
    );
    let begin = now().before(Duration::from_secs(120));
    write_decisions(&rig, &log, begin);
    write_records(&rig, begin);
    commit(&rig, begin);

    let mut member = rig.member("after");
    rig.settle();
    checked_scrape(&member);
    assert!(member.process.terminate().success());
    let output = member.process.log();
    let read_back = lines(&output, "decision_log.read_back");
    assert_eq!(read_back.len() as i32, PARTITIONS);
    assert_eq!(sum(&read_back, "decisions"), DECISIONS * i64::from(PARTITIONS));
    let recovered = lines(&output, "partition.recovered");
    let again = COVERED - COMMITTED;
    // The last record stands for all traces that are not on the topic.
    let replayed = again - 1 + DECISIONS - COVERED + 1;
    assert_eq!(sum(&recovered, "replayed_traces"), replayed * i64::from(PARTITIONS));
    assert_eq!(sum(&recovered, "start"), COMMITTED * i64::from(PARTITIONS));

    for partition in 0..PARTITIONS {
        let policies = |number| rig.policies_of(id(partition, number));
        assert_eq!(policies(0), ["before"], "a late span follows a decision of a minute ago");
        assert!(policies(1).is_empty(), "also where that was to drop the trace");
        assert!((2..COVERED).all(|it| policies(it).is_empty()), "delivered, or dropped, before");
        assert_eq!(policies(DECISIONS), ["everything"]);
    }
    let start = lines(&output, "member.starting").iter().map(time_of).min().unwrap();
    let last = recovered.iter().map(time_of).max().unwrap();
    let slowest = read_back.iter().map(|batch| batch["millis"].as_u64().unwrap()).max().unwrap();
    let first = log.records().iter().filter_map(first_of_own).min().unwrap();
    let since_start = |at: SystemTime| at.duration_since(start).unwrap_or_default();
    println!(
        "{} decisions of {PARTITIONS} partitions: each log was read back in at most {slowest} ms; \
         since the start of the process the last one was known after {:?}, the first own decision \
         was on record after {:?}",
        DECISIONS * i64::from(PARTITIONS),
        since_start(last),
        since_start(first)
    );
}
