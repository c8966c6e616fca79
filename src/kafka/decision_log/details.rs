//! What a record says of the spans of a trace, to its messages and back.

use std::borrow::Cow;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::ids::Offset;
use crate::proto;
use crate::sampling::decided::TraceDetails;
use crate::sampling::trace::RecordOffsets;
use crate::telemetry::cut::beginning;

/// How much of a name goes on record, in bytes.
const LONGEST_NAME: usize = 256;

/// The names that a record holds already, each with its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NamesWritten(HashMap<Box<str>, u32, FixedState>);

impl NamesWritten {
    /// The number of a name, which `write` writes if the record does not hold it yet.
    pub(super) fn number_of(&mut self, name: &str, write: impl FnOnce(&str)) -> u32 {
        let name = beginning(name, LONGEST_NAME);
        if name.is_empty() {
            return 0;
        }
        if let Some(number) = self.0.get(name) {
            return *number;
        }
        write(name);
        let number = self.0.len() as u32 + 1;
        self.0.insert(name.into(), number);
        number
    }
}

/// The message for an entry whose decision covers records from `first` on.
pub(super) fn to_wire(
    details: &TraceDetails<'_>,
    first: Offset,
    number_of: &mut impl FnMut(&str) -> u32,
) -> proto::TraceDetails {
    let mut before = first;
    let step = |offset: Offset| (offset.0 - std::mem::replace(&mut before, offset).0) as u64;
    proto::TraceDetails {
        record_steps: details.records.listed().map_or_else(Vec::new, |all| all.map(step).collect()),
        span_count: details.spans,
        span_bytes: details.bytes,
        duration_nanos: details.duration.map(|it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX)),
        error_count: details.errors,
        service: number_of(&details.service),
        name: number_of(&details.name),
    }
}

/// What the message of an entry says, whose decision covers records from `first` to `last`; `None` if
/// that is no such range.
pub(super) fn of_wire(
    message: &proto::TraceDetails,
    (first, last): (Offset, Offset),
    names: &[String],
) -> Option<TraceDetails<'static>> {
    let name = |number: u32| {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        Cow::Owned(place.and_then(|place| names.get(place)).cloned().unwrap_or_default())
    };
    Some(TraceDetails {
        records: records(&message.record_steps, first, last)?,
        spans: message.span_count,
        bytes: message.span_bytes,
        duration: message.duration_nanos.map(Duration::from_nanos),
        errors: message.error_count,
        service: name(message.service),
        name: name(message.name),
    })
}

fn records(steps: &[u64], first: Offset, last: Offset) -> Option<RecordOffsets> {
    let after =
        |offset: Offset, step: &u64| offset.0.checked_add(i64::try_from(*step).ok()?).map(Offset);
    let Some((to_first, steps)) = steps.split_first() else {
        return Some(RecordOffsets::unlisted(first, last));
    };
    let mut at = after(first, to_first)?;
    let mut records = RecordOffsets::one(at);
    for step in steps {
        at = after(at, step)?;
        records.add(at);
    }
    Some(records)
}
