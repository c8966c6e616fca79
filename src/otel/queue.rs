//! What waits to be sent: bounded, and never in the way of who puts something in.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::settings::Batch;
use crate::sync::lock;

/// Items in order. What has no room is left out, and counted.
#[derive(Debug)]
pub(super) struct Queue<T> {
    batch: Batch,
    items: Mutex<VecDeque<T>>,
    dropped: AtomicU64,
    is_full_batch: Notify,
}

impl<T> Queue<T> {
    pub(super) fn new(batch: Batch) -> Self {
        let (items, dropped, is_full_batch) = Default::default();
        Self { batch, items, dropped, is_full_batch }
    }

    /// Takes the item, if there is room. Never blocks.
    pub(super) fn push(&self, item: T) {
        let mut items = lock(&self.items);
        if items.len() >= self.batch.max_queue {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        items.push_back(item);
        if items.len() == self.batch.max_batch {
            self.is_full_batch.notify_one();
        }
    }

    /// Waits until there is as much as is sent at once.
    pub(super) async fn full_batch(&self) {
        self.is_full_batch.notified().await;
    }

    /// The oldest items, as many as are sent at once.
    pub(super) fn take(&self) -> Vec<T> {
        let mut items = lock(&self.items);
        let count = items.len().min(self.batch.max_batch);
        items.drain(..count).collect()
    }

    /// How many were left out since this was asked last.
    pub(super) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_counted_and_the_rest_goes_in_order() {
        let batch = Batch { max_queue: 3, max_batch: 2, ..Batch::SPANS };
        let queue = Queue::new(batch);
        (1..=5).for_each(|item| queue.push(item));
        assert_eq!((queue.take(), queue.take(), queue.take()), (vec![1, 2], vec![3], vec![]));
        assert_eq!((queue.take_dropped(), queue.take_dropped()), (2, 0));
    }

    #[tokio::test]
    async fn a_full_batch_is_told() {
        let queue = Queue::new(Batch { max_queue: 9, max_batch: 2, ..Batch::SPANS });
        (1..=2).for_each(|item| queue.push(item));
        queue.full_batch().await;
        assert_eq!(queue.take(), [1, 2]);
    }
}
