//! Which entries are wanted.

use clap::ValueEnum;

use super::entry::Entry;
use crate::ids::TraceId;
use crate::sampling::decided::SamplingDecision;
use crate::sampling::trace::Trigger;

/// What the command line says of it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct FilterArgs {
    /// Only by this policy; may be given several times
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// Only kept traces
    #[arg(long, conflicts_with = "dropped")]
    kept: bool,
    /// Only dropped traces
    #[arg(long)]
    dropped: bool,
    /// Only this trace; may be given several times
    #[arg(long = "trace", value_name = "TRACE_ID", value_parser = trace_id)]
    traces: Vec<TraceId>,
    /// Only traces decided for this reason; may be given several times
    #[arg(long = "trigger", value_name = "TRIGGER", value_enum)]
    triggers: Vec<TriggerName>,
    /// Only entries of decisions, of deliveries, or of late spans, delivered or not
    #[arg(long, value_name = "KIND", value_enum)]
    entry: Option<Kind>,
}

/// Which of the entries of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Decided,
    Delivered,
    Late,
}

impl Kind {
    fn of(entry: &Entry) -> Self {
        match (entry.is_late(), entry.record.delivered) {
            (true, _) => Self::Late,
            (false, true) => Self::Delivered,
            (false, false) => Self::Decided,
        }
    }
}

/// A trigger, by the name that the metrics give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum TriggerName {
    Root,
    Wait,
    Size,
    Memory,
    LogGone,
    Late,
    Restored,
}

impl TriggerName {
    fn trigger(self) -> Trigger {
        match self {
            Self::Root => Trigger::Root,
            Self::Wait => Trigger::Wait,
            Self::Size => Trigger::Size,
            Self::Memory => Trigger::Memory,
            Self::LogGone => Trigger::LogGone,
            Self::Late => Trigger::Late,
            Self::Restored => Trigger::Restored,
        }
    }
}

pub(in crate::cmd) fn trace_id(text: &str) -> Result<TraceId, String> {
    let id = TraceId::from_hex(text.as_bytes());
    id.ok_or_else(|| "expected a trace id: 32 hexadecimal digits, not all of them 0".to_owned())
}

impl FilterArgs {
    pub(super) fn filter(&self) -> Filter {
        let kept = match (self.kept, self.dropped) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        Filter {
            policies: self.policies.clone(),
            kept,
            traces: self.traces.clone(),
            triggers: self.triggers.iter().map(|name| name.trigger()).collect(),
            kind: self.entry,
        }
    }
}

/// All of its conditions must hold; one that is empty holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) policies: Vec<String>,
    pub(super) kept: Option<bool>,
    pub(super) traces: Vec<TraceId>,
    pub(super) triggers: Vec<Trigger>,
    pub(super) kind: Option<Kind>,
}

impl Filter {
    pub(super) fn wants(&self, entry: &Entry) -> bool {
        let record = &entry.record;
        let is_kept = matches!(record.decision, SamplingDecision::Kept(_));
        let of_policy = || {
            let policy = entry.policy();
            policy.is_some_and(|policy| self.policies.iter().any(|wanted| *wanted == *policy))
        };
        self.kept.is_none_or(|wanted| wanted == is_kept)
            && self.kind.is_none_or(|wanted| wanted == Kind::of(entry))
            && (self.triggers.is_empty() || self.triggers.contains(&record.trigger))
            && (self.traces.is_empty() || self.traces.contains(&record.trace_id))
            && (self.policies.is_empty() || of_policy())
    }
}
