//! Limits that are thin when they are shared out over the partitions of a topic.

use tracing::warn;

use crate::sampling::policy::PolicySet;
use crate::sampling::policy::spec::{PolicyKind, PolicySpec};

/// Spans that a partition's share should hold at once: traces are rarely larger than that. What
/// is larger than a share passes only in its turn, when the budget is full.
const FEW_SPANS: f64 = 10.0;

/// What a bucket holds unless it is said, in seconds.
const DEFAULT_BURST: u64 = 2;

/// Says which policies have a share that is smaller than many a trace.
pub(super) fn mention_small(policies: &PolicySet, topic_size: u32) {
    for (policy, share) in small(policies.specs(), topic_size) {
        warn!(
            policy,
            topic_partitions = topic_size,
            share_spans = share,
            "policy.small_share: a limit is for the whole group, and a partition's share of this \
             one is smaller than many a trace: such a trace passes only when nothing else did for a \
             while; raise the limit, or use a probabilistic policy instead"
        );
    }
}

fn small<'a>(
    specs: impl Iterator<Item = &'a PolicySpec>,
    topic_size: u32,
) -> impl Iterator<Item = (&'a str, f64)> {
    specs.filter_map(move |spec| {
        let share = smallest_limit(spec)? / f64::from(topic_size.max(1));
        (share < FEW_SPANS).then_some((spec.name.as_str(), share))
    })
}

/// The smallest limit on spans, at once, in a policy.
fn smallest_limit(spec: &PolicySpec) -> Option<f64> {
    let smallest = |all: &[PolicySpec]| all.iter().filter_map(smallest_limit).reduce(f64::min);
    match &spec.kind {
        PolicyKind::RateLimiting { spans_per_second, burst_capacity } => {
            let default = spans_per_second.saturating_mul(DEFAULT_BURST);
            Some(burst_capacity.unwrap_or(default) as f64)
        }
        PolicyKind::Composite { max_total_spans_per_second: total, children } => {
            let even = 100.0 / children.len() as f64;
            let limits = children.iter().flat_map(|child| {
                let own = *total as f64 * child.percent.unwrap_or(even) / 100.0;
                std::iter::once(own).chain(smallest_limit(&child.policy))
            });
            limits.reduce(f64::min)
        }
        PolicyKind::And(all) | PolicyKind::Drop(all) => smallest(all),
        PolicyKind::Not(negated) => smallest_limit(negated),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::policy::spec::CompositeChild;

    fn rate(spans_per_second: u64, burst_capacity: Option<u64>) -> PolicySpec {
        PolicySpec::new("rate", PolicyKind::RateLimiting { spans_per_second, burst_capacity })
    }

    fn composite(total: u64, percents: &[f64]) -> PolicySpec {
        let child = |percent: &f64| CompositeChild {
            policy: PolicySpec::new("child", PolicyKind::AlwaysSample),
            percent: Some(*percent),
        };
        let children = percents.iter().map(child).collect();
        let kind = PolicyKind::Composite { max_total_spans_per_second: total, children };
        PolicySpec::new("composite", kind)
    }

    #[test]
    fn a_share_is_small_when_a_trace_of_ten_spans_does_not_fit() {
        let bytes = PolicyKind::BytesLimiting { bytes_per_second: 1, burst_capacity: None };
        let nested = PolicySpec::new("nested", PolicyKind::And(vec![rate(10, None)]));
        let cases = [
            (rate(60, None), 12, None),
            (rate(59, None), 12, Some(59.0 / 6.0)),
            (rate(1000, Some(100)), 12, Some(100.0 / 12.0)),
            (rate(1, None), 1, Some(2.0)),
            (composite(1200, &[90.0, 10.0]), 12, None),
            (composite(1200, &[95.0, 5.0]), 12, Some(5.0)),
            (nested, 4, Some(5.0)),
            (PolicySpec::new("bytes", bytes), 100, None),
        ];
        for (spec, topic_size, expected) in cases {
            let found: Vec<_> = small(std::iter::once(&spec), topic_size).collect();
            let expected: Vec<_> = expected.map(|share| (&*spec.name, share)).into_iter().collect();
            assert_eq!(found, expected, "{spec:?} over {topic_size}");
        }
    }
}
