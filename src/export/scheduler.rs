//! Which request is sent next: one that waits to be sent again, or a new one from the queue.
//!
//! Promises that a request that waits delays no other: it waits here, and occupies no consumer.
//! Requests that failed before and new ones take turns, and the former never occupy all consumers, so
//! that attempts that hang delay no others either. While the backend is down one request at a time is
//! sent; as soon as one is accepted, all that waited for this are sent. The bytes of a request count
//! in the queue until it is settled. Leaves to [`retry`](super::retry) what a failure means, and to
//! [`circuit_breaker`](super::circuit_breaker) whether the backend is down.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::circuit_breaker::{CircuitBreaker, Failed, Tick};
use super::health::shortened;
use super::pending_request::PendingRequest;
use super::queue::{Due, Queue};
use super::retry::{History, NextStep, Situation, Until, Wait, requested_delay};
use super::settings::{QueueSettings, RetrySettings};
use super::transport::Failure;
use super::{Chunk, GIVEN_UP};
use crate::sync::lock;

/// How often the fence is asked again about chunks that are suspended.
const SUSPENDED_WAIT: Duration = Duration::from_millis(100);

/// A request that waits.
struct Waiting {
    request: PendingRequest,
    until: Until,
}

/// An attempt in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    sent: Tick,
    is_probe: bool,
}

/// What a failed attempt means.
#[derive(Debug)]
pub(super) struct AfterFailure {
    /// Chunks that are refused, if any.
    pub(super) refused: Option<(Vec<Chunk>, &'static str)>,
    /// Others are accepted meanwhile, so the request is at fault.
    pub(super) others_pass: bool,
    /// Nothing is accepted any more, so the backend is at fault.
    pub(super) is_down: bool,
    /// How long the request waits, if it is sent again.
    pub(super) wait: Option<Duration>,
}

/// Requests that wait; see the module.
pub(super) struct Scheduler {
    settings: RetrySettings,
    /// If suspect requests of one chunk take more bytes than these, they crowd the queue.
    crowd_bytes: usize,
    state: Mutex<State>,
    /// Held by the one consumer that waits for the next request.
    turnstile: tokio::sync::Mutex<()>,
}

struct State {
    breaker: CircuitBreaker,
    /// By the time when they are due, then in the order in which they came.
    waiting: BTreeMap<(Instant, u64), Waiting>,
    next_number: u64,
    /// How many of them wait until another request is accepted.
    hopeful: usize,
    is_draining: bool,
    settings: RetrySettings,
    /// Bytes of the suspect requests of one chunk that wait.
    suspect_bytes: usize,
    /// How many requests that were sent before are with consumers, and how many may be.
    again: usize,
    most_again: usize,
    /// The request that was taken last was a new one.
    was_new: bool,
}

impl Scheduler {
    pub(super) fn new(settings: &RetrySettings, queue: &QueueSettings) -> Self {
        Self {
            settings: settings.clone(),
            crowd_bytes: queue.queue_size_bytes / 2,
            state: Mutex::new(State {
                breaker: CircuitBreaker::new(settings, Instant::now()),
                waiting: BTreeMap::new(),
                next_number: 0,
                hopeful: 0,
                is_draining: false,
                settings: settings.clone(),
                suspect_bytes: 0,
                again: 0,
                most_again: queue.num_consumers.saturating_sub(1).max(1),
                was_new: false,
            }),
            turnstile: tokio::sync::Mutex::new(()),
        }
    }

    /// The next request to be sent. The caller reports what became of it.
    pub(super) async fn next(&self, queue: &Queue) -> PendingRequest {
        let _turn = self.turnstile.lock().await;
        loop {
            let found = lock(&self.state).next(queue, Instant::now());
            match found {
                Ok(request) => return request,
                // Woken or timed out: look again.
                Err(Some(at)) => drop(tokio::time::timeout_at(at, queue.woken()).await),
                Err(None) => queue.woken().await,
            }
        }
    }

    /// A consumer has finished with the request that it got, which `was_sent` before or was not.
    pub(super) fn done(&self, was_sent: bool, queue: &Queue) {
        if was_sent {
            let mut state = lock(&self.state);
            debug_assert!(state.again > 0);
            state.again = state.again.saturating_sub(1);
            drop(state);
            queue.wake();
        }
    }

