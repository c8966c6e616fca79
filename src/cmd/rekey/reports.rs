//! The producer's delivery reports: each tells the worker that wrote the record.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::warn;

use crate::ids::{Offset, Origin, Partition, Pin, Timestamp};
use crate::kafka::publish::{DeliveryReports, Failed};
use crate::sync::lock;
use crate::telemetry::log_throttle::LogThrottle;

/// How often it is logged that records are not taken.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Goes with a record to the producer, and comes back when it is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Where the record that it was made of was read.
    pub(super) origin: Origin,
    /// Holds that record back.
    pub(super) pin: Pin,
    /// The time of that record.
    pub(super) timestamp: Timestamp,
    /// Bytes of its value.
    pub(super) bytes: usize,
    /// Its headers, see [`record_headers`](crate::kafka::record_headers).
    pub(super) headers: Arc<[u8]>,
}

/// A record that is to be written.
#[derive(Clone, Debug)]
pub(super) struct NewRecord {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) ticket: Ticket,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Settled {
    /// It is on the topic.
    Done(Ticket),
    /// It is not: it has to be written again.
    Again(NewRecord),
}

/// Tells the workers, in batches.
pub(super) struct Reports {
    to: String,
    workers: Vec<mpsc::UnboundedSender<Vec<Settled>>>,
    /// By worker: what was not told yet. Used on the producer's thread only.
    batches: Mutex<Vec<Vec<Settled>>>,
    log: LogThrottle,
}

impl Reports {
    pub(super) fn new(to: &str, workers: Vec<mpsc::UnboundedSender<Vec<Settled>>>) -> Self {
        let batches = Mutex::new(workers.iter().map(|_| Vec::new()).collect());
        Self { to: to.to_owned(), workers, batches, log: LogThrottle::new(LOG_INTERVAL) }
    }
}

impl DeliveryReports for Reports {
    type Ticket = Ticket;

    fn settled(&self, ticket: Ticket, result: Result<(Partition, Offset), Failed<'_>>) {
        let worker = ticket.origin.worker;
        let settled = match result {
            Ok(_) => Settled::Done(ticket),
            Err(failed) => {
                if let Some(suppressed) = self.log.allow() {
                    let (error, topic, bytes) = (failed.reason(), &self.to, ticket.bytes);
                    warn!(
                        %error,
                        topic,
                        bytes,
                        suppressed,
                        "rekey.not_taken: it is written again until it is taken, and its offset \
                         is held; where it is too large, raise max.message.bytes of the topic"
                    );
                }
                let (key, value) = (failed.key, failed.value);
                Settled::Again(NewRecord {
                    key: key.map(<[u8]>::to_vec),
                    value: value.map(<[u8]>::to_vec),
                    ticket,
                })
            }
        };
        lock(&self.batches)[worker].push(settled);
    }

    fn batch_done(&self) {
        for (worker, batch) in self.workers.iter().zip(lock(&self.batches).iter_mut()) {
            if !batch.is_empty() {
                // A worker that is gone needs no reports.
                let _ = worker.send(std::mem::take(batch));
            }
        }
    }
}
