//! What is meant by a text that is no condition: the help of errors.

use std::ops::Range;

use super::error::{OttlError, nearest};
use super::functions;
use super::lexer::Token;

/// What arithmetic is for.
pub(super) const COMPUTED: &str = "only numbers, times and durations are computed with";

/// For a token where a condition could end.
pub(super) fn token(token: &Token) -> Option<&'static str> {
    match token {
        Token::Plus | Token::Minus | Token::Times | Token::Over => Some(COMPUTED),
        Token::Name(written) | Token::Symbol(written) => word(written),
        _ => None,
    }
}

/// Operators of other languages.
fn word(word: &str) -> Option<&'static str> {
    Some(match word {
        "in" | "IN" => {
            "write `ContainsValue([\"a\", \"b\"], name)`, or a comparison for each, joined by `or`"
        }
        "contains" | "like" | "matches" | "LIKE" | "CONTAINS" => {
            "write `IsMatch(name, \"expression\")`"
        }
        "startswith" | "startsWith" | "starts" => "write `HasPrefix(name, \"prefix\")`",
        "endswith" | "endsWith" | "ends" => "write `HasSuffix(name, \"suffix\")`",
        "is" | "IS" | "eq" => "write `==`; what is missing is `nil`",
        "ne" => "write `!=`",
        "where" => "a condition stands by itself, without a statement before it",
        "exists" => "write `!= nil`",
        "AND" | "And" => "write `and`",
        "OR" | "Or" => "write `or`",
        "NOT" | "Not" => "write `not`, before the comparison",
        _ => return None,
    })
}

/// For a path that is compared with nothing.
pub(super) fn bare_path(path: &str, is_attribute: bool) -> String {
    if is_attribute {
        return format!("write `{path} == true`, or `{path} != nil` to ask whether it is there");
    }
    "a path by itself is no answer: compare it, for example `name == \"a\"`".to_owned()
}

/// A name in lower case in front of a bracket.
pub(super) fn no_function(name: &str, place: Range<usize>) -> OttlError {
    let error = OttlError::new(place, format!("`{name}` is no function of conditions"));
    if functions::is_editor(name) {
        return error.with_help("it changes spans, and a condition only asks");
    }
    match functions::nearly_called(name) {
        Some(known) => error.with_help(format!("did you mean `{known}`?")),
        None => error.with_help("the name of a function starts with an upper case letter"),
    }
}

/// What an unknown path may mean; `path` is without the prefix of its owner.
pub(super) fn unknown_path(path: &str, is_indexed: bool) -> Option<String> {
    let text = match path {
        "duration" | "duration_nano" | "duration_ns" | "latency" | "elapsed" => {
            "how long a span took is `span.duration_ms`, or `end_time_unix_nano - \
             start_time_unix_nano`; of the trace it is `trace.duration_ms`"
        }
        "schema_url" | "dropped_attributes_count" => {
            "of resources and scopes only name, version and attributes are looked at"
        }
        "status" => {
            "the status is `status.code` (such as `STATUS_CODE_ERROR`) and `status.message`"
        }
        "null" | "none" | "undefined" => "what is missing is `nil`",
        "service.name" | "service" => "write `resource.attributes[\"service.name\"]`",
        "span_kind" | "span.kind" => {
            "write `kind == SPAN_KIND_SERVER`, or `kind.string == \"Server\"`"
        }
        "status_code" => "write `status.code == STATUS_CODE_ERROR`",
        "span_name" | "operation" | "operation_name" => {
            "write `name`, or `span.name` where events are asked about"
        }
        "cache" => "a condition keeps nothing, so there is no cache",
        _ if path.starts_with("otelcol.") => {
            "what a Collector knows of a request (its metadata) is not in Kafka's records"
        }
        _ => {
            let rest = path.strip_prefix("attributes.");
            let key = rest.or_else(|| (path.contains('.') && !is_indexed).then_some(path));
            return key.map(|key| format!("an attribute is written `attributes[\"{key}\"]`"));
        }
    };
    Some(text.to_owned())
}

/// What a function can read.
pub(super) fn readable_by(function: &str) -> Option<&'static str> {
    Some(match function {
        "Duration" => "a duration is written like `500ms`, `5s` or `1h30m`",
        "TraceID" => "a trace id is 16 bytes (`0x...`), or the text of its 32 digits",
        "SpanID" => "a span id is 8 bytes (`0x...`), or the text of its 16 digits",
        "ParseJSON" => "it reads a list or an object",
        "Time" => "the text does not follow the layout",
        _ => return None,
    })
}

/// The known name that was nearly hit, for `did you mean`.
pub(super) fn did_you_mean(name: &str, known: &[&str]) -> Option<String> {
    nearest(name, known).map(|known| format!("did you mean `{known}`?"))
}
