//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.

pub mod facts;
pub mod ids;
pub mod policy;
pub mod probability;
pub mod span;
pub mod trace;
pub mod watermark;
