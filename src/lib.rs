//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.

pub mod ids;
pub mod span;
