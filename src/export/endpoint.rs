//! Where requests go: the checked form of `endpoint`.

use std::fmt;
use std::str::FromStr;

use http::Uri;

use super::ExportError;
use super::settings::{Protocol, TlsSettings};
use super::signal::{Place, Signal};

/// A checked OTLP endpoint, shown as a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    uri: Uri,
    port: u16,
}

impl Endpoint {
    /// The endpoint written as `host:port` or as a URL.
    ///
    /// `https://` means TLS and `http://` none; without a scheme it is TLS if there are settings
    /// for it that do not say `insecure`.
    pub(super) fn parse(
        text: &str,
        protocol: Protocol,
        tls: Option<&TlsSettings>,
    ) -> Result<Self, ExportError> {
        Self::parse_at(text, protocol, tls, Place::Below(Signal::Traces))
    }

    /// The same, with the path at `place` if requests go over HTTP.
    pub(super) fn parse_at(
        text: &str,
        protocol: Protocol,
        tls: Option<&TlsSettings>,
        place: Place,
    ) -> Result<Self, ExportError> {
        let invalid = |reason| ExportError::Endpoint { endpoint: shown(text), reason };
        let (scheme, address) = match text.split_once("://") {
            Some(("http", _)) if tls.is_some_and(|tls| !tls.insecure) => {
                return Err(invalid("http:// is not encrypted, but `tls` is set: use https://"));
            }
            Some(("https", _)) if tls.is_some_and(|tls| tls.insecure) => {
                return Err(invalid("https:// and tls.insecure: true contradict each other"));
            }
            Some((scheme @ ("http" | "https"), address)) => (scheme, address),
            Some(_) => return Err(invalid("only http:// and https:// are supported")),
            None if tls.is_some_and(|tls| !tls.insecure) => ("https", text),
            None => ("http", text),
        };
        let is_whole = protocol == Protocol::Http && place == Place::Whole;
        let address = if is_whole { address } else { address.trim_end_matches('/') };
        if address.contains('@') {
            return Err(invalid("credentials belong in `headers` or `auth`"));
        }
        if address.contains(['?', '#']) {
            return Err(invalid("an endpoint has no query; keys belong in `headers`"));
        }
        let path = match (protocol, place) {
            (Protocol::Http, Place::Whole) => "",
            (Protocol::Http, Place::Below(signal)) if address.ends_with(signal.http_path()) => "",
            (Protocol::Http, Place::Below(signal)) => signal.http_path(),
            _ if address.contains('/') => return Err(invalid("OTLP over gRPC has no path")),
            _ => "",
        };
        let uri = Uri::from_str(&format!("{scheme}://{address}{path}"))
            .map_err(|_| invalid("not of the form host:port"))?;
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        let default_port = match (scheme, protocol) {
            ("https", _) => Some(443),
            (_, Protocol::Http) if text.contains("://") => Some(80),
            _ => None,
        };
        match uri.port_u16().or(default_port) {
            // A port that is given must be valid; the default does not replace it.
            Some(port) if has_host && is_well_formed(&uri) => Ok(Self { uri, port }),
            _ => Err(invalid("not of the form host:port")),
        }
    }

    /// The endpoint as a URI; of OTLP/HTTP it has the path.
    pub(super) fn uri(&self) -> Uri {
        self.uri.clone()
    }

    /// The name or address of the host, without brackets.
    pub(super) fn host(&self) -> &str {
        let host = self.uri.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its scheme, host and port: what may be shown of a URL whose path may be secret.
    pub(super) fn origin(&self) -> String {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}", self.uri.scheme_str().unwrap_or("http"))
    }

