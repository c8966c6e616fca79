//! `ottl_condition`

use serde_json::json;

use super::{
    Asked, Asking, Asks, CompileError, Compiler, Expression, Matching, PolicyKind, PolicyType,
};
use crate::options::{Form, choice, choices, options, perhaps_empty, values};
use crate::sampling::ottl::Context;
use crate::sampling::policy::condition::{self, Scope};
use crate::sampling::policy::explain::conditions_reason;
use crate::sampling::policy::expression::OnError;
use crate::sampling::policy::texts;

choices! {
    /// What becomes of a condition that cannot be evaluated for a span.
    pub enum ErrorMode {
        /// It is false, and counted as an error of the policy.
        Ignore = "ignore",
        /// It is false.
        Silent = "silent",
        /// The policy does not vote on this trace.
        Propagate = "propagate",
    }
}

options! {
    /// Keeps a trace if one of the conditions is true for any span, or any event.
    pub struct OttlCondition {
        /// What becomes of a condition that cannot be evaluated.
        error_mode: ErrorMode = choice().or("ignore"),
        /// OTTL conditions on spans.
        span: Vec<String> = conditions(Context::Span).or_default(),
        /// OTTL conditions on span events.
        spanevent: Vec<String> = conditions(Context::SpanEvent).or_default(),
    }
    then |section| {
        section.rule("anyOf", json!([{ "required": ["span"] }, { "required": ["spanevent"] }]));
        let holds_one = |key| section.node(key).is_some_and(|it| !values::items(it).is_empty());
        if !holds_one("span") && !holds_one("spanevent") {
            let message = "there are no conditions, neither in `span` nor in `spanevent`";
            section.problem(message, r#"span: ['attributes["http.route"] == "/checkout"']"#);
        }
    }
}

fn conditions(context: Context) -> Form<Vec<String>> {
    perhaps_empty(texts::condition(context))
}

impl PolicyType for OttlCondition {
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError> {
        let failures_matter = self.error_mode == ErrorMode::Propagate;
        if failures_matter && let Some(answer) = compiler.sequence(&self.span, &self.spanevent)? {
            let (any, on_error) = (vec![answer], OnError::Abstain);
            return Ok(Asking::Whole(Expression::Conditions { any, on_error }));
        }
        let how = condition::Asking { scope: Scope::Whole, failures_matter };
        let spans = self.span.iter().map(|text| (text, Context::Span));
        let events = self.spanevent.iter().map(|text| (text, Context::SpanEvent));
        let any = spans.chain(events).map(|(text, context)| compiler.condition(text, context, how));
        let any = any.collect::<Result<_, _>>()?;
        let on_error = match self.error_mode {
            ErrorMode::Ignore => OnError::Pass { count: true },
            ErrorMode::Silent => OnError::Pass { count: false },
            ErrorMode::Propagate => OnError::Abstain,
        };
        Ok(Asking::Whole(Expression::Conditions { any, on_error }))
    }

    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String {
        let texts: Vec<&str> =
            self.span.iter().chain(&self.spanevent).map(String::as_str).collect();
        conditions_reason(&texts, expression, asked.trace)
    }

    fn matching(&self, _: &[Matching]) -> Matching {
        let of = |texts: &[String], context| -> Vec<Option<bool>> {
            texts.iter().map(|text| texts::constant(text, context)).collect()
        };
        let of_spans = of(&self.span, Context::Span);
        let of_events = of(&self.spanevent, Context::SpanEvent);
        if of_spans.contains(&Some(true)) {
            return Matching::Always;
        }
        if of_spans.iter().chain(&of_events).all(|answer| *answer == Some(false)) {
            let option = if self.span.is_empty() { "spanevent" } else { "span" };
            return Matching::never(option, "no condition can be true");
        }
        Matching::Sometimes
    }

    fn covers(&self, other: &PolicyKind) -> bool {
        matches!(other, PolicyKind::OttlCondition(other) if self == other)
    }

    fn asks(&self) -> Vec<Asks<'_>> {
        vec![
            Asks::Conditions { option: "span", context: Context::Span, texts: &self.span },
            Asks::Conditions {
                option: "spanevent",
                context: Context::SpanEvent,
                texts: &self.spanevent,
            },
        ]
    }
}
