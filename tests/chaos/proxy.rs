//! A TCP proxy whose connections can be cut, refused, delayed, throttled, held and silenced; of
//! those to Kafka also only those that write to one topic.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The most that is passed on at once; with a delay also the most that is under way.
const PIECE: usize = 64 * 1024;

/// What happens to what comes in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// It is passed on.
    Pass,
    /// Connections are closed as soon as they are made; those that were there are cut.
    Refuse,
    /// Each piece is held back this long.
    Delay(Duration),
    /// No more than so many bytes a second are passed on, in each direction of each connection.
    Throttle(u32),
    /// Nothing is passed on, and nobody is told. What was held passes when the mode ends.
    BlackHole,
    /// What clients say is passed on, what they are answered is lost with the connection when
    /// the mode ends.
    Mute,
}

#[derive(Clone)]
struct Rules {
    mode: Mode,
    /// Counts cuts: a connection that is older than the last one is gone.
    cuts: u64,
    /// The topic whose writers are known, and whether nothing may be written to it.
    topic: Option<Arc<str>>,
    is_withheld: bool,
    /// How often something was held back for that.
    held_back: Arc<AtomicU64>,
}

/// A running proxy; it and its connections end when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    rules: watch::Sender<Rules>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A proxy on a free port, which passes on to `target`.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (rules, seen) = watch::channel(Rules {
            mode: Mode::Pass,
            cuts: 0,
            topic: None,
            is_withheld: false,
            held_back: Arc::default(),
        });
        let accepting = Handle::current().spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, target, seen.clone()));
            }
        });
        Ok(Self { address, rules, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, do this.
    pub fn set(&self, mode: Mode) {
        self.rules.send_modify(|rules| {
            if mode == Mode::Refuse || rules.mode == Mode::Mute {
                rules.cuts += 1;
            }
            rules.mode = mode;
        });
    }

    /// Takes note of which connections from now on write to the Kafka topic `topic`.
    pub fn watch_writers_of(&self, topic: &str) {
        self.rules.send_modify(|rules| rules.topic = Some(Arc::from(topic)));
    }

    /// From now on, hold back what these write, or do not any more.
    pub fn withhold(&self, is_withheld: bool) {
        self.rules.send_modify(|rules| rules.is_withheld = is_withheld);
    }

    /// How often something that was to be written was held back.
    pub fn held_back(&self) -> u64 {
        self.rules.borrow().held_back.load(Ordering::Relaxed)
    }

    /// Cuts every connection there is; new ones can be made.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn relay(client: TcpStream, target: SocketAddr, rules: watch::Receiver<Rules>) {
    let Rules { mode, cuts, .. } = *rules.borrow();
    if mode == Mode::Refuse {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    // What is small goes at once, as without a proxy.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut watched = rules.clone();
    tokio::select! {
        biased;
        _ = watched.wait_for(|rules| rules.cuts != cuts) => {}
        _ = pump(from_client, to_server, rules.clone(), false) => {}
        _ = pump(from_server, to_client, rules, true) => {}
    }
}

/// Passes bytes on in one direction until it ends.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rules: watch::Receiver<Rules>,
    is_answer: bool,
) -> io::Result<()> {
    let is_held = |mode: Mode| mode == Mode::BlackHole || (is_answer && mode == Mode::Mute);
    let mut piece = vec![0; PIECE];
    let topic = rules.borrow().topic.clone();
    let mut requests = Requests::default();
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let mode = rules.wait_for(|rules| !is_held(rules.mode)).await.map(|rules| rules.mode);
        match mode {
            Ok(Mode::Delay(delay)) => tokio::time::sleep(delay).await,
            Ok(Mode::Throttle(bytes)) => {
                let time = Duration::from_secs_f64(read as f64 / f64::from(bytes));
                tokio::time::sleep(time).await;
            }
            _ => {}
        }
        if !is_answer && let Some(topic) = topic.as_deref() {
            requests.pass(&piece[..read], topic.as_bytes());
            if requests.write && rules.borrow().is_withheld {
                rules.borrow().held_back.fetch_add(1, Ordering::Relaxed);
                let _ = rules.wait_for(|rules| !rules.is_withheld).await;
            }
        }
        to.write_all(&piece[..read]).await?;
    }
}

