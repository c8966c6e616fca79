//! Brokers, the topic and its partitions.

use super::super::facts::{Brokers, Cluster, Facts, Plan, Reach};
use super::super::finding::Finding;
use super::{broker, unanswered};
use crate::kafka::cluster::create_command;

const BROKERS: &str = "brokers";
const TOPIC: &str = "topic";
const PARTITIONS: &str = "partitions";

/// How many partitions a topic is created with.
const PARTITIONS_OF_NEW: usize = 12;

/// How alike a name has to be to be suggested.
const ALIKE: f64 = 0.8;

/// The number of partitions of the topic, if it is there.
pub(super) fn judge(plan: &Plan, facts: &Facts, findings: &mut Vec<Finding>) -> Option<usize> {
    let Some(brokers) = &facts.brokers else {
        findings.push(unanswered(BROKERS));
        return None;
    };
    let cluster = match &brokers.cluster {
        Ok(cluster) => cluster,
        Err(error) => {
            findings.push(unreachable(plan, brokers, error));
            return None;
        }
    };
    findings.push(reachable(brokers, cluster));
    let Some(partitions) = cluster.topics.get(&plan.topic).copied().filter(|it| *it > 0) else {
        if !facts.is_hidden(&plan.topic) {
            findings.push(no_topic(plan, cluster));
        }
        return None;
    };
    findings.push(Finding::ok(TOPIC, format!("{} exists", plan.topic)));
    findings.push(judge_partitions(plan, facts, partitions));
    if let Some(dead_letter) = &plan.dead_letter
        && !facts.is_hidden(dead_letter)
    {
        findings.push(dead_letters(plan, cluster, dead_letter));
    }
    Some(partitions)
}

/// Why no broker answers, as far as that is known.
fn unreachable(plan: &Plan, brokers: &Brokers, error: &str) -> Finding {
    let tells = |(address, reach): &(String, Reach)| match reach {
        Reach::Connected => format!("{address} can be connected to"),
        Reach::Unresolved(why) => format!("the name of {address} cannot be looked up ({why})"),
        Reach::Refused(why) => format!("{address} cannot be connected to ({why})"),
        Reach::TimedOut => format!("{address} does not answer"),
    };
    let contacts: Vec<String> = brokers.contacts.iter().map(tells).collect();
    let is_there = brokers.contacts.iter().any(|(_, reach)| *reach == Reach::Connected);
    let complaint = brokers.complaints.first().map(String::as_str).unwrap_or(error);
    if !is_there && !error.contains("refuses") {
        let text = format!("no broker can be reached: {}", contacts.join("; "));
        let unresolved = |(_, reach): &(String, Reach)| matches!(reach, Reach::Unresolved(_));
        let fix = if brokers.contacts.iter().all(unresolved) {
            "correct the name in kafka.brokers, or the DNS of this machine"
        } else {
            "correct kafka.brokers (host:port of the listener for clients), start the broker, or \
             open the way to it"
        };
        return Finding::error(BROKERS, text, fix);
    }
    let text = format!("the cluster at {} does not answer: {complaint}", plan.brokers);
    Finding::error(BROKERS, text, protocol_fix(error, &brokers.complaints))
}

/// What to set, by what librdkafka complains about.
fn protocol_fix(error: &str, complaints: &[String]) -> &'static str {
    let all = format!("{error} {}", complaints.join(" ")).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| all.contains(word));
    if says(&["oauth/oidc", "gssapi"]) {
        "this way to log in is in no build: docs/security.md says which are"
    } else if says(&["not built with", "no provider for", "openssl not available", "ssl support"])
        || (all.contains("refuses") && says(&["ssl", "sasl"]))
    {
        "this build has no TLS: build with `--features tls`"
    } else if says(&["invalid response size"]) {
        "what answers there is no Kafka broker, or one that speaks TLS: correct kafka.brokers, or set \
         kafka.properties security.protocol to SSL or SASL_SSL"
    } else if says(&["plaintext broker listener", "wrong version number"]) {
        "the listener speaks plaintext: set kafka.properties security.protocol: PLAINTEXT (or \
         SASL_PLAINTEXT), or name the port of the TLS listener"
    } else if says(&["certificate", "ssl handshake"]) {
        "the certificate is not trusted: set kafka.properties ssl.ca.location"
    } else if says(&["authentication failed", "sasl"]) {
        "set kafka.properties sasl.mechanism, sasl.username and sasl.password as the cluster wants"
    } else if says(&["ssl listener", "apiversion", "disconnected"]) {
        "the listener expects another protocol: set kafka.properties security.protocol to SSL, \
         SASL_SSL or SASL_PLAINTEXT (and sasl.*)"
    } else {
        "check kafka.brokers and kafka.properties security.protocol, sasl.*, ssl.*"
    }
}

