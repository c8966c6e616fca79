//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.
//!
//! Promises that nothing is lost (`kill -9` included), that decisions are final, whole and reproducible, and
//! that it costs little more than to read the topic. `docs/guarantees.md` says precisely what that means,
//! `docs/architecture.md` how it is done.
//!
//! # The way of a span
//!
//! ```text
//! Kafka topic, keyed by trace id
//!   kafka::source         its record, in a batch of one partition, read where librdkafka has it
//!   member::worker        the one thread that has all state of that partition
//!   otlp                  the span, found in the bytes of the record
//!   sampling              joins its open trace; when that is complete, the policies decide
//!   kafka::decision_log   the decision, on record before anything leaves
//!   export                the bytes of a kept trace, in an OTLP request
//! backend
//!   sampling::watermark   all is acknowledged: the trace pins its offset no longer
//!   kafka::source         the offset is committed
//! ```
//!
//! # What always holds
//!
//! 1. Nothing is committed at or above the offset of a trace that is not decided, on record and delivered.
//! 2. Nothing leaves before Kafka has acknowledged the decision on it, and a decision is never changed.
//! 3. What carries the generation of an ended acquisition changes nothing.
//! 4. Decisions are functions of the records and the policies: the rooms that decide read no clock.
//!
//! # Rooms, in reading order
//!
//! - The commands: `cmd`. What they run: `member`. What they are told: `config`,
//!   by the descriptions that `options` reads.
//! - The edges, with threads and sockets: `kafka`, `export`, `retrieval`, `whatif`, `telemetry`.
//! - The pure core: `sampling`, `otlp`, `ids`.
//! - What a pipeline is tried with: `testbed`.

// Tests read the clock, and decode what arrived.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod clock;
mod cmd;
mod config;
mod export;
mod fnv;
mod ids;
mod kafka;
mod member;
mod options;
mod otel;
mod otlp;
mod proto;
mod retrieval;
mod sampling;
mod secret;
mod sync;
mod telemetry;
mod testbed;
#[doc(hidden)]
pub mod testing;
mod units;
mod whatif;

pub use cmd::cli::Cli;
