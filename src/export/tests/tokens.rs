//! Who the exporter says it is, over the wire.

use std::fs;

use tonic::Code;

use super::super::*;
use super::backend::{LOCALHOST, acks, receiver_at, start, trace};
use super::http::{HttpBackend, answer};
use crate::secret::Secret;
use crate::testbed::receiver::Behaviour;

#[tokio::test]
async fn a_name_and_a_password_go_with_every_request_of_both_protocols() {
    let auth = Auth::Basic { username: "me".to_owned(), password: Secret::new("hunter2") };
    let expected = "Basic bWU6aHVudGVyMg==";

    let (receiver, _) = receiver_at(LOCALHOST).await;
    let settings = super::backend::settings(receiver.local_addr());
    let settings = ExportSettings { auth: Some(auth.clone()), ..settings };
    let (exporter, mut ack_receiver) = start(&settings);
    exporter.try_send(trace(1, 10)).unwrap();
    acks(&mut ack_receiver, 1).await;
    assert_eq!(receiver.header("authorization").as_deref(), Some(expected));

    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(move |headers, _| {
        answer(if headers["authorization"] == expected { 200 } else { 403 })
    });
    let settings = ExportSettings { auth: Some(auth), ..super::http::settings(backend.addr) };
    let (exporter, mut ack_receiver) = start(&settings);
    exporter.try_send(trace(1, 10)).unwrap();
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert!(!format!("{settings:?}").contains("hunter2"));
}

/// Scenario: the token in the file is replaced, and from then on the backend refuses the old one.
/// Guarantees: the new one is read at once, and no trace is refused.
#[tokio::test]
async fn a_token_that_is_not_accepted_any_more_is_read_again_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let rotate = {
        let file = file.clone();
        move || fs::write(&file, "second").unwrap()
    };

    fs::write(&file, "first").unwrap();
    let backend = HttpBackend::start(LOCALHOST).await;
    let rotate_http = rotate.clone();
    backend.behave(move |headers, _| match headers["authorization"].to_str().unwrap() {
        "Bearer second" => answer(200),
        _ => {
            rotate_http();
            answer(401)
        }
    });
    let auth = Some(Auth::BearerFile(file.clone()));
    let settings = ExportSettings { auth: auth.clone(), ..super::http::settings(backend.addr) };
    let (exporter, mut ack_receiver) = start(&settings);
    exporter.try_send(trace(1, 10)).unwrap();
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(backend.requests(), 2);

    fs::write(&file, "first").unwrap();
    let (receiver, _) = receiver_at(LOCALHOST).await;
    let has_rotated = std::sync::atomic::AtomicBool::new(false);
    receiver.behave(Behaviour::Judge(Arc::new(move |_| {
        if has_rotated.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return Behaviour::Accept;
        }
        rotate();
        Behaviour::Code(Code::Unauthenticated, None)
    })));
    let settings = super::backend::settings(receiver.local_addr());
    let (exporter, mut ack_receiver) = start(&ExportSettings { auth, ..settings });
    exporter.try_send(trace(1, 10)).unwrap();
    assert_eq!(acks(&mut ack_receiver, 1).await, [(1, Outcome::Delivered)]);
    assert_eq!(receiver.header("authorization").as_deref(), Some("Bearer second"));
}

/// Scenario: the token in the file is wrong for a while.
/// Guarantees: nothing is refused for it, and all arrives when it is right.
#[tokio::test]
async fn a_token_that_is_wrong_for_a_while_costs_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "wrong").unwrap();
    let backend = HttpBackend::start(LOCALHOST).await;
    backend.behave(|headers, _| {
        answer(if headers["authorization"] == "Bearer right" { 200 } else { 401 })
    });
    let auth = Some(Auth::BearerFile(file.clone()));
    let settings = ExportSettings { auth, ..super::http::settings(backend.addr) };
    let (exporter, mut ack_receiver) = start(&settings);
    for pin in 0..10 {
        exporter.try_send(trace(pin, 10)).unwrap();
    }
    backend.until_requests(20).await;
    assert!(exporter.trouble().unwrap().starts_with("401: "));
    fs::write(&file, "right").unwrap();
    let acks = acks(&mut ack_receiver, 10).await;
    assert!(acks.iter().all(|(_, outcome)| *outcome == Outcome::Delivered));
}
