//! Look-ups for programs: so many at once, so many bytes a second, so much time, and the answers remembered
//! for a while.
//!
//! Promises an answer within [`LONGEST`], and that nobody gets spans of another tenant.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::away::Away;
use super::keep::{self, Verdict};
use super::metrics::LookupMetrics;
use super::{
    Budget, Entry, Fetched, Places, Rate, Retrieval, RetrievalError, RetrievalSettings, TimeRange,
    pieces,
};
use crate::ids::{Timestamp, TraceId};
use crate::sync::lock;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::{KeepAnswer, Retrieved};

/// How long an answer may take: Tempo fails the whole look-up after ten seconds.
const LONGEST: Duration = Duration::from_millis(7_500);

/// How long a request waits for others that are looked up before it.
const WAIT: Duration = Duration::from_secs(2);

/// How many may wait, for each that is looked up.
const WAITING: usize = 8;

/// How long a trace is remembered. Late spans of it may come.
const TRACE_STANDS: Duration = Duration::from_secs(60);

/// How long it is remembered that there is none: it may be decided at any moment.
const NONE_STANDS: Duration = Duration::from_secs(2);

/// What an answer in the cache weighs beside its bytes.
const OVERHEAD: usize = 256;

/// How much earlier than a span says the clock of the decision log may be.
const BEFORE: i64 = 10_000;

/// When, after its time, a trace is decided; a minute, a few minutes for its late spans, and up to this where
/// members are behind.
const DECIDED: [i64; 3] = [60_000, 5 * 60_000, 15 * 60_000];

/// How often it is logged that Kafka does not answer.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) id: TraceId,
    /// The trace was there at some time between these, in milliseconds since the Unix epoch.
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    /// Kept traces, too.
    pub(super) all: bool,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Retrieved,
    /// A message `TracesData`; empty unless it was found.
    pub(super) data: Bytes,
    /// Bytes of records that were read.
    pub(super) read: u64,
    pub(super) took: Duration,
}

/// What is known of a question, whoever asked: the trace, or why there is none.
type Known = Result<Bytes, Retrieved>;

/// See the module.
pub(super) struct Lookups {
    settings: RetrievalSettings,
    idle: Mutex<Vec<Retrieval>>,
    slots: Arc<Semaphore>,
    queue: Semaphore,
    rate: Arc<Rate>,
    cache: Cache<Question, Known>,
    away: Away,
    trouble: LogThrottle,
    metrics: LookupMetrics,
}

impl Lookups {
    pub(super) fn new(settings: RetrievalSettings) -> Self {
        let weight = |_: &Question, known: &Known| {
            let bytes = known.as_ref().map_or(0, Bytes::len) + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(settings.cache_bytes)
            .weigher(weight)
            .expire_after(Stands)
            .build();
        Self {
            idle: Mutex::default(),
            slots: Arc::new(Semaphore::new(settings.lookups)),
            queue: Semaphore::new(settings.lookups * (1 + WAITING)),
            rate: Arc::new(Rate::new(settings.bytes_per_second)),
            cache,
            away: Away::default(),
            trouble: LogThrottle::new(LOG_INTERVAL),
            metrics: LookupMetrics::new(),
            settings,
        }
    }

    /// The answer for one of these tenants, if spans have tenants, of at most so many bytes.
    pub(super) async fn look_up(
        self: &Arc<Self>,
        question: Question,
        tenants: &[&str],
        limit: usize,
    ) -> Answer {
        let start = Instant::now();
        let (known, read) = match self.cache.get(&question) {
            Some(known) => {
                self.metrics.cached.increment(1);
                (known, 0)
            }
            None => self.ask(question, start + LONGEST).await,
        };
        let (outcome, data) = match known.and_then(|data| self.of_tenants(data, tenants, limit)) {
            Ok(data) => (Retrieved::Found, data),
            Err(outcome) => (outcome, Bytes::new()),
        };
        let answer = Answer { outcome, data, read, took: start.elapsed() };
        self.metrics.answered(outcome, answer.took, read);
        answer
    }

    /// Nothing is looked up.
    pub(super) fn refuse(&self, outcome: Retrieved) -> Answer {
        self.metrics.answered(outcome, Duration::ZERO, 0);
        Answer { outcome, data: Bytes::new(), read: 0, took: Duration::ZERO }
    }

    /// Spans of a trace that was found were not sent, for want of room.
    pub(super) fn count_cut(&self) {
        self.metrics.cut.increment(1);
    }

    /// Somebody asked for a trace to be kept.
    pub(super) fn asked(&self, outcome: KeepAnswer) {
        self.metrics.asked(outcome);
    }

    async fn ask(self: &Arc<Self>, question: Question, until: Instant) -> (Known, u64) {
        let answer = self.in_turn(until, move |this| this.work(question, until)).await;
        answer.unwrap_or_else(|why| (Err(why), 0))
    }

    /// Whether a trace of these tenants can be kept after all, and what has to be asked for then.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub(super) async fn verdict(
        self: &Arc<Self>,
        id: TraceId,
        tenants: &[&str],
    ) -> Result<Verdict, Retrieved> {
        let until = Instant::now() + LONGEST;
        let tenants: Vec<String> = tenants.iter().map(|&tenant| tenant.to_owned()).collect();
        let judge = move |this: &Self| {
            let judge = |retrieval: &mut Retrieval, budget: &mut Budget| {
                let Some(group) = this.settings.origin.group else {
                    return Ok(Err(Retrieved::NotFound));
                };
                let entries = retrieval.find(id, TimeRange::default(), budget)?;
                let places = Places::of(&entries);
                let fetched = retrieval.fetch(id, &places, budget)?;
                let is_whole = !places.is_gone() && fetched.missing == 0;
                if !this.are_all_of(&fetched, &tenants) {
                    return Ok(Err(Retrieved::WrongTenant));
                }
                Ok(Ok(keep::verdict(group, id, &entries, is_whole)))
            };
            this.with(until, judge).0
        };
        self.in_turn(until, judge).await?.map_err(|error| self.outcome(&error))?
    }

