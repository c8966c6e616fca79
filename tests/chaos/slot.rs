//! A place for a member: its ways to Kafka and to the backend, and the processes that have been
//! there one after the other.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::fault::Side;
use crate::proxy::Proxy;
use crate::support::{Member, eventually};

/// What a member that was asked to leave may take, and more: its `shutdown_timeout`, see `member`.
const PATIENCE: Duration = Duration::from_secs(120);

/// For how long after its start a process may not take signals yet, on a slow and busy machine. It
/// has nothing to hand over then.
const STARTING: Duration = Duration::from_secs(5);

/// The number of SIGTERM.
const TERM: i32 = 15;

/// A slot.
pub struct Slot {
    pub number: usize,
    pub kafka: Proxy,
    pub backend: Proxy,
    member: Option<Member>,
    leaving: Option<Member>,
    started: Instant,
    /// The member was asked to leave as soon as it had been started.
    is_early: bool,
}

impl Slot {
    /// A slot without a member.
    pub fn new(number: usize, kafka: Proxy, backend: Proxy) -> Self {
        Self {
            number,
            kafka,
            backend,
            member: None,
            leaving: None,
            started: Instant::now(),
            is_early: false,
        }
    }

    /// The way to one side.
    pub fn side(&self, side: Side) -> &Proxy {
        match side {
            Side::Kafka => &self.kafka,
            Side::Backend => &self.backend,
        }
    }

    /// The member, unless there is none or it is leaving.
    pub fn member(&mut self) -> Option<&mut Member> {
        self.member.as_mut()
    }

    /// The name of its members, and of their files.
    pub fn name(&self) -> String {
        format!("member-{}", self.number)
    }

    /// Starts a member on the static file `config`, as soon as the last one has left; says what was
    /// wrong with how that one left.
    pub fn start(&mut self, dir: &Path, config: &str) -> Option<String> {
        let complaint = self.wait_left();
        self.started = Instant::now();
        self.member = Some(Member::start(dir, &self.name(), config));
        complaint
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut member) = self.member.take() {
            member.process.kill();
        }
    }

    /// SIGTERM, which is not waited for.
    pub fn leave(&mut self) {
        // None, if the last one is still leaving.
        let Some(member) = self.member.take() else { return };
        self.is_early = self.started.elapsed() < STARTING;
        member.process.signal("TERM");
        self.leaving = Some(member);
    }

    /// Whether the member that was asked to leave is still there.
    pub fn is_leaving(&mut self) -> bool {
        self.leaving.as_mut().is_some_and(|member| member.process.is_running())
    }

    /// Waits until the member that was asked to leave has done so; says what was wrong with it.
    pub fn wait_left(&mut self) -> Option<String> {
        let mut member = self.leaving.take()?;
        let name = self.name();
        eventually(&format!("{name} to leave"), PATIENCE, || {
            (!member.process.is_running()).then_some(())
        });
        let status = member.process.wait();
        let is_early = self.is_early && status.signal() == Some(TERM);
        (!status.success() && !is_early)
            .then(|| format!("{name} was asked to leave, and ended with {status}"))
    }

    /// Sends a signal to the member.
    pub fn signal(&self, signal: &str) {
        if let Some(member) = &self.member {
            member.process.signal(signal);
        }
    }

    /// Takes out a member that has ended without being told to; says so.
    pub fn find_dead(&mut self) -> Option<String> {
        let member = self.member.as_mut()?;
        if member.process.is_running() {
            return None;
        }
        let status = member.process.wait();
        let log = member.process.log();
        let last = log.lines().last().unwrap_or_default();
        let complaint = format!("{} ended by itself ({status}): {last}", self.name());
        self.member = None;
        Some(complaint)
    }
}