    /// The request is being sent.
    pub(super) fn sent(&self, request: &mut PendingRequest) -> Attempt {
        request.history.get_or_insert_with(|| History::new(&self.settings, Instant::now()));
        Attempt { sent: lock(&self.state).breaker.sent(), is_probe: request.is_probe }
    }

    /// A request was not sent after all.
    pub(super) fn unsent(&self, request: &PendingRequest, queue: &Queue) {
        if request.is_probe {
            lock(&self.state).breaker.probed();
            queue.wake();
        }
    }

    /// Some chunks wait because their generation is suspended. They do not age meanwhile.
    pub(super) fn suspend(&self, request: &PendingRequest, chunks: Vec<Chunk>, queue: &Queue) {
        let mut history = request.history.clone();
        if let Some(history) = &mut history {
            history.since += SUSPENDED_WAIT;
        }
        let request =
            PendingRequest { history, said: request.said.clone(), ..PendingRequest::new(chunks) };
        let due = Instant::now() + SUSPENDED_WAIT;
        lock(&self.state).put(request, Wait { due, until: Until::Due });
        queue.wake();
    }

    /// The request, or a part of it, was accepted.
    pub(super) fn accepted(&self, attempt: Attempt, queue: &Queue) {
        let mut state = lock(&self.state);
        state.breaker.accepted(attempt.sent);
        if state.hopeful > 0 {
            let ends = |until, others_pass| until == Until::Accepted && others_pass;
            state.release(Instant::now(), ends);
        }
        drop(state);
        queue.wake();
    }

    /// The attempt failed. Unless it is refused, the request waits to be sent again, in halves if
    /// that may help.
    pub(super) fn failed(
        &self,
        mut request: PendingRequest,
        attempt: Attempt,
        failure: &Failure,
        queue: &Queue,
    ) -> AfterFailure {
        let mut state = lock(&self.state);
        let (now, random) = (Instant::now(), rand::random());
        let suspect_bytes = state.suspect_bytes + request.suspect_bytes(&self.settings);
        let mut history = request.history.take().expect("what was sent has a history");
        let others_pass = state.breaker.others_pass(history.failed_at);
        let is_alone = request.chunks.len() == 1;
        let is_sudden = state.breaker.is_well();
        let is_crowded = suspect_bytes > self.crowd_bytes;
        let situation = Situation { others_pass, is_sudden, is_alone, is_crowded, now, random };
        let is_first = history.failures == 0;
        let next = history.failed(failure, situation, &self.settings);
        if attempt.is_probe {
            state.breaker.probed();
        }
        history.failed_at = Some(if others_pass || failure.is_too_large {
            state.breaker.failed_by_itself()
        } else {
            let failed = Failed { is_first, is_probe: attempt.is_probe, random };
            state.breaker.failed(failed, requested_delay(failure, &self.settings), now)
        });
        request.history = Some(history);
        if !self.settings.max_elapsed_time.is_zero() {
            // It is needed only if the request is given up while it waits, and no bound counts it.
            request.said = shortened(&failure.message).to_owned();
        }
        request.failed_over = failure.over;
        request.is_probe = false;
        let mut refused = None;
        let mut waits = None;
        match next {
            NextStep::Again(wait) => {
                waits = Some(wait);
                state.put(request, wait);
            }
            NextStep::Halves(wait) => {
                waits = Some(wait);
                for half in request.halves() {
                    state.put(half, wait);
                }
            }
            NextStep::Refuse => refused = Some((request.chunks, failure.code.name())),
            NextStep::GiveUp => refused = Some((request.chunks, GIVEN_UP)),
        }
        let is_down = state.breaker.is_down();
        drop(state);
        queue.wake();
        let wait = waits.map(|wait| wait.due.saturating_duration_since(now));
        AfterFailure { refused, others_pass, is_down, wait }
    }

    /// Ends every wait that the backend did not ask for, so that there is time for a last attempt.
    pub(super) fn drain(&self, queue: &Queue) {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if !std::mem::replace(&mut state.is_draining, true) {
            state.release(now, |until, _| until != Until::Due);
            state.breaker.hurry(now);
        }
        drop(state);
        queue.wake();
    }

