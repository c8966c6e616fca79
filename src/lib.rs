//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.

pub mod clock;
pub mod cmd;
pub mod config;
pub mod export;
pub mod ids;
pub mod kafka;
pub mod member;
pub mod otlp;
pub mod proto;
pub mod sampling;
pub mod telemetry;
pub mod testbed;
pub mod units;
