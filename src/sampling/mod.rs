//! What becomes of a trace: when it is complete, and whether it is kept.
//!
//! Pure: functions of (state, input, now). No runtime, no Kafka, no clock, so that the same records
//! give the same decisions wherever and whenever they are read.

pub mod decided;
pub mod facts;
pub mod ottl;
pub mod policy;
pub mod sampler;
pub mod trace;
pub mod watermark;