    /// Takes out the chunks for which `is_over` is true, and whole requests whose `max_elapsed_time`
    /// is over, each with its last error.
    pub(super) fn sweep(&self, is_over: impl Fn(&Chunk) -> bool) -> Swept {
        let mut swept = Swept::default();
        let limit = self.settings.max_elapsed_time;
        let now = Instant::now();
        let mut state = lock(&self.state);
        state.waiting.retain(|_, Waiting { request, .. }| {
            swept.over.extend(request.chunks.extract_if(.., |chunk| is_over(chunk)));
            let since = request.history.as_ref().map_or(now, |history| history.since);
            let is_late = !limit.is_zero() && now.saturating_duration_since(since) > limit;
            if is_late && !request.chunks.is_empty() {
                let (chunks, said) = (&mut request.chunks, &mut request.said);
                swept.given_up.push((std::mem::take(chunks), std::mem::take(said)));
            }
            !request.chunks.is_empty()
        });
        let waiting = state.waiting.values();
        let hopeful = waiting.clone().filter(|it| it.until == Until::Accepted).count();
        let suspect = waiting.map(|it| it.request.suspect_bytes(&self.settings)).sum();
        (state.hopeful, state.suspect_bytes) = (hopeful, suspect);
        swept
    }
}

/// What was taken out of the waiting requests.
#[derive(Default)]
pub(super) struct Swept {
    /// Chunks whose generation has ended.
    pub(super) over: Vec<Chunk>,
    /// Requests whose time is over, each with its last error.
    pub(super) given_up: Vec<(Vec<Chunk>, String)>,
}

impl State {
    fn put(&mut self, request: PendingRequest, Wait { due, until }: Wait) {
        let number = self.next_number;
        self.next_number += 1;
        self.insert((due, number), Waiting { request, until });
    }

    fn insert(&mut self, key: (Instant, u64), waiting: Waiting) {
        self.hopeful += usize::from(waiting.until == Until::Accepted);
        self.suspect_bytes += waiting.request.suspect_bytes(&self.settings);
        self.waiting.insert(key, waiting);
    }

    /// The request whose turn it is, or when to look again.
    fn next(&mut self, queue: &Queue, now: Instant) -> Result<PendingRequest, Option<Instant>> {
        let request = if self.breaker.is_down() {
            self.next_probe(queue, now)
        } else {
            self.next_of_both(queue, now)
        }?;
        self.was_new = !request.was_sent();
        self.again += usize::from(request.was_sent());
        Ok(request)
    }

    /// One that waits or a new one, by turns if both are due.
    fn next_of_both(
        &mut self,
        queue: &Queue,
        now: Instant,
    ) -> Result<PendingRequest, Option<Instant>> {
        // If too many are with consumers, the one that finishes wakes the next.
        let may_go = self.again < self.most_again;
        let first = self.waiting.first_key_value().map(|(key, _)| *key).filter(|_| may_go);
        let ready = first.filter(|(due, _)| *due <= now);
        if let Some(key) = ready.filter(|_| self.was_new) {
            return Ok(self.take(key));
        }
        let at = match queue.due(now) {
            Due::Now(chunks) => return Ok(PendingRequest::new(chunks)),
            Due::At(at) => Some(at),
            Due::WhenFilled => None,
        };
        if let Some(key) = ready {
            return Ok(self.take(key));
        }
        Err(at.into_iter().chain(first.map(|(due, _)| due)).min())
    }

    /// The same while the backend is down: one at a time. New requests come first, and then those
    /// that were sent least often, so that the others do not wait for one that is at fault itself.
    fn next_probe(
        &mut self,
        queue: &Queue,
        now: Instant,
    ) -> Result<PendingRequest, Option<Instant>> {
        if !self.breaker.may_probe() {
            return Err(None);
        }
        let at = self.breaker.probe_at(false);
        let mut again = None;
        if at > now {
            again = Some(at);
        } else {
            match queue.due(now) {
                Due::Now(chunks) => return Ok(self.probe(PendingRequest::new(chunks))),
                Due::At(at) => again = Some(at),
                Due::WhenFilled => {}
            }
        }
        let at = self.breaker.probe_at(true);
        if at <= now {
            let may_go =
                |key: &(Instant, u64), it: &Waiting| key.0 <= now || it.until == Until::Accepted;
            let waiting = self.waiting.iter().filter(|(key, it)| may_go(key, it));
            let least = waiting.min_by_key(|(key, it)| (it.request.failures(), key.1));
            if let Some(key) = least.map(|(key, _)| *key) {
                let request = self.take(key);
                return Ok(self.probe(request));
            }
        }
        // Those that wait for the backend may be sent as soon as it may be probed.
        let first = self.waiting.first_key_value().map(|((due, _), _)| (*due).max(at));
        let first = if self.hopeful > 0 { Some(at) } else { first };
        Err([again, first].into_iter().flatten().min())
    }

