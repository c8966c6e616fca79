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
mod whatif;
mod whatif_figures;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output};

use tempfile::NamedTempFile;

/// What `tailsieve` answers to `args`.
fn tailsieve(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tailsieve")).args(args).output().expect("tailsieve starts")
}

/// The exit code, and what was printed to standard output and to standard error.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    (output.status.code().expect("no signal"), text(&output.stdout), text(&output.stderr))
}

/// The static file of a member that listens on this port, on all of its addresses.
fn listening_at(port: u16) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    write!(
        file,
        "kafka: {{brokers: kafka:9092}}\nexport: {{endpoint: tempo:4317}}\n\
         admin: {{listen: \"0.0.0.0:{port}\"}}\npolicies: policies.yaml\n"
    )
    .unwrap();
    file
}

/// The head of the next request; `None` if there is none.
fn next_head(stream: &mut TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}
