//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.

pub mod export;
pub mod ids;
pub mod receiver;
pub mod span;
