//! Settings that do not fit the backend are told, as the attempt of a real client shows them.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::*;
use super::backend::{LOCALHOST, receiver_at};
use super::http::HttpBackend;

async fn hint(settings: &ExportSettings) -> String {
    match check_backend(settings, Bytes::new()).await.unwrap_err() {
        BackendCheckError::Refused { hint, code, message } => {
            hint.unwrap_or_else(|| panic!("no hint for {code}: {message}")).to_owned()
        }
        error @ BackendCheckError::Settings(_) => panic!("{error}"),
    }
}

#[tokio::test]
async fn http_to_a_receiver_of_grpc_says_protocol() {
    let (receiver, _) = receiver_at(LOCALHOST).await;
    let told = hint(&super::http::settings(receiver.local_addr())).await;
    assert!(told.contains("protocol: grpc"), "{told}");
}

#[tokio::test]
async fn grpc_to_a_receiver_of_http_says_protocol() {
    let backend = HttpBackend::start(LOCALHOST).await;
    let told = hint(&super::backend::settings(backend.addr)).await;
    assert!(told.contains("protocol: http"), "{told}");
    // What the server of Go says, with which the Collector is made.
    let listener = tokio::net::TcpListener::bind(LOCALHOST).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 24]).await;
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                           Connection: close\r\n\r\n400 Bad Request";
            let _ = stream.write_all(answer).await;
        }
    });
    let told = hint(&super::backend::settings(address)).await;
    assert!(told.contains("protocol: http"), "{told}");
    serving.abort();
}

#[tokio::test]
async fn a_path_without_a_receiver_says_the_path() {
    let backend = HttpBackend::start(LOCALHOST).await;
    for status in [404, 405, 415] {
        backend.behave(move |_, _| super::http::answer(status));
        let told = hint(&super::http::settings(backend.addr)).await;
        let word = if status == 415 { "application/x-protobuf" } else { "/v1/traces" };
        assert!(told.contains(word), "{status}: {told}");
    }
}
