//! What a field of Refinery is in OTTL.
//!
//! Refinery sees a span as one flat list of fields: the attributes of the span and of its resource, and
//! what Honeycomb makes of the rest of an OTLP span. Where the name does not tell whether an attribute is
//! the span's or the resource's, both are looked at, the span's first.

use super::literal::text;

/// Namespaces of the semantic conventions that resources have.
const OF_RESOURCES: [&str; 14] = [
    "service",
    "k8s",
    "host",
    "cloud",
    "container",
    "deployment",
    "process",
    "os",
    "telemetry",
    "device",
    "aws",
    "gcp",
    "azure",
    "heroku",
];

/// Namespaces that spans have.
const OF_SPANS: [&str; 18] = [
    "http",
    "url",
    "db",
    "rpc",
    "messaging",
    "net",
    "network",
    "server",
    "client",
    "user_agent",
    "code",
    "thread",
    "enduser",
    "graphql",
    "exception",
    "gen_ai",
    "peer",
    "faas",
];

/// A field, or the first that is there of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its value in OTTL.
    pub(super) value: String,
    /// Whether every span has it, so that there is nothing to be asked.
    pub(super) is_always_there: bool,
    pub(super) kind: Kind,
}

/// What has to be asked of it in a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    /// `error`: true on spans with that status, and on no others.
    Error,
    /// The parent's id: not there on a root span.
    Parent,
}

impl Field {
    /// The field with this name.
    ///
    /// # Errors
    /// Why there is none like it.
    pub(super) fn of(name: &str) -> Result<Self, String> {
        let (root, name) = name.strip_prefix("root.").map_or(("", name), |name| ("root.", name));
        let built_in = |value: &str| {
            let (value, kind) = (format!("{root}{value}"), Kind::Plain);
            Ok(Self { value, is_always_there: root.is_empty(), kind })
        };
        match name {
            "duration_ms" if !root.is_empty() => {
                Err("the duration of the root span cannot be asked for; that of the trace is \
                 trace.duration_ms"
                    .to_owned())
            }
            "duration_ms" => built_in("span.duration_ms"),
            "name" => built_in("name"),
            "service_name" => built_in("resource.attributes[\"service.name\"]"),
            "trace.trace_id" => built_in("trace_id.string"),
            "trace.span_id" => built_in("span_id.string"),
            "trace.parent_id" if root.is_empty() => {
                let value = "parent_span_id.string".to_owned();
                Ok(Self { value, is_always_there: true, kind: Kind::Parent })
            }
            "status_code" => built_in("status.code"),
            "status_message" => built_in("status.message"),
            "library.name" => built_in("scope.name"),
            "library.version" => built_in("scope.version"),
            "span.kind" | "type" => {
                let value = format!("ToLowerCase({root}kind.string)");
                Ok(Self { value, is_always_there: root.is_empty(), kind: Kind::Plain })
            }
            "error" => {
                let value = format!("{root}status.code");
                Ok(Self { value, is_always_there: root.is_empty(), kind: Kind::Error })
            }
            "?.NUM_DESCENDANTS" => {
                let (value, kind) = ("trace.span_count - 1".to_owned(), Kind::Plain);
                Ok(Self { value, is_always_there: true, kind })
            }
            _ if name.starts_with("meta.") || name.starts_with("?.") => {
                Err(format!("{name} is made by Refinery, and spans do not have it"))
            }
            "" => Err("a condition names no field".to_owned()),
            _ => Ok(Self::attribute(root, name)),
        }
    }

    fn attribute(root: &str, name: &str) -> Self {
        let key = text(name);
        let of_span = format!("{root}attributes[{key}]");
        let of_resource = format!("{root}resource.attributes[{key}]");
        let namespace = name.split('.').next().filter(|it| *it != name).unwrap_or_default();
        let value = if OF_RESOURCES.contains(&namespace) {
            of_resource
        } else if OF_SPANS.contains(&namespace) {
            of_span
        } else {
            format!("Coalesce([{of_span}, {of_resource}])")
        };
        Self { value, is_always_there: false, kind: Kind::Plain }
    }

    /// The first that is there of several fields.
    ///
    /// # Errors
    /// Why there is none like it.
    pub(super) fn first_of(names: &[&str]) -> Result<Self, String> {
        if let [name] = names {
            return Self::of(name);
        }
        let fields = names.iter().map(|name| Self::of(name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(odd) = fields.iter().position(|it| it.kind != Kind::Plain) {
            return Err(format!("{} among several fields has no counterpart", names[odd]));
        }
        let values = fields.iter().map(|field| {
            let inner = field.value.strip_prefix("Coalesce([").and_then(|it| it.strip_suffix("])"));
            inner.unwrap_or(&field.value)
        });
        let values = values.collect::<Vec<_>>().join(", ");
        let is_always_there = fields.iter().any(|field| field.is_always_there);
        Ok(Self { value: format!("Coalesce([{values}])"), is_always_there, kind: Kind::Plain })
    }
}
