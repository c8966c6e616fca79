//! What is written: traces with late and repeated spans, one partition with several times as much
//! as the others, and records that are no traces at all; with a ledger of all spans.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tailsieve::testing::ids::{Offset, Partition, Timestamp, TraceId};
use tailsieve::testing::kafka::partitioner::Family;
use tailsieve::testing::kafka::source;
use tailsieve::testing::testbed::generator::{
    Acknowledged, Counters, GeneratedRecord, Model, ModelSettings, ProducerSettings, produce,
};
use tailsieve::testing::testbed::ledger::Ledger;

/// Partitions of the topic.
pub const PARTITIONS: i32 = 12;

/// Of the traces that do not go to the hot partition one in so many is written.
const COLD: u8 = 4;

/// Later than any decision about a trace.
const LATE_BY: Duration = Duration::from_secs(15);

/// Traffic that is being written.
pub struct Traffic {
    thread: JoinHandle<()>,
    written: Arc<Mutex<Written>>,
    counters: Arc<Counters>,
}

/// What is on the topic.
#[derive(Default)]
pub struct Written {
    pub ledger: Ledger,
    /// Where each trace is.
    pub places: HashMap<TraceId, Place>,
    /// The time of the youngest record, if there is one.
    pub youngest: Option<Timestamp>,
}

/// Where a trace is: its partition, the first and the last of its records, and the time of the
/// first one.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub partition: Partition,
    pub first: Offset,
    pub last: Offset,
    pub at: Timestamp,
}

impl Written {
    fn enter(&mut self, record: &Acknowledged) {
        self.ledger.record(&record.spans);
        let Acknowledged { partition, offset, at, .. } = *record;
        self.youngest = self.youngest.max(Some(at));
        let place = Place { partition, first: offset, last: offset, at };
        let place = self.places.entry(record.spans[0].trace_id).or_insert(place);
        place.first = place.first.min(offset);
        place.last = place.last.max(offset);
    }
}

impl Traffic {
    /// Starts writing `rate` spans a second for `lasts`, from now on.
    pub fn start(brokers: &str, topic: &str, seed: u64, rate: f64, lasts: Duration) -> Self {
        let partitions = f64::from(PARTITIONS);
        let share = (1.0 + (partitions - 1.0) / f64::from(COLD)) / partitions;
        let settings = ModelSettings {
            seed,
            start: source::now(),
            rate: rate / share,
            duration: Some(lasts),
            duplicate_fraction: 0.01,
            late_fraction: 0.02,
            late_error_fraction: 0.02,
            late_by: LATE_BY,
            ..ModelSettings::default()
        };
        // Kafka is away for seconds at a time, and what is written waits for it.
        let patient = [("reconnect.backoff.max.ms", "500"), ("linger.ms", "20")];
        let patient = patient.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let producer = ProducerSettings {
            pace_from: Some(settings.start),
            properties: patient.into(),
            flush_timeout: Duration::from_secs(120),
            ..ProducerSettings::new(brokers, topic)
        };
        let written = Arc::new(Mutex::new(Written::default()));
        let counters = Arc::new(Counters::default());
        let (entries, counted) = (Arc::clone(&written), Arc::clone(&counters));
        let thread = thread::spawn(move || {
            let enter = move |record: Acknowledged| {
                entries.lock().unwrap().enter(&record);
            };
            let records = Model::new(settings).filter(is_written);
            produce(records, &producer, &counted, &AtomicBool::new(false), enter).unwrap();
        });
        Self { thread, written, counters }
    }

    /// Spans that are on the topic.
    pub fn spans(&self) -> u64 {
        self.counters.spans_acknowledged.load(Ordering::Relaxed)
    }

    /// What is on the topic so far.
    pub fn so_far(&self) -> Arc<Mutex<Written>> {
        Arc::clone(&self.written)
    }

    /// Whether there is nothing more to come.
    pub fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end, and returns what was written, at which nobody looks any more.
    pub fn finish(self) -> Written {
        self.thread.join().unwrap();
        Arc::into_inner(self.written).unwrap().into_inner().unwrap()
    }
}

/// Thins out whole traces, so that the first partition is hot.
fn is_written(record: &GeneratedRecord) -> bool {
    let key = record.key.as_deref().expect("the records are keyed");
    let id = record.trace_id.expect("a record is of one trace");
    // The generator has the Collector's partitioner.
    let partition = Family::Fnv1a.partition(key, PARTITIONS as u32);
    partition == Partition(0) || id.as_bytes()[0].is_multiple_of(COLD)
}

/// Puts records on the topic that hold no spans: no value, an empty one, noise, half of a message.
/// All but empty ones are refused; returns how many. Their time is `at`, so that they do not run ahead of traffic that waits for Kafka.
pub fn poison(client: &ClientConfig, topic: &str, at: Timestamp, seed: u64, records: u32) -> u64 {
    let producer: BaseProducer = client.create().unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut refused = 0;
    for _ in 0..records {
        // Begins with a tag that never ends, or it might mean something.
        let noise = (0..rng.random_range(1..200)).map(|_| rng.random());
        let noise: Vec<u8> = [0xff; 10].into_iter().chain(noise).collect();
        // ResourceSpans of 100 bytes, of which there are 20.
        let half = [&[0x0a, 100][..], &[0x12; 20]].concat();
        let partition = rng.random_range(0..PARTITIONS);
        let record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(topic).partition(partition).timestamp(at.0);
        let kind = rng.random_range(0..4);
        refused += u64::from(kind != 1);
        let record = match kind {
            0 => record,
            1 => record.payload(&[]),
            2 => record.payload(&half).key(b"half"),
            _ => record.payload(&noise).key(b"noise"),
        };
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(120)).unwrap();
    refused
}
