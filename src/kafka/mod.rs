//! Kafka, as far as it is met here: what is consumed, what is produced, and what brokers are asked.
//!
//! Threads and clocks live here, and every use of librdkafka but that of the testbed. Knows what a
//! record is; what is in a span, it leaves to others.

pub mod cluster;
pub mod dead_letters;
pub mod decision_log;
pub mod partitioner;
pub mod publish;
pub mod record_headers;
pub mod source;
