//! A trace that was dropped, for who looks at the demo: how it is opened meanwhile, and what it is.

use std::env;
use std::io;
use std::process::ExitCode;

use super::stage::{DECISIONS, GROUP, TOPIC};
use crate::cmd::process::CommandError;
use crate::cmd::trace::{self, Asked, Output};
use crate::ids::TraceId;
use crate::kafka::decision_log::GroupHash;
use crate::retrieval::{Origin, TimeRange};
use crate::telemetry::latest::LatestTrace;

/// As many spans make a tree that can be taken in.
const GOOD_SIZE: u32 = 8;

/// The one that shows best what there is to see.
pub(super) fn best(dropped: impl IntoIterator<Item = LatestTrace>) -> Option<LatestTrace> {
    let dropped = dropped.into_iter().filter(|trace| trace.spans > 1);
    dropped.min_by_key(|trace| trace.spans.abs_diff(GOOD_SIZE))
}

/// What it is, and the command that opens it as long as the demo runs.
pub(super) fn hint(brokers: &str, dropped: &LatestTrace) -> String {
    let unknown = || "?".to_owned();
    let service = dropped.service.clone().unwrap_or_else(unknown);
    let name = dropped.name.clone().unwrap_or_else(unknown);
    // By that name it was started here.
    let program = env::args().next().unwrap_or_else(|| "tailsieve".to_owned());
    format!(
        "dropped: {service} {name}, {} spans. Open it, while this runs:\n  {program} trace {} \
         --brokers {brokers} --topic {TOPIC}",
        dropped.spans, dropped.trace_id
    )
}

/// Prints it as `tailsieve trace` does.
///
/// # Errors
/// When it does not open.
pub(super) fn print(brokers: String, id: TraceId) -> Result<(), CommandError> {
    println!("A trace that was dropped opens again (`tailsieve trace {id}`):\n");
    let origin = Origin {
        brokers,
        properties: Vec::new(),
        topic: TOPIC.to_owned(),
        decision_log: DECISIONS.to_owned(),
        decision_index: None,
        group: Some(GroupHash::of(GROUP)),
    };
    let asked = Asked { id, origin, range: TimeRange::default(), keep: false };
    let code = trace::show(&asked, (Output::Text, None), &mut io::stdout().lock())?;
    if code == ExitCode::SUCCESS {
        println!();
        return Ok(());
    }
    Err(CommandError::failed(format_args!("the dropped trace {id} does not open")))
}
