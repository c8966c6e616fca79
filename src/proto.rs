//! The messages of `proto/`, compiled when the crate is built.

#![expect(missing_docs, reason = "generated; the messages are documented in proto/")]

include!(concat!(env!("OUT_DIR"), "/tailsieve.v1.rs"));
