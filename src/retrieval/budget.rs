//! What a look-up may take.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;

use super::RetrievalError;
use crate::kafka::topic_reader::{PATIENCE, TIMEOUT};

/// Time, and how it is told that Kafka is waited for.
pub struct Budget {
    until: Option<Instant>,
    patience: Duration,
    waiting: Box<dyn FnMut(&KafkaError) + Send>,
    is_waiting: bool,
}

impl Budget {
    /// That of a person who waits: no end, as long as Kafka says something. `waiting` is told of the
    /// first error that may pass.
    pub fn of_a_person(waiting: impl FnMut(&KafkaError) + Send + 'static) -> Self {
        Self { until: None, patience: PATIENCE, waiting: Box::new(waiting), is_waiting: false }
    }

    /// So much time, and nobody who is told.
    pub fn of(time: Duration) -> Self {
        let until = Some(Instant::now() + time);
        Self { until, patience: time, waiting: Box::new(|_| {}), is_waiting: false }
    }

    /// How long a question to the cluster may take.
    pub(super) fn for_a_question(&self) -> Duration {
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        left.map_or(TIMEOUT, |left| left.min(self.patience).max(Duration::from_millis(1)))
    }

    pub(super) fn hear(&mut self) -> Result<(), RetrievalError> {
        self.is_waiting = false;
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
