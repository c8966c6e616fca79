//! The dead-letter topic: what was refused, and still is there.

use std::collections::{HashMap, HashSet};

use rdkafka::Message as _;
use rdkafka::message::{Headers as _, OwnedMessage};
use tailsieve::testing::ids::{SpanId, TraceId};

use crate::book::{decode, ids, spans};
use crate::support::{Kafka, Topic};

/// A dead-letter topic for a topic.
pub fn dead_letters_of(kafka: &Kafka, topic: &str) -> Topic {
    kafka.topic_named(&format!("{topic}_dead"), 3, &[("max.message.bytes", "16777216")])
}

/// What the letters hold, each once however often it was written.
#[derive(Debug, Default)]
pub struct Letters {
    /// Partition and offset of whole records.
    pub records: HashSet<(i32, i64)>,
    /// Spans of traces that a backend refused for good.
    pub spans: HashMap<TraceId, HashSet<SpanId>>,
}

impl Letters {
    /// Reads letters.
    pub fn read(letters: &[OwnedMessage]) -> Self {
        let mut all = Self::default();
        for letter in letters {
            match header(letter, "tailsieve.kind").as_deref() {
                Some("record") => {
                    let number = |name| header(letter, name).and_then(|text| text.parse().ok());
                    let partition = number("tailsieve.partition").expect("a partition");
                    let offset = number("tailsieve.offset").expect("an offset");
                    all.records.insert((i32::try_from(partition).unwrap(), offset));
                }
                Some("refused") => {
                    let request = decode(letter.payload().unwrap_or_default());
                    for (trace, span) in spans(&request).map(ids) {
                        all.spans.entry(trace).or_default().insert(span);
                    }
                }
                other => panic!("a letter of kind {other:?}, and nothing of that kind was written"),
            }
        }
        all
    }

    /// Whether a span is in a letter.
    pub fn holds(&self, trace: TraceId, span: SpanId) -> bool {
        self.spans.get(&trace).is_some_and(|spans| spans.contains(&span))
    }
}

fn header(letter: &OwnedMessage, name: &str) -> Option<String> {
    let mut headers = letter.headers()?.iter();
    let header = headers.find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(header.value?).into_owned())
}
