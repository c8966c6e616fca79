//! Attributes that a policy asks for and that no span can have as it asks: what is a field of spans
//! and no attribute, text where the conventions have a number, expressions that are compared as
//! they are written, and an `invert_match` that keeps almost everything.
//!
//! Warns only of what is hardly ever meant: own attributes may have any name.

use super::conventions::Named;
use super::{Lint, attribute, below, walk};
use crate::config::document::Node;
use crate::config::policies::Placed;
use crate::config::values;
use crate::options::items;
use crate::sampling::policy::spec::{
    Asks, Matching, Mode, PolicyKind, PolicySpec, StringAttribute,
};

/// What is no attribute, and what to ask for instead.
const NO_ATTRIBUTES: &[(&str, &str)] = &[
    ("name", "the name of a span: `type: ottl_condition` with `name == \"...\"`"),
    ("span.name", "the name of a span: `type: ottl_condition` with `name == \"...\"`"),
    ("kind", "the kind of a span: `type: ottl_condition` with `kind == SPAN_KIND_SERVER`"),
    ("span.kind", "the kind of a span: `type: ottl_condition` with `kind == SPAN_KIND_SERVER`"),
    ("status.code", "the status of a span: `type: status_code`"),
    (
        "status.message",
        "the status of a span: `type: ottl_condition` with `status.message == \"...\"`",
    ),
    ("duration", "how long a trace lasts: `type: latency`"),
    ("trace_id", "an id: `type: ottl_condition` with `trace_id.string == \"...\"`"),
    ("span_id", "an id: `type: ottl_condition` with `span_id.string == \"...\"`"),
];

/// A name that no convention has, and the one that was probably meant.
const MISTAKEN: (&str, &str) = ("http.status", "http.response.status_code");

/// What OTTL has before the name of an attribute.
const PREFIXES: &[&str] = &["attributes.", "resource.attributes.", "span.attributes."];

/// Attributes that the conventions have as integers. Not `http.status_code`: Envoy sends that as
/// text.
const INTEGERS: &[&str] = &[
    "http.response.status_code",
    "http.request.body.size",
    "http.response.body.size",
    "http.request.resend_count",
    "rpc.grpc.status_code",
    "server.port",
    "client.port",
    "network.peer.port",
    "network.local.port",
    "net.peer.port",
    "net.host.port",
    "thread.id",
    "process.pid",
    "messaging.batch.message_count",
    "db.response.returned_rows",
];

/// Warns of attributes, of which `named` says where they are asked for.
pub(super) fn lint(lint: &Lint<'_>, policies: &[Placed<'_>], named: &Named) {
    for (key, places) in named {
        let Some((place, _)) = places.first() else { continue };
        if let Some((message, help)) = no_attribute(key) {
            lint.warn(*place, message, &help);
        }
    }
    for Placed { spec, node } in policies {
        inverted(lint, spec, node);
        walk(spec, node, &mut |spec, node| {
            texts(lint, spec, node);
            conditions(lint, spec, node);
        });
    }
}

fn no_attribute(key: &str) -> Option<(String, String)> {
    if let Some((_, instead)) = NO_ATTRIBUTES.iter().find(|(name, _)| *name == key) {
        let message =
            format!("`{key}` is no attribute in OpenTelemetry: spans do not have one of this name");
        return Some((message, format!("it is {instead}, unless it is an attribute of your own")));
    }
    let (mistaken, meant) = MISTAKEN;
    if key == mistaken {
        let message = format!("`{key}` is no name of OpenTelemetry's conventions");
        return Some((message, format!("`{meant}` is, unless it is an attribute of your own")));
    }
    let rest = PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix))?;
    let message = format!("`{key}`: what stands before the name belongs to OTTL, not to the name");
    Some((message, format!("write `{rest}`")))
}

/// A negation that stands by itself keeps all traces that have nothing to do with it.
fn inverted(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    let is_inverted = |asks: &Asks<'_>| matches!(asks, Asks::Attribute { is_inverted: true, .. });
    let asks = spec.kind.asks();
    let Some(Asks::Attribute { key, .. }) = asks.iter().find(|asks| is_inverted(asks)) else {
        return;
    };
    // A shadow has no effect, and all that is left to an archive is what archives are for. What
    // never matches is told of in other words.
    let is_always = spec.kind.matching(&[]) == Matching::Always;
    if spec.mode == Mode::Shadow || !spec.exporters.is_empty() || is_always {
        return;
    }
    let place = below(spec, node, "invert_match").unwrap_or(node).place;
    let of = attribute(node, spec, key);
    let message = format!(
        "invert_match: this keeps every trace without such a value of {of}, and drops none: it is \
         no veto, as in the Collector since v0.144"
    );
    let help = "to drop traces use `type: drop` without invert_match; to keep some of the others, \
                put this into an `and`";
    lint.warn(place, message, help);
}

