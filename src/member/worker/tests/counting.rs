//! What is counted by policy.

use super::bench::*;
use crate::sampling::policy::spec::{
    Composite, CompositeChild, Drop, Mode, PolicyKind, PolicySpec, Rule, RuleScope, Sample,
};
use crate::telemetry::accounts::Amount;

/// The counts of the policy at `place`, as (kept, dropped, none, keep, drop).
fn counted(bench: &Bench, place: usize) -> (u64, u64, [u64; 3]) {
    let policy = &bench.counts().policies[place];
    (policy.kept.traces, policy.dropped.traces, policy.votes)
}

#[test]
fn votes_and_amounts_are_counted_by_policy() {
    let dropped = attribute("health", "path", "/health");
    let drops = PolicySpec::new("drops", PolicyKind::Drop(Drop { drop_sub_policy: vec![dropped] }));
    let mut bench = Bench::new(active(&[errors("errors"), drops, everything("all")]));
    bench.take_in(0, "shop", vec![failed(span(1)), span(1)]);
    bench.take_in(0, "shop", vec![with(failed(span(2)), "path", "/health")]);
    bench.take_in(0, "shop", vec![span(3)]);
    bench.run_clock_to(30_000);
    assert_eq!(counted(&bench, 0), (1, 0, [1, 2, 0]));
    assert_eq!(counted(&bench, 1), (0, 1, [2, 0, 1]));
    assert_eq!(counted(&bench, 2), (1, 0, [0, 3, 0]));
    assert_eq!(bench.counts().policies[0].kept.spans, 2);
    let alone = |place: usize| bench.counts().policies[place].alone;
    assert_eq!(alone(0), Amount::default(), "all of it is kept by another one, too");
    assert_eq!((alone(1).traces, alone(2).traces), (1, 1), "the veto, and what has no error");
    assert_eq!(bench.counts().unwanted, Amount::default());
}

#[test]
fn shadow_policies_are_counted_by_what_they_would_have_changed() {
    let drops =
        PolicyKind::Drop(Drop { drop_sub_policy: vec![attribute("shop", "service.name", "shop")] });
    let policies = [
        errors("errors"),
        everything("more").into_shadow(),
        PolicySpec::new("less", drops).into_shadow(),
    ];
    let mut bench = Bench::new(active(&policies));
    bench.take_in(0, "shop", vec![failed(span(1)), span(1)]);
    bench.take_in(0, "shop", vec![span(2)]);
    bench.take_in(0, "bank", vec![span(3), span(3), span(3)]);
    bench.run_clock_to(30_000);
    let counts = bench.counts();
    let (more, less) = (&counts.policies[1], &counts.policies[2]);
    assert_eq!(more.votes, [0, 3, 0]);
    assert_eq!((more.shadow_kept.traces, more.shadow_kept.spans), (2, 4));
    assert_eq!(less.votes, [1, 0, 2]);
    assert_eq!((less.shadow_dropped.traces, less.shadow_dropped.spans), (1, 2));
    let none = (more.kept, more.dropped, more.shadow_dropped, less.kept, less.shadow_kept);
    assert_eq!(none, Default::default(), "it has no effect");
    assert_eq!((counts.unwanted.traces, counts.unwanted.spans), (2, 4));
}

fn rule(name: &str, when: &str, sample: Sample) -> PolicySpec {
    let when = when.to_owned();
    PolicySpec::new(name, PolicyKind::Rule(Rule { when, scope: RuleScope::AnySpan, sample }))
}

/// Every case has one trace with an error; (shadow kept, shadow dropped) of its shadow policy.
#[test]
fn shadow_policies_are_not_counted_where_they_would_change_nothing() {
    let veto = || {
        PolicySpec::new("veto", PolicyKind::Drop(Drop { drop_sub_policy: vec![everything("any")] }))
    };
    let refuses = || rule("refuses", "true", Sample::Drop);
    let keeps = || everything("keeps").into_shadow();
    let drops = || rule("drops", "true", Sample::Drop).into_shadow();
    let never = || rule("never", "false", Sample::Keep);
    let cases = [
        ("nobody keeps it", vec![never(), keeps()], (1, 0)),
        ("it is kept anyway", vec![errors("errors"), keeps()], (0, 0)),
        ("it is dropped anyway", vec![veto(), keeps()], (0, 0)),
        ("it is not asked any more", vec![refuses(), keeps()], (0, 0)),
        ("it comes before the refusal", vec![keeps(), refuses()], (1, 0)),
        ("the rule comes before the keeper", vec![drops(), errors("errors")], (0, 1)),
        ("the rule comes after the keeper", vec![errors("errors"), drops()], (0, 0)),
        ("there is nothing left to drop", vec![errors("errors"), veto(), drops()], (0, 0)),
    ];
    for (name, policies, expected) in cases {
        let mut bench = Bench::new(active(&policies));
        bench.take_in(0, "shop", vec![failed(span(1))]);
        bench.run_clock_to(30_000);
        let shadow = policies.iter().position(|policy| policy.mode == Mode::Shadow).unwrap();
        let counts = &bench.counts().policies[shadow];
        let counted = (counts.shadow_kept.traces, counts.shadow_dropped.traces);
        assert_eq!(counted, expected, "{name}");
    }
}

#[test]
fn children_of_composites_are_counted() {
    let child = |policy| CompositeChild { policy, percent: None };
    let kind = PolicyKind::Composite(Composite {
        max_total_spans_per_second: 4,
        children: vec![child(errors("errors")), child(everything("all"))],
    });
    let mut bench = Bench::new(active(&[PolicySpec::new("shares", kind)]));
    bench.take_in(0, "shop", vec![failed(span(1)), span(1)]);
    bench.take_in(0, "shop", vec![failed(span(2))]);
    bench.take_in(0, "shop", vec![span(3), span(3)]);
    bench.run_clock_to(30_000);
    let kept = |traces, spans| (traces, traces, spans);
    let leaves = bench.counts().leaves.iter();
    let leaves: Vec<_> =
        leaves.map(|leaf| (leaf.votes, leaf.kept.traces, leaf.kept.spans)).collect();
    assert_eq!(leaves, [kept(1, 2), kept(1, 1)], "the third is over budget");
    assert_eq!(counted(&bench, 0), (2, 0, [1, 2, 0]));
}

#[test]
fn a_switch_counts_from_the_start() {
    let mut bench = Bench::new(active(&[everything("one"), errors("two")]));
    bench.take_in(0, "shop", vec![span(1)]);
    bench.switch(active(&[errors("other")]));
    bench.run_clock_to(30_000);
    assert_eq!(counted(&bench, 0), (0, 0, [1, 0, 0]));
    assert_eq!(bench.counts().policies.len(), 1);
    assert_eq!(bench.counts().unwanted.traces, 1);
}
