//! `rule`: tailsieve's own.

use super::{
    Asked, Asking, Asks, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType,
};
use crate::options::{Form, Node, Value, choice, choices, form, name, options, values};
use crate::otlp::probability::Threshold;
use crate::sampling::facts::Summary;
use crate::sampling::ottl::{self, Context};
use crate::sampling::policy::condition::{self, Scope};
use crate::sampling::policy::explain::randomness_reason;
use crate::sampling::policy::texts;

choices! {
    /// Which spans the condition of a rule has to hold for.
    pub enum RuleScope {
        /// Each comparison is true for a span, which may be another one for each; `not (name ==
        /// "a")` asks for a span with another name.
        AnySpan = "any_span",
        /// The whole condition is true for one and the same span.
        SameSpan = "same_span",
        /// The whole condition is true for no span; if it cannot be evaluated for one, the rule does
        /// not match.
        NoSpan = "no_span",
        /// The whole condition is true for the root span (the first that came); a trace without a
        /// root does not match.
        Root = "root",
    }
}

/// What a rule does with the traces that it matches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Sample {
    /// They are kept.
    #[default]
    Keep,
    /// They are dropped, unless a policy before keeps them.
    Drop,
    /// So many percent of them are kept, 0 to 100, by their randomness.
    Percent(f64),
}

options! {
    /// Decides the traces that it matches; the policies after it are not asked then.
    pub struct Rule {
        /// An OTTL condition.
        when: String = name().required(r#"'attributes["http.route"] == "/checkout"'"#),
        /// Which spans it has to hold for.
        scope: RuleScope = choice().or("any_span"),
        /// What becomes of the traces that it matches: keep, drop, or the percentage that is kept.
        sample: Sample = sample().required("keep"),
    }
    then |section| {
        let compile = match scope {
            // Each part is asked for itself, so that any number of them can alternate.
            RuleScope::AnySpan => ottl::compile_apart,
            RuleScope::SameSpan | RuleScope::NoSpan | RuleScope::Root => ottl::compile,
        };
        if let Some(node) = section.node("when").filter(|_| !when.is_empty())
            && let Err(error) = compile(&when, Context::Span)
        {
            section.at("when").fault(node, texts::fault(error));
        }
    }
}

impl Rule {
    /// Why it answers as it does.
    pub(in super::super) fn why(
        &self,
        sample: Option<Threshold>,
        is_match: bool,
        trace: &Summary,
    ) -> String {
        let scope = match self.scope {
            RuleScope::AnySpan => "",
            RuleScope::SameSpan => " (same_span)",
            RuleScope::NoSpan => " (no_span)",
            RuleScope::Root => " (root)",
        };
        let when = &self.when;
        if !is_match {
            return format!("does not match{scope}: {when}");
        }
        let then = match (self.sample, sample) {
            (Sample::Keep, _) => "keep".to_owned(),
            (Sample::Drop, _) | (_, None) => "drop".to_owned(),
            (Sample::Percent(percent), Some(threshold)) => {
                format!("{percent} %: {}", randomness_reason(threshold, trace))
            }
        };
        format!("matches{scope}: {when}: {then}")
    }
}

impl PolicyType for Rule {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let scope = match self.scope {
            RuleScope::AnySpan => Scope::Apart,
            RuleScope::SameSpan | RuleScope::NoSpan => Scope::Whole,
            RuleScope::Root => Scope::Root,
        };
        let how = condition::Asking { scope, failures_matter: false };
        let when = compiler.condition(&self.when, Context::Span, how)?;
        let sample = match self.sample {
            Sample::Keep => Some(Threshold::ALWAYS),
            Sample::Drop => None,
            Sample::Percent(percent) => Some(Threshold::from_probability(percent / 100.0)),
        };
        Ok(Asking::Rule { when, negated: self.scope == RuleScope::NoSpan, sample })
    }

    /// It is no expression: [`Rule::why`] says it.
    fn reason(&self, _: &Expression, _: &mut Asked<'_>) -> String {
        String::new()
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        match (texts::constant(&self.when, Context::Span), self.scope) {
            (Some(true), RuleScope::NoSpan)
            | (Some(false), RuleScope::AnySpan | RuleScope::SameSpan | RuleScope::Root) => {
                Matching::never("when", "the condition does not depend on the trace")
            }
            // Not every trace has a root.
            (None, _) | (Some(true), RuleScope::Root) => Matching::Sometimes,
            (Some(true), RuleScope::AnySpan | RuleScope::SameSpan)
            | (Some(false), RuleScope::NoSpan) => Matching::Always,
        }
    }

    /// That it matches the same traces as another one: what it does with them may differ.
    fn covers(&self, other: &PolicyKind) -> bool {
        let PolicyKind::Rule(Self { when, scope, .. }) = other else { return false };
        self.when == *when && self.scope == *scope
    }

    fn asks(&self) -> Vec<Asks<'_>> {
        let texts = std::slice::from_ref(&self.when);
        vec![Asks::Conditions { option: "when", context: Context::Span, texts }]
    }
}

fn sample() -> Form<Sample> {
    let pattern = r"^(keep|drop|(100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+) *%)$|\$\{";
    let examples = ["keep", "drop", "10%"];
    let schema = serde_json::json!({ "type": "string", "pattern": pattern, "examples": examples });
    form(read_sample, schema)
}

/// `keep`, `drop` or a percentage.
fn read_sample(node: &Node) -> Result<Sample, String> {
    const EXPECTED: &str = "expected `keep`, `drop` or a percentage such as `10%`";
    if let Value::Integer(_) | Value::Float(_) = node.value {
        return Err(format!("{EXPECTED}, found a number; percent are written with their sign"));
    }
    let text = values::text(node)?;
    match text.as_str() {
        "keep" => return Ok(Sample::Keep),
        "drop" => return Ok(Sample::Drop),
        _ => {}
    }
    let expected = || format!("{EXPECTED}, found {}", values::shown(node));
    let number = text.strip_suffix('%').ok_or_else(expected)?;
    let percent: f64 = number.trim().parse().map_err(|_| expected())?;
    if (0.0..=100.0).contains(&percent) {
        Ok(Sample::Percent(percent))
    } else {
        Err(format!("a percentage lies between 0% and 100%, found {}", values::shown(node)))
    }
}
