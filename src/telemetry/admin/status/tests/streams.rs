//! Server-sent events: what they hold, how many there may be, and how they end.

use reqwest::{Client, Response};

use super::*;
use crate::secret::Secret;
use crate::telemetry::admin::Token;
use crate::telemetry::admin::status::stream::MOST;

/// Ends a test that waits in vain.
const PATIENCE: Duration = Duration::from_secs(30);

async fn open(url: String) -> Response {
    Client::new().get(url).send().await.unwrap()
}

/// The next event: its name, and its data, which is JSON.
async fn next(stream: &mut Response) -> (String, Value) {
    let mut event = String::new();
    while !event.ends_with("\n\n") {
        let chunk = tokio::time::timeout(PATIENCE, stream.chunk()).await.expect("an event comes");
        event += std::str::from_utf8(&chunk.unwrap().expect("the stream goes on")).unwrap();
    }
    let field = |name: &str| {
        let mut values = event.lines().filter_map(|line| line.strip_prefix(name));
        let value = values.next().unwrap().to_owned();
        assert_eq!(values.next(), None, "one line");
        value
    };
    (field("event: "), serde_json::from_str(&field("data: ")).unwrap())
}

#[tokio::test]
async fn the_status_comes_again_and_again() {
    let token = Changes::WithToken(Token::Text(Secret::new("s3cret")));
    let (base, _stop) = start_with(token).await;
    let mut stream = open(format!("{base}/api/v1/events")).await;
    assert_eq!(stream.status(), 200, "to look at it needs no token");
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let (_, text) = get(format!("{base}/api/v1/openapi.json")).await;
    let root: Value = serde_json::from_str(&text).unwrap();
    let mut at = Value::Null;
    for _ in 0..2 {
        let (name, status) = next(&mut stream).await;
        let wrong = violations(&root, &root["components"]["schemas"]["Status"], &status, "status");
        assert_eq!((name.as_str(), wrong), ("status", Vec::new()));
        assert_ne!(status["member"]["at"], at, "it is another one");
        at = status["member"]["at"].clone();
    }
}

#[tokio::test]
async fn pages_come_as_one_line_whatever_is_in_them() {
    let (base, _stop) = start().await;
    let trial = format!("/trials/{}", trials::ID);
    for (path, stream) in [("/", "/live".to_owned()), (&trial, format!("{trial}/live"))] {
        let (_, page) = get(format!("{base}{path}")).await;
        assert!(page.contains(&format!("data-stream=\"{stream}\"")), "{path}");
        let (name, sent) = next(&mut open(format!("{base}{stream}")).await).await;
        let sent = sent.as_str().unwrap();
        assert_eq!((name.as_str(), elements(sent)), ("page", elements(&page)));
    }
    assert_eq!(open(format!("{base}/trials/none/live")).await.status(), 404);
}

#[tokio::test]
async fn there_are_few_at_a_time() {
    let (base, _stop) = start().await;
    let stream = || open(format!("{base}/api/v1/events"));
    let mut streams = Vec::new();
    for _ in 0..MOST {
        streams.push(stream().await);
    }
    let refused = stream().await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (503, &"10".parse().unwrap())
    );
    assert_eq!(get(base.clone()).await.0, 200, "pages are there for all");
    assert!(streams.iter().all(|stream| stream.status() == 200));
    // Whose reader is gone makes room.
    streams.pop();
    let room = async { while stream().await.status() == 503 {} };
    tokio::time::timeout(PATIENCE, room).await.expect("there is room again");
}

#[tokio::test]
async fn they_end_with_the_server() {
    let (base, stop) = start().await;
    let mut stream = open(format!("{base}/live")).await;
    next(&mut stream).await;
    stop.cancel();
    // One that is cut off would be an error.
    let ended =
        tokio::time::timeout(PATIENCE, async { while stream.chunk().await.unwrap().is_some() {} });
    ended.await.expect("it ends");
}
