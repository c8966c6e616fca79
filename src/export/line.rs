//! Who is sent next: requests that wait to be sent again, and what the queue holds.
//!
//! Promises that a request which waits holds nobody up: it lies here, and takes no consumer. While
//! the backend is down one request at a time is sent, and as soon as one is accepted, all that
//! waited for that go at once. Its bytes count in the queue until it is settled. What a failure
//! means is said by [`retry`](super::retry), whether the backend is down by
//! [`traffic`](super::traffic).

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::health::shortened;
use super::queue::{Due, Queue};
use super::retry::{History, Situation, Until, Verdict, Wait, told};
use super::settings::RetrySettings;
use super::traffic::{Failed, Tick, Traffic};
use super::transport::Failure;
use super::{Chunk, GIVEN_UP};

/// How often it is asked again whether what must not be sent may be sent.
const SUSPENDED_WAIT: Duration = Duration::from_millis(100);

/// Chunks that travel as one request, and what is known of it.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) chunks: Vec<Chunk>,
    /// `None`: it was never sent.
    history: Option<History>,
    /// The connection over which it failed last.
    pub(super) failed_over: Option<usize>,
    /// What was said the last time.
    said: String,
    /// It is to find out whether the backend is down still.
    is_probe: bool,
}

impl Parcel {
    fn new(chunks: Vec<Chunk>) -> Self {
        Self { chunks, history: None, failed_over: None, said: String::new(), is_probe: false }
    }

    /// Whether it, or what it is a half of, was sent before.
    pub(super) fn was_sent(&self) -> bool {
        self.history.is_some()
    }

    fn failures(&self) -> u32 {
        self.history.as_ref().map_or(0, |history| history.failures)
    }

    /// Two halves of what is at least two chunks.
    fn halves(mut self) -> [Self; 2] {
        let chunks = self.chunks.split_off(self.chunks.len() / 2);
        let half = |chunks: Vec<Chunk>| Self {
            history: self.history.as_ref().map(|it| it.of_half(chunks.len() == 1)),
            failed_over: self.failed_over,
            said: self.said.clone(),
            is_probe: false,
            chunks,
        };
        let second = half(chunks);
        [half(std::mem::take(&mut self.chunks)), second]
    }
}

/// A request that waits.
struct Waiting {
    parcel: Parcel,
    until: Until,
}

/// An attempt that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    sent: Tick,
    is_probe: bool,
}

/// What a failed attempt means.
#[derive(Debug)]
pub(super) struct Aftermath {
    /// Chunks that are refused, if any.
    pub(super) refused: Option<(Vec<Chunk>, &'static str)>,
    /// Others are accepted meanwhile: it is the request.
    pub(super) others_pass: bool,
    /// Nothing is accepted any more: it is the backend.
    pub(super) is_down: bool,
    /// How long it is waited, if it is sent again.
    pub(super) wait: Option<Duration>,
}

/// Requests that wait; see the module.
pub(super) struct Line {
    settings: RetrySettings,
    state: Mutex<State>,
    /// Held by the one consumer that waits for the next request.
    turnstile: tokio::sync::Mutex<()>,
}

struct State {
    traffic: Traffic,
    /// By when they are due, and in the order they came.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    next_number: u64,
    /// How many of them wait until another request is accepted.
    hopeful: usize,
    is_draining: bool,
}

impl Line {
    pub(super) fn new(settings: &RetrySettings) -> Self {
        Self {
            settings: settings.clone(),
            state: Mutex::new(State {
                traffic: Traffic::new(settings, Instant::now()),
                waiting: BTreeMap::new(),
                next_number: 0,
                hopeful: 0,
                is_draining: false,
            }),
            turnstile: tokio::sync::Mutex::new(()),
        }
    }

    /// The next request to be sent. Whoever gets one says what became of it.
    pub(super) async fn next(&self, queue: &Queue) -> Parcel {
        let _turn = self.turnstile.lock().await;
        loop {
            let found = self.lock().next(queue, Instant::now());
            match found {
                Ok(parcel) => return parcel,
                // Woken or timed out: either way it is looked again.
                Err(Some(at)) => drop(tokio::time::timeout_at(at, queue.woken()).await),
                Err(None) => queue.woken().await,
            }
        }
    }

    /// The request is being sent.
    pub(super) fn sent(&self, parcel: &mut Parcel) -> Attempt {
        parcel.history.get_or_insert_with(|| History::new(&self.settings, Instant::now()));
        Attempt { sent: self.lock().traffic.sent(), is_probe: parcel.is_probe }
    }

