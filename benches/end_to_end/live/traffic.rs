//! The traffic: generated, written in its own time, as applications write it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tailsieve::testing::config;
use tailsieve::testing::kafka::source;
use tailsieve::testing::member::reload;
use tailsieve::testing::testbed::generator::{
    Acknowledged, Counters, Model, ModelSettings, ProducerSettings, produce,
};
use tailsieve::testing::testbed::ledger::Ledger;

use crate::delay::Due;
use crate::kafka::Kafka;
use crate::options::Options;
use crate::topic::Topic;

/// `linger.ms` of its producer: that of most, and so batches are as small as theirs.
const LINGER: Duration = Duration::from_millis(5);

/// Traffic that is being written, in its own time.
pub struct Traffic {
    thread: JoinHandle<()>,
    ledger: Arc<Mutex<(Ledger, Due)>>,
    counters: Arc<Counters>,
}

impl Traffic {
    pub fn start(kafka: &Kafka, topic: &Topic, options: &Options) -> Self {
        let settings = ModelSettings {
            start: source::now(),
            rate: options.live_rate as f64,
            max_spans: Some(options.live_rate * options.live),
            layout: options.shape,
            ..ModelSettings::default()
        };
        let producer = ProducerSettings {
            pace_from: Some(settings.start),
            compression: options.codec.clone(),
            linger: LINGER,
            ..ProducerSettings::new(kafka.address(), &topic.name)
        };
        let file = config::load_policies(&options.policies).expect("a policy file");
        let due = Due::new(reload::policies(&file).expect("policies that compile").limits);
        let ledger = Arc::new(Mutex::new((Ledger::new(settings.describe()), due)));
        let counters = Arc::new(Counters::default());
        let (entries, counted) = (Arc::clone(&ledger), Arc::clone(&counters));
        let thread = thread::spawn(move || {
            let enter = move |record: Acknowledged| {
                let (ledger, due) = &mut *entries.lock().expect("unharmed");
                due.produced(&record);
                ledger.record(&record.spans);
            };
            let never = AtomicBool::new(false);
            produce(Model::new(settings), &producer, &counted, &never, enter).expect("produced");
        });
        Self { thread, ledger, counters }
    }

    /// Spans that are on the topic.
    pub fn spans(&self) -> u64 {
        self.counters.spans_acknowledged.load(Ordering::Relaxed)
    }

    /// Waits for the end; returns what was written, when it is due, and in how many records it is.
    pub fn finish(self) -> (Ledger, Due, u64) {
        self.thread.join().expect("all is produced");
        let records = self.counters.records_acknowledged.load(Ordering::Relaxed);
        let ledger = Arc::into_inner(self.ledger).expect("the writer is gone");
        let (ledger, due) = ledger.into_inner().expect("unharmed");
        (ledger, due, records)
    }
}
