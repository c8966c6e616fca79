//! The consumer group: who is in it, what it has committed.

use super::super::facts::{Facts, Group, Plan, Range};
use super::super::finding::Finding;
use super::{broker, unanswered};
use crate::kafka::cluster::describe::GroupMember;

const GROUP: &str = "group";
const OFFSETS: &str = "offsets";

/// What members of tailsieve call themselves (`client.id`).
const OWN_CLIENT: &str = "tailsieve";

/// What the classic protocol of tailsieve is called.
const OWN_PROTOCOL: &str = "cooperative-sticky";

pub(super) fn judge(plan: &Plan, facts: &Facts, partitions: usize, findings: &mut Vec<Finding>) {
    findings.push(match &facts.group {
        None => unanswered(GROUP),
        Some(Err(error)) => {
            Finding::skipped(GROUP, format!("{} cannot be seen: {error}", plan.group_id))
        }
        Some(Ok(group)) => {
            let runs_here = matches!(&facts.admin, Some(Err(_)));
            members(plan, group, runs_here)
        }
    });
    findings.push(match &facts.ranges {
        None => unanswered(OFFSETS),
        Some(Err(error)) => Finding::skipped(OFFSETS, format!("cannot be seen: {error}")),
        Some(Ok(ranges)) => offsets(plan, ranges, partitions),
    });
}

/// A member that has the id of this file; with several consumers each has a number behind it.
fn same_id<'g>(plan: &Plan, group: &'g Group) -> Option<&'g GroupMember> {
    let id = plan.group_instance_id.as_deref()?;
    let is_same = |member: &&GroupMember| {
        let theirs = member.instance_id.as_deref().unwrap_or_default();
        let numbered = |rest: &str| {
            plan.consumers > 1 && rest.strip_prefix('-').is_some_and(|n| n.parse::<u16>().is_ok())
        };
        theirs.strip_prefix(id).is_some_and(|rest| rest.is_empty() || numbered(rest))
    };
    group.members.iter().find(is_same)
}

/// `runs_here` says that a member may be running on this machine: its address is in use.
fn members(plan: &Plan, group: &Group, runs_here: bool) -> Finding {
    let name = &plan.group_id;
    let foreign: Vec<String> = group
        .members
        .iter()
        .filter(|member| !member.client_id.starts_with(OWN_CLIENT))
        .map(|member| format!("{} at {}", member.client_id, member.host))
        .collect();
    let fix = "give tailsieve a group of its own: kafka.group_id";
    if !foreign.is_empty() {
        let text = format!(
            "another application is in group {name} and takes partitions away: {}",
            foreign.join(", ")
        );
        return Finding::error(GROUP, text, fix);
    }
    if !group.protocol_type.is_empty() && group.protocol_type != "consumer" {
        let kind = &group.protocol_type;
        return Finding::error(GROUP, format!("{name} is a group of type {kind}"), fix);
    }
    let is_classic = !group.members.is_empty() && !plan.consumer_protocol;
    if is_classic && !group.protocol.is_empty() && group.protocol != OWN_PROTOCOL {
        let text = format!(
            "the members of {name} assign partitions by {}, and tailsieve by {OWN_PROTOCOL}: it \
             cannot join",
            group.protocol
        );
        return Finding::error(GROUP, text, fix);
    }
    if let Some(other) = same_id(plan, group).filter(|_| !runs_here) {
        let id = plan.group_instance_id.as_deref().unwrap_or_default();
        let text = format!(
            "{name} has a member with kafka.group_instance_id {id} of this file, at {}, and none runs \
             here: of two with one id, one stays out",
            other.host
        );
        return Finding::warning(GROUP, text, "give every member a group_instance_id of its own");
    }
    let text = match group.members.len() {
        0 => format!("{name} has no members at the moment"),
        count => format!("{name} is {}, members: {count}", group.state),
    };
    Finding::ok(GROUP, text)
}

fn offsets(plan: &Plan, ranges: &[Range], partitions: usize) -> Finding {
    let (topic, group) = (&plan.topic, &plan.group_id);
    let reset = |to: &str| {
        format!(
            "with all members stopped:\nkafka-consumer-groups.sh --bootstrap-server {} --group \
             {group} --topic {topic} --reset-offsets {to} --execute",
            broker(plan)
        )
    };
    let committed = || ranges.iter().filter_map(|range| Some((range, range.committed?)));
    let beyond: Vec<i32> =
        committed().filter(|(it, at)| *at > it.high).map(|(it, _)| it.partition).collect();
    if !beyond.is_empty() {
        let text = format!(
            "{group} has committed offsets beyond the end of partitions {beyond:?}: the topic was \
             created again, or its data was lost"
        );
        return Finding::error(OFFSETS, text, reset("--to-earliest"));
    }
    let lost: i64 = committed().map(|(it, at)| (it.low - at).max(0)).sum();
    if lost > 0 {
        let text = format!(
            "retention has deleted {lost} records that {group} had not done with: their spans are \
             lost; a member counts them and goes on behind them"
        );
        let fix = "start members again, keep records longer (retention.ms), or give up on what is \
                   lost "
            .to_owned()
            + &reset("--to-earliest");
        return Finding::error(OFFSETS, text, fix);
    }
    let seen = match ranges.len() {
        all if all == partitions => String::new(),
        some => format!(" (of {some} partitions of {partitions}: time was up)"),
    };
    if committed().next().is_none() {
        return Finding::ok(OFFSETS, format!("{group} has committed nothing yet{seen}"));
    }
    let lag: i64 = committed().map(|(it, at)| (it.high - at).max(0)).sum();
    let text = format!("{group} is {lag} records from the end, open traces included{seen}");
    Finding::ok(OFFSETS, text)
}
