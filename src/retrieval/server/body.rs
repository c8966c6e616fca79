//! The body of an answer to Tempo.
//!
//! Promises that a large one is held for no longer than its reader takes some of it from time to time. A
//! connection over HTTP/2 may stay busy while nothing of one answer is taken, so that it is not enough to look at
//! the connection.

use std::io::{self, ErrorKind};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use tokio::time::timeout;

/// How long nothing may be taken.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is handed on at once. One such piece waits here and one in the connection.
const PIECE: usize = 32 << 10;

/// The body with this data. It ends with an error when nothing is taken for [`PATIENCE`].
pub(super) fn body(data: Bytes) -> Body {
    if data.len() <= PIECE {
        return Body::from(data);
    }
    let (sender, body) = Channel::new(1);
    tokio::spawn(send(data, sender));
    Body::new(body)
}

async fn send(mut data: Bytes, mut sender: Sender<Bytes, io::Error>) {
    while !data.is_empty() {
        let piece = data.split_to(data.len().min(PIECE));
        // A copy: a part of the data would hold all of it.
        let piece = Bytes::copy_from_slice(&piece);
        match timeout(PATIENCE, sender.send_data(piece)).await {
            Ok(Ok(())) => {}
            // The reader has left.
            Ok(Err(_)) => return,
            Err(_) => return sender.abort(ErrorKind::TimedOut.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex, Weak};

    use axum::http::{Request, Response};
    use http_body_util::{BodyExt as _, Empty};
    use hyper::body::Incoming;
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
    use tokio::io::duplex;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::sync::lock;

    const LENGTH: usize = 1 << 20;

    /// What a client lets the server send ahead.
    const WINDOW: u32 = 65_535;

    /// Data of which it can be seen whether somebody holds it.
    struct Held(Arc<Vec<u8>>);

    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    fn data() -> (Bytes, Weak<Vec<u8>>) {
        let bytes: Vec<u8> = (0..LENGTH).map(|place| (place / PIECE) as u8).collect();
        let held = Arc::new(bytes);
        let seen = Arc::downgrade(&held);
        (Bytes::from_owner(Held(held)), seen)
    }

    /// An answer of a server over HTTP/2, of which nothing was taken yet; it is held for as long as it can be
    /// seen.
    async fn answered() -> (Response<Incoming>, Weak<Vec<u8>>) {
        let (ours, theirs) = duplex(1 << 16);
        let (data, seen) = data();
        let data = Mutex::new(Some(data));
        let answer = service_fn(move |_: Request<Incoming>| {
            let data = lock(&data).take().expect("there is one request");
            async move { Ok::<_, Infallible>(Response::new(body(data))) }
        });
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(ours), answer);
        tokio::spawn(server);
        let (mut client, connection) =
            hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(WINDOW)
                .handshake(TokioIo::new(theirs))
                .await
                .unwrap();
        tokio::spawn(connection);
        let request = Request::builder().uri("http://tailsieve/").body(Empty::<Bytes>::new());
        (client.send_request(request.unwrap()).await.unwrap(), seen)
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_takes_is_not_held() {
        let (response, seen) = answered().await;
        sleep(PATIENCE - Duration::from_secs(1)).await;
        assert!(seen.upgrade().is_some());
        sleep(Duration::from_secs(2)).await;
        assert!(seen.upgrade().is_none());
        assert!(response.into_body().collect().await.is_err(), "it is not taken for whole");
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_all_of_it() {
        let (response, seen) = answered().await;
        let (mut body, mut taken) = (response.into_body(), Vec::new());
        let since = Instant::now();
        while let Some(frame) = body.frame().await {
            let frame = frame.unwrap().into_data().unwrap();
            taken.extend_from_slice(&frame);
            // Two pieces in the time in which one has to be taken.
            sleep(PATIENCE.mul_f64(frame.len() as f64 / (2 * PIECE) as f64)).await;
        }
        assert!(since.elapsed() > 2 * PATIENCE, "it takes long as a whole");
        assert_eq!(taken, data().0);
        assert!(seen.upgrade().is_none());
    }
}
