//! Policies that keep everything, or that have no effect because of what stands before them.

use super::{Lint, below, parts};
use crate::config::diagnostics::Place;
use crate::config::document::Node;
use crate::config::policies::Placed;
use crate::sampling::policy::spec::{Drop, Matching, Mode, PolicyKind, PolicySpec, Rule, Sample};

/// A policy of the file, and which traces it votes for.
struct Judged<'p> {
    spec: &'p PolicySpec,
    matching: Matching,
    place: Place,
}

impl Judged<'_> {
    fn is_drop(&self) -> bool {
        matches!(self.spec.kind, PolicyKind::Drop(_))
    }

    fn is_rule(&self) -> bool {
        matches!(self.spec.kind, PolicyKind::Rule(_))
    }

    /// What to call it, and where it is.
    fn named(&self) -> String {
        format!("`{}` (line {})", self.spec.name, self.place.line)
    }
}

/// Warns of what the policies come to, each by itself and beside the ones before it.
pub(super) fn lint(lint: &Lint<'_>, policies: &[Placed<'_>]) {
    let judged: Vec<Judged<'_>> = policies
        .iter()
        .map(|Placed { spec, node }| {
            let place = node.find("name").place;
            Judged { spec, matching: matching(lint, spec, node), place }
        })
        .collect();
    nothing_kept(lint, &judged);
    for policy in judged.iter().filter(|policy| policy.spec.name == "none") {
        let message = "`none` is what metrics call traces that no policy keeps";
        lint.warn(policy.place, message, "give the policy another name");
    }
    for (index, policy) in judged.iter().enumerate() {
        // A shadow policy has no effect anyway, and may well stand for an experiment.
        if policy.spec.mode == Mode::Shadow || policy.matching.is_never() {
            continue;
        }
        let others = judged.iter().filter(|other| other.spec.mode == Mode::Enforce);
        let before: Vec<&Judged<'_>> =
            judged[..index].iter().filter(|other| other.spec.mode == Mode::Enforce).collect();
        let drops: Vec<&Judged<'_>> = others.filter(|other| other.is_drop()).collect();
        let why = without_effect(policy, &before, &drops);
        let is_effective = why.is_none();
        if let Some(why) = why {
            let message = format!("policy `{}` has no effect: {why}", policy.spec.name);
            lint.warn(policy.place, message, "take it out, or narrow the other one down");
        }
        if policy.matching == Matching::Always && is_effective {
            everything(lint, policy);
        }
    }
}

/// Which traces the policy votes for. Warns, where there are none, of what makes it so.
fn matching(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) -> Matching {
    let parts = parts(spec, node).into_iter().map(|(spec, node)| matching(lint, spec, node));
    let matching = spec.kind.matching(&parts.collect::<Vec<_>>());
    if let Matching::Never(Some((option, why))) = &matching {
        let place = below(spec, node, option).unwrap_or(node).place;
        let message = format!("policy `{}` can never match: {why}", spec.name);
        lint.warn(place, message, "correct it, or take the policy out");
    }
    matching
}

/// Warns where every trace is dropped, unless that follows from what is said of a single policy.
fn nothing_kept(lint: &Lint<'_>, judged: &[Judged<'_>]) {
    let may_keep = |policy: &Judged<'_>| {
        let keeps_nothing =
            matches!(policy.spec.kind, PolicyKind::Rule(Rule { sample: Sample::Drop, .. }));
        policy.spec.mode == Mode::Enforce && !policy.is_drop() && !keeps_nothing
    };
    let is_told = |policy: &Judged<'_>| {
        let drops_all = policy.is_drop() && policy.matching == Matching::Always;
        policy.matching.is_never() || drops_all
    };
    let Some(first) = judged.first() else { return };
    if !judged.iter().any(|policy| may_keep(policy) || is_told(policy)) {
        let message = "no policy keeps anything, so every trace is dropped";
        let help = "shadows, `drop` and rules that drop keep nothing: add a policy that does";
        lint.warn(first.place, message, help);
    }
}

fn everything(lint: &Lint<'_>, policy: &Judged<'_>) {
    let name = &policy.spec.name;
    let help = "take it out, or give it a share: type probabilistic";
    match &policy.spec.kind {
        PolicyKind::Drop(_) => {
            let message = format!("policy `{name}` drops every trace");
            lint.warn(policy.place, message, "correct it, or take it out");
        }
        // All of it to some of the exporters is what archives are for.
        _ if !policy.spec.exporters.is_empty() => {}
        // A rule for all that is left is how rules end.
        PolicyKind::Rule(Rule { sample: Sample::Drop | Sample::Percent(..100.0), .. }) => {}
        PolicyKind::Rule(_) => {
            let message = format!("policy `{name}` keeps every trace that comes to it");
            lint.warn(policy.place, message, "give it a share, for example `sample: 10%`");
        }
        _ => {
            let message = format!("policy `{name}` keeps every trace that is not dropped");
            lint.warn(policy.place, message, help);
        }
    }
}

/// Why nothing would change without the policy.
fn without_effect(
    policy: &Judged<'_>,
    before: &[&Judged<'_>],
    drops: &[&Judged<'_>],
) -> Option<String> {
    if policy.is_drop() {
        let earlier = before
            .iter()
            .find(|other| other.is_drop() && other.spec.kind.covers(&policy.spec.kind))?;
        return Some(format!("what it drops is dropped by {} before it", earlier.named()));
    }
    for other in before {
        if other.is_rule() && other.matching == Matching::Always {
            return Some(format!(
                "the rule {} before it ends the asking for every trace",
                other.named()
            ));
        }
        if other.is_rule() && policy.is_rule() && other.spec.kind.covers(&policy.spec.kind) {
            return Some(format!("the rule {} before it matches the same traces", other.named()));
        }
        if other.is_drop() || other.is_rule() {
            continue;
        }
        if other.matching == Matching::Always {
            return Some(format!("{} before it keeps every trace", other.named()));
        }
        if !policy.is_rule() && other.spec.kind.covers(&policy.spec.kind) {
            return Some(format!("what it keeps is kept by {} before it", other.named()));
        }
    }
    let dropped_by = drops.iter().find(|drop| match &drop.spec.kind {
        PolicyKind::Drop(Drop { drop_sub_policy: all }) => {
            !policy.is_rule() && all.iter().all(|part| part.kind.covers(&policy.spec.kind))
        }
        _ => false,
    })?;
    Some(format!("what it keeps is dropped by {}", dropped_by.named()))
}
