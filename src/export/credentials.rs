//! How the exporter identifies itself: the headers of the settings, and `authorization`.
//!
//! Promises that a token file is read again within a second after it changes, and at once when the
//! backend does not accept the token; that the last good token stays in use while the file cannot be
//! read; and that every value is marked as sensitive, so that no library logs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::ExportError;
use super::settings::Auth;
use super::transport::Failure;
use crate::kafka::record_headers;
use crate::secret::Secret;
use crate::sync::lock;
use crate::telemetry::log_throttle::LogThrottle;

/// How long a token that was read from a file is used before the file is looked at again.
const TOKEN_AGE: Duration = Duration::from_secs(1);

/// How often it is logged that a token cannot be read.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The headers of every request; see the module.
pub(super) struct Credentials {
    auth: Option<Auth>,
    state: Mutex<State>,
    trouble: LogThrottle,
}

struct State {
    headers: HeaderMap,
    read_at: Instant,
}

impl Credentials {
    /// Checks the headers, and reads the token if it is in a file.
    pub(super) fn new(
        headers: &BTreeMap<String, Secret>,
        auth: Option<&Auth>,
    ) -> Result<Self, ExportError> {
        let mut headers = header_map(headers)?;
        if let Some(auth) = auth {
            headers.insert(AUTHORIZATION, authorization(auth)?);
        }
        let state = Mutex::new(State { headers, read_at: Instant::now() });
        Ok(Self { auth: auth.cloned(), state, trouble: LogThrottle::new(LOG_INTERVAL) })
    }

    /// The headers of the next request.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut state = lock(&self.state);
        if state.read_at.elapsed() >= TOKEN_AGE {
            self.read_again(&mut state);
        }
        state.headers.clone()
    }

    /// The headers of a request with these forwarded headers, which replace those of the settings.
    ///
    /// # Errors
    /// When one of them cannot be sent: the spans would go to another tenant.
    pub(super) fn headers_with(&self, forwarded: &[u8]) -> Result<HeaderMap, Failure> {
        let mut headers = self.headers();
        for (name, value) in record_headers::iter(forwarded) {
            let sent = HeaderName::from_str(name).ok().zip(HeaderValue::from_bytes(value).ok());
            let Some((key, mut value)) = sent.filter(|(_, value)| value.to_str().is_ok()) else {
                let what = format!("the header {name} of its records is not visible ASCII");
                return Err(Failure::new(tonic::Code::InvalidArgument, what));
            };
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(headers)
    }

    /// The backend did not accept `used`: reads the token again; true if it has changed.
    pub(super) fn renewed(&self, used: &HeaderMap) -> bool {
        let mut state = lock(&self.state);
        self.read_again(&mut state);
        state.headers.get(AUTHORIZATION) != used.get(AUTHORIZATION)
    }

    fn read_again(&self, state: &mut State) {
        let Some(auth @ Auth::BearerFile(_)) = &self.auth else { return };
        state.read_at = Instant::now();
        // A few bytes, once a second: not worth another thread.
        match authorization(auth) {
            Ok(value) => {
                state.headers.insert(AUTHORIZATION, value);
            }
            Err(error) => {
                if let Some(suppressed) = self.trouble.allow_at(Instant::now().into_std()) {
                    let effect = "the token that was read last is used";
                    tracing::warn!(%error, suppressed, effect, "export.token_reload_failed");
                }
            }
        }
    }
}

/// The headers of the settings, checked.
pub(super) fn header_map(headers: &BTreeMap<String, Secret>) -> Result<HeaderMap, ExportError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let invalid = |reason: &'static str| ExportError::Header { name: name.clone(), reason };
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("grpc-") || RESERVED.contains(&lower.as_str()) {
            return Err(invalid("reserved for the protocol"));
        }
        if lower.ends_with("-bin") {
            return Err(invalid("a name that ends in -bin is for binary values"));
        }
        let key = HeaderName::from_str(&lower).map_err(|_| invalid("not a name of a header"))?;
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| invalid("its value is not visible ASCII"))?;
        value.set_sensitive(true);
        map.insert(key, value);
    }
    Ok(map)
}

/// Whether headers of records may be forwarded under this name.
///
/// # Errors
/// Why not.
pub fn forwardable(name: &str) -> Result<(), &'static str> {
    if name.eq_ignore_ascii_case(AUTHORIZATION.as_str()) {
        return Err("whoever writes records must not say who tailsieve is");
    }
    let any = BTreeMap::from([(name.to_owned(), Secret::new(""))]);
    match header_map(&any) {
        Err(ExportError::Header { reason, .. }) => Err(reason),
        _ => Ok(()),
    }
}

/// Headers that belong to the protocol.
const RESERVED: [&str; 8] = [
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "te",
    "user-agent",
    "host",
    "connection",
];

/// The value of `authorization`.
fn authorization(auth: &Auth) -> Result<HeaderValue, ExportError> {
    let text = match auth {
        Auth::Basic { username, password } => {
            let pair = format!("{}:{}", username, password.expose());
            format!("Basic {}", STANDARD.encode(pair))
        }
        Auth::Bearer(token) => format!("Bearer {}", token.expose()),
        Auth::BearerFile(file) => format!("Bearer {}", token_of(file)?.expose()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| ExportError::Auth { reason: "the token is not visible ASCII".to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The token in `file`, without the white space around it.
fn token_of(file: &Path) -> Result<Secret, ExportError> {
    let unusable = |reason: String| ExportError::Auth {
        reason: format!("the token file {}: {reason}", file.display()),
    };
    let text = fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(unusable("it is empty".to_owned()));
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_protocol_and_values_that_are_no_text_are_refused() {
        let one = |name: &str, value: &str| {
            header_map(&BTreeMap::from([(name.to_owned(), Secret::new(value))]))
        };
        for name in ["grpc-timeout", "User-Agent", "Content-Type", "no name", "x-bin", "host"] {
            let error = one(name, "hunter2").unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("hunter2"), "{error}");
        }
        let error = one("authorization", "hunter2\n").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn no_value_is_shown() {
        let auth = Auth::Basic { username: "me".to_owned(), password: Secret::new("hunter2") };
        let headers = BTreeMap::from([("X-Key".to_owned(), Secret::new("hunter2"))]);
        let credentials = Credentials::new(&headers, Some(&auth)).unwrap();
        let shown = format!("{auth:?} {:?}", credentials.headers());
        assert!(!shown.contains("hunter2") && !shown.contains(&STANDARD.encode("me:hunter2")));
        let value = credentials.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        assert_eq!(value, "Basic bWU6aHVudGVyMg==");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_file_is_read_again_and_the_last_token_stays_while_it_cannot() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "first\n").unwrap();
        let auth = Auth::BearerFile(file.clone());
        let credentials = Credentials::new(&BTreeMap::new(), Some(&auth)).unwrap();
        let now = || credentials.headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        assert_eq!(now(), "Bearer first");
        fs::write(&file, "second").unwrap();
        assert_eq!(now(), "Bearer first");
        assert!(credentials.renewed(&credentials.headers()));
        assert_eq!(now(), "Bearer second");
        assert!(!credentials.renewed(&credentials.headers()));
        fs::write(&file, "third").unwrap();
        tokio::time::advance(TOKEN_AGE).await;
        assert_eq!(now(), "Bearer third");
        fs::write(&file, "").unwrap();
        tokio::time::advance(TOKEN_AGE).await;
        assert_eq!(now(), "Bearer third");
        assert!(Credentials::new(&BTreeMap::new(), Some(&auth)).is_err());
    }
}
