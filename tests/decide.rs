//! What the policy file means, example by example, asked of the command `tailsieve decide`; and the
//! command itself. Needs neither Kafka nor a Collector.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]

#[path = "decide/captures.rs"]
mod captures;
#[path = "decide/command.rs"]
mod command;
#[path = "decide/examples.rs"]
mod examples;
#[path = "decide/files.rs"]
mod files;
#[path = "decide/notation.rs"]
mod notation;
#[path = "decide/policy_tests.rs"]
mod policy_tests;
#[path = "decide/rig.rs"]
mod rig;
