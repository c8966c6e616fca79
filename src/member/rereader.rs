//! Reads dropped traces again that late spans re-opened: one thread of the process, with consumers of its
//! own that join no group.
//!
//! Promises that each trace it took is answered once, however long Kafka is away; what it has not answered
//! when the process ends is asked for again by the next owner of the partition. Leaves to workers which
//! traces these are, and what is done with their spans.

use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::ids::Partition;
use crate::kafka::record_headers;
use crate::kafka::source::KeptHeaders;
use crate::member::worker::{PartAnew, ReadAgain, ReadAnew, Reread};
use crate::retrieval::{Budget, Entry, Fetched, Origin, Part, Places, Retrieval, RetrievalError};
use crate::sampling::decided::SamplingDecision;
use crate::telemetry::log_throttle::LogThrottle;

/// Traces that may wait here; more wait with their workers.
const ROOM: usize = 64;

/// How long one attempt may take, before it is looked whether the process ends.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How soon it is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// How often it is logged that something is waited for.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Takes what a worker asked for, by its number.
pub type Answers = Box<dyn Fn(ReadAnew) + Send>;

/// Hands traces to the thread.
#[derive(Debug)]
pub struct Rereader(SyncSender<ReadAgain>);

impl Rereader {
    /// Starts the thread, which connects when there is something to read. It ends with `stop`.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        name: &str,
        (origin, headers): (Origin, KeptHeaders),
        answers: Answers,
        stop: CancellationToken,
    ) -> std::io::Result<Self> {
        let (sender, asked) = mpsc::sync_channel(ROOM);
        let work =
            Work { origin, headers, answers, stop, throttle: LogThrottle::new(LOG_INTERVAL) };
        let thread = thread::Builder::new().name(format!("{name}-reread"));
        thread.spawn(move || work.run(&asked))?;
        Ok(Self(sender))
    }
}

impl Reread for Rereader {
    fn try_read(&self, trace: ReadAgain) -> Result<(), ReadAgain> {
        self.0.try_send(trace).map_err(|error| match error {
            TrySendError::Full(trace) | TrySendError::Disconnected(trace) => trace,
        })
    }
}

struct Work {
    origin: Origin,
    headers: KeptHeaders,
    answers: Answers,
    stop: CancellationToken,
    throttle: LogThrottle,
}

impl Work {
    fn run(self, asked: &Receiver<ReadAgain>) {
        let mut retrieval = None;
        while let Ok(trace) = asked.recv() {
            loop {
                if self.stop.is_cancelled() {
                    return;
                }
                match self.read(&mut retrieval, &trace) {
                    Ok(fetched) => break (self.answers)(self.answer(trace, fetched)),
                    Err(error) => {
                        if let Some(suppressed) = self.throttle.allow() {
                            warn!(trace_id = %trace.trace_id, %error, suppressed, "reopen.waits");
                        }
                        thread::sleep(RETRY_WAIT);
                    }
                }
            }
        }
    }

    fn read(
        &self,
        retrieval: &mut Option<Retrieval>,
        trace: &ReadAgain,
    ) -> Result<Fetched, RetrievalError> {
        let retrieval = match retrieval {
            Some(retrieval) => retrieval,
            None => retrieval.insert(Retrieval::new(self.origin.clone())?),
        };
        let mut budget = Budget::of(ATTEMPT);
        let partition = trace.origin.partition;
        let entries = retrieval.find_behind(trace.trace_id, (partition, trace.log), &mut budget)?;
        let places = places(&entries, partition, trace);
        let mut fetched = retrieval.fetch(trace.trace_id, &places, &mut budget)?;
        fetched.missing += u64::from(places.is_gone());
        Ok(fetched)
    }

    fn answer(&self, asked: ReadAgain, fetched: Fetched) -> ReadAnew {
        let part = |Part { headers, bytes, .. }: Part| {
            let mut forwarded = Vec::new();
            for (name, value) in &headers {
                if let Some(name) = self.headers.name(name) {
                    record_headers::push(&mut forwarded, name, value);
                }
            }
            PartAnew { forwarded, bytes }
        };
        let is_incomplete = fetched.missing > 0;
        ReadAnew { asked, parts: fetched.parts.into_iter().map(part).collect(), is_incomplete }
    }
}

/// Where the spans are that came up to the record which re-opened their trace, and that were dropped:
/// what came later is delivered as it comes, and what was decided before had been forgotten.
fn places(entries: &[Entry], partition: Partition, trace: &ReadAgain) -> Places {
    let here = entries.iter().filter(|entry| entry.partition == partition);
    let before = |entry: &&Entry| {
        entry.record.decision == SamplingDecision::Dropped && entry.record.first < trace.first
    };
    let dropped = here.clone().filter(before).map(|entry| entry.record.first).max();
    let is_of_it =
        |entry: &&Entry| Some(entry.record.first) == dropped || entry.record.first == trace.first;
    let entries: Vec<Entry> = here.filter(is_of_it).cloned().collect();
    Places::of(&entries).until(partition, trace.last)
}
