//! Whether dropped traces can be opened, and for how long.

use super::super::facts::{Facts, Plan, ServerReach};
use super::super::finding::Finding;
use super::retention::{self, Configs, kept_for};
use super::{set_command, unanswered};

const DROPPED: &str = "dropped traces";
const SERVER: &str = "retrieval";

pub(super) fn judge(plan: &Plan, facts: &Facts, findings: &mut Vec<Finding>) {
    if let Some(log) = &plan.decision_log {
        findings.extend(reach(plan, facts, log));
    }
    if let Some(server) = &plan.retrieval {
        findings.push(match &facts.retrieval {
            None => unanswered(SERVER),
            Some(reach) => judge_server(&server.listen.to_string(), reach),
        });
    }
}

/// For how long: as long as both topics have what belongs to a trace. That the log forgets first is as good as
/// meant, unless traces are served. Nothing is said if the settings of one cannot be seen, which is told elsewhere.
fn reach(plan: &Plan, facts: &Facts, log: &str) -> Option<Finding> {
    let (Ok(input), Ok(decisions)) = (facts.configs.as_ref()?, facts.log_configs.as_ref()?) else {
        return None;
    };
    let (of_input, of_log) = (kept_for(input), kept_for(decisions));
    if of_log < of_input {
        let text = format!(
            "they can be opened for {}, as long as {log} has their decisions; {} has their spans for {}",
            of_log.words(),
            plan.topic,
            of_input.words()
        );
        if plan.retrieval.is_none() {
            return Some(Finding::ok(DROPPED, text));
        }
        let setting = format!("retention.ms={}", of_input.setting());
        return Some(Finding::warning(DROPPED, text, set_command(plan, log, &setting)));
    }
    let bounded = [(plan.topic.as_str(), input), (log, decisions)]
        .into_iter()
        .filter(|(_, configs)| is_bounded_in_bytes(configs))
        .map(|(topic, _)| topic)
        .collect::<Vec<_>>();
    let less = match bounded.as_slice() {
        [] => String::new(),
        topics => format!(", or less: {} bounded by retention.bytes", are(topics)),
    };
    let text = format!("they can be opened for {} (`tailsieve trace ID`){less}", of_input.words());
    Some(Finding::ok(DROPPED, text))
}

fn are(topics: &[&str]) -> String {
    format!("{} {}", topics.join(" and "), if topics.len() == 1 { "is" } else { "are" })
}

fn is_bounded_in_bytes(configs: &Configs) -> bool {
    retention::number(configs, "retention.bytes").is_some_and(|it| it >= 0)
}

fn judge_server(listen: &str, reach: &ServerReach) -> Finding {
    match reach {
        ServerReach::Answers => {
            Finding::ok(SERVER, format!("{listen} answers, as Tempo expects it"))
        }
        ServerReach::Listens => {
            Finding::ok(SERVER, format!("{listen} listens (with TLS; it was not asked)"))
        }
        ServerReach::Silent(why) => {
            let text = format!(
                "nothing answers on {listen} ({why}): a Tempo that has it as its external endpoint \
                 fails every look-up by trace id"
            );
            let fix = "start a member or `tailsieve retrieval` with this file; correct \
                       retrieval.listen if one runs";
            Finding::warning(SERVER, text, fix)
        }
        ServerReach::Foreign(status) => {
            let text = format!(
                "what answers on {listen} is something else: it says {status} to a trace that \
                 nobody has, and a Tempo that asks it fails every look-up"
            );
            let fix = "set retrieval.listen to a free port, and Tempo's endpoint to it";
            Finding::error(SERVER, text, fix)
        }
    }
}
