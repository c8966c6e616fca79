//! A TCP proxy whose connections can be cut, refused, delayed, throttled, held and silenced.

use std::net::SocketAddr;
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

#[derive(Clone, Copy)]
struct Rules {
    mode: Mode,
    /// Counts cuts: a connection that is older than the last one is gone.
    cuts: u64,
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
        let (rules, seen) = watch::channel(Rules { mode: Mode::Pass, cuts: 0 });
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
    let Rules { mode, cuts } = *rules.borrow();
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
