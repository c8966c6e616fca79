//! Attributes by names of OpenTelemetry's semantic conventions that are out of date.
//!
//! Instrumentation sends the old name or the new one, depending on its age. A policy that asks for
//! the old one alone stops matching after an upgrade; one that asks for both in one place is fine.

use std::collections::BTreeMap;

use super::{Lint, below, conditions, walk};
use crate::config::diagnostics::Place;
use crate::config::document::Node;
use crate::config::policies::Placed;
use crate::sampling::ottl;
use crate::sampling::policy::spec::{Asks, PolicySpec};

/// Old names, and what stands in their place.
const RENAMED: &[(&str, &str)] = &[
    ("http.method", "http.request.method"),
    ("http.status_code", "http.response.status_code"),
    ("http.url", "url.full"),
    ("http.target", "url.path"),
    ("http.scheme", "url.scheme"),
    ("http.host", "server.address"),
    ("http.server_name", "server.address"),
    ("http.client_ip", "client.address"),
    ("http.user_agent", "user_agent.original"),
    ("http.flavor", "network.protocol.version"),
    ("net.peer.name", "server.address"),
    ("net.peer.port", "server.port"),
    ("net.host.name", "server.address"),
    ("net.host.port", "server.port"),
    ("net.peer.ip", "network.peer.address"),
    ("net.sock.peer.addr", "network.peer.address"),
    ("net.sock.peer.port", "network.peer.port"),
    ("net.transport", "network.transport"),
    ("net.protocol.name", "network.protocol.name"),
    ("net.protocol.version", "network.protocol.version"),
    ("db.system", "db.system.name"),
    ("db.statement", "db.query.text"),
    ("db.name", "db.namespace"),
    ("db.operation", "db.operation.name"),
    ("db.sql.table", "db.collection.name"),
    ("deployment.environment", "deployment.environment.name"),
    ("messaging.destination", "messaging.destination.name"),
    ("messaging.operation", "messaging.operation.type"),
    ("messaging.message_id", "messaging.message.id"),
    ("messaging.kafka.consumer_group", "messaging.consumer.group.name"),
    ("messaging.kafka.partition", "messaging.destination.partition.id"),
    ("code.function", "code.function.name"),
    ("code.filepath", "code.file.path"),
    ("code.lineno", "code.line.number"),
    ("otel.library.name", "otel.scope.name"),
    ("otel.library.version", "otel.scope.version"),
];

/// Where attributes are named: the place, and the number of the policy.
pub(super) type Named = BTreeMap<String, Vec<(Place, usize)>>;

/// Which attributes the policies ask for, and where.
pub(super) fn named(lint: &Lint<'_>, policies: &[Placed<'_>]) -> Named {
    let mut named = Named::new();
    for (number, Placed { spec, node }) in policies.iter().enumerate() {
        walk(spec, node, &mut |spec, node| {
            let mut add = |key: String, place: Place| {
                named.entry(key).or_default().push((place, number));
            };
            keys(lint, spec, node, &mut add);
        });
    }
    named
}

/// Warns of each old name, once.
pub(super) fn lint(lint: &Lint<'_>, named: &Named) {
    for (old, new) in RENAMED {
        let Some(places) = named.get(*old) else { continue };
        let of_new = named.get(*new).map_or(&[][..], Vec::as_slice);
        let is_beside_new = |number: usize| of_new.iter().any(|(_, other)| *other == number);
        let Some((place, _)) = places.iter().find(|(_, number)| !is_beside_new(*number)) else {
            continue;
        };
        let message = match of_new {
            [] => format!("`{old}` is an old name: newer instrumentation sends `{new}`"),
            [(other, _), ..] => format!(
                "the file names both `{old}` and, in line {}, `{new}`, which is the newer name of \
                 the same",
                other.line
            ),
        };
        let help = format!(
            "ask for `{new}`, or for both in one policy while some services send the old one"
        );
        lint.warn(*place, message, &help);
    }
}

fn keys(lint: &Lint<'_>, spec: &PolicySpec, node: &Node, add: &mut impl FnMut(String, Place)) {
    for asks in spec.kind.asks() {
        if let Asks::Attribute { key, .. } = asks
            && let Some(node) = below(spec, node, "key")
        {
            add(key.to_owned(), node.place);
        }
    }
    for (node, text, context) in conditions(spec, node) {
        // Of a file that was taken, and apart there is no bound that only some scopes have.
        let Ok(condition) = ottl::compile_apart(text, context) else { continue };
        for key in condition.attribute_keys() {
            let quoted = format!("\"{key}\"");
            let place = match text.find(&quoted) {
                Some(at) => lint.context.place_within(node, at..at + quoted.len()),
                None => node.place,
            };
            add(key.to_owned(), place);
        }
    }
}
