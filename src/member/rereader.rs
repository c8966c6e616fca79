//! Reads dropped traces again that late spans re-opened, or that somebody asked for: a thread of the process for
//! each of the two, so that who asks holds up no others, with consumers of its own that join no group.
//!
//! Promises that each trace it took is answered once, however long Kafka is away; what it has not answered
//! when the process ends is asked for again by the next owner of the partition. Leaves to workers which
//! traces these are, and what is done with their spans.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::kafka::record_headers;
use crate::kafka::source::KeptHeaders;
use crate::member::worker::{PartAnew, ReadAgain, ReadAnew, Reread};
use crate::retrieval::{
    self, Budget, Entry, Fetched, Origin, Part, Places, Retrieval, RetrievalError,
};
use crate::sampling::decided::SamplingDecision;
use crate::telemetry::log_throttle::LogThrottle;

/// Traces that may wait here; more wait with their workers.
const ROOM: usize = 64;

/// How long the first attempt may take, before it is looked whether the process ends. One that took all its time
/// is made again with twice as much, up to the longest.
const ATTEMPT: Duration = Duration::from_secs(10);
const LONGEST_ATTEMPT: Duration = Duration::from_secs(300);

/// How soon it is tried again.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// How often it is logged that something is waited for.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Takes what a worker asked for, by its number.
pub type Answers = Arc<dyn Fn(ReadAnew) + Send + Sync>;

/// Hands traces to the threads.
#[derive(Debug)]
pub struct Rereader {
    late: SyncSender<ReadAgain>,
    requested: SyncSender<ReadAgain>,
}

impl Rereader {
    /// Starts the threads, which connect when there is something to read. They end with `stop`.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        name: &str,
        (origin, headers): (Origin, KeptHeaders),
        answers: &Answers,
        stop: &CancellationToken,
    ) -> std::io::Result<Self> {
        let start = |of: &str| {
            let (sender, asked) = mpsc::sync_channel(ROOM);
            let (origin, headers) = (origin.clone(), headers.clone());
            let (answers, stop) = (Arc::clone(answers), stop.clone());
            let throttle = LogThrottle::new(LOG_INTERVAL);
            let work = Work { origin, headers, answers, stop, throttle };
            let thread = thread::Builder::new().name(format!("{name}-{of}"));
            thread.spawn(move || work.run(&asked))?;
            std::io::Result::Ok(sender)
        };
        Ok(Self { late: start("reread")?, requested: start("keep")? })
    }
}

impl Reread for Rereader {
    fn try_read(&self, trace: ReadAgain) -> Result<(), ReadAgain> {
        let thread = if trace.is_requested { &self.requested } else { &self.late };
        thread.try_send(trace).map_err(|error| match error {
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
            let mut attempt = ATTEMPT;
            loop {
                if self.stop.is_cancelled() {
                    return;
                }
                match self.read(&mut retrieval, &trace, attempt) {
                    Ok(fetched) => break (self.answers)(self.answer(trace, fetched)),
                    Err(error) => {
                        if matches!(error, RetrievalError::OverBudget) {
                            attempt = (attempt * 2).min(LONGEST_ATTEMPT);
                        }
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
        attempt: Duration,
    ) -> Result<Fetched, RetrievalError> {
        let retrieval = match retrieval {
            Some(retrieval) => retrieval,
            None => retrieval.insert(Retrieval::new(self.origin.clone())?),
        };
        let mut budget = Budget::of(attempt);
        let partition = trace.origin.partition;
        let place = (partition, trace.log);
        let entries = match trace.is_requested {
            true => retrieval.find_since(trace.trace_id, place, &mut budget)?,
            false => retrieval.find_behind(trace.trace_id, place, &mut budget)?,
        };
        let places = places(&entries, trace);
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

/// Where the spans are: in the records that these entries list.
fn places(entries: &[Entry], trace: &ReadAgain) -> Places {
    let places = Places::of(&telling(entries, trace));
    let has_late_spans = trace.late.0 > 0;
    let places = match has_late_spans {
        true => places.and(trace.origin.partition, trace.last),
        false => places,
    };
    places.until(trace.last)
}

/// The entries that tell where the spans are that came up to the record which re-opened their trace, and that
/// were dropped: what came later is delivered as it comes. Where late spans re-opened it, what was decided
/// before had been forgotten; where somebody asked for it, all that was dropped is wanted.
pub(super) fn telling(entries: &[Entry], trace: &ReadAgain) -> Vec<Entry> {
    let partition = trace.origin.partition;
    let here = || entries.iter().filter(|entry| entry.partition == partition);
    let its_own = here().filter(|entry| entry.record.first == trace.first);
    if trace.is_requested {
        let dropped = retrieval::dropped(entries, partition, trace.first);
        // What is dropped whatever others say nobody can ask for.
        let dropped = if dropped.vetoed_by.is_some() { Vec::new() } else { dropped.entries };
        return dropped.into_iter().chain(its_own).cloned().collect();
    }
    let before = |entry: &&Entry| {
        entry.record.decision == SamplingDecision::Dropped && entry.record.first < trace.first
    };
    let dropped = here().filter(before).map(|entry| entry.record.first).max();
    let of_it = here().filter(|entry| Some(entry.record.first) == dropped);
    of_it.chain(its_own).cloned().collect()
}
