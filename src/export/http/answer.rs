//! What an answer over HTTP says (OTLP specification, "OTLP/HTTP Response").

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::super::code::Code;
use super::super::transport::{Failure, Reply};
use crate::proto::RpcStatus;

/// An answer, read whole or up to a limit.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// What it means.
    pub(super) fn into_result(self) -> Result<Reply, Failure> {
        if self.status.is_success() {
            return Ok(self.reply());
        }
        let said = self.message();
        let message = if said.is_empty() {
            self.status.to_string()
        } else {
            format!("{}: {said}", self.status)
        };
        let retry_after = self.retry_after(SystemTime::now());
        let code = Code::Http(self.status.as_u16());
        Err(Failure { retry_after, ..Failure::new(code, message) })
    }

    /// The status says that the spans were taken; an answer that cannot be read must not have them
    /// sent again.
    fn reply(&self) -> Reply {
        if !self.is_of("application/x-protobuf") {
            return Reply::default();
        }
        let response = ExportTraceServiceResponse::decode(self.body.clone()).unwrap_or_default();
        Reply::from(response)
    }

    /// The message of the `google.rpc.Status` in the body, or whatever text a proxy put there.
    fn message(&self) -> String {
        if self.is_of("application/x-protobuf") {
            return RpcStatus::decode(self.body.clone()).unwrap_or_default().message;
        }
        if self.is_of("application/json") {
            let status = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
            let message = status.as_ref().and_then(|status| status.get("message")?.as_str());
            return message.unwrap_or_default().to_owned();
        }
        let text = String::from_utf8_lossy(&self.body);
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn is_of(&self, media_type: &str) -> bool {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let found = value.and_then(|value| value.split(';').next()).unwrap_or_default();
        found.trim().eq_ignore_ascii_case(media_type)
    }

    /// `Retry-After`: seconds, or the date of a clock that may not be ours (RFC 9110, 10.2.3).
    fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(text).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, headers: &[(http::HeaderName, &'static str)], body: &[u8]) -> Answer {
        let pairs =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: pairs.collect(),
            body: Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn the_message_is_found_in_whatever_form_it_comes() {
        let status = RpcStatus { message: "no".to_owned(), ..RpcStatus::default() };
        let bodies = [
            ("application/x-protobuf", status.encode_to_vec()),
            ("application/json; charset=utf-8", br#"{"code":3,"message":"no"}"#.to_vec()),
            ("text/plain", b"  no\n".to_vec()),
        ];
        for (media_type, body) in bodies {
            let failure = answer(400, &[(CONTENT_TYPE, media_type)], &body).into_result();
            let failure = failure.unwrap_err();
            assert_eq!(failure.message, "400 Bad Request: no", "{media_type}");
            assert_eq!(failure.code, Code::Http(400));
        }
        let garbage = answer(503, &[(CONTENT_TYPE, "application/x-protobuf")], b"\xff\xff");
        assert_eq!(garbage.into_result().unwrap_err().message, "503 Service Unavailable");
    }

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        let wait = |text| answer(429, &[(RETRY_AFTER, text)], b"").retry_after(now);
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(wait("Sun, 06 Nov 1988 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-1"), None);
        assert_eq!(answer(429, &[], b"").retry_after(now), None);
    }

    #[test]
    fn what_was_taken_stays_taken_whatever_the_body() {
        for media_type in ["application/x-protobuf", "text/html"] {
            let taken = answer(200, &[(CONTENT_TYPE, media_type)], b"\xff\xff").into_result();
            assert_eq!(taken, Ok(Reply::default()));
        }
    }
}
