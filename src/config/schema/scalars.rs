//! Values that stand for themselves, and variables of the environment in their place.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A text with a variable in it; what comes out is not known here.
pub(super) const VARIABLE: &str = r"\$\{";

/// A duration as Go or people write it, or a text with a variable in it.
const DURATION: &str = concat!(
    r"^\+?([0-9.]+ *(ns|nsec|us|µs|μs|usec|ms|msec|millis|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|",
    r"hours?|d|days?|w|weeks?) *)+$|^ *0 *$|\$\{"
);

/// A number as the Collector's YAML reads it, where that of an editor takes it for text; or a text
/// with a variable in it.
const NUMBER: &str = concat!(
    r"^[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?)$",
    r"|\$\{"
);

/// A value, or a variable of the environment in its place.
pub(super) struct Var<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Var<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Var_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = generator.subschema_for::<T>();
        let kind = schema.get("type").and_then(Value::as_str).map(str::to_owned);
        match kind.as_deref() {
            Some(kind) if kind != "string" => {
                schema.insert("type".to_owned(), json!([kind, "string"]));
                let is_number = matches!(kind, "integer" | "number");
                let pattern = if is_number { NUMBER } else { VARIABLE };
                schema.insert("pattern".to_owned(), json!(pattern));
                schema
            }
            _ => json_schema!({ "anyOf": [schema, { "type": "string", "pattern": VARIABLE }] }),
        }
    }
}

/// One value, or a list of them.
pub(super) struct OneOrMore<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMore_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
    }
}

/// Defines a type by its schema, written where it is used.
macro_rules! scalar {
    ($(#[doc = $doc:expr])* $name:ident, $($schema:tt)+) => {
        $(#[doc = $doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($($schema)+)
            }
        }
    };
}

scalar!(
    /// Text with something in it; whole numbers need no quotes.
    Text, { "type": ["string", "integer"], "pattern": r"\S" }
);
scalar!(
    /// Any text; whole numbers need no quotes.
    AnyText, { "type": ["string", "integer"] }
);
scalar!(
    /// A duration such as `200ms` or `1m30s`.
    Duration,
    { "anyOf": [
        { "type": "string", "pattern": DURATION },
        { "type": "integer", "const": 0 },
    ] }
);
scalar!(
    /// A duration of the Collector: a bare number is nanoseconds there.
    CollectorDuration,
    { "anyOf": [
        { "type": "string", "pattern": DURATION },
        { "type": "integer", "minimum": 0 },
    ] }
);
scalar!(
    /// A size such as `64MiB` or `512Mi`.
    Size,
    { "anyOf": [
        { "type": "string", "pattern": r"^ *[0-9]+(\.[0-9]+)? *([kMGT]|[kKMGT]?B|[KMGT]iB?)? *$|\$\{" },
        { "type": "integer", "minimum": 1 },
    ] }
);
scalar!(
    /// `keep`, `drop`, or the percentage that is kept.
    Sample,
    { "type": "string",
      "pattern": r"^(keep|drop|(100(\.0*)?|[0-9]{1,2}(\.[0-9]*)?|\.[0-9]+) *%)$|\$\{",
      "examples": ["keep", "drop", "10%"] }
);
scalar!(
    /// 32 hexadecimal digits, not all 0.
    TraceId,
    { "type": "string", "pattern": r"^(?!0{32}$)[0-9a-fA-F]{32}$|\$\{" }
);
scalar!(
    /// 1 to 14 hexadecimal digits, or none; in quotes, lest YAML takes them for a number.
    Threshold,
    { "anyOf": [
        { "type": "string", "pattern": r"^(none|[0-9a-fA-F]{1,14})$|\$\{" },
        { "type": "integer", "minimum": 0, "maximum": 9 },
    ] }
);
scalar!(
    /// Anything at all.
    Anything, {}
);
scalar!(
    /// A section without keys.
    Nothing, { "type": ["object", "null"], "additionalProperties": false }
);
