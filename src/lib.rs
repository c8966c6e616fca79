//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.

pub mod books;
pub mod facts;
pub mod ids;
pub mod limited;
pub mod memory;
pub mod otlp;
pub mod policy;
pub mod probability;
pub mod proto;
pub mod source;
pub mod span;
pub mod trace;
pub mod watermark;
