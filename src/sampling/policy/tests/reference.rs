//! The policies against a slow and obvious reference: it keeps every span, looks them all over for
//! each question, and remembers a budget by everything that was ever spent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What was spent, by the path of names to the budget.
type Spent = BTreeMap<String, Vec<(i64, f64)>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ballot {
    None,
    Keep,
    Drop,
}

struct Reference<'a> {
    items: &'a [Item],
    spans: u32,
    bytes: u64,
    id: TraceId,
    now: i64,
}

impl Reference<'_> {
    fn any_attribute(&self, key: &str, test: impl Fn(Attribute) -> bool) -> bool {
        let first = |item: &Item| item.attributes.iter().find(|(name, _)| *name == key).copied();
        self.items.iter().filter_map(first).any(|(_, value)| test(value))
    }

    fn any_span(&self, test: impl Fn(&Item) -> bool) -> bool {
        self.items.iter().any(|item| item.millis.is_some() && test(item))
    }

    fn whole_millis(&self) -> u64 {
        let spans = || self.items.iter().filter_map(|item| item.millis);
        let start = spans().map(|(start, _)| start).fold(f64::INFINITY, f64::min);
        let end = spans().map(|(_, end)| end).fold(0.0, f64::max);
        (end - start).max(0.0).floor() as u64
    }

    /// Whether `amount` passes a bucket of which all this was taken.
    fn passes(&self, taken: &[(i64, f64)], rate: f64, burst: f64, amount: f64) -> bool {
        let (mut tokens, mut at) = (burst, None::<i64>);
        for (time, amount) in taken.iter().copied().chain([(self.now, 0.0)]) {
            let passed = at.map_or(0, |at| (time - at).max(0));
            tokens = f64::min(burst, tokens + passed as f64 / 1000.0 * rate) - amount;
            at = Some(time);
        }
        amount <= tokens
    }

    fn ballot(&self, spec: &PolicySpec, path: &str, spent: &mut Spent) -> Ballot {
        let path = format!("{path}/{}", spec.name);
        let keep_if = |holds| if holds { Ballot::Keep } else { Ballot::None };
        let mut bucket = |rate: u64, burst: Option<u64>, amount: f64| {
            let burst = burst.unwrap_or(2 * rate) as f64;
            let taken = spent.entry(path.clone()).or_default();
            let passes = self.passes(taken, rate as f64, burst, amount);
            if passes {
                taken.push((self.now, amount));
            }
            keep_if(passes)
        };
        match &spec.kind {
            PolicyKind::AlwaysSample(AlwaysSample {}) => Ballot::Keep,
            PolicyKind::StatusCode(StatusCodes { status_codes }) => keep_if(
                self.any_span(|span| status_codes.iter().any(|code| *code as i32 == span.status)),
            ),
            PolicyKind::Latency(Latency { threshold_ms, upper_threshold_ms }) => {
                let millis = self.whole_millis();
                let upper = upper_threshold_ms.unwrap_or(u64::MAX);
                keep_if(millis > *threshold_ms && millis <= upper)
            }
            PolicyKind::StringAttribute(StringAttribute { key, values, invert_match, .. }) => {
                let is_it = |value| matches!(value, Attribute::Str(text) if values.iter().any(|v| v == text));
                keep_if(self.any_attribute(key, is_it) != *invert_match)
            }
            PolicyKind::NumericAttribute(NumericAttribute {
                key,
                min_value,
                max_value,
                invert_match,
            }) => {
                let is_it = |value| match value {
                    Attribute::Int(number) => {
                        min_value.is_none_or(|least| least <= number)
                            && max_value.is_none_or(|most| number <= most)
                    }
                    _ => false,
                };
                keep_if(self.any_attribute(key, is_it) != *invert_match)
            }
            PolicyKind::SpanCount(SpanCount { min_spans, max_spans }) => {
                keep_if(self.spans >= *min_spans && max_spans.is_none_or(|most| self.spans <= most))
            }
            PolicyKind::TraceFlags(TraceFlags {}) => {
                keep_if(self.any_span(|span| span.flags % 2 == 1))
            }
            PolicyKind::Probabilistic(Probabilistic { sampling_percentage, .. }) => {
                // Exact for the percentages that are asked here.
                let passed = self.id.randomness() as f64 / (1_u64 << 56) as f64;
                keep_if(passed >= 1.0 - sampling_percentage / 100.0)
            }
            PolicyKind::RateLimiting(RateLimiting { spans_per_second, burst_capacity }) => {
                bucket(*spans_per_second, *burst_capacity, f64::from(self.spans))
            }
            PolicyKind::BytesLimiting(BytesLimiting { bytes_per_second, burst_capacity }) => {
                bucket(*bytes_per_second, *burst_capacity, self.bytes as f64)
            }
            PolicyKind::Not(Not { not_sub_policy: negated }) => {
                let before = spent.clone();
                match self.ballot(negated, &path, spent) {
                    Ballot::None => Ballot::Keep,
                    _ => {
                        *spent = before;
                        Ballot::None
                    }
                }
            }
            PolicyKind::And(And { and_sub_policy: all }) => self.all(all, &path, spent),
            PolicyKind::Drop(Drop { drop_sub_policy: all }) => match self.all(all, &path, spent) {
                Ballot::None => Ballot::None,
                _ => Ballot::Drop,
            },
            _ => unreachable!("not asked of the reference"),
        }
    }

    fn all(&self, all: &[PolicySpec], path: &str, spent: &mut Spent) -> Ballot {
        let before = spent.clone();
        // What spends is asked last, which matters only to what is spent in vain.
        let ballots: Vec<Ballot> = all.iter().map(|one| self.ballot(one, path, spent)).collect();
        if ballots.contains(&Ballot::None) {
            *spent = before;
            return Ballot::None;
        }
        if ballots.contains(&Ballot::Drop) { Ballot::Drop } else { Ballot::Keep }
    }

    /// The outcome as the rules of combination have it.
    fn outcome(&self, specs: &[PolicySpec], spent: &mut Spent) -> char {
        let mut kept = false;
        for spec in specs.iter().filter(|spec| comes_first(spec)) {
            if spec.mode == Mode::Enforce && self.ballot(spec, "", spent) == Ballot::Drop {
                return 'D';
            }
        }
        let mut dropped = false;
        for spec in specs.iter().filter(|spec| !comes_first(spec)) {
            if spends(spec) && (kept || dropped) {
                continue;
            }
            match self.ballot(spec, "", spent) {
                _ if spec.mode == Mode::Shadow => {}
                Ballot::None => {}
                Ballot::Keep => kept = true,
                Ballot::Drop => dropped = true,
            }
        }
        match (dropped, kept) {
            (true, _) => 'D',
            (false, true) => 'K',
            (false, false) => 'N',
        }
    }
}

