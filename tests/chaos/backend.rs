//! The backend: a receiver for each slot, so that it is known who brought what, with one book and
//! one mood.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tailsieve::testing::ids::TraceId;
use tailsieve::testing::testbed::receiver::{Behaviour, Receiver};
use tonic::Code;

use crate::book::{Book, Delivery, decode, spans, traces};
use crate::fault::{Answer, RETRYABLE};
use crate::http::HttpServer;
use crate::options::HTTP;

/// How long a member waits for an answer, as its static file says.
pub const EXPORT_TIMEOUT: Duration = Duration::from_secs(4);

/// Whether the member of a slot speaks HTTP.
pub fn speaks_http(slot: usize) -> bool {
    HTTP && slot % 2 == 1
}

/// A running backend.
pub struct Backend {
    ways: Vec<Way>,
    state: Arc<State>,
}

/// Where the member of a slot brings its spans.
enum Way {
    Grpc(Receiver),
    Http(HttpServer),
}

struct State {
    started: Instant,
    answer: Mutex<Answer>,
    rng: Mutex<StdRng>,
    book: Mutex<Book>,
}

impl Backend {
    /// A backend with so many receivers. Times in its book count from `started`.
    pub async fn start(slots: usize, seed: u64, started: Instant) -> Self {
        let state = Arc::new(State {
            started,
            answer: Mutex::new(Answer::Accept),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            book: Mutex::default(),
        });
        let mut ways = Vec::new();
        for slot in 0..slots {
            let state = Arc::clone(&state);
            let judge = Arc::new(move |request: &Bytes| state.judge(slot, request));
            if speaks_http(slot) {
                ways.push(Way::Http(HttpServer::start(judge).await));
                continue;
            }
            let receiver = Receiver::start(([127, 0, 0, 1], 0).into(), Box::new(|_| ())).await;
            let receiver = receiver.unwrap();
            receiver.behave(Behaviour::Judge(judge));
            ways.push(Way::Grpc(receiver));
        }
        Self { ways, state }
    }

    /// Where the member of `slot` finds it.
    pub fn address(&self, slot: usize) -> SocketAddr {
        match &self.ways[slot] {
            Way::Grpc(receiver) => receiver.local_addr(),
            Way::Http(server) => server.address(),
        }
    }

    /// From now on, answer so.
    pub fn answer(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    /// Looks at the book.
    pub fn read<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        look(&self.state.book.lock().unwrap())
    }
}

impl State {
    /// Says what to do with a request, and enters it if it is taken or refused.
    fn judge(&self, slot: usize, request: &Bytes) -> Behaviour {
        let answer = match *self.answer.lock().unwrap() {
            Answer::Mixed => self.draw(),
            answer => answer,
        };
        let take = |is_acknowledged| {
            let decoded = decode(request);
            if spans(&decoded).next().is_none() {
                // By such a request a member only finds out whether somebody takes it.
                return;
            }
            let at = self.started.elapsed();
            let delivery = Delivery { at, slot, is_acknowledged, spans: 0 };
            self.book.lock().unwrap().take(&decoded, delivery);
        };
        match answer {
            Answer::Accept | Answer::Mixed => {
                take(true);
                Behaviour::Accept
            }
            Answer::Partial => {
                take(true);
                Behaviour::PartialSuccess { rejected: 1 }
            }
            Answer::AcceptThenFail => {
                take(false);
                Behaviour::AcceptThenFail
            }
            Answer::AcceptThenClose => {
                take(false);
                self.close(slot);
                Behaviour::AcceptThenClose
            }
            Answer::Slow(delay) => {
                // The time of the way counts, too: what is close to the limit may be over it.
                take(delay < EXPORT_TIMEOUT / 2);
                Behaviour::Delay(delay)
            }
            Answer::Code(Code::ResourceExhausted) => {
                let wait = Duration::from_millis(300);
                Behaviour::Code(Code::ResourceExhausted, Some(wait))
            }
            Answer::Code(code) => Behaviour::Code(code, None),
            Answer::NoStatus => Behaviour::NoStatus,
            Answer::Close => {
                self.close(slot);
                Behaviour::CloseConnection
            }
            Answer::Restart(code) => match self.rng.lock().unwrap().random_range(0..3) {
                0 => Behaviour::Page(502),
                _ => Behaviour::Code(code, None),
            },
            Answer::Refuse(code) => match self.is_refused(request) {
                true => Behaviour::Code(code, None),
                false => {
                    take(true);
                    Behaviour::Accept
                }
            },
        }
    }

    /// Whether a request has unlucky traces in it; then these are entered. If it lasts, they become
    /// dead letters.
    fn is_refused(&self, request: &Bytes) -> bool {
        let traces = traces(&decode(request)).into_iter();
        let unlucky: Vec<TraceId> = traces.filter(|id| id.as_bytes()[0] < 16).collect();
        self.book.lock().unwrap().refused.extend(&unlucky);
        !unlucky.is_empty()
    }

    fn close(&self, slot: usize) {
        self.book.lock().unwrap().closings.push((self.started.elapsed(), slot));
    }

    fn draw(&self) -> Answer {
        let mut rng = self.rng.lock().unwrap();
        match rng.random_range(0..10) {
            0..3 => Answer::Accept,
            3 => Answer::Partial,
            4 => Answer::NoStatus,
            5 => Answer::Close,
            6 => Answer::AcceptThenFail,
            7 => Answer::AcceptThenClose,
            8 => Answer::Slow(Duration::from_millis(rng.random_range(100..3000))),
            _ => Answer::Code(*RETRYABLE.choose(&mut *rng).expect("there are some")),
        }
    }
}