    /// A request was not sent after all.
    pub(super) fn unsent(&self, parcel: &Parcel, queue: &Queue) {
        if parcel.is_probe {
            self.lock().traffic.probed();
            queue.wake();
        }
    }

    /// Some chunks must not be sent before it is known whose they are. They do not age meanwhile.
    pub(super) fn suspend(&self, parcel: &Parcel, chunks: Vec<Chunk>, queue: &Queue) {
        let mut history = parcel.history.clone();
        if let Some(history) = &mut history {
            history.since += SUSPENDED_WAIT;
        }
        let parcel = Parcel { history, said: parcel.said.clone(), ..Parcel::new(chunks) };
        let due = Instant::now() + SUSPENDED_WAIT;
        self.lock().put(parcel, Wait { due, until: Until::Due });
        queue.wake();
    }

    /// The request, or a part of it, was accepted.
    pub(super) fn accepted(&self, attempt: Attempt, queue: &Queue) {
        let mut state = self.lock();
        state.traffic.accepted(attempt.sent);
        if state.hopeful > 0 {
            let ends = |until, others_pass| until == Until::Accepted && others_pass;
            state.release(Instant::now(), ends);
        }
        drop(state);
        queue.wake();
    }

    /// The attempt failed; the request comes back, in halves if that may help, unless it is
    /// refused.
    pub(super) fn failed(
        &self,
        mut parcel: Parcel,
        attempt: Attempt,
        failure: &Failure,
        queue: &Queue,
    ) -> Aftermath {
        let mut state = self.lock();
        let (now, random) = (Instant::now(), random());
        let mut history = parcel.history.take().expect("what was sent has a history");
        let others_pass = state.traffic.others_pass(history.failed_at);
        let is_alone = parcel.chunks.len() == 1;
        let is_sudden = state.traffic.is_well();
        let situation = Situation { others_pass, is_sudden, is_alone, now, random };
        let is_first = history.failures == 0;
        let verdict = history.failed(failure, situation, &self.settings);
        if attempt.is_probe {
            state.traffic.probed();
        }
        history.failed_at = Some(if others_pass || failure.is_too_large {
            state.traffic.failed_by_itself()
        } else {
            let failed = Failed { is_first, is_probe: attempt.is_probe, random };
            state.traffic.failed(failed, told(failure, &self.settings), now)
        });
        parcel.history = Some(history);
        parcel.said = shortened(&failure.message).to_owned();
        parcel.failed_over = failure.over;
        parcel.is_probe = false;
        let mut refused = None;
        let mut waits = None;
        match verdict {
            Verdict::Again(wait) => {
                waits = Some(wait);
                state.put(parcel, wait);
            }
            Verdict::Halves(wait) => {
                waits = Some(wait);
                for half in parcel.halves() {
                    state.put(half, wait);
                }
            }
            Verdict::Refuse => refused = Some((parcel.chunks, failure.code.name())),
            Verdict::GiveUp => refused = Some((parcel.chunks, GIVEN_UP)),
        }
        let is_down = state.traffic.is_down();
        drop(state);
        queue.wake();
        let wait = waits.map(|wait| wait.due.saturating_duration_since(now));
        Aftermath { refused, others_pass, is_down, wait }
    }

    /// Ends every wait that the backend did not ask for, for one last attempt in time.
    pub(super) fn drain(&self, queue: &Queue) {
        let mut state = self.lock();
        let now = Instant::now();
        if !std::mem::replace(&mut state.is_draining, true) {
            state.release(now, |until, _| until != Until::Due);
            state.traffic.hurry(now);
        }
        drop(state);
        queue.wake();
    }