/// The requests of one Kafka client, as they go by in pieces of any size: a length of four bytes,
/// `ApiKey` of two, and the rest.
#[derive(Default)]
struct Requests {
    head: Vec<u8>,
    /// Bytes of the request in hand that are still to come.
    left: usize,
    /// What has gone by of it and may be the beginning of the topic's name.
    tail: Vec<u8>,
    /// One of them wrote to the topic. A producer has connections of its own.
    write: bool,
}

impl Requests {
    const HEAD: usize = 6;

    fn pass(&mut self, mut piece: &[u8], topic: &[u8]) {
        while !piece.is_empty() && !self.write {
            if self.left == 0 {
                let missing = (Self::HEAD - self.head.len()).min(piece.len());
                self.head.extend(&piece[..missing]);
                piece = &piece[missing..];
                if self.head.len() == Self::HEAD {
                    let length = self.head[..4].try_into().expect("four bytes");
                    // Behind the ApiKey there is a version at least.
                    self.left = (u32::from_be_bytes(length) as usize).saturating_sub(2).max(1);
                    self.tail.clear();
                }
                if self.left == 0 {
                    continue;
                }
            }
            let is_produce = self.head[4..] == [0, 0];
            let (body, rest) = piece.split_at(self.left.min(piece.len()));
            self.tail.extend(body);
            self.write = is_produce && self.tail.windows(topic.len()).any(|name| name == topic);
            let kept = self.tail.len().saturating_sub(topic.len());
            self.tail.drain(..kept);
            self.left -= body.len();
            piece = rest;
            if self.left == 0 {
                self.head.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_all(&[7]).await?;
        stream.read_u8().await
    }

    /// A request with this `ApiKey` and this rest.
    fn request(key: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() + 2) as u8;
        [&[0, 0, 0, length, 0, key], rest].concat()
    }

    #[test]
    fn a_writer_is_known_however_its_requests_are_cut() {
        let fetch = request(1, b"...log...");
        let other = request(0, b"...another topic...");
        let produce = request(0, b"...log...");
        let harmless = [fetch.clone(), other.clone(), fetch.clone()].concat();
        let all = [fetch, other, produce].concat();
        for size in 1..all.len() {
            let passed = |bytes: &[u8]| {
                let mut requests = Requests::default();
                bytes.chunks(size).for_each(|piece| requests.pass(piece, b"log"));
                requests.write
            };
            assert!(passed(&all), "in pieces of {size}");
            assert!(!passed(&harmless), "in pieces of {size}");
        }
    }

    #[tokio::test]
    async fn what_is_written_to_a_topic_is_held_back_until_it_may_pass() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        proxy.watch_writers_of("log");
        proxy.withhold(true);
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        let fetch = request(1, b"log");
        stream.write_all(&fetch).await.unwrap();
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, *fetch, "that writes nothing");
        let produce = request(0, b"log");
        stream.write_all(&produce).await.unwrap();
        let read =
            tokio::spawn(async move { stream.read_exact(&mut answer).await.map(|_| answer) });
        // Nothing may come meanwhile, which cannot be awaited.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!read.is_finished());
        proxy.withhold(false);
        assert_eq!(read.await.unwrap().unwrap(), *produce);
        assert_eq!(proxy.held_back(), 1);
    }

    #[tokio::test]
    async fn connections_pass_and_are_cut() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 7);
        proxy.cut();
        ask(&mut stream).await.unwrap_err();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 7);
        proxy.set(Mode::Refuse);
        ask(&mut stream).await.unwrap_err();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        ask(&mut stream).await.unwrap_err();
    }

    #[tokio::test]
    async fn what_a_black_hole_held_passes_later_and_muted_answers_are_lost() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        for (mode, is_lost) in [(Mode::BlackHole, false), (Mode::Mute, true)] {
            proxy.set(Mode::Pass);
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            assert_eq!(ask(&mut stream).await.unwrap(), 7);
            proxy.set(mode);
            let asked = tokio::spawn(async move { ask(&mut stream).await });
            // Nothing may come while the mode lasts, which cannot be awaited.
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(!asked.is_finished(), "{mode:?}");
            proxy.set(Mode::Pass);
            assert_eq!(asked.await.unwrap().is_err(), is_lost, "{mode:?}");
        }
    }
}
