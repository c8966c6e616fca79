//! All functions, by name.

use super::{Answer, Args, Kind, Parameter, Prepare, Signature, Yields};
use super::{json, lists, network, text, times, types};
use crate::sampling::ottl::expression::Level;
use crate::sampling::ottl::time::{SECOND, Time};
use crate::sampling::ottl::value::Value;

type Apply = for<'v> fn(Args<'v, '_>) -> Answer<'v>;

const fn value(name: &'static str, parameters: &'static [Parameter], apply: Apply) -> Signature {
    Signature {
        name,
        parameters,
        required: parameters.len(),
        yields: Yields::Value,
        level: Level::Constant,
        prepare: None,
        apply,
    }
}

const fn condition(
    name: &'static str,
    parameters: &'static [Parameter],
    apply: Apply,
) -> Signature {
    Signature { yields: Yields::Condition, ..value(name, parameters, apply) }
}

/// One that may be a condition, by what it is given.
const fn either(name: &'static str, parameters: &'static [Parameter], apply: Apply) -> Signature {
    Signature { yields: Yields::Either, ..value(name, parameters, apply) }
}

impl Signature {
    const fn prepared(self, prepare: Prepare) -> Self {
        Self { prepare: Some(prepare), ..self }
    }

    /// The parameters from this one on may be left out.
    const fn optional_from(self, required: usize) -> Self {
        Self { required, ..self }
    }
}

/// A span without a parent. Where there is no span, there is no root.
fn is_root_span<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::Bool(args.fields.span().is_some_and(|view| view.span.is_root)))
}

const ANY: &[Parameter] = &[("target", Kind::Any)];
const STRING: &[Parameter] = &[("target", Kind::String)];
const MAP: &[Parameter] = &[("target", Kind::Map)];
const TIME: &[Parameter] = &[("time", Kind::Time)];
const DURATION: &[Parameter] = &[("duration", Kind::Duration)];

