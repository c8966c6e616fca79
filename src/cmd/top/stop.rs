//! The stops on the way of a span, and what is counted at each.

/// A stop on the way of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    In,
    Open,
    Kept,
    Dropped,
    Invalid,
    Refused,
    Delivered,
    Late,
    Revoked,
    Replayed,
}

impl Stop {
    pub(super) const ALL: [Self; 10] = [
        Self::In,
        Self::Open,
        Self::Kept,
        Self::Dropped,
        Self::Invalid,
        Self::Refused,
        Self::Delivered,
        Self::Late,
        Self::Revoked,
        Self::Replayed,
    ];

    /// As the API has it: its name, and whether whole traces stop there.
    pub(super) fn field(self) -> Option<(&'static str, bool)> {
        match self {
            Self::In => Some(("received", true)),
            Self::Open => Some(("open", true)),
            Self::Kept => Some(("kept", true)),
            Self::Dropped => Some(("dropped", true)),
            Self::Invalid => Some(("invalid", false)),
            Self::Late => Some(("late", false)),
            Self::Revoked => Some(("revoked", true)),
            Self::Replayed => Some(("replayed", false)),
            Self::Refused | Self::Delivered => None,
        }
    }
}

/// Traces, spans and bytes, as far as they are known.
pub(super) type Amount<T> = [Option<T>; 3];

/// One for each [`Stop`].
pub(super) type Stops<T> = [T; Stop::ALL.len()];

/// The unit of spans in an [`Amount`].
pub(super) const SPANS: usize = 1;
