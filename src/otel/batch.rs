//! Sends what waits in a queue, batch by batch.

use std::sync::Arc;

use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio_util::sync::CancellationToken;

use super::client::{Client, Wire};
use super::counts::{Counts, Outcome};
use super::queue::Queue;
use super::settings::Batch;
use crate::export::Signal;

/// What is sent, and how.
pub(super) struct Batches<T> {
    pub(super) signal: Signal,
    pub(super) queue: Arc<Queue<T>>,
    pub(super) batch: Batch,
    pub(super) resource: Resource,
    pub(super) encode: fn(&Resource, Vec<T>) -> Vec<u8>,
}

impl<T> Batches<T> {
    /// Sends until `stop` is cancelled, and then what is left.
    pub(super) async fn run<W: Wire>(
        self,
        client: Client<W>,
        counts: Arc<Counts>,
        stop: CancellationToken,
    ) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.batch.schedule_delay) => {}
                () = self.queue.full_batch() => {}
                () = stop.cancelled() => {}
            }
            // Seen before the queue is emptied: what comes until the end is sent.
            let is_last = stop.is_cancelled();
            loop {
                counts.count(self.signal, Outcome::Dropped, self.queue.take_dropped());
                let items = self.queue.take();
                if items.is_empty() {
                    break;
                }
                let count = items.len() as u64;
                let message = (self.encode)(&self.resource, items);
                client.export(message, count, self.batch.export_timeout).await;
            }
            if is_last {
                return;
            }
        }
    }
}
