//! The policy types, each in a file of its own: its options, what it asks of a trace, why it votes
//! as it does, and what can be told of it without a trace.
//!
//! A new type is a file with a struct (see [`options!`](crate::options::options)) and its
//! [`PolicyType`], and a line in the list below: reading, the JSON Schema, compilation, explanations
//! and lints come from these.

mod always_sample;
mod and;
mod boolean_attribute;
mod bytes_limiting;
mod composite;
mod drop;
mod latency;
mod not;
mod numeric_attribute;
mod ottl_condition;
mod probabilistic;
mod rate_limiting;
mod rule;
mod span_count;
mod status_code;
mod string_attribute;
mod trace_flags;
mod trace_state;

use serde_json::Value as Json;

use super::Asking;
use super::compile::{CompileError, Compiler};
use super::expression::{Asked, Expression, Unit};
use super::spec::PolicySpec;
use super::vote::Vote;
use crate::options::{Options, Schemas, Section};
use crate::sampling::ottl::Context;

pub use always_sample::AlwaysSample;
pub use and::And;
pub use boolean_attribute::BooleanAttribute;
pub use bytes_limiting::BytesLimiting;
pub use composite::Composite;
#[cfg(test)]
pub use composite::CompositeChild;
pub use drop::Drop;
pub use latency::Latency;
pub use not::Not;
pub use numeric_attribute::NumericAttribute;
#[cfg(test)]
pub use ottl_condition::ErrorMode;
pub use ottl_condition::OttlCondition;
pub use probabilistic::Probabilistic;
pub use rate_limiting::RateLimiting;
#[cfg(test)]
pub use rule::RuleScope;
pub use rule::{Rule, Sample};
pub use span_count::SpanCount;
#[cfg(test)]
pub use status_code::StatusCode;
pub use status_code::StatusCodes;
pub use string_attribute::StringAttribute;
pub use trace_flags::TraceFlags;
pub use trace_state::TraceState;

/// What a policy type is, beside its options.
pub(super) trait PolicyType {
    /// What the policy asks of a trace.
    fn compile(&self, compiler: &mut Compiler) -> Result<Asking, CompileError>;

    /// Why the expression that it was compiled to votes as it does, in a few words; may be empty.
    fn reason(&self, expression: &Expression, asked: &mut Asked<'_>) -> String;

    /// Which traces it votes for, given those of its parts.
    fn matching(&self, parts: &[Matching]) -> Matching;

    /// True if every trace for which `other` votes is one for which this votes, as far as can be
    /// seen without looking into expressions.
    fn covers(&self, other: &PolicyKind) -> bool;

    /// The policies that it is made of, and the option that they stand in.
    fn parts(&self) -> (&'static str, Vec<&PolicySpec>) {
        ("", Vec::new())
    }

    /// The budgets that it spends, besides those of its parts; the first is that of all of it.
    fn limits(&self) -> Vec<Spending<'_>> {
        Vec::new()
    }

    /// What it asks of spans by attributes and conditions.
    fn asks(&self) -> Vec<Asks<'_>> {
        Vec::new()
    }
}

/// Which traces a policy votes for, as far as that is known without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Matching {
    /// It never votes: because of this option and for this reason, unless its parts are why.
    Never(Option<(&'static str, String)>),
    /// It votes for every trace.
    Always,
    /// It depends on the trace.
    Sometimes,
}

impl Matching {
    fn never(option: &'static str, why: impl Into<String>) -> Self {
        Self::Never(Some((option, why.into())))
    }

    pub(crate) fn is_never(&self) -> bool {
        matches!(self, Self::Never(_))
    }

    /// Of a policy for which all parts have to vote.
    fn all(parts: &[Self]) -> Self {
        if parts.iter().any(Self::is_never) {
            Self::Never(None)
        } else if parts.iter().all(|part| *part == Self::Always) {
            Self::Always
        } else {
            Self::Sometimes
        }
    }
}

/// A budget that a policy spends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spending<'p> {
    /// The part whose share it is, if it is not that of the whole policy.
    pub(crate) share_of: Option<&'p str>,
    /// The option that says it.
    pub(crate) option: &'static str,
    /// How much may pass at once.
    pub(crate) capacity: f64,
    /// Of what.
    pub(crate) unit: Unit,
}

/// What a policy asks of single spans.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Asks<'p> {
    /// Whether there is an attribute with a certain value, or, inverted, whether there is none.
    Attribute { key: &'p str, is_inverted: bool },
    /// OTTL conditions, which stand in this option.
    Conditions { option: &'static str, context: Context, texts: &'p [String] },
}

