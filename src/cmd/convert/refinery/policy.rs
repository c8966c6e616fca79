//! A policy, as it is written.

use super::literal::yaml;
use crate::config;

/// What is done with the traces that a rule matches.
pub(super) enum Sample {
    Keep,
    Drop,
    /// One of so many.
    OneOf(f64),
    /// So many spans a second.
    Limit(f64),
}

/// A policy, before it is written.
pub(super) struct What<'a> {
    pub(super) name: &'a str,
    pub(super) when: &'a str,
    pub(super) scope: Option<&'static str>,
    pub(super) notes: Option<String>,
}

/// The policy as an entry of the list.
pub(super) fn policy(name: &str, what: &What<'_>, sample: &Sample) -> String {
    let name = yaml(name);
    let sample = match sample {
        Sample::Keep => "keep".to_owned(),
        Sample::Drop => "drop".to_owned(),
        Sample::OneOf(rate) => format!("{}%", 100.0 / rate),
        Sample::Limit(spans) => {
            let spans = spans.ceil().clamp(1.0, 1e15) as u64;
            return format!(
                "  - name: {name}\n    type: rate_limiting\n    rate_limiting: {{spans_per_second: {spans}}}\n"
            );
        }
    };
    let when = yaml(what.when);
    let scope = what.scope.map(|scope| format!("\n      scope: {scope}")).unwrap_or_default();
    format!(
        "  - name: {name}\n    type: rule\n    rule:\n      when: {when}{scope}\n      sample: {sample}\n"
    )
}

/// Whether a policy can be read.
pub(super) fn readable(policy: &str) -> Result<(), String> {
    let read = config::parse_policies("converted", &format!("policies:\n{policy}"));
    read.map(drop).map_err(|wrong| {
        let first = wrong.findings().first().map(|finding| finding.message.clone());
        first.unwrap_or_else(|| "it cannot be written as a policy".to_owned())
    })
}
