//! What goes with a committed offset, so that the next owner of the partition goes on as if it had
//! been the owner all the time: Kafka keeps up to 4 kB of text with each (`OffsetCommit`).

use crate::ids::{Position, Timestamp};

/// Names the form of the text.
const VERSION: &str = "tailsieve-1";

/// What to go on with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The partition's clock at the committed position.
    pub clock: Option<Timestamp>,
    /// From where the decision log has to be read back.
    pub log: Option<Position>,
}

impl Resume {
    /// As the text that goes with an offset.
    pub fn to_text(self) -> String {
        let mut text = VERSION.to_owned();
        if let Some(clock) = self.clock {
            text.push_str(&format!(" clock={}", clock.0));
        }
        if let Some(log) = self.log {
            text.push_str(&format!(" log={}", log.0));
        }
        text
    }

    /// Out of such a text; whatever is not understood is not known.
    pub fn of_text(text: &str) -> Self {
        let mut words = text.split_ascii_whitespace();
        if words.next() != Some(VERSION) {
            return Self::default();
        }
        let mut resume = Self::default();
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let Ok(value) = value.parse::<i64>() else { continue };
            match key {
                "clock" => resume.clock = Some(Timestamp(value)),
                "log" if value >= 0 => resume.log = Some(Position(value)),
                _ => {}
            }
        }
        resume
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(clock in any::<Option<i64>>(), log in prop::option::of(0..i64::MAX)) {
            let resume = Resume { clock: clock.map(Timestamp), log: log.map(Position) };
            prop_assert_eq!(Resume::of_text(&resume.to_text()), resume);
        }

        #[test]
        fn anything_can_be_read(text in ".*", rest in ".*") {
            let _ = Resume::of_text(&text);
            let _ = Resume::of_text(&format!("{VERSION} {rest}"));
        }
    }

    #[test]
    fn what_others_wrote_is_passed_over() {
        assert_eq!(Resume::of_text(""), Resume::default());
        assert_eq!(Resume::of_text("clock=5"), Resume::default());
        let more = Resume::of_text("tailsieve-1 clock=5 later=7 log=-2 nonsense");
        assert_eq!(more, Resume { clock: Some(Timestamp(5)), log: None });
    }
}