    /// True if all that is left of a trace, which is something, is of these tenants; or spans have none.
    fn are_all_of(&self, fetched: &Fetched, tenants: &[String]) -> bool {
        let Some(attribute) = self.settings.tenant_attribute.as_deref() else { return true };
        let tenants: Vec<&str> = tenants.iter().map(String::as_str).collect();
        let mut resources = fetched.parts.iter().flat_map(|part| pieces::resources(&part.bytes));
        !fetched.parts.is_empty()
            && resources.all(|resource| pieces::is_of(resource, attribute, &tenants))
    }

    /// Has `work` done when it is its turn.
    async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        until: Instant,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Retrieved> {
        if self.away.is_known(Instant::now()) {
            return Err(Retrieved::KafkaAway);
        }
        let Ok(_waits) = self.queue.try_acquire() else { return Err(Retrieved::OverBudget) };
        let slot = tokio::time::timeout(WAIT, Arc::clone(&self.slots).acquire_owned()).await;
        let Ok(Ok(slot)) = slot else { return Err(Retrieved::OverBudget) };
        let this = Arc::clone(self);
        let work = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work(&this)
        });
        match tokio::time::timeout_at(until.into(), work).await {
            Ok(Ok(result)) => Ok(result),
            // It is about to end by itself.
            Ok(Err(_)) | Err(_) => Err(Retrieved::OverBudget),
        }
    }

    /// Looks something up; returns how many bytes were read, too.
    fn with<T>(
        &self,
        until: Instant,
        look: impl FnOnce(&mut Retrieval, &mut Budget) -> Result<T, RetrievalError>,
    ) -> (Result<T, RetrievalError>, u64) {
        let mut budget = Budget::of_a_request(until, Arc::clone(&self.rate));
        let idle = lock(&self.idle).pop();
        let retrieval = idle.map_or_else(|| Retrieval::new(self.settings.origin.clone()), Ok);
        let found = retrieval.and_then(|mut retrieval| {
            let found = look(&mut retrieval, &mut budget);
            // After an error of Kafka another one is made.
            if !matches!(found, Err(RetrievalError::Kafka { .. } | RetrievalError::Silent(_))) {
                lock(&self.idle).push(retrieval);
                self.away.answered();
            }
            found
        });
        (found, budget.bytes())
    }

    fn work(&self, question: Question, until: Instant) -> (Known, u64) {
        let (found, read) = self.with(until, |retrieval, budget| open(retrieval, question, budget));
        let known = found.map_err(|error| self.outcome(&error)).and_then(|found| found);
        if !matches!(known, Err(Retrieved::KafkaAway | Retrieved::OverBudget)) {
            self.cache.insert(question, known.clone());
        }
        (known, read)
    }

    fn outcome(&self, error: &RetrievalError) -> Retrieved {
        match error {
            RetrievalError::NotFound => Retrieved::NotFound,
            RetrievalError::StillOpen => Retrieved::StillOpen,
            RetrievalError::BeyondRetention => Retrieved::BeyondRetention,
            RetrievalError::OverBudget => Retrieved::OverBudget,
            RetrievalError::NoTopic(_)
            | RetrievalError::Kafka { .. }
            | RetrievalError::Silent(_) => {
                self.away.silent(Instant::now());
                if let Some(suppressed) = self.trouble.allow() {
                    tracing::warn!(%error, suppressed, "retrieval.kafka_away");
                }
                Retrieved::KafkaAway
            }
        }
    }

    /// What of the trace these tenants may see, cut to what an answer may be.
    fn of_tenants(&self, data: Bytes, tenants: &[&str], limit: usize) -> Known {
        let attribute = self.settings.tenant_attribute.as_deref();
        if attribute.is_none() && data.len() <= limit {
            return Ok(data);
        }
        let is_theirs =
            |it: &&[u8]| attribute.is_none_or(|attribute| pieces::is_of(it, attribute, tenants));
        let (data, is_cut) = pieces::join(pieces::resources(&data).filter(is_theirs), limit);
        if is_cut {
            self.count_cut();
        }
        if data.is_empty() { Err(Retrieved::WrongTenant) } else { Ok(data.into()) }
    }
}

