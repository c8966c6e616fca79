//! Reads partitions from Kafka, each on one thread at a time, and has them compared.

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::message::Message as _;

use super::join::Scope;
use super::lane::{Lane, ReadCounts};
use super::panel::Question;
use super::plan::{Plan, Stretch, TimeSpan};
use super::routing::Places;
use super::stream::{Step, Stream, consumer};
use super::tally::Tally;
use crate::ids::{Offset, Partition, Timestamp};
use crate::retrieval::{Origin, Rate, RetrievalError};
use crate::sync::lock;

/// For so long, in the partition's time, the decision log is looked at behind the range for decisions that
/// are missing: an owner that begins again writes what its predecessor did not.
const LOG_SLACK: Duration = Duration::from_secs(120);

/// At the end of the topic, records that are so old are taken to be there: until then the clock goes on.
const QUIET: Duration = Duration::from_secs(10);

/// How partitions are read.
pub struct Reading<'a> {
    /// Where they are.
    pub origin: &'a Origin,
    /// What is asked.
    pub question: &'a Question,
    /// Of which traces.
    pub span: TimeSpan,
    /// The time on this machine's clock.
    pub now: Timestamp,
    /// For how long a trace is held.
    pub hold: Duration,
    /// How many are held, in all partitions that are read at once.
    pub room: usize,
    /// How many partitions are read at once.
    pub threads: usize,
    /// How fast it is read.
    pub rate: Option<&'a Rate>,
    /// Set by others when it has to end.
    pub stop: &'a AtomicBool,
    /// The records that were read so far.
    pub progress: &'a AtomicU64,
    /// Told whenever another partition was read to its end.
    pub finished: &'a (dyn Fn(&Compared) + Sync),
}

/// What was read.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// By candidate.
    pub tallies: Vec<Tally>,
    /// The partitions that were read to their ends.
    pub partitions: BTreeSet<Partition>,
    /// What was read of these.
    pub counts: ReadCounts,
}

/// Reads all that is planned, or until it is stopped: what was not read to its end then counts for nothing.
///
/// # Errors
/// When Kafka does not answer.
pub fn read(reading: &Reading<'_>, plan: &Plan) -> Result<Compared, RetrievalError> {
    let waiting: Mutex<VecDeque<&Stretch>> = Mutex::new(plan.stretches.iter().collect());
    let found = Mutex::new((Compared::default(), Places::default()));
    let failed = AtomicBool::new(false);
    let work = || -> Result<(), RetrievalError> {
        let clients = Clients::new(reading.origin)?;
        loop {
            let is_over = reading.stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
            let next = if is_over { None } else { lock(&waiting).pop_front() };
            let Some(stretch) = next else { return Ok(()) };
            let lane = reading.partition(&clients, stretch, &failed);
            let lane = lane.inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
            if let Some(lane) = lane {
                let (found, places) = &mut *lock(&found);
                places.add(stretch.partition, lane.seen(), &mut found.counts.routing);
                found.add(stretch.partition, lane.finish());
                (reading.finished)(found);
            }
        }
    };
    let ended: Result<Vec<()>, RetrievalError> = thread::scope(|scope| {
        let threads: Vec<_> = (0..reading.threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|it| it.join().expect("it does not panic")).collect()
    });
    ended?;
    let (mut found, _) = found.into_inner().expect("nobody panicked");
    // Nothing is in them, which was read quickly.
    let with_records = plan.stretches.iter().map(|stretch| stretch.partition).collect();
    found.partitions.extend(plan.chosen.difference(&with_records));
    Ok(found)
}

/// The clients of a thread.
struct Clients {
    spans: BaseConsumer,
    log: BaseConsumer,
}

impl Clients {
    fn new(origin: &Origin) -> Result<Self, RetrievalError> {
        let spans = consumer(origin, &origin.topic)?;
        Ok(Self { spans, log: consumer(origin, &origin.decision_log)? })
    }
}

impl Compared {
    fn add(&mut self, partition: Partition, (tallies, counts): (Vec<Tally>, ReadCounts)) {
        self.tallies.resize_with(tallies.len(), Tally::default);
        self.tallies.iter_mut().zip(&tallies).for_each(|(all, more)| all.add(more));
        self.counts.add(&counts);
        self.partitions.insert(partition);
    }
}

impl Reading<'_> {
    /// A partition that was read; `None` if that was stopped.
    fn partition(
        &self,
        clients: &Clients,
        stretch: &Stretch,
        failed: &AtomicBool,
    ) -> Result<Option<Lane>, RetrievalError> {
        let Stretch { partition, ref records, begin, ref decisions } = *stretch;
        let scope = Scope {
            partition,
            records: begin..records.end,
            from: self.span.from,
            to: self.span.to,
            hold: self.hold,
            room: self.room / self.threads.max(1),
        };
        let mut lane = Lane::new(self.question, scope);
        let origin = self.origin;
        let records = (partition, records.clone());
        let mut spans = Stream::open(&clients.spans, &origin.topic, records)?;
        let decisions = (partition, decisions.clone());
        let mut log = Stream::open(&clients.log, &origin.decision_log, decisions)?;
        let is_stopped = || self.stop.load(Ordering::Relaxed) || failed.load(Ordering::Relaxed);
        loop {
            if is_stopped() {
                return Ok(None);
            }
            let mut bytes = 0;
            let step = spans.next(|message| {
                bytes = message.payload_len();
                let timestamp = Timestamp(message.timestamp().to_millis().unwrap_or(0));
                let record = (message.key(), message.payload());
                lane.take_in_keyed(Offset(message.offset()), timestamp, record);
            })?;
            if step == Step::Ended {
                break;
            }
            self.progress.fetch_add(u64::from(step == Step::Record), Ordering::Relaxed);
            if let Some(rate) = self.rate {
                thread::sleep(rate.take(bytes));
            }
            let clock = lane.clock();
            let is_read = |lane: &Lane| lane.on_record_until().is_none_or(|until| until >= clock);
            if follow(&mut log, &mut lane, is_stopped, is_read)?.is_break() {
                return Ok(None);
            }
        }
        lane.advance_clock(self.span.to.min(self.now.before(QUIET)));
        let (to, last) = (self.span.to, self.span.to.after(LOG_SLACK));
        let is_read = |lane: &Lane| {
            let until = lane.on_record_until();
            until.is_none_or(|it| it >= last || it >= to && !lane.misses_old())
        };
        let followed = follow(&mut log, &mut lane, is_stopped, is_read)?;
        Ok(followed.is_continue().then_some(lane))
    }
}

/// Reads the decision log on until it is read far enough.
fn follow(
    log: &mut Stream<'_>,
    lane: &mut Lane,
    is_stopped: impl Fn() -> bool,
    is_read: impl Fn(&Lane) -> bool,
) -> Result<ControlFlow<()>, RetrievalError> {
    while !is_read(lane) {
        if is_stopped() {
            return Ok(ControlFlow::Break(()));
        }
        if log.next(|message| lane.take_in_decisions(message.payload()))? == Step::Ended {
            break;
        }
    }
    Ok(ControlFlow::Continue(()))
}