    fn probe(&mut self, mut request: PendingRequest) -> PendingRequest {
        self.breaker.probing();
        request.is_probe = true;
        request
    }

    fn take(&mut self, key: (Instant, u64)) -> PendingRequest {
        let Waiting { request, until } =
            self.waiting.remove(&key).expect("it was found under this key");
        self.hopeful -= usize::from(until == Until::Accepted);
        self.suspect_bytes -= request.suspect_bytes(&self.settings);
        request
    }

    /// Makes due now, in the order in which they came, those for which `ends` is true.
    fn release(&mut self, now: Instant, ends: impl Fn(Until, bool) -> bool) {
        let breaker = &self.breaker;
        let ends = |waiting: &Waiting| {
            let failed_at = waiting.request.history.as_ref().and_then(|it| it.failed_at);
            ends(waiting.until, breaker.others_pass(failed_at))
        };
        let later = self.waiting.range((now, u64::MAX)..);
        let keys: Vec<_> = later.filter(|(_, it)| ends(it)).map(|(key, _)| *key).collect();
        for key in keys {
            let request = self.take(key);
            self.insert((now, key.1), Waiting { request, until: Until::Drained });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Limits;
    use super::super::testing::{chunk, failure};
    use super::*;

    fn queue() -> Queue {
        let (capacity, flush_interval) = (1000, Duration::ZERO);
        Queue::new(Limits { capacity, max_batch: 100, full_batch: 100, flush_interval })
    }

    fn scheduler(settings: &RetrySettings) -> Scheduler {
        let settings = RetrySettings { randomization_factor: 0.0, ..settings.clone() };
        Scheduler::new(&settings, &QueueSettings::default())
    }

    /// The next request, which is sent and fails.
    async fn fails(scheduler: &Scheduler, queue: &Queue, delay: Option<Duration>) {
        let mut request = scheduler.next(queue).await;
        let was_sent = request.was_sent();
        let attempt = scheduler.sent(&mut request);
        let failure = Failure { retry_after: delay, ..failure(tonic::Code::Unavailable) };
        scheduler.failed(request, attempt, &failure, queue);
        scheduler.done(was_sent, queue);
    }

    /// Scenario: a request has failed so often that its own wait is long, the backend was well for a
    /// moment, and is down again since a request that is not there any more.
    /// Guarantees: it goes as soon as the backend may be asked again.
    #[tokio::test(start_paused = true)]
    async fn what_waits_for_the_backend_goes_when_that_may_be_asked() {
        let (scheduler, queue) = (scheduler(&RetrySettings::default()), queue());
        queue.push(chunk(1, 10)).unwrap();
        let mut slow = scheduler.next(&queue).await;
        let attempt = scheduler.sent(&mut slow);
        queue.push(chunk(2, 10)).unwrap();
        for _ in 0..5 {
            fails(&scheduler, &queue, None).await;
        }
        // It was sent before, so it is no evidence, but the backend is well.
        scheduler.accepted(attempt, &queue);
        queue.push(chunk(3, 10)).unwrap();
        fails(&scheduler, &queue, None).await;
        scheduler.accepted(attempt, &queue);
        // One that asks for minutes, and then the one before again.
        queue.push(chunk(4, 10)).unwrap();
        fails(&scheduler, &queue, Some(Duration::from_secs(300))).await;
        fails(&scheduler, &queue, None).await;
        assert!(lock(&scheduler.state).breaker.is_down());
        scheduler.sweep(|chunk| chunk.ticket.delivery.0 == 3);
        let start = Instant::now();
        let next = scheduler.next(&queue).await;
        assert_eq!(next.chunks[0].ticket.delivery.0, 2);
        assert_eq!(start.elapsed(), Duration::from_millis(7500));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_is_kept_only_for_what_may_be_given_up() {
        let mut settings = RetrySettings::default();
        for is_kept in [false, true] {
            let (scheduler, queue) = (scheduler(&settings), queue());
            queue.push(chunk(1, 10)).unwrap();
            fails(&scheduler, &queue, None).await;
            let has_text =
                !lock(&scheduler.state).waiting.values().next().unwrap().request.said.is_empty();
            assert_eq!(has_text, is_kept);
            settings.max_elapsed_time = Duration::from_secs(3600);
        }
    }
}