pub(in crate::sampling::ottl) static SIGNATURES: [Signature; 62] = [
    either("Bool", &[("target", Kind::BoolLike)], types::bool),
    either("Coalesce", &[("values", Kind::Anythings)], lists::coalesce)
        .prepared(lists::prepare_coalesce),
    value("Concat", &[("vals", Kind::StringLikes), ("delimiter", Kind::String)], text::concat),
    condition("ContainsValue", &[("target", Kind::List), ("item", Kind::Any)], lists::contains),
    value(
        "ConvertCase",
        &[("target", Kind::String), ("to_case", Kind::StringLiteral)],
        text::convert_case,
    )
    .prepared(text::prepare_case),
    value("Day", TIME, |args| times::part(args, |time| time.date().day)),
    value("Double", &[("target", Kind::DoubleLike)], types::double),
    value("Duration", &[("duration", Kind::String)], times::duration),
    value(
        "ExtractPatterns",
        &[("target", Kind::String), ("pattern", Kind::String)],
        text::extract_patterns,
    )
    .prepared(text::prepare_groups),
    value("FNV", STRING, text::fnv),
    condition("HasPrefix", &[("target", Kind::String), ("prefix", Kind::String)], text::has_prefix),
    condition("HasSuffix", &[("target", Kind::String), ("suffix", Kind::String)], text::has_suffix),
    value("Hex", &[("target", Kind::BytesLike)], text::hex),
    value("Hour", TIME, |args| times::part(args, Time::hour)),
    value("Hours", DURATION, |args| times::in_units(args, 3_600_000_000_000)),
    value("Index", &[("target", Kind::Any), ("value", Kind::Any)], lists::index),
    value("Int", &[("target", Kind::IntLike)], types::int),
    condition("IsBool", &[("target", Kind::Bool)], types::is_bool),
    condition("IsDouble", &[("target", Kind::Double)], types::is_double),
    condition("IsEmpty", ANY, types::is_empty).prepared(types::prepare_is_empty),
    condition(
        "IsInCIDR",
        &[("target", Kind::String), ("networks", Kind::Strings)],
        network::is_in_cidr,
    )
    .prepared(network::prepare),
    condition("IsInt", &[("target", Kind::Int)], types::is_int),
    condition("IsList", ANY, types::is_list),
    condition("IsMap", MAP, types::is_map),
    condition(
        "IsMatch",
        &[("target", Kind::StringLike), ("pattern", Kind::String)],
        text::is_match,
    )
    .prepared(text::prepare_pattern),
    Signature { level: Level::Span, ..condition("IsRootSpan", &[], is_root_span) },
    condition("IsString", STRING, types::is_string),
    value("Keys", MAP, lists::keys),
    value("Len", ANY, lists::length),
    value("Microseconds", DURATION, |args| times::in_whole_units(args, 1000)),
    value("Milliseconds", DURATION, |args| times::in_whole_units(args, 1_000_000)),
    value("Minute", TIME, |args| times::part(args, Time::minute)),
    value("Minutes", DURATION, |args| times::in_units(args, 60_000_000_000)),
    value("Month", TIME, |args| times::part(args, |time| time.date().month)),
    value("Nanosecond", TIME, |args| times::part(args, Time::nanosecond)),
    value("Nanoseconds", DURATION, |args| times::in_whole_units(args, 1)),
    value("ParseInt", &[("target", Kind::String), ("base", Kind::Int)], types::parse_int),
    value("ParseJSON", STRING, json::parse),
    value("Second", TIME, |args| times::part(args, Time::second)),
    value("Seconds", DURATION, |args| times::in_units(args, 1_000_000_000)),
    value("SpanID", &[("target", Kind::BytesLike)], types::span_id),
    value("Split", &[("target", Kind::String), ("delimiter", Kind::String)], text::split),
    value("String", &[("target", Kind::StringLike)], types::string),
    value(
        "Substring",
        &[
            ("target", Kind::String),
            ("start", Kind::Int),
            ("length", Kind::Int),
            ("utf8_safe", Kind::BoolLiteral),
        ],
        text::substring,
    )
    .optional_from(3),
    value(
        "Time",
        &[
            ("time", Kind::String),
            ("format", Kind::StringLiteral),
            ("location", Kind::StringLiteral),
            ("locale", Kind::StringLiteral),
        ],
        times::time,
    )
    .optional_from(2)
    .prepared(times::prepare_time),
    value("ToCamelCase", STRING, text::camel),
    value("ToLowerCase", STRING, text::lower),
    value("ToSnakeCase", STRING, text::snake),
    value("ToUpperCase", STRING, text::upper),
    value("TraceID", &[("target", Kind::BytesLike)], types::trace_id),
    value("Trim", &[("target", Kind::String), ("replacement", Kind::StringLiteral)], text::trim)
        .optional_from(1),
    value("TrimPrefix", &[("target", Kind::String), ("prefix", Kind::String)], text::trim_prefix),
    value("TrimSuffix", &[("target", Kind::String), ("suffix", Kind::String)], text::trim_suffix),
    value(
        "TruncateTime",
        &[("time", Kind::Time), ("duration", Kind::Duration)],
        times::truncate_time,
    ),
    value("Unix", &[("seconds", Kind::Int), ("nanoseconds", Kind::Int)], times::unix)
        .optional_from(1),
    value("UnixMicro", TIME, |args| times::part(args, |time| time.unix(1000))),
    value("UnixMilli", TIME, |args| times::part(args, |time| time.unix(1_000_000))),
    value("UnixNano", TIME, |args| times::part(args, |time| time.unix(1))),
    value("UnixSeconds", TIME, |args| times::part(args, |time| time.unix(SECOND))),
    value("Values", MAP, lists::values),
    value("Weekday", TIME, |args| times::part(args, Time::weekday)),
    value("Year", TIME, |args| times::part(args, |time| time.date().year)),
];
