//! What a user lacks: the ACLs that are needed, held against what the brokers say that it may do
//! (KIP-430).
//!
//! Promises to end within seconds, and to name nothing that the brokers did not deny: those that do not
//! tell, and topics that do not exist, are passed over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};

use super::describe::{self, Asked, NoAnswer};
use crate::kafka::access::{Acl, AllDenied, Denied, Operation, Resource};

/// How long all answers together may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the user of `client` has the `needed` ACLs. Blocks.
///
/// # Errors
/// Those that it does not have.
pub(crate) fn check<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    needed: &[Acl],
) -> Result<(), AllDenied> {
    let missing = missing(client, brokers, needed);
    if missing.is_empty() { Ok(()) } else { Err(AllDenied(missing)) }
}

/// Those of the `needed` ACLs that the user of `client` does not have. Blocks.
pub(crate) fn missing<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    needed: &[Acl],
) -> Vec<Denied> {
    let mut asked = BTreeMap::new();
    for Acl { resource, .. } in needed {
        asked.entry(resource).or_insert_with(|| ask(client, resource));
    }
    let deadline = Instant::now() + TIMEOUT;
    let answer = |question: Asked<Option<Vec<Operation>>>| {
        question.answer(deadline.saturating_duration_since(Instant::now()))
    };
    let answers: BTreeMap<_, _> =
        asked.into_iter().map(|(resource, question)| (resource, answer(question))).collect();
    let lacks = |acl: &&Acl| match &answers[&acl.resource] {
        Some(Ok(Some(operations))) => !operations.contains(&acl.operation),
        Some(Err(NoAnswer::Denied)) => true,
        Some(Ok(None) | Err(NoAnswer::NoSuchTopic | NoAnswer::Failed(_))) | None => false,
    };
    let denied = |acl: &Acl| Denied { brokers: brokers.to_owned(), acl: acl.clone() };
    needed.iter().filter(lacks).map(denied).collect()
}

fn ask<C: ClientContext>(client: &Client<C>, resource: &Resource) -> Asked<Option<Vec<Operation>>> {
    match resource {
        Resource::Topic(topic) => describe::topic_operations(client, topic),
        Resource::Group(group) => describe::group_operations(client, group),
    }
}