fn texts(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    let PolicyKind::StringAttribute(it) = &spec.kind else { return };
    let StringAttribute { key, enabled_regex_matching, values, .. } = it;
    let Some(block) = node.get("string_attribute") else { return };
    if INTEGERS.contains(&key.as_str()) {
        let place = block.find("key").place;
        let message = format!(
            "`{key}` is an integer in OpenTelemetry's conventions: a text never matches one"
        );
        let number = values.first().and_then(|text| text.parse::<i64>().ok()).unwrap_or(500);
        let help = format!(
            "use `type: numeric_attribute` with `{{key: {key}, min_value: {number}, max_value: {number}}}`"
        );
        lint.warn(place, message, &help);
        return;
    }
    let Some(nodes) = block.get("values").map(|node| items(node, lint.context)) else { return };
    let found = nodes.iter().find(|node| {
        let Ok(text) = values::text(node) else { return false };
        !node.from_env && !enabled_regex_matching && is_expression(key, &text)
    });
    if let Some(node) = found {
        let message =
            "values: this looks like a regular expression, and is compared as it is written";
        lint.warn(node.place, message, "add `enabled_regex_matching: true`");
    }
}

/// True for what is hardly a value. Routes have patterns of their own, and `*` in them.
fn is_expression(key: &str, text: &str) -> bool {
    let is_anchored = text.len() > 1 && (text.starts_with('^') || text.ends_with('$'));
    let has_classes = ["\\d", "\\w", "\\.", "[0-9]", "[a-z]", "[A-Z]", "[^"];
    let has_any = [".*", ".+"].iter().any(|part| text.contains(part));
    let is_choice = text.starts_with('(') && text.ends_with(')') && text.contains('|');
    let is_pattern = has_any && key != "http.route" && key != "http.target";
    is_anchored || is_choice || is_pattern || has_classes.iter().any(|part| text.contains(part))
}

/// Comparisons of integers with texts in conditions.
fn conditions(lint: &Lint<'_>, spec: &PolicySpec, node: &Node) {
    for (node, text, _) in super::conditions(spec, node) {
        for key in INTEGERS {
            let Some(range) = compared_with_text(text, key) else { continue };
            let place = lint.context.place_within(node, range);
            let message = format!(
                "`{key}` is an integer in OpenTelemetry's conventions, and never equal to a text"
            );
            lint.warn(place, message, "write the number without quotes");
        }
    }
}

/// Where in a condition `attributes["key"]` is held against a text.
fn compared_with_text(text: &str, key: &str) -> Option<std::ops::Range<usize>> {
    let named = format!("[\"{key}\"]");
    text.match_indices(&named).find_map(|(at, _)| {
        let rest = text[at + named.len()..].trim_start();
        let rest = rest.strip_prefix("==").or_else(|| rest.strip_prefix("!="))?.trim_start();
        let value = rest.strip_prefix('"')?;
        let start = text.len() - rest.len();
        Some(start..start + 2 + value.find('"')?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_told_from_values() {
        let key = "url.path";
        for text in ["^/api", "/api$", "/api/.*", "v.+", "\\d+", "a\\.b", "[0-9]", "(a|b)"] {
            assert!(is_expression(key, text), "{text}");
        }
        for text in [
            "/api/v1",
            "$5",
            "^",
            "$",
            "*",
            "/api/*",
            "a.b.c",
            "GET|POST",
            "C++",
            "(unknown)",
            "/users/{id}",
            "/users/[id]",
            "SELECT * FROM t",
            "1.0",
            "5 + .5",
        ] {
            assert!(!is_expression(key, text), "{text}");
        }
        assert!(!is_expression("http.route", "/files/(.*)"));
    }

    #[test]
    fn texts_beside_integers_are_found() {
        let key = "http.response.status_code";
        let range = |text: &str| compared_with_text(text, key).map(|range| text[range].to_owned());
        let found = range(r#"name == "x" and attributes["http.response.status_code"] == "500""#);
        assert_eq!(found.as_deref(), Some("\"500\""));
        assert_eq!(range(r#"attributes["http.response.status_code"]!="5""#).unwrap(), "\"5\"");
        assert_eq!(range(r#"attributes["http.response.status_code"] == 500"#), None);
        assert_eq!(
            range(r#"attributes["http.response.status_code"] >= 500 and name == "a""#),
            None
        );
        assert_eq!(range(r#"attributes["other"] == "500""#), None);
    }
}
