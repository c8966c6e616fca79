//! Where an exporter with `protocol: kafka` writes.

use super::super::reader::Section;
use super::super::{kafka, values};
use super::{Context, pasted};
use crate::export::KafkaTarget;

/// Reads the topic, and the cluster if it is another one than the spans come from. How to log in
/// there is told there, lest one cluster gets to see the passwords of another.
pub(super) fn target(section: &mut Section<'_>, context: Context<'_>) -> KafkaTarget {
    let topic = pasted::topic(section).unwrap_or_default();
    let brokers = section.optional("brokers", |node| {
        let brokers = values::list(values::name)(node)?;
        Ok(brokers.join(","))
    });
    let properties = section.node("properties");
    let properties = properties.map(|node| kafka::properties(node, false, context.problems));
    let source = context.source;
    if topic == source.topic && brokers.as_ref().is_none_or(|brokers| *brokers == source.brokers) {
        let message = "`topic` is the one that spans are read from: they would go in circles";
        section.problem(message, "topic: otlp_spans_kept");
    }
    match brokers {
        Some(brokers) => KafkaTarget { brokers, topic, properties: properties.unwrap_or_default() },
        None => KafkaTarget {
            brokers: source.brokers.clone(),
            topic,
            properties: properties.unwrap_or_else(|| source.properties.clone()),
        },
    }
}
