//! The static file for those who look at a member: its options as they were written, without secrets.
//!
//! Promises that what a variable holds does not show, since variables are left as they are written; that
//! what stands under a key that may hold secrets is masked; and of settings of librdkafka, which knows
//! many ways to be given a secret, all but those that are known to hold none.

use std::path::Path;

use super::document::{Document, Node, Value, holds_secrets};
use super::{Diagnostics, name, text};
use crate::telemetry::admin::status::Setting;

const MASK: &str = "[redacted]";

/// The section of librdkafka's settings, in whatever section it is.
const PROPERTIES: &str = "properties";

/// Texts among librdkafka's settings that are shown; numbers and switches always are.
const HARMLESS: [&str; 12] = [
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "client.id",
    "client.rack",
    "compression.type",
    "isolation.level",
    "broker.address.family",
];

/// The options that the file at `path` sets, in its order.
///
/// # Errors
/// When it cannot be read as YAML.
pub fn shown(path: &Path) -> Result<Vec<Setting>, Diagnostics> {
    let document = Document::parse_alone(&name(path), &text(path)?)?;
    let mut settings = Vec::new();
    enter(&mut settings, String::new(), &document.root, Showing::All);
    Ok(settings)
}

/// How much is shown of what stands under a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Showing {
    All,
    /// What cannot be a secret.
    Harmless,
    Nothing,
}

impl Showing {
    fn below(self, key: &str) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            _ if holds_secrets(key) && !is_file(key) => Self::Nothing,
            _ if key == PROPERTIES => Self::Harmless,
            Self::Harmless if HARMLESS.contains(&key) => Self::All,
            showing => showing,
        }
    }
}

/// A file with a secret is none.
fn is_file(key: &str) -> bool {
    key.ends_with("_file") || key.ends_with(".location")
}

fn enter(settings: &mut Vec<Setting>, at: String, node: &Node, showing: Showing) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                enter(settings, below(&entry.key), &entry.node, showing.below(&entry.key));
            }
        }
        Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Map(_))) => {
            for (number, item) in items.iter().enumerate() {
                enter(settings, format!("{at}[{number}]"), item, showing);
            }
        }
        _ => settings.push(Setting { name: at, value: value(node, showing) }),
    }
}

fn value(node: &Node, showing: Showing) -> String {
    let is_masked = match (showing, &node.value) {
        (Showing::All, _) => false,
        (Showing::Harmless, Value::Text(_) | Value::List(_)) => true,
        (Showing::Harmless, _) => false,
        (Showing::Nothing, _) => true,
    };
    if is_masked {
        return MASK.to_owned();
    }
    match &node.value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) => without_user(text),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| value(item, showing)).collect();
            items.join(", ")
        }
        Value::Map(_) => MASK.to_owned(),
    }
}

/// A URL without the user and the password in it.
fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{MASK}{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_shown_as_they_are_written_and_secrets_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.yaml");
        let text = "
kafka:
  brokers: [a:1, b:2]
  properties:
    security.protocol: SASL_SSL
    sasl.username: me
    sasl.password: hunter2
    sasl.oauthbearer.config: key=hunter2
    ssl.key.location: /key
    ssl.key.pem: hunter2
    socket.keepalive.enable: true
exporters:
  tempo:
    endpoint: https://me:hunter2@tempo:4317/a@b
    auth: {bearer: {token: hunter2}}
    headers: {X-Scope-OrgID: hunter2}
  other: {endpoint: '${env:HOME}', auth: {basic: {username: me, password: '${env:HOME}'}}}
admin: {token_file: /token, allow_changes: false}
";
        std::fs::write(&file, text).unwrap();
        let shown: Vec<String> = shown(&file)
            .unwrap()
            .into_iter()
            .map(|setting| format!("{}={}", setting.name, setting.value))
            .collect();
        let expected = "
kafka.brokers=a:1, b:2
kafka.properties.security.protocol=SASL_SSL
kafka.properties.sasl.username=me
kafka.properties.sasl.password=[redacted]
kafka.properties.sasl.oauthbearer.config=[redacted]
kafka.properties.ssl.key.location=/key
kafka.properties.ssl.key.pem=[redacted]
kafka.properties.socket.keepalive.enable=true
exporters.tempo.endpoint=https://[redacted]@tempo:4317/a@b
exporters.tempo.auth.bearer.token=[redacted]
exporters.tempo.headers.X-Scope-OrgID=[redacted]
exporters.other.endpoint=${env:HOME}
exporters.other.auth.basic.username=me
exporters.other.auth.basic.password=[redacted]
admin.token_file=/token
admin.allow_changes=false";
        assert_eq!(shown, expected.trim().lines().collect::<Vec<_>>());
    }
}
