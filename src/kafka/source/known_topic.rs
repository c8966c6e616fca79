//! What one consumer knows of the topic that it reads. Used on the consumer's thread only.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::ids::TopicId;
use crate::sync::lock;

/// What is known of the topic; nothing at first.
#[derive(Debug, Default)]
pub(super) struct KnownTopic {
    id: Mutex<Option<TopicId>>,
    partitions: AtomicU32,
    recreated: AtomicBool,
    tells_no_id: AtomicBool,
    rebalanced: AtomicBool,
}

impl KnownTopic {
    /// Its id, if the brokers tell ids.
    pub(super) fn id(&self) -> Option<TopicId> {
        *lock(&self.id)
    }

    /// Sets the id of the topic that exists now. Returns the one that was known before.
    pub(super) fn replace_id(&self, now: TopicId) -> Option<TopicId> {
        self.set_tells_no_id(false);
        lock(&self.id).replace(now)
    }

    /// Its number of partitions, whoever owns them; 0 before that is known.
    pub(super) fn partitions(&self) -> u32 {
        self.partitions.load(Ordering::Relaxed)
    }

    pub(super) fn set_partitions(&self, partitions: u32) {
        self.partitions.store(partitions, Ordering::Relaxed);
    }

    /// Whether it was deleted and created again, and some partitions may still be read as those of
    /// the old one.
    pub(super) fn is_recreated(&self) -> bool {
        self.recreated.load(Ordering::Relaxed)
    }

    /// See [`is_recreated`](Self::is_recreated).
    pub(super) fn set_recreated(&self, is_so: bool) {
        self.recreated.store(is_so, Ordering::Relaxed);
    }

    /// Whether the brokers did not tell its id when they were asked last.
    pub(super) fn tells_no_id(&self) -> bool {
        self.tells_no_id.load(Ordering::Relaxed)
    }

    /// See [`tells_no_id`](Self::tells_no_id).
    pub(super) fn set_tells_no_id(&self, is_so: bool) {
        self.tells_no_id.store(is_so, Ordering::Relaxed);
    }

    /// A rebalance is over.
    pub(super) fn set_rebalanced(&self) {
        self.rebalanced.store(true, Ordering::Relaxed);
    }

    /// Whether there was a rebalance since this was asked last.
    pub(super) fn take_rebalanced(&self) -> bool {
        self.rebalanced.swap(false, Ordering::Relaxed)
    }
}
