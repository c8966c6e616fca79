//! What an HTTP answer means (OTLP specification, "OTLP/HTTP Response").

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic_types::Status;

use super::super::code::Code;
use super::super::proxy_page;
use super::super::transport::{Failure, Reply};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// An answer, as far as it was read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether the whole body was read: it did not break off and is not longer than the limit.
    pub(super) is_whole: bool,
}

impl Answer {
    /// What it means.
    pub(super) fn into_result(self) -> Result<Reply, Failure> {
        if self.status.is_success() {
            return self.taken();
        }
        let said = self.message();
        let message = if said.is_empty() {
            self.status.to_string()
        } else {
            format!("{}: {said}", self.status)
        };
        let retry_after = proxy_page::retry_after(&self.headers);
        let code = Code::Http(self.status.as_u16());
        let is_too_large = self.status == StatusCode::PAYLOAD_TOO_LARGE;
        Err(Failure { retry_after, is_too_large, ..Failure::new(code, message) })
    }

    /// An OTLP receiver that answers 2xx took the spans; they must not be sent again because the rest
    /// of the answer cannot be read. A server that answers with something else, such as a web page, is
    /// no OTLP receiver. And a body that was not read whole may not be taken for an empty one.
    #[expect(clippy::disallowed_methods, reason = "the backend's answer")]
    fn taken(&self) -> Result<Reply, Failure> {
        match self.media_type().as_deref() {
            Some(PROTOBUF) => {
                let response = ExportTraceServiceResponse::decode(self.body.clone());
                Ok(Reply::from(response.unwrap_or_default()))
            }
            Some(JSON) => Ok(self.reply_of_json()),
            _ if self.is_whole && self.is_empty() => Ok(Reply::default()),
            other => Err(self.is_no_acknowledgement(other)),
        }
    }

    fn reply_of_json(&self) -> Reply {
        let response = serde_json::from_slice::<serde_json::Value>(&self.body).unwrap_or_default();
        let partial = |names: [&str; 2]| {
            let partial = response.get("partialSuccess").or(response.get("partial_success"))?;
            names.iter().find_map(|name| partial.get(name))
        };
        // A 64-bit number is a string in the JSON form of protobuf; some servers send a number.
        let rejected = partial(["rejectedSpans", "rejected_spans"]);
        let number = |it: &serde_json::Value| match it.as_str() {
            Some(text) => text.trim().parse().ok(),
            None => it.as_u64(),
        };
        let rejected = rejected.and_then(number);
        let message = partial(["errorMessage", "error_message"]).and_then(|it| it.as_str());
        Reply {
            rejected_spans: rejected.unwrap_or(0),
            message: message.unwrap_or_default().to_owned(),
        }
    }

    fn is_no_acknowledgement(&self, media_type: Option<&str>) -> Failure {
        let kind = media_type.unwrap_or("no content type");
        let message = format!(
            "{} with {kind} is no answer of an OTLP receiver; is the URL wrong? It said: {}",
            self.status,
            proxy_page::text(&self.body)
        );
        Failure::new(Code::Http(self.status.as_u16()), message)
    }

    /// The message of the `google.rpc.Status` in the body, or the text of a proxy.
    #[expect(clippy::disallowed_methods, reason = "the backend's answer")]
    fn message(&self) -> String {
        match self.media_type().as_deref() {
            Some(PROTOBUF) => Status::decode(self.body.clone()).unwrap_or_default().message,
            Some(JSON) => {
                let status = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
                let message = status.as_ref().and_then(|status| status.get("message")?.as_str());
                message.unwrap_or_default().to_owned()
            }
            _ => proxy_page::text(&self.body),
        }
    }

    fn is_empty(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// The content type, without its parameters.
    fn media_type(&self) -> Option<String> {
        let value = self.headers.get(CONTENT_TYPE)?.to_str().ok()?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .filter(|media_type| !media_type.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn answer(status: u16, headers: &[(http::HeaderName, &'static str)], body: &[u8]) -> Answer {
        let pairs =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: pairs.collect(),
            body: Bytes::copy_from_slice(body),
            is_whole: true,
        }
    }

    #[test]
    fn the_message_is_found_in_whatever_form_it_comes() {
        let status = Status { message: "no".to_owned(), ..Status::default() };
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
    fn what_was_taken_stays_taken_whatever_an_otlp_receiver_writes() {
        for (media_type, body) in [
            ("application/x-protobuf", &b"\xff\xff"[..]),
            ("application/x-protobuf", b""),
            ("Application/JSON; charset=utf-8", b"{}"),
            ("application/json", b"not JSON"),
        ] {
            let taken = answer(200, &[(CONTENT_TYPE, media_type)], body).into_result();
            assert_eq!(taken, Ok(Reply::default()), "{media_type}");
        }
        for status in [200, 202, 204] {
            assert_eq!(answer(status, &[], b"").into_result(), Ok(Reply::default()));
        }
        let bare = answer(200, &[(CONTENT_TYPE, "text/plain")], b"\n");
        assert_eq!(bare.into_result(), Ok(Reply::default()), "nothing in it says that it is none");
    }

    #[test]
    fn a_page_is_no_acknowledgement() {
        let html = b"<!doctype html><title>Grafana</title>";
        for headers in [&[(CONTENT_TYPE, "text/html")][..], &[(CONTENT_TYPE, "text/plain")], &[]] {
            let failure = answer(200, headers, html).into_result().unwrap_err();
            assert_eq!(failure.code, Code::Http(200));
            let message = failure.message;
            assert!(message.contains("Grafana") && message.contains("URL"), "{message}");
        }
    }

    #[test]
    fn what_breaks_off_acknowledges_only_if_an_otlp_receiver_wrote_it() {
        let cut = |headers: &[(http::HeaderName, &'static str)]| {
            Answer { is_whole: false, ..answer(200, headers, b"") }.into_result()
        };
        for headers in [&[(CONTENT_TYPE, "text/html")][..], &[(CONTENT_TYPE, "text/plain")], &[]] {
            assert_eq!(cut(headers).unwrap_err().code, Code::Http(200));
        }
        for media_type in [PROTOBUF, JSON] {
            assert_eq!(cut(&[(CONTENT_TYPE, media_type)]), Ok(Reply::default()), "{media_type}");
        }
    }

    #[test]
    fn partial_success_counts_in_json_too() {
        let reply = |body: &str| {
            let json = [(CONTENT_TYPE, "application/json")];
            answer(200, &json, body.as_bytes()).into_result().unwrap()
        };
        let wanted = Reply { rejected_spans: 3, message: "too old".to_owned() };
        for body in [
            r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#,
            r#"{"partialSuccess":{"rejectedSpans":3,"errorMessage":"too old"}}"#,
            r#"{"partial_success":{"rejected_spans":3,"error_message":"too old"}}"#,
        ] {
            assert_eq!(reply(body), wanted, "{body}");
        }
        for body in ["{}", r#"{"partialSuccess":{}}"#, r#"{"partialSuccess":null}"#, "[1]"] {
            assert_eq!(reply(body), Reply::default(), "{body}");
        }
    }
}
