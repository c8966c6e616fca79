//! Where kept traces can be looked at.

use axum::http::Uri;
use thiserror::Error;

use crate::ids::TraceId;

/// What stands for the trace id.
const PLACE: &str = "{traceId}";

/// A URL in which `{traceId}` stands for a trace id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceUrl(String);

/// It cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TraceUrlError {
    /// The page would link to the same place for each trace.
    #[error("expected `{PLACE}` in it, which stands for the trace id")]
    NoPlace,
    /// It is no link, or one that could run code.
    #[error(
        "expected a URL that begins with `http://` or `https://`, and has no user and no password"
    )]
    NoLink,
}

impl TraceUrl {
    /// Reads it.
    ///
    /// # Errors
    /// When it is no link, or has no place for the trace id.
    pub fn new(url: &str) -> Result<Self, TraceUrlError> {
        if !url.contains(PLACE) {
            return Err(TraceUrlError::NoPlace);
        }
        // Of Grafana's links a part is JSON: what is between the ends is for others to understand.
        let lower = url.to_ascii_lowercase();
        let rest = ["http://", "https://"].iter().find_map(|scheme| lower.strip_prefix(scheme));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        let is_host = |host: &&str| {
            !host.contains(['@', '{']) && host.parse::<Uri>().is_ok_and(|uri| uri.host().is_some())
        };
        let is_plain = !url.chars().any(|it| it.is_control() || it.is_whitespace());
        match host.filter(is_host) {
            Some(_) if is_plain => Ok(Self(url.to_owned())),
            _ => Err(TraceUrlError::NoLink),
        }
    }

    /// That of one trace.
    pub fn of(&self, id: TraceId) -> String {
        self.0.replace(PLACE, &id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_a_place_for_the_trace_and_runs_nothing() {
        let id = TraceId::from_slice(&[0xab; 16]).unwrap();
        let hex = "ab".repeat(16);
        for (url, expected) in [
            ("https://grafana/t/{traceId}", format!("https://grafana/t/{hex}")),
            (
                "http://[::1]:16686/trace/{traceId}#{traceId}",
                format!("http://[::1]:16686/trace/{hex}#{hex}"),
            ),
            (
                "HTTPS://g.example:3000?l={\"q\":\"{traceId}\"}",
                format!("HTTPS://g.example:3000?l={{\"q\":\"{hex}\"}}"),
            ),
        ] {
            assert_eq!(TraceUrl::new(url).unwrap().of(id), expected);
        }
        for url in ["https://grafana/t", "https://grafana/{trace_id}"] {
            assert_eq!(TraceUrl::new(url), Err(TraceUrlError::NoPlace), "{url}");
        }
        for url in [
            "javascript:alert('{traceId}')",
            "//grafana/{traceId}",
            "{traceId}",
            "https:///{traceId}",
            "https://{traceId}",
            "https://a@b/{traceId}",
            "https://grafana/ {traceId}",
            "https://grafana/\n{traceId}",
            " https://grafana/{traceId}",
        ] {
            assert_eq!(TraceUrl::new(url), Err(TraceUrlError::NoLink), "{url}");
        }
    }
}
