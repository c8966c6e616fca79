//! What is shown of policies that are tried on the traffic that passes, and who tries them.

use std::time::Duration;

use serde::Serialize;

use super::View;
use super::model::{Later, Time, TraceStatus};
use super::trace_url::TraceUrl;
use crate::ids::TraceId;
use crate::telemetry::accounts::Amount;

/// How long a trial may be, in seconds, and how long it is if nothing is said.
pub const SHORTEST: u64 = 1;
/// See [`SHORTEST`].
pub const LONGEST: u64 = 600;
/// See [`SHORTEST`].
pub const USUAL: u64 = 60;

/// The largest policy file that is tried, in bytes.
pub const LARGEST_FILE: usize = 256 << 10;

/// Policies that are tried, or were, and what came out so far.
#[derive(Clone, Debug, Serialize)]
pub struct TrialStatus {
    /// Names it.
    pub id: String,
    /// `running`, `done`, `cancelled`, or `replaced`: others came into force.
    pub state: &'static str,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// How long it was meant to be.
    pub seconds: u64,
    /// Names the contents of the file.
    pub hash: String,
    /// The hash of the policies in force beside which they are tried.
    pub in_force: String,
    /// Some of them have limits: what other members keep is not counted against these.
    pub has_limits: bool,
    /// Settings of the file that are others than those in force, and are not tried.
    pub not_tried: Vec<&'static str>,
    /// What was read well and is probably not meant.
    pub warnings: Vec<FindingStatus>,
    /// What was read and has no meaning here.
    pub notes: Vec<FindingStatus>,
    /// What was decided meanwhile by this member.
    pub decided: Amount,
    /// Of that: what was not tried, because a trial takes no more than half of a worker's time.
    pub left_out: Amount,
    /// Kept, and would be kept.
    pub kept_kept: Amount,
    /// Kept, and would be dropped.
    pub kept_dropped: Amount,
    /// Dropped, and would be kept.
    pub dropped_kept: Amount,
    /// Dropped, and would be dropped.
    pub dropped_dropped: Amount,
    /// The policies, in the order of the file.
    pub policies: Vec<TriedPolicyStatus>,
    /// What none of them would keep, and none drop.
    pub dropped_by_none: Amount,
    /// Some of what only they would keep.
    pub newly_kept: Vec<TrialExampleStatus>,
    /// Some of what only they would drop.
    pub newly_dropped: Vec<TrialExampleStatus>,
    /// Time of the workers that it took.
    pub busy_seconds: f64,
}

/// A policy that is tried.
#[derive(Clone, Debug, Serialize)]
pub struct TriedPolicyStatus {
    /// Its name.
    pub name: String,
    /// Its type, as files have it.
    #[serde(rename = "type")]
    pub kind: String,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// Its votes to keep.
    pub votes_to_keep: u64,
    /// Its votes to drop.
    pub votes_to_drop: u64,
    /// How often it was asked and said nothing.
    pub no_votes: u64,
    /// Traces of which it could not evaluate something.
    pub errors: u64,
    /// What would be kept on its account.
    pub kept: Amount,
    /// What it would drop.
    pub dropped: Amount,
}

/// A trace of which the policies that are tried say something else.
#[derive(Clone, Debug, Serialize)]
pub struct TrialExampleStatus {
    /// The trace, and what was decided.
    pub trace: TraceStatus,
    /// The policy that would keep or drop it; `None` if none would keep it.
    pub policy: Option<String>,
    /// What the policies say of it, at most eight of them.
    pub reasons: Vec<ReasonStatus>,
}

/// Why a policy says what it says.
#[derive(Clone, Debug, Serialize)]
pub struct ReasonStatus {
    /// Its name.
    pub policy: String,
    /// Why, in a few words.
    pub reason: String,
}

/// Something that was found in a file.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FindingStatus {
    /// From 1; `None` if it is about the file as a whole.
    pub line: Option<usize>,
    /// In characters, from 1; `None` if it is about the file as a whole.
    pub column: Option<usize>,
    /// What it is.
    pub message: String,
    /// What was expected, or what to do.
    pub help: Option<String>,
    /// The line it is about.
    pub excerpt: Option<String>,
    /// All of it, for people.
    #[serde(skip)]
    pub shown: String,
}

