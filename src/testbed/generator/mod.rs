//! Writes realistic traffic to any Kafka, for `tailsieve generate`.
//!
//! Owns the traffic model ([`Model`], pure and deterministic: settings in, records out in the
//! order of their time) and the producer that writes its records to a topic ([`produce`]). Acknowledged
//! records can be entered into a [`crate::testbed::ledger::Ledger`], which checks what arrives at the
//! backend. The demo, the tests and the benches use both as a library.

mod attributes;
mod model;
mod plan;
mod producer;
mod render;
mod services;
mod settings;

pub use model::{GeneratedRecord, Model};
pub use producer::{Acknowledged, Counters, ProduceError, ProducerSettings, produce};
pub use settings::{Layout, ModelSettings};

#[cfg(test)]
mod producer_tests;
#[cfg(test)]
mod tests;
