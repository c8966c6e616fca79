//! Settings of the topic, and the decision log's topic.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::facts::{Facts, Plan};
use super::super::finding::Finding;
use super::retention::{Kept, kept_for, number};
use super::{set_command, unanswered};

const TIMESTAMPS: &str = "timestamps";
const RETENTION: &str = "retention";
const CLEANUP: &str = "cleanup policy";
const DECISION_LOG: &str = "decision log";
const DECISION_INDEX: &str = "decision log index";

/// An outage that the topic should bridge: what is older is gone.
const OUTAGE: Duration = Duration::from_secs(3600);

/// What a partition should hold at least, if it is bounded in bytes.
const FEW_BYTES: i64 = 256 << 20;

pub(super) fn judge(plan: &Plan, facts: &Facts, findings: &mut Vec<Finding>) {
    match &facts.configs {
        None => findings.push(unanswered("topic settings")),
        Some(Err(error)) => {
            let text = format!("the settings of {} cannot be seen: {error}", plan.topic);
            findings.push(Finding::skipped("topic settings", text));
        }
        Some(Ok(configs)) => {
            findings.push(timestamps(plan, configs));
            findings.push(retention(plan, configs));
            findings.push(cleanup(plan, configs));
        }
    }
    if plan.decision_log.is_some() {
        decision_log(facts, findings);
        if plan.decision_index.is_some() {
            decision_index(facts, findings);
        }
    }
}

fn timestamps(plan: &Plan, configs: &BTreeMap<String, String>) -> Finding {
    let kind = configs.get("message.timestamp.type").map_or("CreateTime", String::as_str);
    if kind == "LogAppendTime" {
        return Finding::ok(TIMESTAMPS, "message.timestamp.type is LogAppendTime");
    }
    let text = format!(
        "message.timestamp.type is {kind}, so the clocks of producers say when traces are complete"
    );
    let fix = set_command(plan, &plan.topic, "message.timestamp.type=LogAppendTime");
    Finding::warning(TIMESTAMPS, text, fix)
}

fn retention(plan: &Plan, configs: &BTreeMap<String, String>) -> Finding {
    let fix = || set_command(plan, &plan.topic, "retention.ms=86400000");
    let kept = kept_for(configs);
    if let Kept::For(kept) = kept {
        let shown = humantime::format_duration(kept);
        let wait = plan.decision_wait;
        if kept < wait * 2 {
            let wait = humantime::format_duration(wait);
            let text = format!(
                "retention.ms is {shown}: spans are deleted before their traces are decided \
                 (decision_wait: {wait})"
            );
            return Finding::error(RETENTION, text, fix());
        }
        if kept < OUTAGE {
            let text = format!(
                "retention.ms is {shown}: in a longer outage, of the backend or of all members, \
                 spans are lost"
            );
            return Finding::warning(RETENTION, text, fix());
        }
    }
    if let Some(bytes) = number(configs, "retention.bytes").filter(|it| (0..FEW_BYTES).contains(it))
    {
        let text = format!(
            "retention.bytes is {bytes} for each partition: what comes in during an outage may \
             be more, and is lost"
        );
        let fix = set_command(plan, &plan.topic, "retention.bytes=-1");
        return Finding::warning(RETENTION, text, fix);
    }
    let kept = match kept {
        Kept::For(_) => kept.words(),
        Kept::ForEver => format!("for {}", kept.words()),
    };
    Finding::ok(RETENTION, format!("{} keeps records {kept}", plan.topic))
}

fn cleanup(plan: &Plan, configs: &BTreeMap<String, String>) -> Finding {
    let policy = configs.get("cleanup.policy").map_or("delete", String::as_str);
    if !policy.split(',').any(|it| it.trim() == "compact") {
        return Finding::ok(CLEANUP, format!("cleanup.policy is {policy}"));
    }
    let text = format!(
        "cleanup.policy is {policy}: of the records of a trace, which have one key, only the last \
         one stays"
    );
    Finding::error(CLEANUP, text, set_command(plan, &plan.topic, "cleanup.policy=delete"))
}

/// What an error says, and the command that it brings along, or else this.
fn lines(text: String, otherwise: &str) -> (String, String) {
    match text.split_once('\n') {
        Some((what, command)) => (what.to_owned(), command.trim().to_owned()),
        None => (text, otherwise.to_owned()),
    }
}

/// Nothing but look-ups needs it.
fn decision_index(facts: &Facts, findings: &mut Vec<Finding>) {
    let found = match &facts.decision_index {
        None => unanswered(DECISION_INDEX),
        Some(Ok(())) => Finding::ok(DECISION_INDEX, "its topic is as it should be"),
        Some(Err(error)) => {
            let otherwise = "or set decision_log: {index: {enabled: false}}";
            let (what, command) = lines(error.to_string(), otherwise);
            Finding::warning(DECISION_INDEX, what, command)
        }
    };
    findings.push(found);
}

fn decision_log(facts: &Facts, findings: &mut Vec<Finding>) {
    let otherwise = "see docs/guarantees.md, or set decision_log: {enabled: false}";
    let lines = |text: String| lines(text, otherwise);
    match &facts.decision_log {
        None => findings.push(unanswered(DECISION_LOG)),
        Some(Ok(wrong)) if wrong.is_empty() => {
            findings.push(Finding::ok(DECISION_LOG, "its topic is as it should be"));
        }
        Some(Ok(wrong)) => findings.extend(wrong.iter().map(|wrong| {
            let (what, command) = lines(wrong.to_string());
            Finding::warning(DECISION_LOG, what, command)
        })),
        Some(Err(error)) if error.may_pass() => {
            findings.push(Finding::skipped(DECISION_LOG, error.to_string()));
        }
        Some(Err(error)) => {
            let (what, command) = lines(error.to_string());
            findings.push(Finding::error(DECISION_LOG, what, command));
        }
    }
}
