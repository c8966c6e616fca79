//! Section `retrieval` of the static file.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::json;

use super::admin::address;
use crate::kafka::decision_log::{DecisionLogSettings, GroupHash};
use crate::kafka::source::SourceSettings;
use crate::options::{choice, choices, name, options, path, section, size, whole};
use crate::retrieval::{self, Origin, RetrievalSettings, TlsFiles};
use crate::secret::Secret;
use crate::telemetry::admin::Token;

options! {
    /// The server of dropped traces, for Tempo, for Jaeger, and for scripts.
    pub(super) struct Retrieval {
        /// Where they are served: host:port, such as 127.0.0.1:9465; they are not by default. Who can
        /// reach it and has the token sees every span on the topic.
        listen: Option<SocketAddr> = name().try_map(address).optional(),
        /// Encryption; none by default.
        tls: Option<RetrievalTls> = section().optional(),
        /// The bearer token that requests need, which may also be the password of a URL; none by
        /// default.
        token: Option<Secret> = name().map(Secret::new).optional(),
        /// A file with that token; it is read again for each request.
        token_file: Option<PathBuf> = path().optional(),
        /// The resource attribute that says whose a span is. Requests then name their tenant in the
        /// header X-Scope-OrgID (Tempo) or x-tenant (Jaeger), and get no spans of another one.
        tenant_attribute: Option<String> = name().optional(),
        /// When a dropped trace is kept after all: it is delivered to the backend as kept ones are. It needs
        /// `token` or `token_file`, and the ACL Write on the input topic.
        keep: Keep = choice().or("never"),
        /// How many traces are looked up at once. Some more wait, for two seconds.
        lookups: usize = whole(1..=64).or("4"),
        /// How much is read for all of them together, a second.
        bytes_per_second: u64 = size().or("64MiB"),
        /// How much of what was found is remembered for a minute.
        cache_bytes: u64 = size().or("32MiB"),
    }
    then |section| {
        section.rule("not", json!({ "required": ["token", "token_file"] }));
        if section.has("token") && section.has("token_file") {
            let message = "expected only one of `token` and `token_file`";
            section.problem(message, "token_file: /var/run/secrets/token");
        }
        section.rule("if", json!({
            "required": ["keep"],
            "properties": { "keep": { "enum": ["on_request", "on_open"] } },
        }));
        let either = json!([{ "required": ["token"] }, { "required": ["token_file"] }]);
        section.rule("then", json!({ "anyOf": either }));
        if keep != Keep::Never && !section.has("token") && !section.has("token_file") {
            let message = "`keep` needs `token` or `token_file`: not everybody may have traces delivered";
            section.problem(message, "token_file: /var/run/secrets/token");
        }
    }
}

choices! {
    /// When a dropped trace is kept after all.
    pub(super) enum Keep {
        /// Never: traces are shown, and no more.
        Never = "never",
        /// When somebody asks for it: `POST /api/traces/TRACE_ID/keep`.
        OnRequest = "on_request",
        /// When somebody opens it, too: at each look-up that finds a dropped trace.
        OnOpen = "on_open",
    }
}

options! {
    /// How the server is encrypted, under the names of the Collector.
    pub(super) struct RetrievalTls {
        /// Its certificate, PEM. All of these files are read again when they change.
        cert_file: PathBuf = path().required("/var/run/tls/tls.crt"),
        /// Its key, PEM.
        key_file: PathBuf = path().required("/var/run/tls/tls.key"),
        /// The certificate authorities of clients, PEM; with it, clients have to show a certificate.
        client_ca_file: Option<PathBuf> = path().optional(),
    }
}

impl Retrieval {
    /// `None` unless traces are served; they cannot be without a decision log.
    pub(super) fn settings(
        self,
        source: &SourceSettings,
        log: Option<&DecisionLogSettings>,
    ) -> Option<RetrievalSettings> {
        let log = log?;
        let origin = Origin {
            brokers: source.brokers.clone(),
            properties: source.properties.clone(),
            topic: source.topic.clone(),
            decision_log: log.topic.clone(),
            decision_index: log.index.as_ref().map(|index| index.topic.clone()),
            group: Some(GroupHash::of(&source.group_id)),
        };
        let tls = |RetrievalTls { cert_file, key_file, client_ca_file }| TlsFiles {
            cert_file,
            key_file,
            client_ca_file,
        };
        Some(RetrievalSettings {
            origin,
            listen: self.listen?,
            tls: self.tls.map(tls),
            token: self.token.map(Token::Text).or(self.token_file.map(Token::File)),
            tenant_attribute: self.tenant_attribute,
            keep: match self.keep {
                Keep::Never => retrieval::Keep::Never,
                Keep::OnRequest => retrieval::Keep::OnRequest,
                Keep::OnOpen => retrieval::Keep::OnOpen,
            },
            lookups: self.lookups,
            bytes_per_second: self.bytes_per_second.max(1),
            cache_bytes: self.cache_bytes,
        })
    }
}
