//! A plan around a topic that is deleted and created again: members die and come just then.

use std::time::Duration;

use crate::fault::Fault;
use crate::plan::Event;

/// How long there is traffic on the first topic, and on the one after it.
pub const FIRST: Duration = Duration::from_secs(12);
pub const LASTS: Duration = Duration::from_secs(25);

/// What goes wrong once the new topic is there.
pub fn plan() -> Vec<Event> {
    let plan =
        [(0.3, 3.0, Fault::Kill(1)), (2.0, 12.0, Fault::Visit(2)), (17.0, 2.0, Fault::Leave(0))];
    let seconds = Duration::from_secs_f64;
    let event = |(at, lasts, fault)| Event { at: seconds(at), lasts: seconds(lasts), fault };
    plan.map(event).into()
}