/// How long answers stay.
struct Stands;

impl Expiry<Question, Known> for Stands {
    fn expire_after_create(&self, _: &Question, known: &Known, _: Instant) -> Option<Duration> {
        Some(match known {
            // Decisions are final.
            Ok(_) | Err(Retrieved::Kept | Retrieved::BeyondRetention) => TRACE_STANDS,
            Err(_) => NONE_STANDS,
        })
    }
}

/// Finds a trace and reads it. What is not whole is no trace.
fn open(
    retrieval: &mut Retrieval,
    question: Question,
    budget: &mut Budget,
) -> Result<Known, RetrievalError> {
    let entries = find(retrieval, question, budget)?;
    if !question.all && are_with_backend(&entries) {
        return Ok(Err(Retrieved::Kept));
    }
    let places = Places::of(&entries);
    let fetched = retrieval.fetch(question.id, &places, budget)?;
    if places.is_gone() || fetched.missing > 0 || fetched.parts.is_empty() {
        return Err(RetrievalError::BeyondRetention);
    }
    // Messages one after the other are one message, with the lists of all of them.
    let parts: Vec<u8> = fetched.parts.into_iter().flat_map(|part| part.bytes).collect();
    Ok(Ok(parts.into()))
}

/// The entries on a trace: first those of the time when it should have been decided.
fn find(
    retrieval: &mut Retrieval,
    Question { id, start, end, .. }: Question,
    budget: &mut Budget,
) -> Result<Vec<Entry>, RetrievalError> {
    let from = start.map(|start| Timestamp(start.saturating_sub(BEFORE)));
    let Some(end) = end else {
        return retrieval.find(id, TimeRange { from, to: None }, budget);
    };
    let [soon, late_spans, behind] = DECIDED.map(|it| Timestamp(end.saturating_add(it)));
    let later = |to| TimeRange { from: Some(Timestamp(soon.0.saturating_add(1))), to: Some(to) };
    match retrieval.find(id, TimeRange { from, to: Some(soon) }, budget) {
        Ok(mut entries) => {
            let partition = entries[0].partition;
            entries.extend(retrieval.find_more(id, (partition, later(late_spans)), budget)?);
            Ok(entries)
        }
        Err(RetrievalError::NotFound | RetrievalError::BeyondRetention) => {
            retrieval.find(id, later(behind), budget)
        }
        Err(error) => Err(error),
    }
}

/// True if the backend has all of a trace: it was kept, or that it was dropped was taken back and all delivered.
fn are_with_backend(entries: &[Entry]) -> bool {
    let is_reopened = |entry: &Entry| entry.record.trigger.takes_back() && entry.record.delivered;
    entries.iter().all(Entry::is_kept) || entries.iter().any(is_reopened)
}
