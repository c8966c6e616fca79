//! Realistic traffic onto any Kafka, for `tailsieve generate`.
//!
//! Owns the traffic model ([`Model`], pure and deterministic: settings in, records out in the
//! order of their time) and the producer that puts its records on a topic ([`produce`]). Whatever
//! is acknowledged can go into a [`crate::testbed::ledger::Ledger`], to check against what arrives at the
//! other end. The demo, the tests and the benches use both as a library.

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
