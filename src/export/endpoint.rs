//! Where requests go: the checked form of `endpoint` and `headers`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tonic::codegen::http::Uri;
use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};

use super::ExportError;
use super::secret::Secret;

/// A checked OTLP/gRPC endpoint, shown as `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint(Uri);

impl Endpoint {
    /// The endpoint written as `host:port` or `http://host:port`.
    pub(super) fn parse(text: &str) -> Result<Self, ExportError> {
        let invalid = |reason: &'static str| ExportError::Endpoint {
            // An endpoint with user and password in it must not reach a log.
            endpoint: text.rsplit('@').next().unwrap_or_default().to_owned(),
            reason,
        };
        let address = match text.split_once("://") {
            Some(("http", address)) => address,
            Some(("https", _)) => return Err(invalid("TLS is not supported yet, use http://")),
            Some(_) => return Err(invalid("only http:// is supported")),
            None => text,
        };
        let address = address.strip_suffix('/').unwrap_or(address);
        if address.contains('@') {
            return Err(invalid("credentials belong in `headers`"));
        }
        if address.contains(['/', '?', '#']) {
            return Err(invalid("OTLP over gRPC has no path"));
        }
        let uri = Uri::from_str(&format!("http://{address}"))
            .map_err(|_| invalid("not of the form host:port"))?;
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        if !has_host || uri.port_u16().is_none() {
            return Err(invalid("not of the form host:port"));
        }
        Ok(Self(uri))
    }

    /// The endpoint as a URI with scheme and authority.
    pub(super) fn uri(&self) -> Uri {
        self.0.clone()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        write!(f, "http://{authority}")
    }
}

/// The headers as gRPC metadata, marked as sensitive so that no library logs or indexes them.
pub(super) fn metadata(headers: &BTreeMap<String, Secret>) -> Result<MetadataMap, ExportError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in headers {
        let invalid = |reason: &'static str| ExportError::Header { name: name.clone(), reason };
        let lower = name.to_ascii_lowercase();
        let is_reserved = lower.starts_with("grpc-")
            || ["content-type", "te", "user-agent", "host", "connection"].contains(&lower.as_str());
        if is_reserved {
            return Err(invalid("reserved for the protocol"));
        }
        let key = MetadataKey::<Ascii>::from_str(&lower)
            .map_err(|_| invalid("not a name of an ASCII gRPC header"))?;
        let mut value = MetadataValue::<Ascii>::from_str(value.expose())
            .map_err(|_| invalid("its value is not visible ASCII"))?;
        value.set_sensitive(true);
        metadata.insert(key, value);
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_host_and_port_with_or_without_http() {
        for text in ["tempo:4317", "http://tempo:4317", "http://tempo:4317/"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), "http://tempo:4317");
        }
        let v6 = Endpoint::parse("[::1]:4317").unwrap();
        assert_eq!(v6.to_string(), "http://[::1]:4317");
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_reason() {
        let reason = |text: &str| Endpoint::parse(text).unwrap_err().to_string();
        assert!(reason("https://tempo:4317").contains("TLS"));
        assert!(reason("grpc://tempo:4317").contains("http://"));
        assert!(reason("tempo").contains("host:port"));
        assert!(reason("").contains("host:port"));
        assert!(reason(":4317").contains("host:port"));
        assert!(reason("tempo:4317/v1/traces").contains("path"));
    }

    #[test]
    fn credentials_in_an_endpoint_are_refused_and_not_repeated() {
        let error = Endpoint::parse("http://me:hunter2@tempo:4317").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn headers_become_sensitive_metadata() {
        let headers = BTreeMap::from([("X-Scope-OrgID".to_owned(), Secret::new("team"))]);
        let metadata = metadata(&headers).unwrap();
        let value = metadata.get("x-scope-orgid").unwrap();
        assert!(value.is_sensitive());
        assert_eq!(value.to_str().unwrap(), "team");
    }

    #[test]
    fn bad_headers_are_refused_without_their_value() {
        for (name, value) in
            [("grpc-timeout", "1S"), ("te", "x"), ("a b", "x"), ("tab", "hunter2\u{7}")]
        {
            let headers = BTreeMap::from([(name.to_owned(), Secret::new(value))]);
            let error = metadata(&headers).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("hunter2"));
        }
    }
}