    /// Whether connections are encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// What errors show of an endpoint: its host and port. User, password, path and query must not reach a
/// log: they may be secret.
fn shown(text: &str) -> String {
    let (scheme, address) = match text.split_once("://") {
        Some((scheme, address)) if !scheme.contains(['/', '@']) => {
            (format!("{scheme}://"), address)
        }
        _ => (String::new(), text),
    };
    let end = address.find(['/', '?', '#']).unwrap_or(address.len());
    let (authority, rest) = address.split_at(end);
    // A password may contain a slash that is not escaped.
    if rest.contains('@') {
        return format!("{scheme}...");
    }
    let host = authority.rsplit('@').next().unwrap_or_default();
    let more = if rest.trim_matches('/').is_empty() { "" } else { "/..." };
    format!("{scheme}{host}{more}")
}

/// Whether the authority is a host, or a host and a port number.
fn is_well_formed(uri: &Uri) -> bool {
    let (authority, host) = (uri.authority().map_or("", |it| it.as_str()), uri.host());
    authority.len() == host.map_or(0, str::len) || uri.port_u16().is_some()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let path = self.uri.path().trim_end_matches('/');
        write!(f, "{}://{authority}{path}", self.uri.scheme_str().unwrap_or("http"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grpc(text: &str) -> Result<Endpoint, ExportError> {
        Endpoint::parse(text, Protocol::Grpc, None)
    }

    #[test]
    fn an_endpoint_is_host_and_port_with_or_without_a_scheme() {
        for text in ["tempo:4317", "http://tempo:4317", "http://tempo:4317/"] {
            assert_eq!(grpc(text).unwrap().to_string(), "http://tempo:4317");
        }
        let v6 = grpc("[::1]:4317").unwrap();
        assert_eq!(v6.to_string(), "http://[::1]:4317");
        assert_eq!((v6.host(), v6.port()), ("::1", 4317));
        let secure = grpc("https://tempo.example").unwrap();
        assert_eq!((secure.host(), secure.port()), ("tempo.example", 443));
        assert!(secure.is_tls() && !v6.is_tls());
    }

    #[test]
    fn settings_of_tls_encrypt_what_has_no_scheme_and_never_contradict_it() {
        let tls = TlsSettings::default();
        let insecure = TlsSettings { insecure: true, ..TlsSettings::default() };
        let parse = |text, tls| Endpoint::parse(text, Protocol::Grpc, Some(tls));
        assert!(parse("tempo:4317", &tls).unwrap().is_tls());
        assert!(!parse("tempo:4317", &insecure).unwrap().is_tls());
        assert!(parse("https://tempo:4317", &tls).unwrap().is_tls());
        assert!(!parse("http://tempo:4317", &insecure).unwrap().is_tls());
        let error = parse("http://tempo:4317", &tls).unwrap_err().to_string();
        assert!(error.contains("https://"), "{error}");
        let error = parse("https://tempo:4317", &insecure).unwrap_err().to_string();
        assert!(error.contains("contradict"), "{error}");
    }

    #[test]
    fn over_http_the_path_of_traces_is_added_unless_it_is_there() {
        let url = |text| Endpoint::parse(text, Protocol::Http, None).unwrap().uri().to_string();
        assert_eq!(url("http://tempo:4318"), "http://tempo:4318/v1/traces");
        assert_eq!(url("tempo:4318/"), "http://tempo:4318/v1/traces");
        assert_eq!(url("https://tempo/otlp/"), "https://tempo/otlp/v1/traces");
        assert_eq!(url("https://tempo/otlp/v1/traces"), "https://tempo/otlp/v1/traces");
        assert_eq!(Endpoint::parse("http://t", Protocol::Http, None).unwrap().port(), 80);
    }

    #[test]
    fn a_signal_has_its_own_path_and_a_whole_url_stays_as_it_is() {
        let url = |text, place| {
            Endpoint::parse_at(text, Protocol::Http, None, place).unwrap().uri().to_string()
        };
        let below = Place::Below(Signal::Metrics);
        assert_eq!(url("http://otel:4318", below), "http://otel:4318/v1/metrics");
        assert_eq!(url("http://otel:4318/x//", below), "http://otel:4318/x/v1/metrics");
        assert_eq!(url("http://otel:4318", Place::Whole), "http://otel:4318/");
        assert_eq!(url("http://otel:4318/logs/", Place::Whole), "http://otel:4318/logs/");
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        let reason = |text: &str| grpc(text).unwrap_err().to_string();
        assert!(reason("grpc://tempo:4317").contains("http://"));
        for text in ["tempo", "", ":4317", "http://tempo", "tempo:99999", "https://tempo:x"] {
            assert!(reason(text).contains("host:port"), "{text}");
        }
        assert!(reason("tempo:4317/v1/traces").contains("path"));
        let error = Endpoint::parse("http://t/?key=1", Protocol::Http, None).unwrap_err();
        assert!(error.to_string().contains("query"));
    }

    #[test]
    fn credentials_in_an_endpoint_are_refused_and_not_repeated() {
        let error = grpc("http://me:hunter2@tempo:4317").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert!(error.to_string().contains("headers"));
    }

    #[test]
    fn what_is_behind_the_host_of_an_endpoint_is_not_repeated() {
        for text in [
            "ftp://tempo:1/hunter2/v1/traces",
            "http://tempo/?key=hunter2",
            "http://tempo?hunter2",
            "http://tempo/@hunter2",
            "http://me:hunter2/x@tempo",
            "http://me:x/@hunter2@tempo",
            "tempo/hunter2://x",
            "tempo:x/hunter2",
        ] {
            let error = Endpoint::parse(text, Protocol::Http, None).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
        assert_eq!(shown("https://tempo:1/a"), "https://tempo:1/...");
    }
}
