//! The judgement of what was found out: functions of the facts, and nothing else.

mod access;
mod cluster;
mod group;
mod records;
mod retention;
mod retrieval;
mod settings;
mod surroundings;

use super::facts::{Facts, Plan};
use super::finding::Finding;

/// All findings, in the order in which they should be fixed.
pub fn judge(plan: &Plan, facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let partitions = cluster::judge(plan, facts, &mut findings);
    access::judge(facts, &mut findings);
    if let Some(partitions) = partitions {
        settings::judge(plan, facts, &mut findings);
        retrieval::judge(plan, facts, &mut findings);
        records::judge(plan, facts, &mut findings);
        group::judge(plan, facts, partitions, &mut findings);
    }
    surroundings::judge(plan, facts, &mut findings);
    findings
}

/// What was asked and not answered in time.
fn unanswered(check: &'static str) -> Finding {
    Finding::skipped(check, "there was no answer in time")
}

/// The broker that commands name.
fn broker(plan: &Plan) -> &str {
    plan.brokers.split(',').next().unwrap_or_default().trim()
}

/// The command that sets a setting of a topic.
fn set_command(plan: &Plan, topic: &str, setting: &str) -> String {
    format!(
        "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {topic} \
         --add-config '{setting}'",
        broker(plan)
    )
}
