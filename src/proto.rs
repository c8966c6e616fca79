//! The messages of `proto/`, compiled when the crate is built.

#![allow(
    clippy::missing_docs_in_private_items,
    reason = "generated; the messages are documented in proto/"
)]

include!(concat!(env!("OUT_DIR"), "/tailsieve.v1.rs"));