    /// Takes out the chunks that `is_over` names, and whole requests whose `max_elapsed_time` is
    /// over, with what was said of them last.
    pub(super) fn sweep(&self, is_over: impl Fn(&Chunk) -> bool) -> Swept {
        let mut swept = Swept::default();
        let limit = self.settings.max_elapsed_time;
        let now = Instant::now();
        let mut state = self.lock();
        state.waiting.retain(|_, Waiting { parcel, .. }| {
            swept.over.extend(parcel.chunks.extract_if(.., |chunk| is_over(chunk)));
            let since = parcel.history.as_ref().map_or(now, |history| history.since);
            let is_late = !limit.is_zero() && now.saturating_duration_since(since) > limit;
            if is_late && !parcel.chunks.is_empty() {
                let (chunks, said) = (&mut parcel.chunks, &mut parcel.said);
                swept.given_up.push((std::mem::take(chunks), std::mem::take(said)));
            }
            !parcel.chunks.is_empty()
        });
        let hopeful = state.waiting.values().filter(|it| it.until == Until::Accepted).count();
        state.hopeful = hopeful;
        swept
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is consistent between statements, so a panic elsewhere does not spoil it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits no longer.
#[derive(Default)]
pub(super) struct Swept {
    /// Chunks of ownerships that ended.
    pub(super) over: Vec<Chunk>,
    /// Requests whose time is over, and what was said of them last.
    pub(super) given_up: Vec<(Vec<Chunk>, String)>,
}

impl State {
    fn put(&mut self, parcel: Parcel, Wait { due, until }: Wait) {
        let number = self.next_number;
        self.next_number += 1;
        self.hopeful += usize::from(until == Until::Accepted);
        self.waiting.insert((due, number), Waiting { parcel, until });
    }

    /// The request whose turn it is, or when to look again.
    fn next(&mut self, queue: &Queue, now: Instant) -> Result<Parcel, Option<Instant>> {
        if self.traffic.is_down() {
            return self.next_probe(queue, now);
        }
        let first = self.waiting.first_key_value().map(|(key, _)| *key);
        if let Some(key) = first.filter(|(due, _)| *due <= now) {
            return Ok(self.take(key));
        }
        let first = first.map(|(due, _)| due);
        match queue.due(now) {
            Due::Now(chunks) => Ok(Parcel::new(chunks)),
            Due::At(at) => Err(Some(first.map_or(at, |first| first.min(at)))),
            Due::WhenFilled => Err(first),
        }
    }

    /// The same while the backend is down: one at a time. What was never sent comes first, and then
    /// what was sent the least, so that what is at fault itself is not what the others wait for.
    fn next_probe(&mut self, queue: &Queue, now: Instant) -> Result<Parcel, Option<Instant>> {
        if !self.traffic.may_probe() {
            return Err(None);
        }
        let at = self.traffic.probe_at(false);
        let mut again = None;
        if at > now {
            again = Some(at);
        } else {
            match queue.due(now) {
                Due::Now(chunks) => return Ok(self.probe(Parcel::new(chunks))),
                Due::At(at) => again = Some(at),
                Due::WhenFilled => {}
            }
        }
        let at = self.traffic.probe_at(true);
        if at <= now {
            let may_go =
                |key: &(Instant, u64), it: &Waiting| key.0 <= now || it.until == Until::Accepted;
            let waiting = self.waiting.iter().filter(|(key, it)| may_go(key, it));
            let least = waiting.min_by_key(|(key, it)| (it.parcel.failures(), key.1));
            if let Some(key) = least.map(|(key, _)| *key) {
                let parcel = self.take(key);
                return Ok(self.probe(parcel));
            }
        }
        let first = self.waiting.first_key_value().map(|((due, _), _)| (*due).max(at));
        Err([again, first].into_iter().flatten().min())
    }

    fn probe(&mut self, mut parcel: Parcel) -> Parcel {
        self.traffic.probing();
        parcel.is_probe = true;
        parcel
    }

    fn take(&mut self, key: (Instant, u64)) -> Parcel {
        let Waiting { parcel, until } =
            self.waiting.remove(&key).expect("it was found under this key");
        self.hopeful -= usize::from(until == Until::Accepted);
        parcel
    }

    /// Makes those due now whose wait ends, in the order they came.
    fn release(&mut self, now: Instant, ends: impl Fn(Until, bool) -> bool) {
        let traffic = &self.traffic;
        let ends = |waiting: &Waiting| {
            let failed_at = waiting.parcel.history.as_ref().and_then(|it| it.failed_at);
            ends(waiting.until, traffic.others_pass(failed_at))
        };
        let later = self.waiting.range((now, u64::MAX)..);
        let keys: Vec<_> = later.filter(|(_, it)| ends(it)).map(|(key, _)| *key).collect();
        for key in keys {
            let parcel = self.take(key);
            self.waiting.insert((now, key.1), Waiting { parcel, until: Until::Drained });
        }
    }
}

/// An even draw from 0 to 1. Jitter needs no more than the standard library's hash keys.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(Instant::now());
    bits as f64 / u64::MAX as f64
}