/// What was found in a file, of each kind at most a hundred.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Findings {
    /// Why it cannot be used.
    pub errors: Vec<FindingStatus>,
    /// What was read well and is probably not meant.
    pub warnings: Vec<FindingStatus>,
    /// What was read and has no meaning here.
    pub notes: Vec<FindingStatus>,
}

/// Why a trial does not begin.
#[derive(Clone, Debug)]
pub enum TrialRefusal {
    /// Something is wrong with the file.
    Invalid(Findings),
    /// There is one already: its id, if it has begun.
    Busy(Option<String>),
    /// No worker takes part: the member is about to end, or hangs.
    NoAnswer,
}

impl TrialRefusal {
    /// Why, for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Invalid(_) => "the policy file cannot be used".to_owned(),
            Self::Busy(None) => "another policy file is just being looked at".to_owned(),
            Self::Busy(Some(id)) => {
                format!("another policy file is being tried: wait for its end, or cancel it ({id})")
            }
            Self::NoAnswer => {
                "no worker of this member answers: it is busy, or about to end".to_owned()
            }
        }
    }

    /// The file is not even text.
    fn no_text() -> Self {
        let message = "expected text in UTF-8".to_owned();
        let shown = message.clone();
        let errors = vec![FindingStatus { message, shown, ..FindingStatus::default() }];
        Self::Invalid(Findings { errors, ..Findings::default() })
    }
}

/// How long a trial is to be.
///
/// # Errors
/// What was expected.
pub(super) fn duration(seconds: &str) -> Result<Duration, String> {
    let number = seconds.parse().ok().filter(|it| (SHORTEST..=LONGEST).contains(it));
    let expected = || format!("seconds: expected a number from {SHORTEST} to {LONGEST}");
    number.map(Duration::from_secs).ok_or_else(expected)
}

/// What is said of a file that is too large.
pub(super) fn too_large() -> String {
    format!("a policy file of at most {} KiB can be tried", LARGEST_FILE >> 10)
}

impl View {
    /// Begins to try the policies of a file.
    pub(super) async fn begin_trial(
        &self,
        file: &[u8],
        duration: Duration,
    ) -> Result<TrialStatus, TrialRefusal> {
        let text = std::str::from_utf8(file).map_err(|_| TrialRefusal::no_text())?;
        self.source.trials().begin(text.to_owned(), duration).await
    }

    /// The trials that are remembered, the last one first.
    pub(super) fn trials(&self) -> Vec<TrialStatus> {
        let mut trials = self.source.trials().all();
        if let Some(url) = &self.trace_url {
            trials.iter_mut().for_each(|trial| trial.link(url));
        }
        trials
    }

    /// One of them.
    pub(super) fn trial(&self, id: &str) -> Option<TrialStatus> {
        self.trials().into_iter().find(|trial| trial.id == id)
    }

    /// Ends one before its time.
    pub(super) async fn cancel_trial(&self, id: &str) -> Option<TrialStatus> {
        self.source.trials().cancel(id).await?;
        self.trial(id)
    }
}

impl TrialStatus {
    /// What was kept can be looked at.
    fn link(&mut self, url: &TraceUrl) {
        for example in &mut self.newly_dropped {
            let id = TraceId::from_hex(example.trace.trace_id.as_bytes());
            example.trace.link = id.map(|id| url.of(id));
        }
    }
}

/// Tries policies on the traffic that passes. Nothing that is decided changes by it.
pub trait Trials: Send + Sync {
    /// Begins to try the policies of a file.
    fn begin(&self, file: String, duration: Duration) -> Later<Result<TrialStatus, TrialRefusal>>;
    /// Those that are remembered, the last one first.
    fn all(&self) -> Vec<TrialStatus>;
    /// Ends one before its time. `None` if there is none of that id.
    fn cancel(&self, id: &str) -> Later<Option<TrialStatus>>;
}
