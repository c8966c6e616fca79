//! The exporter as a whole: its rules on a paused clock against a scripted transport, and its wire
//! against real receivers.

mod backend;
mod blame;
#[path = "../../../tests/support/certificates.rs"]
mod certificates;
mod hints;
mod http;
mod kafka;
mod names;
mod rules;
mod tls;
mod tokens;
