//! A request on its way to being settled: its chunks, and what is known of it from its attempts.

use bytes::Bytes;

use super::Chunk;
use super::retry::History;
use super::settings::RetrySettings;

/// Chunks that travel as one request, and what is known of it.
#[derive(Debug)]
pub(super) struct PendingRequest {
    pub(super) chunks: Vec<Chunk>,
    /// `None`: it was never sent.
    pub(super) history: Option<History>,
    /// The connection over which it failed last.
    pub(super) failed_over: Option<usize>,
    /// What was said the last time.
    pub(super) said: String,
    /// It is to find out whether the backend is down still.
    pub(super) is_probe: bool,
}

impl PendingRequest {
    pub(super) fn new(chunks: Vec<Chunk>) -> Self {
        Self { chunks, history: None, failed_over: None, said: String::new(), is_probe: false }
    }

    /// Whether it, or what it is a half of, was sent before.
    pub(super) fn was_sent(&self) -> bool {
        self.history.is_some()
    }

    /// What goes along with it.
    pub(super) fn forwarded(&self) -> Bytes {
        self.chunks.first().map(|chunk| chunk.forwarded.clone()).unwrap_or_default()
    }

    /// Its bytes, if it is one trace that half of what would have it refused speaks against.
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

    /// Two halves of what is at least two chunks.
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
