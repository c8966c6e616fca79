//! Comparisons that the types of their sides decide alone: they compile, as in the Collector, and
//! have the same answer for every span.

use super::error::OttlError;
use super::expression::{Expression, Kind};
use super::operand::Operand;
use super::paths::{EventField, Path, ScopeField, SpanField};
use super::syntax::Operator;
use super::value::Value;

/// What a value always is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Boolean,
    Number,
    Text,
    Bytes,
    TraceId,
    SpanId,
    Time,
    Duration,
    List,
    Map,
}

/// All of them in `expression`.
pub(super) fn find(expression: &Expression, found: &mut Vec<OttlError>) {
    match &expression.kind {
        Kind::Literal(_) | Kind::Holds(_) => {}
        Kind::Not(negated) => find(negated, found),
        Kind::And(all) | Kind::Or(all) => all.iter().for_each(|one| find(one, found)),
        Kind::Compare(comparison) => {
            let (left, _, right) = &**comparison;
            let (Some(left), Some(right)) = (type_of(left), type_of(right)) else { return };
            if left != right {
                let message = format!(
                    "{} is compared with {}: they are never equal, and neither is less",
                    name(left),
                    name(right)
                );
                let error = OttlError::new(expression.range.clone(), message);
                found.push(error.with_help_if_any(remedy(left, right)));
            }
        }
    }
}

fn name(of: Type) -> &'static str {
    match of {
        Type::Boolean => "a boolean",
        Type::Number => "a number",
        Type::Text => "a text",
        Type::Bytes => "bytes",
        Type::TraceId => "a trace id",
        Type::SpanId => "a span id",
        Type::Time => "a time",
        Type::Duration => "a duration",
        Type::List => "a list",
        Type::Map => "a map",
    }
}

fn remedy(one: Type, other: Type) -> Option<&'static str> {
    let is = |left, right| (one, other) == (left, right) || (other, one) == (left, right);
    if is(Type::Duration, Type::Number) || is(Type::Duration, Type::Text) {
        return Some("a duration is written `Duration(\"5s\")`");
    }
    if is(Type::Time, Type::Number) {
        return Some("nanoseconds are `start_time_unix_nano` and `end_time_unix_nano`");
    }
    if is(Type::Number, Type::Text) {
        return Some(
            "write a number without quotes; kinds and codes have names, such as \
             `SPAN_KIND_SERVER` and `STATUS_CODE_ERROR`",
        );
    }
    if [one, other].contains(&Type::TraceId) {
        return Some("a trace id is written `TraceID(0x...)`; its text is `trace_id.string`");
    }
    if [one, other].contains(&Type::SpanId) {
        return Some("a span id is written `SpanID(0x...)`; its text is `span_id.string`");
    }
    None
}

/// The type that an operand has for every span; `None` if that depends.
fn type_of(operand: &Operand) -> Option<Type> {
    match operand {
        Operand::Literal(value) | Operand::Known(value) => of_value(value),
        Operand::Path(path) => of_path(path),
        Operand::Call(_) | Operand::Indexed(..) => None,
        Operand::List(_) => Some(Type::List),
        Operand::Map(_) => Some(Type::Map),
        Operand::Negative(_) => Some(Type::Number),
        Operand::Chain(first, rest) => {
            let mut left = type_of(first)?;
            for (operator, right) in rest {
                left = of_computed(left, *operator, type_of(right)?)?;
            }
            Some(left)
        }
    }
}

fn of_computed(left: Type, operator: Operator, right: Type) -> Option<Type> {
    use Type::{Duration, Number, Time};
    match (left, operator, right) {
        (Number, _, Number) => Some(Number),
        (Time, Operator::Subtract, Time) => Some(Duration),
        (Time, _, Duration) | (Duration, _, Time) => Some(Time),
        (Duration, _, Duration) => Some(Duration),
        _ => None,
    }
}

fn of_value(value: &Value<'_>) -> Option<Type> {
    Some(match value {
        Value::Nil | Value::Count(_) => return None,
        Value::Bool(_) => Type::Boolean,
        Value::Int(_) | Value::Double(_) => Type::Number,
        Value::String(_) => Type::Text,
        Value::Bytes(_) => Type::Bytes,
        Value::TraceId(_) => Type::TraceId,
        Value::SpanId(_) => Type::SpanId,
        Value::Time(_) => Type::Time,
        Value::Duration(_) => Type::Duration,
        Value::List(_) => Type::List,
        Value::Map(_) => Type::Map,
    })
}

fn of_path(path: &Path) -> Option<Type> {
    match path {
        Path::Span(field) => of_span(field),
        // A trace may have none, which is nil.
        Path::Root(field) => of_span(field),
        Path::Resource(_) | Path::Scope(ScopeField::Attribute(_)) => None,
        Path::Scope(ScopeField::Name | ScopeField::Version) => Some(Type::Text),
        Path::Trace(_) => Some(Type::Number),
        Path::Event(field) => match field {
            EventField::Attribute(_) => None,
            EventField::Name => Some(Type::Text),
            EventField::Time | EventField::DroppedAttributes => Some(Type::Number),
            EventField::Point => Some(Type::Time),
        },
    }
}

fn of_span(field: &SpanField) -> Option<Type> {
    Some(match field {
        SpanField::Attribute(_)
        | SpanField::TraceStateMember(_)
        | SpanField::Events
        | SpanField::Links => return None,
        SpanField::Attributes => Type::Map,
        SpanField::Name
        | SpanField::KindString
        | SpanField::KindDeprecatedString
        | SpanField::StatusMessage
        | SpanField::TraceIdString
        | SpanField::SpanIdString
        | SpanField::ParentSpanIdString
        | SpanField::TraceState => Type::Text,
        SpanField::Kind
        | SpanField::StatusCode
        | SpanField::StartTime
        | SpanField::EndTime
        | SpanField::DurationMs
        | SpanField::Flags
        | SpanField::DroppedAttributes
        | SpanField::DroppedEvents
        | SpanField::DroppedLinks => Type::Number,
        SpanField::TraceId => Type::TraceId,
        SpanField::SpanId | SpanField::ParentSpanId => Type::SpanId,
        SpanField::StartPoint | SpanField::EndPoint => Type::Time,
    })
}
