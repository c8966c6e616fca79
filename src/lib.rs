//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.

pub mod generate;
pub mod ids;
pub mod ledger;
pub mod span;
