//! The names of paths and enums, and what they stand for.

use std::ops::Range;

use super::Context;
use super::error::OttlError;
use super::expression::Level;
use super::hints;
use super::paths::{Attribute, EventField, Inner, Path, ScopeField, SpanField, TraceField};
use super::resolve::Resolver;
use super::syntax::Segment;

/// What a path starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Span,
    Resource,
    Scope,
    Event,
    Root,
    Trace,
}

const OWNERS: [(&str, Owner); 7] = [
    ("span", Owner::Span),
    ("resource", Owner::Resource),
    ("scope", Owner::Scope),
    ("instrumentation_scope", Owner::Scope),
    ("spanevent", Owner::Event),
    ("root", Owner::Root),
    ("trace", Owner::Trace),
];

static SPAN_FIELDS: [(&str, SpanField); 24] = [
    ("name", SpanField::Name),
    ("kind", SpanField::Kind),
    ("kind.string", SpanField::KindString),
    ("kind.deprecated_string", SpanField::KindDeprecatedString),
    ("status.code", SpanField::StatusCode),
    ("status.message", SpanField::StatusMessage),
    ("trace_id", SpanField::TraceId),
    ("trace_id.string", SpanField::TraceIdString),
    ("span_id", SpanField::SpanId),
    ("span_id.string", SpanField::SpanIdString),
    ("parent_span_id", SpanField::ParentSpanId),
    ("parent_span_id.string", SpanField::ParentSpanIdString),
    ("start_time_unix_nano", SpanField::StartTime),
    ("end_time_unix_nano", SpanField::EndTime),
    ("start_time", SpanField::StartPoint),
    ("end_time", SpanField::EndPoint),
    ("duration_ms", SpanField::DurationMs),
    ("events", SpanField::Events),
    ("links", SpanField::Links),
    ("trace_state", SpanField::TraceState),
    ("flags", SpanField::Flags),
    ("dropped_attributes_count", SpanField::DroppedAttributes),
    ("dropped_events_count", SpanField::DroppedEvents),
    ("dropped_links_count", SpanField::DroppedLinks),
];

static SCOPE_FIELDS: [(&str, ScopeField); 2] =
    [("name", ScopeField::Name), ("version", ScopeField::Version)];

static EVENT_FIELDS: [(&str, EventField); 4] = [
    ("name", EventField::Name),
    ("time_unix_nano", EventField::Time),
    ("time", EventField::Point),
    ("dropped_attributes_count", EventField::DroppedAttributes),
];

static TRACE_FIELDS: [(&str, TraceField); 5] = [
    ("duration_ms", TraceField::Duration),
    ("span_count", TraceField::Spans),
    ("error_count", TraceField::Errors),
    ("service_count", TraceField::Services),
    ("bytes", TraceField::Bytes),
];

const ENUMS: [(&str, i64); 9] = [
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
    ("STATUS_CODE_UNSET", 0),
    ("STATUS_CODE_OK", 1),
    ("STATUS_CODE_ERROR", 2),
];

/// The number that an enum's name stands for.
pub(super) fn number(name: &str, range: Range<usize>) -> Result<i64, OttlError> {
    let found = ENUMS.iter().find(|(known, _)| *known == name);
    found.map(|(_, number)| *number).ok_or_else(|| {
        let known = ENUMS.map(|(known, _)| known);
        OttlError::new(range, format!("unknown enum `{name}`")).with_known(name, &known)
    })
}

/// The path that `segments` spell, and what it is about. `range` is where it stands.
pub(super) fn path(
    resolver: &Resolver,
    mut segments: Vec<Segment>,
    range: Range<usize>,
    context: Context,
) -> Result<(Path, Level), OttlError> {
    let owner = owner(&segments);
    if owner.is_some() {
        segments.remove(0);
    }
    let default = match context {
        Context::Span => Owner::Span,
        Context::SpanEvent => Owner::Event,
    };
    let field = Field::new(resolver, segments, range)?;
    match owner.unwrap_or(default) {
        Owner::Span => Ok((Path::Span(field.of_span()?), Level::Span)),
        Owner::Root => Ok((Path::Root(field.of_span()?), Level::Root)),
        Owner::Resource => Ok((Path::Resource(field.of_resource()?), Level::Span)),
        Owner::Scope => Ok((Path::Scope(field.of_scope()?), Level::Span)),
        Owner::Event if context == Context::Span => {
            let message = "a condition on spans has no event";
            let help = "put the condition under `spanevent`";
            Err(OttlError::new(field.range, message).with_help(help))
        }
        Owner::Event => Ok((Path::Event(field.of_event()?), Level::Span)),
        Owner::Trace => Ok((Path::Trace(field.of_trace()?), Level::Trace)),
    }
}

/// What the first of several segments names, if it is not a field.
fn owner(segments: &[Segment]) -> Option<Owner> {
    let [first, _, ..] = segments else { return None };
    let found = OWNERS.iter().find(|(name, _)| *name == first.name && first.keys.is_empty());
    found.map(|(_, owner)| *owner)
}