fn reachable(brokers: &Brokers, cluster: &Cluster) -> Finding {
    let lost: Vec<&str> = cluster
        .brokers
        .iter()
        .filter(|(_, reach)| *reach != Reach::Connected)
        .map(|(address, _)| address.as_str())
        .collect();
    if !lost.is_empty() {
        let text = format!(
            "the cluster answers, and advertises addresses that cannot be reached from here: {}",
            lost.join(", ")
        );
        let fix = "correct advertised.listeners of these brokers, or start them";
        return Finding::error(BROKERS, text, fix);
    }
    let count = cluster.brokers.len();
    let contacts = brokers.contacts.len();
    let text = format!("{count} in the cluster, all reachable ({contacts} in kafka.brokers)");
    Finding::ok(BROKERS, text)
}

fn no_topic(plan: &Plan, cluster: &Cluster) -> Finding {
    let near = near_names(&plan.topic, cluster.topics.keys().map(String::as_str));
    let settings = [("message.timestamp.type", "LogAppendTime")];
    let create = create_command(broker(plan), &plan.topic, PARTITIONS_OF_NEW, &settings);
    let fix = match near.as_slice() {
        [] => format!("correct kafka.topic, or create it:\n{create}"),
        near => format!("did you mean kafka.topic: {}? To create it:\n{create}", near.join(" or ")),
    };
    Finding::error(TOPIC, format!("there is no topic {}", plan.topic), fix)
}

/// Up to three names that `name` may have been meant for, the likeliest first.
fn near_names<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let likeness = |it: &str| strsim::jaro_winkler(name, it);
    let mut near: Vec<(&str, f64)> = known
        .filter(|it| !it.starts_with("__"))
        .map(|it| (it, likeness(it)))
        .filter(|(_, likeness)| *likeness > ALIKE)
        .collect();
    near.sort_by(|a, b| b.1.total_cmp(&a.1));
    near.into_iter().take(3).map(|(it, _)| it).collect()
}

fn judge_partitions(plan: &Plan, facts: &Facts, partitions: usize) -> Finding {
    let topic = &plan.topic;
    let members = match &facts.group {
        Some(Ok(group)) => group.members.len(),
        _ => 0,
    };
    let consumers = plan.consumers.max(members);
    let fix = || {
        format!(
            "in quiet hours, since traces that are open then are judged in two parts, once; and the \
             same for the decision log's topic:\nkafka-topics.sh --bootstrap-server {} --alter \
             --topic {topic} --partitions {}",
            broker(plan),
            consumers.next_multiple_of(4).max(12)
        )
    };
    if partitions == 1 {
        let text = format!("{topic} has one partition, so one consumer does all the work");
        return Finding::warning(PARTITIONS, text, fix());
    }
    if consumers > partitions {
        let text = format!(
            "{topic} has {partitions} partitions for {consumers} consumers: the rest are idle"
        );
        return Finding::warning(PARTITIONS, text, fix());
    }
    Finding::ok(PARTITIONS, format!("{topic} has {partitions}"))
}

fn dead_letters(plan: &Plan, cluster: &Cluster, topic: &str) -> Finding {
    if cluster.topics.contains_key(topic) {
        return Finding::ok("dead letters", format!("{topic} exists"));
    }
    let settings = [("cleanup.policy", "delete"), ("retention.ms", "1209600000")];
    let create = create_command(broker(plan), topic, PARTITIONS_OF_NEW, &settings);
    let fix = format!("start a member once with --create-topics, or: {create}");
    Finding::error("dead letters", format!("there is no topic {topic} (dead_letter.topic)"), fix)
}
