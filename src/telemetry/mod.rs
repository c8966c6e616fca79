//! What tailsieve tells about itself: logs, metrics, the admin endpoint, words to the service manager, and
//! the account of memory.

pub mod accounts;
pub mod admin;
pub mod cut;
pub mod latest;
pub mod log_throttle;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod recent_logs;
pub mod service_manager;
pub mod trace_context;
