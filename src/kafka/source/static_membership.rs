//! What a member does while the group does not let it in: under its `group.instance.id` (static
//! membership, KIP-345 and KIP-848), or because its user lacks an ACL.
//!
//! Two processes with one id cannot both be members. With the classic protocol the group lets the
//! newcomer in and fences the older member. If the older one joined again it would fence the newcomer,
//! and so on for ever, so it stays out until no member has the id. With the protocol `consumer` the
//! group refuses the newcomer until the session of the other one ends, even if that was killed; so
//! the newcomer keeps asking.

use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use tracing::{error, info};

use super::handle::RUNNING;
use super::settings::SourceSettings;
use crate::kafka::cluster::{self, describe};

/// How often a member that is not let in tries again.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// How long one question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A fenced member joins again after this time if the brokers do not tell who is in the group.
const BLIND_WAIT: Duration = Duration::from_secs(60);

/// The fatal error of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fatal {
    /// Another process has joined with the `group.instance.id` of this one.
    Fenced,
    /// The group has a member with that id, and does not let another one in.
    Taken,
    /// The user may not read the group. Only the protocol `consumer` takes it for fatal.
    Denied,
    /// Anything else.
    Other,
}

impl Fatal {
    pub(super) fn of(code: Option<RDKafkaErrorCode>) -> Self {
        match code {
            Some(RDKafkaErrorCode::FencedInstanceId) => Self::Fenced,
            Some(RDKafkaErrorCode::UnreleasedInstanceId) => Self::Taken,
            Some(RDKafkaErrorCode::GroupAuthorizationFailed) => Self::Denied,
            _ => Self::Other,
        }
    }

    /// What is wrong, and what to do about it; `None` if it is something else.
    pub(super) fn reason(self, settings: &SourceSettings) -> Option<String> {
        let id = settings.group_instance_id.as_deref().unwrap_or_default();
        let group = &settings.group_id;
        match self {
            Self::Fenced => Some(format!(
                "another process has joined the group {group} with the group_instance_id {id} of this \
                 one, which stays out until that has left: give every member an id of its own"
            )),
            Self::Taken => Some(format!(
                "the group {group} has a member with the group_instance_id {id}, and lets no other in: \
                 either another process has the same id, or one that was killed had it, whose session \
                 is not over (group.consumer.session.timeout.ms of the brokers, 45 s by default)"
            )),
            Self::Denied => {
                let code = Some(RDKafkaErrorCode::GroupAuthorizationFailed);
                settings.denied(code).map(|denied| denied.to_string())
            }
            Self::Other => None,
        }
    }
}

/// Logs once that the member is not let in, until it is let in again.
#[derive(Debug, Default)]
pub(super) struct NotLetInLog(Option<Fatal>);

impl NotLetInLog {
    /// A client ended with this error. Returns the reason, if the member is not let in.
    pub(super) fn log(&mut self, fatal: Fatal, settings: &SourceSettings) -> Option<String> {
        let reason = fatal.reason(settings)?;
        if self.0.replace(fatal) != Some(fatal) {
            let group_instance_id = &settings.group_instance_id;
            error!(group_instance_id, "kafka.not_let_in: {reason}");
        }
        Some(reason)
    }
}

/// Waits until a member that was not let in may try again, or until `state` says to stop.
pub(super) fn wait(fatal: Fatal, settings: &SourceSettings, state: &AtomicU8) {
    let since = Instant::now();
    let bystander = (fatal == Fatal::Fenced).then(|| bystander(settings)).flatten();
    loop {
        let next = Instant::now() + LOOK_INTERVAL;
        while Instant::now() < next {
            if state.load(Ordering::Relaxed) != RUNNING {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let may_join = match fatal {
            Fatal::Fenced => {
                let is_free = bystander.as_ref().and_then(|client| is_free(client, settings));
                is_free.unwrap_or(since.elapsed() > BLIND_WAIT)
            }
            Fatal::Taken | Fatal::Denied | Fatal::Other => true,
        };
        if may_join {
            if fatal == Fatal::Fenced {
                let group_instance_id = &settings.group_instance_id;
                info!(group_instance_id, "kafka.joins_again: nobody in the group has its id");
            }
            return;
        }
    }
}

/// A client that joins no group.
fn bystander(settings: &SourceSettings) -> Option<BaseConsumer> {
    let SourceSettings { brokers, properties, group_id, .. } = settings;
    cluster::client_config(brokers, properties, "tailsieve-bystander", group_id).create().ok()
}

/// Whether no member of the group has the id; `None` if that is not known.
fn is_free(client: &BaseConsumer, settings: &SourceSettings) -> Option<bool> {
    let asked = describe::group_members(client.client(), &settings.group_id);
    let members = asked.answer(ANSWER_TIMEOUT)?.ok()?;
    Some(members.iter().all(|member| member.instance_id != settings.group_instance_id))
}
