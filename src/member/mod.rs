//! A member of the consumer group: the threads between Kafka and the backend, and their state.
//!
//! Promises the order of things: nothing is committed before it is decided, on record and delivered.
//! What is decided is for [`sampling`](crate::sampling) to say, how bytes come and go for
//! [`kafka`](crate::kafka) and [`export`](crate::export).

pub mod app;
pub mod observer;
pub mod reload;
pub mod rereader;
pub mod routing;
pub mod trials;
pub mod watchdog;
pub mod worker;
