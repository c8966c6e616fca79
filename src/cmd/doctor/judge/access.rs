//! What the user may do, as far as the brokers tell.

use super::super::facts::Facts;
use super::super::finding::Finding;
use super::unanswered;
use crate::kafka::access::{Denied, Operation};

const ACCESS: &str = "access";

pub(super) fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let cluster_answers = facts.brokers.as_ref().is_some_and(|brokers| brokers.cluster.is_ok());
    match &facts.denied {
        Some(denied) if denied.is_empty() => {
            findings.push(Finding::ok(ACCESS, "the user has all ACLs that a member needs"));
        }
        Some(denied) => findings.extend(denied.iter().map(missing)),
        None if cluster_answers => findings.push(unanswered(ACCESS)),
        None => {}
    }
}

fn missing(denied: &Denied) -> Finding {
    let (acl, command) = (denied.acl.to_string(), denied.command());
    if denied.acl.operation == Operation::DescribeConfigs {
        // A member works without it.
        let text = format!("{acl}, so its settings are not looked at; to have them looked at:");
        return Finding::skipped(ACCESS, format!("{text}\n{command}"));
    }
    Finding::error(ACCESS, acl, command)
}
