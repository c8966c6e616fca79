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
    /// The topic to which nothing may be written.
    withheld: Option<Arc<str>>,
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
            withheld: None,
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

    /// From now on, hold back what is written to the Kafka topic `topic`; nothing with `None`.
    pub fn withhold(&self, topic: Option<&str>) {
        self.rules.send_modify(|rules| rules.withheld = topic.map(Arc::from));
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
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let mode = rules.wait_for(|rules| !is_held(rules.mode)).await.map(|rules| rules.mode);
        let is_write = |topic: &Arc<str>| writes_to(&piece[..read], topic);
        if !is_answer && rules.borrow().withheld.as_ref().is_some_and(is_write) {
            rules.borrow().held_back.fetch_add(1, Ordering::Relaxed);
            let _ = rules.wait_for(|rules| rules.withheld.is_none()).await;
        }
        match mode {
            Ok(Mode::Delay(delay)) => tokio::time::sleep(delay).await,
            Ok(Mode::Throttle(bytes)) => {
                let time = Duration::from_secs_f64(read as f64 / f64::from(bytes));
                tokio::time::sleep(time).await;
            }
            _ => {}
        }
        to.write_all(&piece[..read]).await?;
    }
}

/// Whether a request of a Kafka client, or several, writes to a topic: `ApiKey` 0 behind the length,
/// and the topic's name. A producer has connections of its own, and what follows on one that is held
/// is held, too.
fn writes_to(request: &[u8], topic: &str) -> bool {
    let is_produce = request.get(4..6) == Some(&[0, 0]);
    is_produce && request.windows(topic.len()).any(|piece| piece == topic.as_bytes())
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

    #[tokio::test]
    async fn what_is_written_to_a_topic_is_held_back_until_it_may_pass() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        proxy.withhold(Some("log"));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 7, "that writes nothing");
        let produce = *b"\0\0\0\x08\0\0\0\x09...log";
        stream.write_all(&produce).await.unwrap();
        let mut answer = [0; 14];
        let read =
            tokio::spawn(async move { stream.read_exact(&mut answer).await.map(|_| answer) });
        // Nothing may come meanwhile, which cannot be awaited.
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!read.is_finished());
        proxy.withhold(None);
        assert_eq!(read.await.unwrap().unwrap(), produce);
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
