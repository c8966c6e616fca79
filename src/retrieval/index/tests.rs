//! What a look-up reads and takes in a log of a day, with a time and without. Not a test of anything: run by hand,
//! see docs/retrieval.md.

use std::env;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::clock;
use crate::ids::{Offset, Partition, Timestamp, TopicId, TraceId};
use crate::kafka::decision_log::index::{Stretch, of_shards};
use crate::kafka::decision_log::testing::dropped;
use crate::kafka::decision_log::{GroupHash, LogBatch, OwnerId, TraceHash};
use crate::kafka::partitioner::Family;
use crate::retrieval::reader::{OF_THE_LOG, Reader};
use crate::retrieval::{Budget, Origin, Retrieval, RetrievalError, TimeRange};
use crate::sampling::decided::{DecisionRecord, TraceDetails};
use crate::sampling::trace::RecordOffsets;

const PARTITIONS: u32 = 12;
const DAY_MILLIS: u64 = 24 * 3600 * 1000;

/// How exactly it is known when a trace was decided, before and after.
const HINT_MILLIS: u64 = 60_000;

/// Entries of a stretch, and of a record of the log.
const STRETCH: usize = 65_536;
const BATCH: usize = 64;

/// The id of the trace with this number, spread as those of tracers are.
fn id(number: u64) -> TraceId {
    let mix =
        |value: u64| (value ^ (value >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).rotate_left(31);
    let high = mix(mix(number + 1));
    let bytes = u128::from(high) << 64 | u128::from(mix(high));
    TraceId::from_slice(&bytes.to_be_bytes()).unwrap()
}

struct Lane {
    partition: Partition,
    batch: LogBatch,
    in_batch: usize,
    next: i64,
    covered: i64,
    hashes: Vec<TraceHash>,
}

struct World {
    producer: BaseProducer,
    log: String,
    index: String,
    log_id: Option<TopicId>,
    bytes: [u64; 2],
    building: Vec<Duration>,
}

impl World {
    fn send(&mut self, (topic, partition): (usize, i32), value: &[u8], at: i64) {
        self.bytes[topic] += value.len() as u64;
        let name = [&self.log, &self.index][topic].clone();
        let mut record =
            BaseRecord::<(), [u8]>::to(&name).partition(partition).payload(value).timestamp(at);
        while let Err((_, back)) = self.producer.send(record) {
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
    }

    fn flush(&mut self, lane: &mut Lane, at: i64) {
        if lane.in_batch > 0 {
            let group = GroupHash::of("shop");
            let batch = std::mem::replace(&mut lane.batch, LogBatch::new(group, OwnerId(1)));
            self.send((0, lane.partition.0), batch.value(), at);
            (lane.in_batch, lane.next) = (0, lane.next + 1);
        }
        if lane.hashes.len() < STRETCH {
            return;
        }
        let begin = Instant::now();
        let mut hashes = std::mem::take(&mut lane.hashes);
        hashes.sort_unstable();
        hashes.dedup();
        let stretch = Stretch {
            owner: OwnerId(1),
            group: GroupHash::of("shop"),
            log: self.log_id,
            partition: lane.partition,
            marker: Offset(0),
            runs: std::iter::once(lane.covered..lane.next).collect(),
        };
        let values: Vec<_> = of_shards(&stretch, &hashes, PARTITIONS).map(Result::unwrap).collect();
        self.building.push(begin.elapsed());
        for (shard, value) in (0..).zip(values) {
            self.send((1, shard), &value, at);
        }
        lane.covered = lane.next;
    }
}

fn quantiles(mut all: Vec<Duration>) -> String {
    if all.is_empty() {
        return "none".to_owned();
    }
    all.sort_unstable();
    let at = |part: usize| all[(all.len() * part / 100).min(all.len() - 1)];
    format!("p50 {:?}, p99 {:?}", at(50), at(99))
}

/// Writes a log and its index as of the last 24 hours, and looks up traces that are there and such that are
/// not. `TAILSIEVE_ENTRIES` says how many entries; with few, which is the default, it only shows that it works.
#[test]
#[ignore = "needs Kafka: run ./tests/run"]
fn a_look_up_in_a_day() {
    let brokers = env::var("TAILSIEVE_TEST_KAFKA").unwrap();
    let entries = env::var("TAILSIEVE_ENTRIES").map_or(50_000, |text| text.parse().unwrap());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers).set("compression.type", "lz4").set("linger.ms", "50");
    // As members write: what is sent again, as the first records of a new topic may be, stays in order.
    config.set("enable.idempotence", "true");
    let log = format!("measure-{}_decisions", rand::random::<u32>());
    let index = format!("{log}_index");
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let new = |name| NewTopic::new(name, PARTITIONS.cast_signed(), TopicReplication::Fixed(1));
    let options = AdminOptions::new();
    runtime.block_on(admin.create_topics([&new(&log), &new(&index)], &options)).unwrap();
    let group = GroupHash::of("shop");
    let origin = |index: Option<&String>| Origin {
        brokers: brokers.clone(),
        properties: Vec::new(),
        topic: log.clone(),
        decision_log: log.clone(),
        decision_index: index.cloned(),
        group: Some(group),
    };
    let mut budget = Budget::of_a_person(|_| {});
    let reader = Reader::new(&origin(None), &log, &OF_THE_LOG).unwrap();
    let (since, patience) = (Instant::now(), Duration::from_secs(60));
    let log_id = loop {
        match reader.topic_id(&budget) {
            // A broker may take its time to hear of a new topic.
            Err(RetrievalError::NoTopic(_)) if since.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(10));
            }
            known => break known.unwrap(),
        }
    };
    let producer = config.create().unwrap();
    let (bytes, building) = ([0; 2], Vec::new());
    let mut world =
        World { producer, log: log.clone(), index: index.clone(), log_id, bytes, building };
    let lane = |number: u32| Lane {
        partition: Partition(number.cast_signed()),
        batch: LogBatch::new(group, OwnerId(1)),
        in_batch: 0,
        next: 0,
        covered: 0,
        hashes: Vec::new(),
    };
    let mut lanes: Vec<Lane> = (0..PARTITIONS).map(lane).collect();
    let start = clock::now().0 - DAY_MILLIS as i64;
    let at = |number: u64| {
        start + (DAY_MILLIS as u128 * u128::from(number) / u128::from(entries)) as i64
    };
    for number in 0..entries {
        let trace_id = id(number);
        let at = at(number);
        let of = Family::Fnv1a.partition(trace_id.to_string().as_bytes(), PARTITIONS);
        let lane = &mut lanes[of.0 as usize];
        let first = number as i64 / 12;
        let record = DecisionRecord { trace_id, ..dropped(1, first, first + 40) };
        let mut records = RecordOffsets::one(Offset(first));
        (1..5).for_each(|more| records.add(Offset(first + more * 10)));
        let details = TraceDetails {
            service: "checkout".into(),
            name: "POST /cart".into(),
            duration: Some(Duration::from_micros(number % 900_000)),
            errors: Some(0),
            ..TraceDetails::late(records, 20, 9_000)
        };
        lane.batch.push(&record, Some(&details));
        lane.hashes.push(TraceHash::of(trace_id));
        lane.in_batch += 1;
        if lane.in_batch == BATCH {
            world.flush(lane, at);
        }
    }
    lanes.iter_mut().for_each(|lane| world.flush(lane, start + DAY_MILLIS as i64));
    world.producer.flush(Duration::from_secs(600)).unwrap();
    println!(
        "{entries} entries: {} bytes of log, {} of index; a stretch of {STRETCH}: {}",
        world.bytes[0],
        world.bytes[1],
        quantiles(world.building)
    );
    // A record of few entries a day comes long after the first of them.
    let of_a_record = DAY_MILLIS * BATCH as u64 * u64::from(PARTITIONS) / entries;
    let hint = (of_a_record * 3).max(HINT_MILLIS).cast_signed();
    let around = |number: u64| TimeRange {
        from: Some(Timestamp(at(number) - hint)),
        to: Some(Timestamp(at(number) + hint)),
    };
    let always = |ids: Vec<TraceId>| ids.into_iter().map(|id| (id, TimeRange::default())).collect();
    let numbers = || (0..100).map(|number| number * 7919 * 13 % entries);
    let timed = numbers().map(|number| (id(number), around(number))).collect();
    let absent = (0..50).map(|number| id(entries + 1 + number * 977)).collect();
    let present = numbers().map(id).collect();
    let some = numbers().take(3).map(id).collect();
    type Asked = Vec<(TraceId, TimeRange)>;
    let looks: [(&str, Asked, Option<&String>); 4] = [
        ("there, with the time", timed, Some(&index)),
        ("there", always(present), Some(&index)),
        ("not there", always(absent), Some(&index)),
        ("there, no index", always(some), None),
    ];
    for (what, ids, index) in looks {
        let mut retrieval = Retrieval::new(origin(index)).unwrap();
        let (mut times, mut log_bytes, mut index_bytes) = (Vec::new(), 0, 0);
        let count = ids.len() as u64;
        for (id, range) in ids {
            let (begin, before) = (Instant::now(), budget.bytes_read());
            let found = retrieval.find(id, range, &mut budget);
            assert_eq!(found.is_ok(), what != "not there", "{id}: {found:?}");
            times.push(begin.elapsed());
            log_bytes += budget.bytes_read().log - before.log;
            index_bytes += budget.bytes_read().index - before.index;
        }
        println!(
            "{count} {what}: {}; {} bytes of the log and {} of the index each",
            quantiles(times),
            log_bytes / count,
            index_bytes / count
        );
    }
    runtime.block_on(admin.delete_topics(&[&log, &index], &options)).unwrap();
}
