//! Kafka: what is consumed, what is produced, and what brokers are asked.
//!
//! Threads and clocks live here, and every use of librdkafka except that of the testbed. Knows
//! records; leaves spans to others.

pub(crate) mod access;
pub mod cluster;
pub mod dead_letters;
pub mod decision_log;
pub mod keep_request;
pub mod partitioner;
pub mod publish;
pub mod record_headers;
pub mod source;
pub mod topic_reader;
