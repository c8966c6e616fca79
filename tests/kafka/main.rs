//! The real binary against a real Apache Kafka: a ledger of every span that was written, held
//! against what the backend took, through what a production week brings.
//!
//! `./tests/run kafka` starts the Kafka.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]
// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

mod acl;
mod another_log;
mod bad_input;
mod bounds;
mod capture;
mod chaos;
mod decisions;
mod doctor;
mod index;
mod keep;
mod membership;
mod metrics;
mod misrouting;
mod nginx;
mod overload;
mod prometheus;
mod redelivery;
mod rekey;
mod reload;
mod reopen;
mod replay_dead_letters;
mod retrieval;
mod rig;
mod service_manager;
mod starting;
mod status;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod takeover;
mod tenants;
mod top;
mod trace;
mod trials;
mod whatif;
mod whatif_reload;
mod whatif_wrong;
