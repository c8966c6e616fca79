//! What a look-up may take: time, and its share of the bytes that all may read in a second.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::RetrievalError;
use crate::kafka::topic_reader::{PATIENCE, TIMEOUT};
use crate::sync::lock;

/// How long Kafka may say nothing while a program waits for the answer.
const PATIENCE_OF_A_REQUEST: Duration = Duration::from_secs(2);

/// A shorter wait is left to the next record: a thread that rests after each wakes thousands of times a
/// second, and disturbs whoever shares its cores.
const SHORTEST_REST: Duration = Duration::from_millis(20);

/// Time, bytes, and how it is told that Kafka is waited for. Counts what is read.
pub struct Budget {
    until: Option<Instant>,
    patience: Duration,
    rate: Option<Arc<Rate>>,
    waiting: Box<dyn FnMut(&KafkaError) + Send>,
    is_waiting: bool,
    bytes: u64,
    /// What was read so far.
    pub(super) read: ReadBytes,
}

/// What was read to find entries: the values of records, unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadBytes {
    /// Of the decision log.
    pub log: u64,
    /// Of its index.
    pub index: u64,
    /// How many records of the index are of no use.
    pub unusable: u64,
}

impl Budget {
    /// That of a person who waits: no end, as long as Kafka says something. `waiting` is told of the
    /// first error that may pass.
    pub fn of_a_person(waiting: impl FnMut(&KafkaError) + Send + 'static) -> Self {
        let (waiting, read) = (Box::new(waiting), ReadBytes::default());
        let (until, patience, rate) = (None, PATIENCE, None);
        Self { until, patience, rate, waiting, is_waiting: false, bytes: 0, read }
    }

    /// That of a request: it ends at this time, and reads as fast as `rate` lets all of them.
    pub fn of_a_request(until: Instant, rate: Arc<Rate>) -> Self {
        Self {
            until: Some(until),
            patience: PATIENCE_OF_A_REQUEST,
            rate: Some(rate),
            ..Self::of_a_person(|_| ())
        }
    }

    /// How many bytes of records were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What was read to find entries.
    pub fn bytes_read(&self) -> ReadBytes {
        self.read
    }

    /// So much time, and nobody who is told.
    pub fn of(time: Duration) -> Self {
        let until = Some(Instant::now() + time);
        Self { until, patience: time, ..Self::of_a_person(|_| ()) }
    }

    /// How long a question to the cluster may take.
    pub(super) fn for_a_question(&self) -> Duration {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        left.map_or(TIMEOUT, |left| left.min(self.patience).max(Duration::from_millis(1)))
    }

    /// A record came. Waits until all look-ups together have read no more than they may.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), RetrievalError> {
        self.bytes += bytes as u64;
        self.is_waiting = false;
        let wait = self.rate.as_ref().map_or(Duration::ZERO, |rate| rate.take(bytes));
        if !wait.is_zero() {
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left < wait) {
                return Err(RetrievalError::OverBudget);
            }
            thread::sleep(wait);
        }
        self.go_on()
    }

    /// Whether there is time left.
    pub(super) fn go_on(&self) -> Result<(), RetrievalError> {
        match self.until {
            Some(until) if Instant::now() >= until => Err(RetrievalError::OverBudget),
            _ => Ok(()),
        }
    }

    /// Kafka has said nothing since `heard`.
    pub(super) fn bear(&self, heard: Instant) -> Result<(), RetrievalError> {
        if heard.elapsed() > self.patience {
            return Err(RetrievalError::Silent(self.patience.as_secs()));
        }
        self.go_on()
    }

    pub(super) fn wait(&mut self, error: &KafkaError) {
        if !std::mem::replace(&mut self.is_waiting, true) {
            (self.waiting)(error);
        }
    }
}

/// So many bytes a second, of all look-ups together. Those of one second may be read at once.
#[derive(Debug)]
pub struct Rate {
    bytes_per_second: f64,
    left: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    bytes: f64,
    at: Instant,
}

impl Rate {
    /// A new one, of which nothing is used.
    pub fn new(bytes_per_second: u64) -> Self {
        let bytes_per_second = bytes_per_second as f64;
        let left = Mutex::new(Left { bytes: bytes_per_second, at: Instant::now() });
        Self { bytes_per_second, left }
    }

    /// Takes so many; returns how long to wait before more is read.
    pub fn take(&self, bytes: usize) -> Duration {
        self.take_at(bytes, Instant::now())
    }

    fn take_at(&self, bytes: usize, now: Instant) -> Duration {
        let mut left = lock(&self.left);
        let since = now.saturating_duration_since(left.at).as_secs_f64();
        left.bytes = (left.bytes + since * self.bytes_per_second).min(self.bytes_per_second);
        left.at = now;
        left.bytes -= bytes as f64;
        let seconds = (-left.bytes / self.bytes_per_second).clamp(0.0, 3600.0);
        let rest = Duration::from_secs_f64(seconds);
        if rest < SHORTEST_REST { Duration::ZERO } else { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_too_fast_is_waited_for() {
        let rate = Rate::new(1000);
        let start = Instant::now();
        let millis =
            |bytes, after| rate.take_at(bytes, start + Duration::from_millis(after)).as_millis();
        assert_eq!(millis(900, 100), 0);
        assert_eq!(millis(600, 100), 500);
        assert_eq!(millis(500, 600), 500);
        assert_eq!(millis(1000, 60_000), 0, "no more than a second is saved up");
        assert_eq!(millis(1000, 60_000), 1000);
        assert_eq!(millis(15, 61_000), 0, "a short wait adds to the next one");
        assert_eq!(millis(15, 61_000), 30);
    }

    #[test]
    fn a_request_ends_in_time() {
        let rate = Arc::new(Rate::new(1000));
        let until = Instant::now() + Duration::from_millis(200);
        let mut budget = Budget::of_a_request(until, rate);
        assert!(budget.spend(1000).is_ok());
        let over = budget.spend(1000).unwrap_err();
        assert!(matches!(over, RetrievalError::OverBudget) && Instant::now() < until);
        assert_eq!(budget.bytes(), 2000);
        let mut late = Budget::of_a_request(Instant::now(), Arc::new(Rate::new(1000)));
        assert!(matches!(late.spend(1), Err(RetrievalError::OverBudget)));
    }
}
