//! A request that is not settled: its chunks, and what is known from its attempts.

use bytes::Bytes;

use super::Chunk;
use super::retry::History;
use super::settings::RetrySettings;

/// The chunks of one request, and what is known from its attempts.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) chunks: Vec<Chunk>,
    /// `None` if it was never sent.
    pub(super) history: Option<History>,
    /// The connection over which it failed last.
    pub(super) failed_over: Option<usize>,
    /// The last error.
    pub(super) said: String,
    /// It is sent to find out whether the backend is still down.
    pub(super) is_probe: bool,
}

impl PendingRequest {
    pub(super) fn new(chunks: Vec<Chunk>) -> Self {
        Self { chunks, history: None, failed_over: None, said: String::new(), is_probe: false }
    }

    /// Whether it, or the request that it is a half of, was sent before.
    pub(super) fn was_sent(&self) -> bool {
        self.history.is_some()
    }

    /// Its forwarded headers.
    pub(super) fn forwarded(&self) -> Bytes {
        self.chunks.first().map(|chunk| chunk.forwarded.clone()).unwrap_or_default()
    }

    /// Its bytes if it is one suspect chunk, else 0.
    pub(super) fn suspect_bytes(&self, settings: &RetrySettings) -> usize {
        let suspect = |history: &History| history.is_suspect(settings);
        match &self.chunks[..] {
            [chunk] if self.history.as_ref().is_some_and(suspect) => chunk.bytes.len(),
            _ => 0,
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.history.as_ref().map_or(0, |history| history.failures)
    }

    /// Splits it into halves. It must have two chunks or more.
    pub(super) fn halves(mut self) -> [Self; 2] {
        let chunks = self.chunks.split_off(self.chunks.len() / 2);
        let half = |chunks: Vec<Chunk>| Self {
            history: self.history.clone(),
            failed_over: self.failed_over,
            said: self.said.clone(),
            is_probe: false,
            chunks,
        };
        let second = half(chunks);
        [half(std::mem::take(&mut self.chunks)), second]
    }
}