/// Defines the enum of all types from their structs and the names that files have for them.
macro_rules! types {
    ($($name:ident($options:ident) = $text:literal,)*) => {
        /// The policy types, with the options of the Collector's `tail_sampling` processor.
        #[derive(Clone, Debug, PartialEq)]
        pub enum PolicyKind {
            $(#[doc = concat!("`", $text, "`")] $name($options),)*
        }

        impl PolicyKind {
            /// The names of all types.
            pub(crate) const NAMES: &'static [&'static str] = &[$($text),*];

            /// The name of the type, as files have it.
            pub fn type_name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)* }
            }

            pub(super) fn get(&self) -> &dyn PolicyType {
                match self { $(Self::$name(options) => options,)* }
            }

            /// Reads the options of the type `name`.
            pub(super) fn read(name: &str, block: Section<'_>) -> Self {
                $(if name == $text {
                    return Self::$name(block.read());
                })*
                unreachable!("{name} is among the types")
            }

            /// The schema of the options of the type `name`, and what the type is for.
            pub(super) fn describe(name: &str, schemas: &mut Schemas) -> (Json, &'static str) {
                $(if name == $text {
                    return (schemas.section::<$options>(), <$options as Options>::ABOUT);
                })*
                unreachable!("{name} is among the types")
            }
        }

        $(
            impl From<$options> for PolicyKind {
                fn from(options: $options) -> Self {
                    Self::$name(options)
                }
            }
        )*
    };
}

types! {
    AlwaysSample(AlwaysSample) = "always_sample",
    StatusCode(StatusCodes) = "status_code",
    Latency(Latency) = "latency",
    Probabilistic(Probabilistic) = "probabilistic",
    StringAttribute(StringAttribute) = "string_attribute",
    NumericAttribute(NumericAttribute) = "numeric_attribute",
    BooleanAttribute(BooleanAttribute) = "boolean_attribute",
    SpanCount(SpanCount) = "span_count",
    TraceState(TraceState) = "trace_state",
    TraceFlags(TraceFlags) = "trace_flags",
    RateLimiting(RateLimiting) = "rate_limiting",
    BytesLimiting(BytesLimiting) = "bytes_limiting",
    OttlCondition(OttlCondition) = "ottl_condition",
    And(And) = "and",
    Not(Not) = "not",
    Drop(Drop) = "drop",
    Composite(Composite) = "composite",
    Rule(Rule) = "rule",
}

impl PolicyKind {
    /// Which traces the policy votes for, given those of its parts.
    pub(crate) fn matching(&self, parts: &[Matching]) -> Matching {
        self.get().matching(parts)
    }

    /// The policies that it is made of, and the option that they stand in.
    pub(crate) fn parts(&self) -> (&'static str, Vec<&PolicySpec>) {
        self.get().parts()
    }

    /// The budgets that it spends, besides those of its parts.
    pub(crate) fn limits(&self) -> Vec<Spending<'_>> {
        self.get().limits()
    }

    /// What it asks of spans by attributes and conditions.
    pub(crate) fn asks(&self) -> Vec<Asks<'_>> {
        self.get().asks()
    }

    /// True if asking the policy spends a budget.
    pub(crate) fn spends(&self) -> bool {
        let (_, parts) = self.parts();
        !self.limits().is_empty() || parts.iter().any(|part| part.kind.spends())
    }

    /// True if every trace for which `other` votes is one for which this votes.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        if self.spends() {
            return false;
        }
        match (self, other) {
            // Together they vote for less than each of them.
            (Self::And(_) | Self::Drop(_), _) => self.get().covers(other),
            (_, Self::And(all)) => all.and_sub_policy.iter().any(|part| self.covers(&part.kind)),
            _ => self.get().covers(other),
        }
    }
}

/// Whether the vote is to keep the trace.
fn keeps(expression: &Expression, asked: &mut Asked<'_>) -> bool {
    matches!(expression.evaluate(asked), Vote::Keep(_))
}

/// The reason of a policy that asks whether some span is as it wants.
fn some_span(expression: &Expression, asked: &mut Asked<'_>, what: &str) -> String {
    let some = if keeps(expression, asked) { "a" } else { "no" };
    format!("{some} span {what}")
}

/// The reason of a policy that asks whether there is something.
fn found(expression: &Expression, asked: &mut Asked<'_>, is_inverted: bool, what: &str) -> String {
    match keeps(expression, asked) != is_inverted {
        true => format!("there is {what}"),
        false => format!("there is no {what}"),
    }
}
