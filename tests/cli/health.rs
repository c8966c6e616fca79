//! `tailsieve health`.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use crate::{listening_at, next_head, tailsieve, told};

/// An address where the next request, for this page, gets this answer.
fn member(page: &'static str, status: &'static str, body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = next_head(&mut stream).unwrap();
        assert!(request.starts_with(&format!("GET {page} ")), "{request}");
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
    });
    address
}

fn health(url: SocketAddr) -> (i32, String, String) {
    told(&tailsieve(&["health", "--url", &format!("http://{url}")]))
}

#[test]
fn a_member_that_is_ready_is_healthy() {
    let address = member("/readyz", "200 OK", "ready\n");
    assert_eq!(health(address), (0, "ready\n".to_owned(), String::new()));
}

#[test]
fn what_is_missing_is_printed() {
    let missing = "[-] kafka: the group is not joined\nnot ready\n";
    let address = member("/readyz", "503 Service Unavailable", missing);
    assert_eq!(health(address), (1, missing.to_owned(), String::new()));
}

#[test]
fn the_static_file_says_where_to_ask() {
    let address = member("/readyz", "200 OK", "ready\n");
    let file = listening_at(address.port());
    let answer = told(&tailsieve(&["health", "--config", file.path().to_str().unwrap()]));
    assert_eq!(answer, (0, "ready\n".to_owned(), String::new()));
}

#[test]
fn who_does_not_answer_is_not_healthy() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, _, error) = health(nobody);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains(&format!("http://{nobody}/readyz does not answer")), "{error}");
}

#[test]
fn who_hangs_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (code, _, error) = told(&tailsieve(&["health", "--url", &url, "--timeout", "100ms"]));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("does not answer within 100ms"), "{error}");
}

#[test]
fn another_server_is_told_from_a_member() {
    let address = member("/readyz", "404 Not Found", "");
    let (code, _, error) = health(address);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("answers 404") && error.contains("admin.listen"), "{error}");
}

#[test]
fn wrong_arguments_are_another_exit_code() {
    for args in [
        &["health", "--url", "https://localhost"][..],
        &["health", "--config", "/nowhere/tailsieve.yaml"],
        &["health", "--config", "a", "--url", "http://localhost"],
        &["health", "--timeout", "soon"],
    ] {
        let (code, _, error) = told(&tailsieve(args));
        assert_eq!(code, 2, "{args:?}: {error}");
    }
}
