//! The text that is stored with a committed offset, so that the next owner of the partition goes on
//! from the same state. Kafka stores up to 4 kB of text with each (`OffsetCommit`).

use crate::ids::{Position, Timestamp, TopicId};

/// The version of the format.
const VERSION: &str = "tailsieve-1";

/// The state from which the next owner goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitMetadata {
    /// The partition's clock at the committed position.
    pub clock: Option<Timestamp>,
    /// From where the decision log has to be read back.
    pub log: Option<Position>,
    /// The id of the topic whose offset was committed: a recreated topic has other offsets.
    pub topic: Option<TopicId>,
}

impl CommitMetadata {
    /// The text to commit.
    pub fn to_text(self) -> String {
        let mut text = VERSION.to_owned();
        if let Some(clock) = self.clock {
            text.push_str(&format!(" clock={}", clock.0));
        }
        if let Some(log) = self.log {
            text.push_str(&format!(" log={}", log.0));
        }
        if let Some(topic) = self.topic {
            text.push_str(&format!(" topic={topic}"));
        }
        text
    }

    /// Reads such a text. What is not understood is left out.
    pub fn of_text(text: &str) -> Self {
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some(VERSION) {
            return Self::default();
        }
        let mut metadata = Self::default();
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "clock" => metadata.clock = value.parse().ok().map(Timestamp),
                "log" => metadata.log = value.parse().ok().filter(|log| *log >= 0).map(Position),
                "topic" => metadata.topic = value.parse().ok(),
                _ => {}
            }
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            clock in any::<Option<i64>>(),
            log in prop::option::of(0..i64::MAX),
            topic in any::<u128>(),
        ) {
            let (clock, log) = (clock.map(Timestamp), log.map(Position));
            let metadata = CommitMetadata { clock, log, topic: TopicId::from_bits(topic) };
            prop_assert_eq!(CommitMetadata::of_text(&metadata.to_text()), metadata);
        }

        #[test]
        fn anything_can_be_read(text in ".*", rest in ".*") {
            let _ = CommitMetadata::of_text(&text);
            let _ = CommitMetadata::of_text(&format!("{VERSION} {rest}"));
        }
    }

    #[test]
    fn what_others_wrote_is_passed_over() {
        assert_eq!(CommitMetadata::of_text(""), CommitMetadata::default());
        assert_eq!(CommitMetadata::of_text("clock=5"), CommitMetadata::default());
        let more = CommitMetadata::of_text("tailsieve-1 clock=5 later=7 log=-2 topic=x nonsense");
        assert_eq!(more, CommitMetadata { clock: Some(Timestamp(5)), ..CommitMetadata::default() });
    }
}