/// The part of a path after its owner.
struct Field {
    /// Its segments, joined by dots.
    name: String,
    /// What the last one is indexed with.
    keys: Vec<(Inner, Range<usize>)>,
    /// Where the whole path stands.
    range: Range<usize>,
}

impl Field {
    fn new(
        resolver: &Resolver,
        mut segments: Vec<Segment>,
        range: Range<usize>,
    ) -> Result<Self, OttlError> {
        let written = segments.last_mut().map(|last| std::mem::take(&mut last.keys));
        let mut keys = Vec::new();
        for key in written.unwrap_or_default() {
            let range = key.range.clone();
            keys.push((resolver.known_key(key)?, range));
        }
        let indexed = segments.iter().find(|segment| !segment.keys.is_empty());
        if let Some(Segment { name, .. }) = indexed {
            let message = format!("nothing follows the key of `{name}`");
            let help = "a value in a map is written `[\"key\"][\"inner key\"]`";
            return Err(OttlError::new(range, message).with_help(help));
        }
        let names: Vec<String> = segments.into_iter().map(|segment| segment.name).collect();
        Ok(Self { name: names.join("."), keys, range })
    }

    fn of_span(self) -> Result<SpanField, OttlError> {
        if self.name == "attributes" && self.keys.is_empty() {
            return Ok(SpanField::Attributes);
        }
        if self.name == "attributes" {
            return Ok(SpanField::Attribute(self.attribute()?));
        }
        if self.name == "trace_state" && !self.keys.is_empty() {
            return self.trace_state_member();
        }
        self.plain(&SPAN_FIELDS, &["attributes"])
    }

    fn of_resource(self) -> Result<Attribute, OttlError> {
        if self.name == "attributes" {
            return self.attribute();
        }
        self.plain::<Attribute>(&[], &["attributes"])
    }

    fn of_scope(self) -> Result<ScopeField, OttlError> {
        if self.name == "attributes" {
            return Ok(ScopeField::Attribute(self.attribute()?));
        }
        self.plain(&SCOPE_FIELDS, &["attributes"])
    }

    fn of_event(self) -> Result<EventField, OttlError> {
        let names = |name: &str| name == self.name;
        let is_of_span = SPAN_FIELDS.iter().any(|(known, _)| names(known));
        if is_of_span && !EVENT_FIELDS.iter().any(|(known, _)| names(known)) {
            let message = format!("an event has no `{}`", self.name);
            let help = format!("of its span it is `span.{}`", self.name);
            return Err(OttlError::new(self.range, message).with_help(help));
        }
        if self.name == "attributes" {
            return Ok(EventField::Attribute(self.attribute()?));
        }
        self.plain(&EVENT_FIELDS, &["attributes"])
    }

    fn of_trace(self) -> Result<TraceField, OttlError> {
        self.plain(&TRACE_FIELDS, &[])
    }

    /// One of `fields`; `others` are known, too, and looked at before.
    fn plain<F: Clone>(
        self,
        fields: &[(&str, F)],
        others: &[&'static str],
    ) -> Result<F, OttlError> {
        let Self { name, keys, range } = self;
        match fields.iter().find(|(known, _)| *known == name) {
            Some((_, field)) if keys.is_empty() => Ok(field.clone()),
            Some(_) => Err(OttlError::new(range, format!("`{name}` cannot be indexed"))),
            None => {
                let mut known: Vec<&str> = fields.iter().map(|(known, _)| *known).collect();
                known.extend(others);
                let error = OttlError::new(range, format!("unknown path `{name}`"));
                let near = hints::did_you_mean(&name, &known);
                Err(match near.or_else(|| hints::unknown_path(&name, !keys.is_empty())) {
                    Some(help) => error.with_help(help),
                    None => error.with_known(&name, &known),
                })
            }
        }
    }

    fn attribute(self) -> Result<Attribute, OttlError> {
        let Self { keys, range, .. } = self;
        let example = "for example `attributes[\"http.route\"]`";
        let mut keys = keys.into_iter();
        match keys.next() {
            Some((Inner::Key(key), _)) => {
                let inner = keys.map(|(key, _)| key).collect();
                Ok(Attribute { key, index: None, inner })
            }
            Some((_, range)) => {
                let message = "the key of an attribute is a string";
                Err(OttlError::new(range, message).with_help(example))
            }
            None => {
                let help = "only the attributes that a condition names are looked for, and all \
                            of them only of spans (`span.attributes`)";
                Err(OttlError::new(range, "the key of the attribute is missing").with_help(help))
            }
        }
    }

    fn trace_state_member(mut self) -> Result<SpanField, OttlError> {
        match (self.keys.pop(), self.keys.is_empty()) {
            (Some((Inner::Key(key), _)), true) => Ok(SpanField::TraceStateMember(key)),
            _ => Err(OttlError::new(self.range, "`trace_state` is indexed with one string")),
        }
    }
}
