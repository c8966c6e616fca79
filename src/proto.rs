//! The messages of `proto/`, compiled when the crate is built.

include!(concat!(env!("OUT_DIR"), "/tailsieve.v1.rs"));
