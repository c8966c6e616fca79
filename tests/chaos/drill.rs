//! A plan that is not drawn: the moments at which each defence is all there is.

use std::time::Duration;

use tonic::Code;

use crate::fault::{Answer, Fault};
use crate::plan::{Event, SESSION};

/// How long there is traffic.
pub const LASTS: Duration = Duration::from_secs(60);

/// The plan.
pub fn plan() -> Vec<Event> {
    let session = SESSION.as_secs_f64();
    let plan = [
        // Of a member that is stopped the exporters have requests to repeat, the workers traces
        // that are open and records that are not decided. Its successors decide them by policies of
        // other names, before it goes on.
        (11.0, 4.0, Fault::Backend(Answer::Code(Code::Unavailable))),
        (13.0, session + 6.0, Fault::Freeze(0)),
        (15.0, 0.1, Fault::Reload(1)),
        // What is decided while the log takes nothing is decided again by other policies.
        (32.0, 14.0, Fault::DecisionLog),
        (44.0, 4.0, Fault::Kill(1)),
        (44.1, 0.1, Fault::Reload(2)),
    ];
    let seconds = Duration::from_secs_f64;
    let event = |(at, lasts, fault)| Event { at: seconds(at), lasts: seconds(lasts), fault };
    plan.map(event).into()
}
