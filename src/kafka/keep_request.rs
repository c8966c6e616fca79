//! A request to keep a trace that was dropped: a record of the input topic, on the partition of the trace,
//! with no spans and this header.
//!
//! So it reaches the owner of the partition in order with the spans, and comes again after a crash. Its value
//! is empty, which is OTLP without spans to whoever else reads the topic. Text, for people who look at the
//! topic: a version, the group, the trace, and from where on the decision log tells of it.

use std::fmt;

use crate::ids::{Position, TraceId};
use crate::kafka::decision_log::GroupHash;

/// The name of the header.
pub const KEEP: &str = "tailsieve.keep";

/// The version that this one writes and reads.
const VERSION: &str = "1";

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepRequest {
    /// Whose members are asked: others may read the topic, too.
    pub group: GroupHash,
    /// Which trace.
    pub trace_id: TraceId,
    /// All that the decision log, in the partition of the same number, has on the trace is here or behind.
    pub log: Position,
}

impl KeepRequest {
    /// Reads the value of the header; `None` if it is not understood.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut words = text.split(' ');
        let (version, group) = (words.next()?, words.next()?);
        let (trace, log) = (words.next()?, words.next()?);
        if version != VERSION || words.next().is_some() || group.len() != 8 {
            return None;
        }
        let group = GroupHash::from_bits(u32::from_str_radix(group, 16).ok()?);
        let trace_id = TraceId::from_hex(trace.as_bytes())?;
        let log = log.parse().ok().filter(|log| *log >= 0).map(Position)?;
        Some(Self { group, trace_id, log })
    }
}

impl fmt::Display for KeepRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, trace_id, log } = self;
        write!(f, "{VERSION} {:08x} {trace_id} {}", group.bits(), log.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(group in any::<u32>(), id in 1..=u128::MAX, log in 0..=i64::MAX) {
            let trace_id = TraceId::from_slice(&id.to_be_bytes()).unwrap();
            let request =
                KeepRequest { group: GroupHash::from_bits(group), trace_id, log: Position(log) };
            prop_assert_eq!(KeepRequest::parse(request.to_string().as_bytes()), Some(request));
        }

        #[test]
        fn anything_can_be_read(value in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(KeepRequest::parse(&value), None);
        }
    }

    #[test]
    fn what_is_not_understood_is_no_request() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let good = format!("1 0000002a {id} 17");
        assert!(KeepRequest::parse(good.as_bytes()).is_some());
        for wrong in [
            format!("2 0000002a {id} 17"),
            format!("1 2a {id} 17"),
            format!("1 0000002a {} 17", "0".repeat(32)),
            format!("1 0000002a {id} -1"),
            format!("1 0000002a {id} 99999999999999999999"),
            format!("1 0000002a {id} 17 and more"),
            format!("1 0000002a {id}"),
            String::new(),
        ] {
            assert_eq!(KeepRequest::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
