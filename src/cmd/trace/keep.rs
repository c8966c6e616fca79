//! `tailsieve trace --keep`: the group is asked to keep a trace that it dropped, and what comes of it is waited
//! for.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::cmd::process::CommandError;
use crate::ids::{Partition, Position, TraceId};
use crate::kafka::decision_log::GroupHash;
use crate::kafka::keep_request::KeepRequest;
use crate::retrieval::{
    Asker, Budget, Entry, Origin, Retrieval, RetrievalError, Verdict, are_delivered, verdict,
};
use crate::sampling::trace::Trigger;

use super::EXIT_GONE;

/// When a policy drops such traces whatever others say.
const EXIT_VETOED: u8 = 5;

/// When the group was asked, and it is not on record in time that the trace was delivered.
const EXIT_UNCONFIRMED: u8 = 6;

/// How long that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(300);

/// Has a trace kept that was looked up.
pub(super) struct Keeping<'a> {
    pub(super) id: TraceId,
    pub(super) origin: &'a Origin,
    pub(super) retrieval: &'a mut Retrieval,
    pub(super) budget: &'a mut Budget,
}

/// Why it cannot be had.
pub(super) enum KeepError {
    /// Kafka cannot be read.
    Retrieval(RetrievalError),
    /// Nobody can be asked.
    Command(CommandError),
}

impl From<RetrievalError> for KeepError {
    fn from(error: RetrievalError) -> Self {
        Self::Retrieval(error)
    }
}

impl Keeping<'_> {
    /// Says on standard error what comes of it. `is_whole` says that Kafka has all of the trace.
    pub(super) fn run(
        mut self,
        group: GroupHash,
        entries: &[Entry],
        is_whole: bool,
    ) -> Result<ExitCode, KeepError> {
        let id = self.id;
        match verdict(group, id, entries, is_whole) {
            Verdict::Ask(requests) => self.ask(&requests),
            Verdict::Kept { is_delivered: true } => {
                eprintln!("{id} is kept already, and was delivered");
                Ok(ExitCode::SUCCESS)
            }
            Verdict::Kept { is_delivered: false } => {
                eprintln!("{id} is kept already; that it was delivered is not on record yet");
                Ok(ExitCode::from(EXIT_UNCONFIRMED))
            }
            Verdict::Vetoed(policy) => {
                eprintln!(
                    "{id} is not kept: policy {policy:?} drops such traces whatever others say"
                );
                Ok(ExitCode::from(EXIT_VETOED))
            }
            Verdict::Incomplete => {
                eprintln!("{id} is not kept: Kafka does not have all of its records any more");
                Ok(ExitCode::from(EXIT_GONE))
            }
        }
    }

    fn ask(&mut self, requests: &[(Partition, KeepRequest)]) -> Result<ExitCode, KeepError> {
        let mut waited_for = Vec::with_capacity(requests.len());
        for (partition, _) in requests {
            waited_for.push((*partition, self.retrieval.end(*partition, self.budget)?));
        }
        let (id, brokers) = (self.id, &self.origin.brokers);
        let failed = |error: String| {
            let text = format_args!("{id} cannot be asked for, Kafka at {brokers}: {error}");
            KeepError::Command(CommandError::failed(text))
        };
        let asker = Asker::new(self.origin).map_err(|error| failed(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        runtime.block_on(asker.ask(requests)).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let mut left = Vec::new();
            for place in &waited_for {
                if !self.is_delivered(*place)? {
                    left.push(*place);
                }
            }
            waited_for = left;
            if waited_for.is_empty() {
                eprintln!("{id} is kept, and was delivered");
                return Ok(ExitCode::SUCCESS);
            }
            thread::sleep(INTERVAL);
        }
        eprintln!(
            "{id} was asked for, and after {} s it is not on record that it was delivered: its member is \
             behind, its backend does not answer, or it did not grant the request \
             (tailsieve_restore_failures_total says why). Ask again: it is kept once",
            PATIENCE.as_secs()
        );
        Ok(ExitCode::from(EXIT_UNCONFIRMED))
    }

    /// Whether a partition of the log says, behind a position, that the trace was kept and delivered.
    fn is_delivered(&mut self, place: (Partition, Position)) -> Result<bool, RetrievalError> {
        let mut entries = self.retrieval.find_behind(self.id, place, self.budget)?;
        entries.retain(|entry| entry.record.trigger == Trigger::Restored);
        Ok(!entries.is_empty() && are_delivered(&entries))
    }
}
