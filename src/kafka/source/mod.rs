//! The Kafka side: group membership, records in, offsets out.
//!
//! Owns the consumers, one thread each, and the table of the partitions that this process owns.
//! Promises that
//! - every acquisition of a partition has a new [`Generation`](crate::ids::Generation), and what
//!   was read under an older one can be told from it;
//! - while it is not known whether this process is still a member, its generations are
//!   [`GenerationStatus::Suspended`]: the group has to confirm the membership again and again;
//! - offsets are committed in one place, on the consumer's thread, and never above what the
//!   partition's worker says is committable;
//! - on revoke the worker is asked to finish what is in flight, the watermark is committed, and
//!   only then is the partition given up; a partition that is already lost is not committed.
//!
//! Leaves everything about spans and traces to the workers, which it knows only by their inboxes.

mod assignment;
mod batch;
mod batch_builder;
mod client_reports;
mod commit_metadata;
mod consumer;
mod context;
mod events;
mod fetched;
mod handle;
mod inbox;
mod known_topic;
mod lease;
mod metrics;
mod out_of_range;
mod ownership;
mod partitions;
mod rebalance;
mod settings;
mod start_position;
mod static_membership;
mod statistics;
#[cfg(test)]
mod tests;
mod topic_watch;

pub use crate::clock::now;
pub use assignment::PartitionLag;
pub use batch::{Record, RecordBatch};
pub use commit_metadata::CommitMetadata;
pub use events::{CaughtUp, Rebalance, Revocation};
pub use handle::{ConsumerHandle, ConsumerStatus, StartError, start};
pub use inbox::{Event, Inbox, inboxes};
pub use ownership::{Acquisition, GenerationStatus, OwnershipTable};
pub use partitions::Partitions;
pub use settings::{FETCH_SETTINGS, KeptHeaders, SESSION_TIMEOUT, SourceSettings, StartFrom};
