//! The static file of a member.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::backend::EXPORT_TIMEOUT;
use crate::options::{DECISION_LOG, Protocol};
use crate::plan::SESSION;

/// What a member is told. Displayed, it is the file, in which `$ADMIN` stands for an address.
pub struct MemberFile<'a> {
    pub brokers: &'a str,
    pub topic: &'a str,
    pub group: &'a str,
    pub protocol: Protocol,
    pub backend: SocketAddr,
    /// Whether the backend is spoken to over HTTP.
    pub http: bool,
    /// Longer than traffic may pause, or traces are closed in the pause.
    pub idle_grace: Duration,
    pub decision_log: bool,
    pub dead_letters: bool,
}

/// How long a member may take to leave. Nobody leaves in good order while Kafka is away, and after a
/// `kill -9` on a busy machine it is for half a minute.
const SHUTDOWN: Duration = Duration::from_secs(90);

impl fmt::Display for MemberFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { brokers, topic, group, backend, .. } = self;
        let session = SESSION.as_millis();
        let session = match self.protocol {
            Protocol::Classic => {
                format!("    session.timeout.ms: {session}\n    heartbeat.interval.ms: 2000\n")
            }
            // The broker says how long it is.
            Protocol::Consumer => String::new(),
        };
        // A member must find out by itself that it is none any more before the group does.
        let lease = if DECISION_LOG { "  lease_timeout: 4s\n" } else { "" };
        write!(
            f,
            "kafka:
  brokers: {brokers}
  topic: {topic}
  group_id: {group}
  group_protocol: {protocol}
  idle_grace: {idle_grace}s
{lease}  properties:
    reconnect.backoff.max.ms: 1000
{session}export:
  endpoint: {backend}
{http}  timeout: {timeout}ms
  sending_queue: {{queue_size_bytes: 8MiB}}
  retry_on_failure: {{initial_interval: 200ms, max_interval: 2s, refuse_after_attempts: 3, refuse_after_time: 1s}}
admin:
  listen: $ADMIN
shutdown_timeout: {shutdown}s
policies: policies.yaml
policies_poll_interval: 1s
",
            protocol = self.protocol.name(),
            http = if self.http { "  protocol: http\n  compression: none\n" } else { "" },
            idle_grace = self.idle_grace.as_secs(),
            timeout = EXPORT_TIMEOUT.as_millis(),
            shutdown = SHUTDOWN.as_secs(),
        )?;
        match self.decision_log {
            true => writeln!(f, "decision_log: {{enabled: true, topic: {group}_decisions}}")?,
            false => writeln!(f, "decision_log: {{enabled: false}}")?,
        }
        if self.dead_letters {
            writeln!(f, "dead_letter: {{topic: {topic}_dead, message_timeout: 120s}}")?;
        }
        Ok(())
    }
}
