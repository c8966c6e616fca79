//! The decision log takes nothing for a while: its topic asks for two replicas in sync, and there
//! is one. Changing that takes a JVM and a Kafka that is there, so it happens beside the plan.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::broker::Tools;
use crate::disturbance::Disturbance;
use crate::support::eventually;
use crate::traffic::PARTITIONS;

/// How long Kafka may be away.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a log may take all the same: what was on its way when the setting changed. Otherwise it
/// takes hundreds each second.
pub const A_FEW: i64 = 10;

/// After how many readings of the same end a log is believed to take nothing.
const ALIKE: u32 = 10;

/// An outage that really was.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    pub from: Duration,
    pub to: Duration,
    /// Records that the log took all the same.
    pub taken: i64,
}

/// The outages of a decision log, one after the other.
pub struct Outages {
    topic: String,
    tools: Tools,
    client: ClientConfig,
    started: Instant,
    /// The last change that was asked for.
    change: Option<JoinHandle<()>>,
    /// Since when there is one, and where the log ended then.
    since: Arc<Mutex<Option<(Duration, i64)>>>,
    past: Arc<Mutex<Vec<Outage>>>,
}

impl Outages {
    /// None yet. Times count from `started`.
    pub fn of(topic: &str, tools: Tools, client: ClientConfig, started: Instant) -> Self {
        let (since, past) = (Arc::default(), Arc::default());
        Self { topic: topic.to_owned(), tools, client, started, change: None, since, past }
    }

    /// Begins one.
    pub fn begin(&mut self) {
        let (topic, tools) = (self.topic.clone(), self.tools.clone());
        let (client, started) = (self.client.clone(), self.started);
        let (since, before) = (Arc::clone(&self.since), self.change.take());
        self.change = Some(thread::spawn(move || {
            join(before);
            // From here on a member's record may be refused.
            let from = ask_for_replicas(&tools, &topic, 2).duration_since(started);
            *lock(&since) = Some((from, end_at_rest(&client, &topic)));
        }));
    }

    /// Ends it.
    pub fn end(&mut self) {
        let (topic, tools) = (self.topic.clone(), self.tools.clone());
        let (client, started) = (self.client.clone(), self.started);
        let (since, past) = (Arc::clone(&self.since), Arc::clone(&self.past));
        let before = self.change.take();
        self.change = Some(thread::spawn(move || {
            join(before);
            let Some((from, began_at)) = lock(&since).take() else { return };
            let taken = end_of(&client, &topic) - began_at;
            ask_for_replicas(&tools, &topic, 1);
            lock(&past).push(Outage { from, to: started.elapsed(), taken });
        }));
    }

    /// Waits until nothing is under way, and returns those that were.
    pub fn finish(&mut self) -> Vec<Outage> {
        join(self.change.take());
        lock(&self.past).clone()
    }
}

impl Outage {
    /// As a disturbance of everybody.
    pub fn disturbance(&self) -> Disturbance {
        Disturbance { slot: None, from: self.from, to: self.to }
    }
}

/// Returns when the attempt began that succeeded.
fn ask_for_replicas(tools: &Tools, topic: &str, replicas: u32) -> Instant {
    let setting = format!("min.insync.replicas={replicas}");
    let mut arguments = vec!["kafka.admin.ConfigCommand"];
    arguments.extend(["--alter", "--entity-type", "topics", "--entity-name", topic]);
    arguments.extend(["--add-config", &setting]);
    let what = "Kafka to take a setting";
    eventually(what, PATIENCE, || {
        let begun = Instant::now();
        tools.run(&arguments).then_some(begun)
    })
}

/// The same once it does not change any more: brokers hear of a setting a little later.
fn end_at_rest(client: &ClientConfig, topic: &str) -> i64 {
    let (mut end, mut alike) = (end_of(client, topic), 0);
    eventually("the log to take nothing", PATIENCE, || {
        let now = end_of(client, topic);
        alike = if now == end { alike + 1 } else { 0 };
        end = now;
        (alike >= ALIKE).then_some(end)
    })
}

/// How many records were ever written, and seen by whoever reads.
fn end_of(client: &ClientConfig, topic: &str) -> i64 {
    let consumer: BaseConsumer = client.create().unwrap();
    let end = |partition| {
        eventually("Kafka to answer", PATIENCE, || {
            let timeout = Duration::from_secs(5);
            consumer.fetch_watermarks(topic, partition, timeout).ok().map(|(_, end)| end)
        })
    };
    (0..PARTITIONS).map(end).sum()
}

fn join(change: Option<JoinHandle<()>>) {
    if let Some(change) = change {
        change.join().unwrap();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
