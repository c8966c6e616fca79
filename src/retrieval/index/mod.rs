//! What the index of the decision log says of a trace. Where it says nothing, the log is read.

use std::collections::BTreeSet;
use std::time::Duration;

use tracing::debug;

use super::reader::Reader;
use super::{Budget, RetrievalError, TimeRange};
use crate::ids::{Timestamp, TraceId};
use crate::kafka::decision_log::{Coverage, GroupHash};

/// Records of the index come this much later than what they tell of, at the latest, unless members are
/// told to let them wait for longer. Later ones are not read.
const LATEST: Duration = Duration::from_secs(15 * 60);

/// What the index says of a trace, if there is one.
///
/// # Errors
/// When the budget is spent.
pub(super) fn ask(
    (index, log): (&Reader, &Reader),
    wanted: (TraceId, Option<GroupHash>),
    range: TimeRange,
    budget: &mut Budget,
) -> Result<Option<Coverage>, RetrievalError> {
    match read(index, log, wanted, range, budget) {
        Ok(coverage) => Ok(Some(coverage)),
        Err(RetrievalError::OverBudget) => Err(RetrievalError::OverBudget),
        Err(error) => {
            debug!(%error, "retrieval.no_index");
            Ok(None)
        }
    }
}

fn read(
    index: &Reader,
    log: &Reader,
    (id, group): (TraceId, Option<GroupHash>),
    range: TimeRange,
    budget: &mut Budget,
) -> Result<Coverage, RetrievalError> {
    let partitions = index.partitions(budget)? as usize;
    let mut coverage = Coverage::new(id, group, log.topic_id(budget)?, partitions);
    let partition = coverage.partition();
    let only = BTreeSet::from([partition]);
    let mut stretches = index.whole(&only, budget)?;
    let Some(stretch) = stretches.get_mut(&partition) else { return Ok(coverage) };
    if let Some(from) = range.from {
        // A record is younger than all that it tells of.
        stretch.start = index.at(&only, from, budget)?[&partition].unwrap_or(stretch.end);
    }
    if let Some(to) = range.to {
        let latest = Timestamp(to.0.saturating_add(LATEST.as_millis() as i64));
        stretch.end = index.at(&only, latest, budget)?[&partition].unwrap_or(stretch.end);
    }
    let (mut bytes, mut unusable) = (0, 0_u64);
    index.read(&stretches, budget, &mut |record| {
        let value = record.value.as_deref();
        bytes += value.unwrap_or_default().len() as u64;
        unusable += u64::from(coverage.take_in(value).is_err());
    })?;
    budget.read.index += bytes;
    budget.read.unusable += unusable;
    Ok(coverage)
}

#[cfg(test)]
mod tests;
