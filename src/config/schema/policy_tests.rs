//! Files with tests of policies.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::policies::{File, PolicyList};
use super::scalars::{AnyText, Anything, Duration, OneOrMore, Text, Threshold, TraceId, Var};

/// A file with tests: which policies, traces in few words, and what is to become of them.
#[derive(JsonSchema)]
#[schemars(title = "tailsieve policy tests")]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyTests {
    /// The policies under test: a file, relative to this one, or the policies themselves.
    policies: UnderTest,
    /// Which processor of a Collector configuration is meant: `tail_sampling/NAME`.
    processor: Option<Text>,
    /// The tests. Each runs in a partition of its own, on a clock of its own.
    tests: OneOrMore<Test>,
}

/// A path, a list of policies, or what stands in a policy file.
struct UnderTest;

impl JsonSchema for UnderTest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UnderTest".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let path = generator.subschema_for::<Text>();
        let list = generator.subschema_for::<PolicyList>();
        let file = generator.subschema_for::<File>();
        json_schema!({
            "if": { "type": "object" },
            "then": file,
            "else": { "if": { "type": "array" }, "then": list, "else": path },
        })
    }
}

/// A test with one trace, or with several.
struct Test;

impl JsonSchema for Test {
    fn schema_name() -> Cow<'static, str> {
        "Test".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let several = generator.subschema_for::<SeveralTraces>();
        let one = generator.subschema_for::<OneTrace>();
        json_schema!({ "if": { "required": ["traces"] }, "then": several, "else": one })
    }
}

/// A test with several traces of one partition.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct SeveralTraces {
    /// What it is called.
    name: Text,
    /// Its traces, as they come in one after the other.
    traces: OneOrMore<Trace>,
}

/// Defines a struct with a trace in it; the randomness of an id that is given is that of the id.
macro_rules! trace {
    ($(#[$meta:meta])* $name:ident, { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(JsonSchema)]
        #[schemars(extend("not" = { "required": ["trace_id", "randomness"] }))]
        #[serde(deny_unknown_fields)]
        struct $name {
            $($(#[$field_meta])* $field: $type,)*
            /// When all of it comes in, from the beginning of the test; 0s by default.
            at: Option<Duration>,
            /// Its id; made up by default.
            trace_id: Option<TraceId>,
            /// Its randomness, from 0 to below 1; with 0, the default, no probabilistic policy
            /// keeps it, and one with 10 % keeps it from 0.9 up.
            #[schemars(extend("minimum" = 0, "exclusiveMaximum" = 1))]
            randomness: Option<Var<f64>>,
            /// Its spans without a parent among them; everything in them has a default.
            spans: OneOrMore<Span>,
            /// What is to become of it.
            expect: Expect,
        }
    };
}

trace!(
    /// A test with one trace.
    OneTrace,
    {
        /// What it is called.
        name: Text,
    }
);
trace!(
    /// A trace among several.
    Trace,
    {}
);

/// The kind of a span.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// The status code of a span.
#[derive(JsonSchema)]
enum Status {
    #[serde(rename = "unset")]
    Unset,
    #[serde(rename = "ok")]
    Ok,
    #[serde(rename = "error")]
    Error,
    #[serde(rename = "UNSET")]
    UpperUnset,
    #[serde(rename = "OK")]
    UpperOk,
    #[serde(rename = "ERROR")]
    UpperError,
}

/// Attributes; their values have the types that YAML gives them.
type Attributes = BTreeMap<String, Anything>;

/// A span, or several that are alike.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Span {
    /// Its name.
    name: Option<AnyText>,
    /// Its kind; internal by default.
    kind: Option<Var<Kind>>,
    /// Its status code; unset by default.
    status: Option<Var<Status>>,
    /// W3C trace flags; 1, the sampled bit, by default.
    #[schemars(extend("minimum" = 0))]
    flags: Option<Var<u32>>,
    /// How many such spans there are; 1 by default.
    #[schemars(extend("minimum" = 1, "maximum" = 100_000))]
    count: Option<Var<u32>>,
    /// It has a parent that is not among these spans, so that it is no root.
    has_parent: Option<Var<bool>>,
    /// `service.name` of its resource; its parent's by default.
    service: Option<AnyText>,
    /// More attributes of its resource; its parent's by default.
    resource: Option<Attributes>,
    /// The name of its instrumentation scope.
    scope: Option<AnyText>,
    /// When it starts, from the start of its parent, or of the trace; 0s by default.
    start: Option<Duration>,
    /// How long it takes; by default as long as its children, at least 1ms.
    duration: Option<Duration>,
    /// The message of its status.
    status_message: Option<AnyText>,
    /// Its attributes.
    attributes: Option<Attributes>,
    /// Its events.
    events: Option<Events>,
    /// Its W3C tracestate.
    trace_state: Option<AnyText>,
    /// Spans with this one as their parent; with the last one, if it stands for several.
    children: Option<OneOrMore<Span>>,
}

/// An event, or a list of them; one that has only a name may be just that.
struct Events;

impl JsonSchema for Events {
    fn schema_name() -> Cow<'static, str> {
        "Events".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let event = generator.subschema_for::<Event>();
        let one = json_schema!({ "if": { "type": "object" }, "then": event, "else": { "type": "string" } });
        json_schema!({
            "if": { "type": "array" },
            "then": { "items": one },
            "else": one,
        })
    }
}

/// An event of a span.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Event {
    /// Its name.
    name: AnyText,
    /// Its attributes.
    attributes: Option<Attributes>,
}

/// A decision, or a section that says more.
struct Expect;

impl JsonSchema for Expect {
    fn schema_name() -> Cow<'static, str> {
        "Expect".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let decision = generator.subschema_for::<Var<Decision>>();
        let more = generator.subschema_for::<Expected>();
        json_schema!({ "if": { "type": "object" }, "then": more, "else": decision })
    }
}

/// What becomes of a trace.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Decision {
    Keep,
    Drop,
}

/// What a policy says.
#[derive(JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Vote {
    Keep,
    None,
    Drop,
}

/// What is expected of a decision. What is not there is not compared.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// Whether the trace is kept.
    decision: Var<Decision>,
    /// The policy on whose account it is kept or dropped; none: no policy.
    policy: Option<AnyText>,
    /// The sampling threshold, as `th` writes it; none: there is none.
    threshold: Option<Threshold>,
    /// What single policies say, by their names.
    votes: Option<BTreeMap<String, Var<Vote>>>,
}
