//! The ACLs that the user of a command needs, besides those of exporters, which may log in elsewhere.
//!
//! They are asked for before anything is read, so that all that are missing are named at once. The table of
//! docs/security.md has them, too; `tests/kafka/acl` tries both on brokers with an authorizer.

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::Settings;
use crate::kafka::access::{Acl, AllDenied, Operation};
use crate::kafka::cluster::{self, ClusterError, permissions};
use crate::kafka::source::SourceSettings;
use crate::retrieval::Keep;

/// Of `tailsieve run`.
pub(super) fn of_member(settings: &Settings) -> Vec<Acl> {
    let source = &settings.source;
    let mut needed = vec![
        Acl::topic(Operation::Read, &source.topic),
        Acl::group(Operation::Read, &source.group_id),
    ];
    if let Some(log) = &settings.decision_log {
        needed.push(Acl::topic(Operation::Read, &log.topic));
        needed.push(Acl::topic(Operation::Write, &log.topic));
    }
    if settings.retrieval.as_ref().is_some_and(|it| it.keep != Keep::Never) {
        needed.push(Acl::topic(Operation::Write, &source.topic));
    }
    if let Some(letters) = &settings.dead_letter {
        needed.push(Acl::topic(Operation::Write, &letters.topic));
    }
    needed
}

/// Of `tailsieve doctor`: those of a member, which it asks for, and what it looks at besides.
pub(super) fn of_doctor(settings: &Settings) -> Vec<Acl> {
    let mut needed = of_member(settings);
    let log = settings.decision_log.as_ref().map(|log| log.topic.as_str());
    let topics = [Some(settings.source.topic.as_str()), log].into_iter().flatten();
    needed.extend(topics.map(|topic| Acl::topic(Operation::DescribeConfigs, topic)));
    needed
}

/// Of `tailsieve rekey`.
pub(super) fn of_rekey(from: &SourceSettings, to: &str) -> Vec<Acl> {
    vec![
        Acl::topic(Operation::Read, &from.topic),
        Acl::group(Operation::Read, &from.group_id),
        Acl::topic(Operation::Write, to),
    ]
}

/// Of `tailsieve replay-dead-letters`; with `dry_run`, which writes and commits nothing, of that.
pub(super) fn of_replay(letters: &str, target: &str, group: &str, dry_run: bool) -> Vec<Acl> {
    let read = Acl::topic(Operation::Read, letters);
    if dry_run {
        let describe = Operation::Describe;
        return vec![read, Acl::group(describe, group), Acl::topic(describe, target)];
    }
    vec![
        read,
        Acl::group(Operation::Read, group),
        Acl::topic(Operation::Write, target),
        // What is not fed back is put back.
        Acl::topic(Operation::Write, letters),
    ]
}

/// Whether the user that `source` logs in as has the `needed` ACLs, as far as the brokers tell. Blocks.
///
/// # Errors
/// All that are missing.
pub(super) fn check(source: &SourceSettings, needed: &[Acl]) -> Result<(), AllDenied> {
    check_login(&source.brokers, &source.properties, needed)
}

/// The same, of whoever logs in with these `properties`. Blocks.
///
/// # Errors
/// All that are missing.
pub(super) fn check_login(
    brokers: &str,
    properties: &[(String, String)],
    needed: &[Acl],
) -> Result<(), AllDenied> {
    let name = "tailsieve-admin";
    let config = cluster::client_config(brokers, properties, name, name);
    // Settings that librdkafka refuses are told by what needs them.
    let Ok(client) = config.create::<BaseConsumer>() else { return Ok(()) };
    permissions::check(client.client(), brokers, needed)
}

/// True if waiting does not help: somebody has to grant an ACL.
pub(super) fn is_denial(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed,
    };
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(ClusterAuthorizationFailed | GroupAuthorizationFailed | TopicAuthorizationFailed)
    )
}

/// All that are missing, if an error says that one is; else the error as it is.
pub(super) fn all_of(
    error: ClusterError,
    source: &SourceSettings,
    needed: &[Acl],
) -> Result<AllDenied, ClusterError> {
    let ClusterError::Denied(denied) = error else { return Err(error) };
    Ok(check(source, needed).err().unwrap_or_else(|| AllDenied(vec![*denied])))
}
