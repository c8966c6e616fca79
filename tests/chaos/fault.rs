//! What can go wrong, as far as this suite makes it go wrong.

use std::fmt;
use std::time::Duration;

use tonic::Code;

use crate::proxy::Mode;

/// Where a member of a slot is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Kafka,
    Backend,
}

/// What the backend does with requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answer {
    /// Takes them.
    Accept,
    /// Does not take them and answers a code after which clients retry; `RESOURCE_EXHAUSTED` comes
    /// with a `RetryInfo`.
    Code(Code),
    /// Takes them and says that it rejected a span, which is no reason to send them again.
    Partial,
    /// Does not take them and ends its answers before their status.
    NoStatus,
    /// Does not take them and closes its connections.
    Close,
    /// Takes them and answers `UNAVAILABLE`.
    AcceptThenFail,
    /// Takes them and closes its connections.
    AcceptThenClose,
    /// Takes them and answers after this time, which may be longer than members wait.
    Slow(Duration),
    /// Does not take what has one of some unlucky traces in it, and takes all others.
    Refuse(Code),
    /// Takes nothing and answers a code that the specification calls final, as a backend that
    /// restarts or whose token rolls, and for one request in three the page of the proxy before it.
    Restart(Code),
    /// Any of these but the last three, drawn for each request.
    Mixed,
}

/// Codes after which a request is sent again (OTLP/gRPC).
pub const RETRYABLE: [Code; 7] = [
    Code::Cancelled,
    Code::DeadlineExceeded,
    Code::Aborted,
    Code::OutOfRange,
    Code::Unavailable,
    Code::DataLoss,
    Code::ResourceExhausted,
];

/// Codes after which it is not sent again, by the letter of the specification.
pub const PERMANENT: [Code; 8] = [
    Code::InvalidArgument,
    Code::Internal,
    Code::Unknown,
    Code::FailedPrecondition,
    Code::NotFound,
    Code::PermissionDenied,
    Code::Unimplemented,
    Code::Unauthenticated,
];

/// One thing that goes wrong, and is mended when its time is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// `kill -9` of a member, which is started again.
    Kill(usize),
    /// SIGTERM of a member, which is started again.
    Leave(usize),
    /// A further member comes, and goes by SIGTERM.
    Visit(usize),
    /// A further member comes, and is killed.
    VisitAndDie(usize),
    /// SIGSTOP of a member for longer than its session, then SIGCONT.
    Freeze(usize),
    /// `kill -9` of Kafka, which is started again on its data.
    KafkaDies,
    /// A member's connections to one side are cut; it can connect again at once.
    Cut(Side, usize),
    /// A member's connections to one side are not what they should be.
    Link(Side, usize, Mode),
    /// The backend has a bad time.
    Backend(Answer),
    /// The policies come under other names, with other waits.
    Reload(u32),
    /// So many records that hold no spans are put on the topic.
    Poison(u32),
    /// The topic of the decision log takes nothing.
    DecisionLog,
}

/// What two faults cannot have both at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    Process(usize),
    Link(Side, usize),
    Kafka,
    Backend,
    Policies,
    Topic,
    DecisionLog,
}

impl Fault {
    /// What it needs for itself.
    pub fn resource(self) -> Resource {
        match self {
            Self::Kill(slot) | Self::Leave(slot) | Self::Freeze(slot) => Resource::Process(slot),
            Self::Visit(slot) | Self::VisitAndDie(slot) => Resource::Process(slot),
            Self::KafkaDies => Resource::Kafka,
            Self::Cut(side, slot) | Self::Link(side, slot, _) => Resource::Link(side, slot),
            Self::Backend(_) => Resource::Backend,
            Self::Reload(_) => Resource::Policies,
            Self::Poison(_) => Resource::Topic,
            Self::DecisionLog => Resource::DecisionLog,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(slot) => write!(f, "kill -9 of member {slot}"),
            Self::Leave(slot) => write!(f, "SIGTERM of member {slot}"),
            Self::Visit(slot) => write!(f, "member {slot} joins, leaves by SIGTERM"),
            Self::VisitAndDie(slot) => write!(f, "member {slot} joins, ends by kill -9"),
            Self::Freeze(slot) => write!(f, "SIGSTOP of member {slot}, then SIGCONT"),
            Self::KafkaDies => write!(f, "kill -9 of Kafka"),
            Self::Cut(side, slot) => write!(f, "member {slot} is cut off {side:?}"),
            Self::Link(side, slot, mode) => write!(f, "member {slot} to {side:?}: {mode:?}"),
            Self::Backend(answer) => write!(f, "backend: {answer:?}"),
            Self::Reload(version) => write!(f, "policies of version {version}"),
            Self::Poison(records) => write!(f, "{records} poisoned records"),
            Self::DecisionLog => write!(f, "the decision log takes nothing"),
        }
    }
}
