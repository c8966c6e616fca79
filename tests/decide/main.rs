//! What the policy file means, example by example, asked of the command `tailsieve decide`; and the
//! command itself. Needs neither Kafka nor a Collector.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]
// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

mod captures;
mod command;
mod examples;
mod files;
mod notation;
mod policy_tests;
mod rig;
