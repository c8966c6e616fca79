//! What a run is asked for, from the environment that `tests/run chaos` sets.

use std::env;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Whether the members under test keep a decision log. Without one, a new owner of a partition
/// does not know what was decided before: late spans may be judged by themselves, and what was
/// delivered since the last commit is delivered again.
pub const DECISION_LOG: bool = true;

/// Whether the members under test keep dead letters. Without them, what a backend refuses for good
/// is gone.
pub const DEAD_LETTERS: bool = true;

/// Whether every other member exports over HTTP.
pub const HTTP: bool = true;

/// Spans that the long form writes at least.
const LONG_SPANS: u64 = 1_000_000;

/// How members of a group agree on who reads what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Classic,
    Consumer,
}

impl Protocol {
    /// As the static file has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
        }
    }
}

/// The options of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What faults, traffic and answers are drawn from.
    pub seed: u64,
    /// How long traffic is written, for each protocol.
    pub lasts: Duration,
    /// Spans per second.
    pub rate: f64,
    /// How far behind the wall clock the clock of a quiet partition stays.
    pub idle_grace: Duration,
    /// Whether somebody asks for dropped traces.
    pub asks: bool,
    long: bool,
    protocols: Vec<Protocol>,
}

/// Kafka is away for some seconds at a time, so that traces come in with gaps: the wall clock must
/// not close them.
const IDLE_GRACE: Duration = Duration::from_secs(45);

impl Options {
    /// Reads `TAILSIEVE_CHAOS_SEED`, `_MINUTES`, `_LONG` and `_PROTOCOL`. Without a seed a new one
    /// is taken.
    pub fn from_env() -> Self {
        let long = env::var("TAILSIEVE_CHAOS_LONG").is_ok_and(|value| !value.is_empty());
        let seed = read("SEED").unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        let minutes: f64 = read("MINUTES").unwrap_or(if long { 10.0 } else { 1.0 });
        let protocols = match env::var("TAILSIEVE_CHAOS_PROTOCOL").as_deref() {
            Ok("classic") => vec![Protocol::Classic],
            Ok("consumer") => vec![Protocol::Consumer],
            Ok(other) if !other.is_empty() => panic!("TAILSIEVE_CHAOS_PROTOCOL: {other:?}"),
            _ if long => vec![Protocol::Classic, Protocol::Consumer],
            _ if StdRng::seed_from_u64(seed).random() => vec![Protocol::Classic],
            _ => vec![Protocol::Consumer],
        };
        let seconds = 60.0 * minutes / protocols.len() as f64;
        // A trace is seldom whole at the end of the time; a twentieth more makes up for that.
        let least = 1.05 * LONG_SPANS as f64 / (60.0 * minutes);
        let rate = if long { least.max(2000.0) } else { 2000.0 };
        let lasts = Duration::from_secs_f64(seconds);
        Self { seed, lasts, rate, idle_grace: IDLE_GRACE, asks: false, long, protocols }
    }

    /// The same where Kafka is never away.
    pub fn with_kafka_there(&self) -> Self {
        Self { idle_grace: Duration::from_secs(3), ..self.clone() }
    }

    /// The same where somebody asks for dropped traces.
    pub fn asking(&self) -> Self {
        Self { asks: true, ..self.clone() }
    }

    /// The same with so many spans a second.
    pub fn at_rate(&self, rate: f64) -> Self {
        Self { rate, ..self.clone() }
    }

    /// The same with another seed.
    pub fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// The same for another time.
    pub fn lasting(&self, lasts: Duration) -> Self {
        Self { lasts, ..self.clone() }
    }

    /// The protocols that are run one after the other, each with a topic and faults of its own.
    pub fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// How many spans have to be written for the run to be worth something.
    pub fn least_spans(&self) -> u64 {
        match self.long {
            true => LONG_SPANS,
            false => (0.8 * self.rate * self.lasts.as_secs_f64()) as u64,
        }
    }
}

fn read<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(format!("TAILSIEVE_CHAOS_{name}")).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("TAILSIEVE_CHAOS_{name}: {text:?} is no number")))
}