fn spends(spec: &PolicySpec) -> bool {
    match &spec.kind {
        PolicyKind::RateLimiting(RateLimiting { .. })
        | PolicyKind::BytesLimiting(BytesLimiting { .. }) => true,
        PolicyKind::And(And { and_sub_policy: all })
        | PolicyKind::Drop(Drop { drop_sub_policy: all }) => all.iter().any(spends),
        PolicyKind::Not(Not { not_sub_policy: negated }) => spends(negated),
        _ => false,
    }
}

fn comes_first(spec: &PolicySpec) -> bool {
    matches!(spec.kind, PolicyKind::Drop(_)) || may_drop(spec) && !spends(spec)
}

fn may_drop(spec: &PolicySpec) -> bool {
    match &spec.kind {
        PolicyKind::Drop(_) => true,
        PolicyKind::And(And { and_sub_policy: all }) => all.iter().any(may_drop),
        _ => false,
    }
}

const KEYS: [&str; 2] = ["a", "b"];
const WORDS: [&str; 3] = ["x", "y", "z"];

fn leaf() -> impl Strategy<Value = PolicyKind> {
    use StatusCode::{Error, Ok, Unset};
    let key = || prop::sample::select(KEYS.to_vec());
    prop_oneof![
        Just(PolicyKind::AlwaysSample(AlwaysSample {})),
        prop::sample::subsequence(vec![Unset, Ok, Error], 1..3)
            .prop_map(|status_codes| PolicyKind::StatusCode(StatusCodes { status_codes })),
        (0..6u64, prop::option::of(3..9u64)).prop_map(|(low, high)| latency(low, high)),
        (key(), prop::sample::subsequence(WORDS.to_vec(), 1..3), any::<bool>())
            .prop_map(|(key, values, invert)| text(key, &values, false, invert)),
        (key(), -3..3i64, 0..4i64, any::<bool>()).prop_map(|(key, least, more, invert_match)| {
            let (min_value, max_value) = (Some(least), Some(least + more));
            PolicyKind::NumericAttribute(NumericAttribute {
                key: key.into(),
                min_value,
                max_value,
                invert_match,
            })
        }),
        (0..4u32, prop::option::of(1..6u32)).prop_map(|(min_spans, max_spans)| {
            PolicyKind::SpanCount(SpanCount { min_spans, max_spans })
        }),
        Just(PolicyKind::TraceFlags(TraceFlags {})),
        prop::sample::select(vec![0.0, 25.0, 50.0, 75.0, 100.0]).prop_map(percent),
        (0..20u64, prop::option::of(0..20u64)).prop_map(|(rate, burst)| bucket(rate, burst)),
        (0..99u64, prop::option::of(0..99u64)).prop_map(|(bytes_per_second, burst_capacity)| {
            PolicyKind::BytesLimiting(BytesLimiting { bytes_per_second, burst_capacity })
        }),
    ]
}

