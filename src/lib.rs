//! tailsieve: a tail-sampling stream processor on Kafka for OpenTelemetry traces.

pub mod admin;
pub mod app;
pub mod books;
pub mod cli;
pub mod config;
pub mod demo;
pub mod export;
pub mod facts;
pub mod generate;
pub mod ids;
pub mod ledger;
pub mod limited;
pub mod memory;
pub mod otlp;
pub mod policy;
pub mod probability;
pub mod proto;
pub mod receiver;
pub mod run;
pub mod source;
pub mod span;
pub mod telemetry;
pub mod trace;
pub mod units;
pub mod watermark;
pub mod worker;
