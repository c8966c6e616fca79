//! A partition and a worker, without Kafka: what happens when the policies change.

mod bench;
mod counting;
mod refusing;
mod switching;