fn named(kinds: Vec<PolicyKind>) -> Vec<PolicySpec> {
    let spec = |(n, kind)| PolicySpec::new(format!("p{n}"), kind);
    kinds.into_iter().enumerate().map(spec).collect()
}

fn tree() -> impl Strategy<Value = PolicyKind> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        let several = || prop::collection::vec(inner.clone(), 1..4).prop_map(named);
        prop_oneof![
            several().prop_map(|and_sub_policy| PolicyKind::And(And { and_sub_policy })),
            several().prop_map(|drop_sub_policy| PolicyKind::Drop(Drop { drop_sub_policy })),
            inner.clone().prop_map(not),
        ]
    })
}

fn policies() -> impl Strategy<Value = Vec<PolicySpec>> {
    let shadow = prop::bool::weighted(0.1);
    prop::collection::vec((tree(), shadow), 1..5).prop_map(|kinds| {
        let (kinds, shadows): (Vec<_>, Vec<bool>) = kinds.into_iter().unzip();
        let mut specs = named(kinds);
        for (spec, is_shadow) in specs.iter_mut().zip(shadows) {
            spec.mode = if is_shadow { Mode::Shadow } else { Mode::Enforce };
        }
        specs
    })
}

fn item() -> impl Strategy<Value = Item> {
    let value = prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(Attribute::Str),
        (-3..6i64).prop_map(Attribute::Int),
        any::<bool>().prop_map(Attribute::Bool),
        Just(Attribute::Double(1.0)),
    ];
    let attributes = prop::collection::vec((prop::sample::select(KEYS.to_vec()), value), 0..3);
    let millis = prop::option::weighted(0.9, (0..8u32, 0..32u32));
    (millis, 0..3i32, 0..4u32, attributes).prop_map(|(millis, status, flags, attributes)| {
        // Quarters of a millisecond, which numbers have exactly.
        let times =
            |(start, quarters)| (f64::from(start), f64::from(start) + f64::from(quarters) / 4.0);
        Item { millis: millis.map(times), status, flags, attributes, ..Item::default() }
    })
}

fn traces() -> impl Strategy<Value = Vec<(i64, u64, u64, Vec<Item>)>> {
    // At least one span: a trace without any does not exist.
    let items = prop::collection::vec(item(), 0..5).prop_map(|mut items| {
        items.push(span(0.0, 1.0));
        items
    });
    // Eighths of a second, so that what a budget gains is exact, in however many steps.
    let after = (0..6i64).prop_map(|eighths| eighths * 125);
    prop::collection::vec((after, any::<u64>(), 0..60u64, items), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn policies_agree_with_a_slow_reference(specs in policies(), traces in traces()) {
        let policies = compile(&specs).expect("the test's policies compile");
        let (mut budgets, mut spent, mut now) = (policies.budgets(1), Spent::new(), 0);
        for (after, random, bytes, items) in traces {
            now += after;
            let mut id = [1; 16];
            id[8..].copy_from_slice(&random.to_be_bytes());
            let id = TraceId::from_slice(&id).expect("not all zero");
            let mut trace = summary(&policies, id, &items);
            trace.bytes = bytes;
            let decision = policies.decide(&trace, Timestamp(now), &mut budgets, &mut ());
            let got = match decision {
                Decision::Keep { .. } => 'K',
                Decision::Drop { policy: None } => 'N',
                Decision::Drop { policy: Some(_) } => 'D',
            };
            let reference = Reference { items: &items, spans: trace.spans, bytes, id, now };
            prop_assert_eq!(got, reference.outcome(&specs, &mut spent), "{:?}", items);
        }
    }
}
