//! Answers that are not gRPC: those of a proxy or of another server.
//!
//! Promises that a gRPC client can read every answer that it returns: the page of a proxy becomes the
//! status that the specification gives for its HTTP status ("HTTP to gRPC Status Code Mapping"), with
//! its text. Answers with a `grpc-status` are returned as they are.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt as _;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::super::proxy_page;

/// How much of a page is read, and for how long. The status is enough without it.
const MAX_PAGE_BYTES: usize = 16 * 1024;
const PAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// The answer; if it is not gRPC, the gRPC answer that stands for it.
pub(super) async fn translated(response: Response<Body>) -> Response<Body> {
    if is_grpc(response.status(), response.headers()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let said = proxy_page::text(&beginning(body).await);
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or("no content type");
    let message = format!(
        "this is no answer of gRPC but an HTTP {} of a proxy or another server ({kind}): {said}",
        parts.status
    );
    let code = code(parts.status);
    let status = match proxy_page::retry_after(&parts.headers) {
        Some(wait) => {
            let details = ErrorDetails::with_retry_info(Some(wait));
            Status::with_error_details(code, message, details)
        }
        None => Status::new(code, message),
    };
    status.into_http()
}

/// Whether a gRPC client can read the answer. That includes answers with the status in their headers,
/// which proxies send (for example `grpc-status: 14` with an HTTP 204).
fn is_grpc(status: StatusCode, headers: &HeaderMap) -> bool {
    let has_failed = headers.get(Status::GRPC_STATUS).is_some_and(|code| code != "0");
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_of_grpc = kind.is_some_and(|kind| {
        let rest = kind.strip_prefix("application/grpc");
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
    });
    has_failed || (status == StatusCode::OK && is_of_grpc)
}

fn code(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502 | 503 | 504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The part of the page that arrives in time.
async fn beginning(mut body: Body) -> Bytes {
    let mut read = Vec::new();
    let reading = async {
        while read.len() < MAX_PAGE_BYTES {
            let Some(Ok(frame)) = body.frame().await else { break };
            if let Ok(data) = frame.into_data() {
                read.extend_from_slice(&data);
            }
        }
    };
    // What was read in time is enough.
    let _ = tokio::time::timeout(PAGE_TIMEOUT, reading).await;
    read.into()
}

#[cfg(test)]
mod tests {
    use super::super::retry_info;
    use super::*;

    fn page(status: u16, headers: &[(&'static str, &'static str)]) -> Response<Body> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let html = "<html><head><title>Bad</title></head>\r\n<body>Gateway</body></html>";
        response.body(Body::new(http_body_util::Full::new(Bytes::from(html)))).unwrap()
    }

    async fn status_of(response: Response<Body>) -> Option<Status> {
        Status::from_header_map(translated(response).await.headers())
    }

    #[tokio::test]
    async fn pages_become_the_code_that_grpc_gives_their_status() {
        let expected = |status| match status {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        for status in 200..600 {
            let found = status_of(page(status, &[("content-type", "text/html")])).await.unwrap();
            assert_eq!(found.code(), expected(status), "{status}");
            assert!(found.message().contains(&status.to_string()), "{}", found.message());
            assert!(found.message().contains("text/html"), "{}", found.message());
            assert!(found.message().ends_with(": Bad Gateway"), "{}", found.message());
        }
        let grpc = ("content-type", "application/grpc");
        assert_eq!(status_of(page(503, &[grpc])).await.unwrap().code(), Code::Unavailable);
        assert_eq!(status_of(page(200, &[])).await.unwrap().code(), Code::Unknown);
        let web = ("content-type", "application/grpc-web");
        assert_eq!(status_of(page(200, &[web])).await.unwrap().code(), Code::Unknown);
    }

    #[tokio::test]
    async fn a_page_may_say_when_to_come_again() {
        for (text, wait) in [("7", 7), ("99999999999", 99_999_999_999)] {
            let found = status_of(page(503, &[("retry-after", text)])).await.unwrap();
            assert_eq!(retry_info(&found), Some(Duration::from_secs(wait)));
        }
        let found = status_of(page(503, &[])).await.unwrap();
        assert_eq!(retry_info(&found), None);
    }

    #[tokio::test]
    async fn answers_of_grpc_go_through() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc; x=y"] {
            assert!(status_of(page(200, &[("content-type", kind)])).await.is_none(), "{kind}");
        }
        for status in [200, 204, 503] {
            let found = status_of(page(status, &[("grpc-status", "8")])).await.unwrap();
            assert_eq!(found.code(), Code::ResourceExhausted);
        }
        let liar = [("content-type", "text/html"), ("grpc-status", "0")];
        assert_eq!(status_of(page(200, &liar)).await.unwrap().code(), Code::Unknown);
    }
}
