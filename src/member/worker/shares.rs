//! Limits that are thin when they are shared out over the partitions of a topic.

use tracing::warn;

use crate::sampling::policy::spec::PolicySpec;
use crate::sampling::policy::{PolicySet, Unit};

/// Spans that a partition's share should hold at once: traces are rarely larger than that. What
/// is larger than a share passes only in its turn, when the budget is full.
const FEW_SPANS: f64 = 10.0;

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
    let limits = spec.kind.limits();
    let own = limits.iter().filter(|limit| limit.unit == Unit::Spans).map(|limit| limit.capacity);
    let (_, parts) = spec.kind.parts();
    own.chain(parts.into_iter().filter_map(smallest_limit)).reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::policy::spec::{
        AlwaysSample, And, BytesLimiting, Composite, CompositeChild, PolicyKind, RateLimiting,
    };

    fn rate(spans_per_second: u64, burst_capacity: Option<u64>) -> PolicySpec {
        PolicySpec::new(
            "rate",
            PolicyKind::RateLimiting(RateLimiting { spans_per_second, burst_capacity }),
        )
    }

    fn composite(total: u64, percents: &[f64]) -> PolicySpec {
        let child = |percent: &f64| CompositeChild {
            policy: PolicySpec::new("child", PolicyKind::AlwaysSample(AlwaysSample {})),
            percent: Some(*percent),
        };
        let children = percents.iter().map(child).collect();
        let kind = PolicyKind::Composite(Composite { max_total_spans_per_second: total, children });
        PolicySpec::new("composite", kind)
    }

    #[test]
    fn a_share_is_small_when_a_trace_of_ten_spans_does_not_fit() {
        let bytes =
            PolicyKind::BytesLimiting(BytesLimiting { bytes_per_second: 1, burst_capacity: None });
        let nested = PolicySpec::new(
            "nested",
            PolicyKind::And(And { and_sub_policy: vec![rate(10, None)] }),
        );
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
