//! The command line of the real binary. Needs neither Kafka nor a Collector.

// A test that cannot go on ends by a panic, also in helpers that clippy does not take for tests.
#![allow(clippy::unwrap_used)]

mod convert;
mod documented;
mod files;
mod health;
mod security;
mod shell;
mod size;
mod top;

use std::process::{Command, Output};

/// What `tailsieve` answers to `args`.
fn tailsieve(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tailsieve")).args(args).output().expect("tailsieve starts")
}

/// The exit code, and what was printed to standard output and to standard error.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code().expect("no signal"), text(&output.stdout), text(&output.stderr))
}
