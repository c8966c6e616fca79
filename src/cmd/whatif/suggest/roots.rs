//! Kinds of traces of which less could be kept: those that begin alike and that one policy alone keeps.
//!
//! A kind is a service and the name of a root span, which has method and route where instrumentation follows the
//! semantic conventions of OpenTelemetry. Only traces without an error count: others are worth more than they cost.

use std::cmp::Reverse;

use serde::Serialize;

use super::super::format::{self, size};
use super::super::summary::{Scale, Summary};
use crate::whatif::{Candidate, Measure, RootTally};

/// A kind that has this share of the bytes that are kept is worth a thought;
const LARGE: f64 = 0.1;

/// one that looks like a health check, this share.
const OF_HEALTH_CHECKS: f64 = 0.001;

/// So many kinds are named at most.
const MOST: usize = 5;

/// The words that names of health checks and pollers have.
const HEALTH_CHECKS: [&str; 14] = [
    "health",
    "healthcheck",
    "healthz",
    "heartbeat",
    "keepalive",
    "liveness",
    "livez",
    "metrics",
    "ping",
    "poll",
    "polling",
    "probe",
    "readiness",
    "readyz",
];

/// Something that could be changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::cmd::whatif) struct Suggestion {
    /// What it goes by, and what would come of it.
    pub(in crate::cmd::whatif) text: String,
    /// A policy to paste.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cmd::whatif) yaml: Option<String>,
}

impl From<String> for Suggestion {
    fn from(text: String) -> Self {
        Self { text, yaml: None }
    }
}

/// Of which kinds of traces less could be kept, health checks first, then the most bytes.
pub(super) fn suggestions(
    candidate: &Candidate,
    summary: &Summary<'_>,
    scale: &Scale,
) -> Vec<Suggestion> {
    let kept = summary.kept_now.bytes.value.max(1.0);
    let share = |root: &RootTally| scale.amount(&root.kept).bytes.value / kept;
    let is_worth = |root: &&RootTally| {
        let least = if is_health_check(&root.name) { OF_HEALTH_CHECKS } else { LARGE };
        is_named(root) && share(root) >= least
    };
    let mut roots: Vec<&RootTally> = candidate.tally.roots.iter().filter(is_worth).collect();
    roots.sort_by_key(|root| {
        (Reverse(is_health_check(&root.name)), Reverse(root.kept.get(Measure::Bytes)))
    });
    roots.truncate(MOST);
    let suggestion = |root: &RootTally| {
        let RootTally { policy, service, name, kept } = root;
        let (bytes, percent) = (size(scale.amount(kept).bytes), share(root) * 100.0);
        let kind = if is_health_check(name) { ", which looks like a health check" } else { "" };
        let text = format!(
            "{policy} alone keeps {bytes} ({percent:.1} % of what is kept) of traces without an error that begin \
             with {name} of {service}{kind}: an `and` of what {policy} is now and of this drops them"
        );
        Suggestion { text, yaml: Some(policy_against(root)) }
    };
    roots.into_iter().map(suggestion).collect()
}

/// Whether it can be told by a condition which traces these are, which can be printed and pasted.
fn is_named(root: &RootTally) -> bool {
    let is_whole = |text: &String| format::name(text) == *text;
    let texts = [&root.policy, &root.service, &root.name];
    !root.service.is_empty() && !root.is_of_others() && texts.into_iter().all(is_whole)
}

fn is_health_check(name: &str) -> bool {
    let mut words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    words.any(|word| HEALTH_CHECKS.iter().any(|it| it.eq_ignore_ascii_case(word)))
}

/// A policy that keeps all traces but these.
fn policy_against(root: &RootTally) -> String {
    let text = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let condition = format!(
        "IsRootSpan() and name == {} and resource.attributes[\"service.name\"] == {} and trace.error_count == 0",
        text(&root.name),
        text(&root.service)
    );
    let condition = condition.replace('\'', "''");
    format!(
        "{{name: others, type: not, not: {{not_sub_policy: {{name: these, type: ottl_condition, \
         ottl_condition: {{span: '{condition}'}}}}}}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::whatif::Figures;

    #[test]
    fn health_checks_are_known_by_their_words() {
        let checks = ["GET /healthz", "grpc.health.v1.Health/Check", "Ping", "GET /-/readiness"];
        assert!(checks.into_iter().all(is_health_check));
        let others = ["GET /healthy-recipes", "POST /shopping", "GET /livestream", ""];
        assert!(!others.into_iter().any(is_health_check));
    }

    #[test]
    fn what_cannot_be_pasted_is_not_suggested() {
        let root = |service: &str, name: &str| RootTally {
            policy: "rest".to_owned(),
            service: service.to_owned(),
            name: name.to_owned(),
            kept: Figures::default(),
        };
        assert!(is_named(&root("cart", "GET /a")));
        let others =
            [root("", "a"), root("(others)", "a"), root("cart", "\u{1b}[2J"), root("a\nb", "a")];
        assert!(!others.iter().any(is_named));
    }

    /// Guarantee: whatever a root is called, what is suggested is a policy.
    #[test]
    fn names_are_quoted() {
        for name in ["GET /a", "it's", "say \"no\"", "a\\b", "{a}: #b, [c]", "100 %"] {
            let (policy, service, name) = ("rest".to_owned(), format!("{name} 2"), name.to_owned());
            let root = RootTally { policy, service, name, kept: Figures::default() };
            let text = format!("policies: [{}]", policy_against(&root));
            let read = config::parse_policies("p.yaml", &text);
            assert!(read.is_ok(), "{text}: {read:?}");
        }
    }
}
