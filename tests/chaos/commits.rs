//! What the group has committed in the course of a run: it never goes back for long, and when a
//! trace is missing it says when its records were given up.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::Kafka;
use crate::traffic::PARTITIONS;

/// How often it is asked.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long an answer may take; Kafka may be away.
const TIMEOUT: Duration = Duration::from_secs(2);

/// By partition: what was committed, each time that it had changed.
type History = BTreeMap<i32, Vec<(Duration, i64)>>;

/// A watch over the offsets of a group; it ends when it is dropped.
pub struct Commits {
    history: Arc<Mutex<History>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Commits {
    /// Starts to watch the group that has the name of its topic. Times count from `started`.
    pub fn watch(kafka: &Kafka, topic: &str, started: Instant) -> Self {
        let mut config = kafka.client();
        config.set("group.id", topic).set("reconnect.backoff.max.ms", "500");
        let reader: BaseConsumer = config.create().unwrap();
        let history = Arc::new(Mutex::new(History::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (entries, is_over) = (Arc::clone(&history), Arc::clone(&over));
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, PARTITIONS - 1);
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                if let Ok(committed) = reader.committed_offsets(list.clone(), TIMEOUT) {
                    enter(&mut entries.lock().unwrap(), started.elapsed(), &committed);
                }
                thread::sleep(INTERVAL);
            }
        });
        Self { history, over, thread: Some(thread) }
    }

    /// When `offset` was seen to be given up: at the time, the committed offset was behind it.
    pub fn passed(&self, partition: i32, offset: i64) -> Option<Duration> {
        let history = self.history.lock().unwrap();
        let entries = history.get(&partition)?;
        entries.iter().find(|(_, committed)| *committed > offset).map(|(at, _)| *at)
    }

    /// How often a committed offset was seen to be lower than before.
    pub fn went_back(&self) -> usize {
        let history = self.history.lock().unwrap();
        let back = |entries: &Vec<(Duration, i64)>| {
            entries.windows(2).filter(|pair| pair[1].1 < pair[0].1).count()
        };
        history.values().map(back).sum()
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn enter(history: &mut History, at: Duration, committed: &TopicPartitionList) {
    for element in committed.elements() {
        let Offset::Offset(offset) = element.offset() else { continue };
        let entries = history.entry(element.partition()).or_default();
        if entries.last().is_none_or(|(_, last)| *last != offset) {
            entries.push((at, offset));
        }
    }
}
