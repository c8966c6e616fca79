//! A letter as it is found on the topic, what is to become of it, and what became of it.

use std::time::SystemTime;

use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

use crate::ids::{Offset, Partition, Timestamp};
use crate::kafka::dead_letters::{
    ATTEMPTS, EXPORTER, KIND, Kind, MESSAGE, OWN_HEADERS, PARTITION, REASON, TIMESTAMP, TOPIC,
};
use crate::kafka::record_headers;
use crate::kafka::source::KeptHeaders;

/// A record of the dead-letter topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Its headers, as they are.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    /// Its time on the dead-letter topic.
    pub(super) timestamp: Option<Timestamp>,
}

/// Where a record of the dead-letter topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: Partition,
    pub(super) offset: Offset,
}

impl Found {
    pub(super) fn new(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        let headers = headers
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()));
        Self {
            headers: headers.collect(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            timestamp: message.timestamp().to_millis().map(Timestamp),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        std::str::from_utf8(value).ok()
    }

    /// Those of its headers that go along with requests, under the names that they have there.
    pub(super) fn forwarded(&self, kept: &KeptHeaders) -> Vec<u8> {
        let mut forwarded = Vec::new();
        for (name, value) in self.headers.iter().filter(|(name, _)| !name.starts_with(OWN_HEADERS))
        {
            if let Some(name) = kept.name(name) {
                record_headers::push(&mut forwarded, name, value);
            }
        }
        forwarded
    }

    /// All the headers that are not those of a letter, see [`record_headers`].
    pub(super) fn foreign_headers(&self) -> Vec<u8> {
        let mut forwarded = Vec::new();
        let foreign = self.headers.iter().filter(|(name, _)| !name.starts_with(OWN_HEADERS));
        foreign.for_each(|(name, value)| record_headers::push(&mut forwarded, name, value));
        forwarded
    }

    /// What it says it holds; `None` if it is no letter.
    pub(super) fn kind(&self) -> Option<Kind> {
        let name = self.header(KIND)?;
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) fn reason(&self) -> &str {
        self.header(REASON).unwrap_or_default()
    }

    /// Why it was refused, in a sentence.
    pub(super) fn message(&self) -> &str {
        self.header(MESSAGE).unwrap_or_default()
    }

    /// The exporter whose backend refused it.
    pub(super) fn exporter(&self) -> Option<&str> {
        self.header(EXPORTER)
    }

    /// How often it was refused.
    pub(super) fn attempts(&self) -> u32 {
        self.header(ATTEMPTS).and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// The topic that it was read from.
    pub(super) fn topic(&self) -> Option<&str> {
        self.header(TOPIC)
    }

    /// The partition that it was read from.
    pub(super) fn partition(&self) -> Option<Partition> {
        self.header(PARTITION)?.parse().ok().map(Partition)
    }

    /// When it was refused.
    fn refused_at(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339_weak(self.header(TIMESTAMP)?).ok()
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        length(&self.key) + length(&self.value)
    }
}

/// What is asked for on the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    /// Only what was refused at this time or later.
    pub(super) since: Option<SystemTime>,
    /// Only these reasons; all of them if it is empty.
    pub(super) reasons: Vec<String>,
    /// The topic that records go to, if not to that of the members.
    pub(super) to: Option<String>,
    /// The topic that members read.
    pub(super) input: String,
    /// The exporters that there are.
    pub(super) exporters: Vec<String>,
}

/// Where a letter goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// To a topic, to be judged: the partition it came from, or that of its key.
    Topic(Option<Partition>),
    /// To the exporters at these places: it was judged already.
    Exporters(Vec<usize>),
    /// It was not asked for: to the end of the dead-letter topic, as it is.
    Left,
    /// It is of another input topic, and stays where it is.
    Elsewhere,
    /// It cannot be fed back: to the end of the dead-letter topic, as it is.
    Stuck(String),
    /// It is no letter, and stays where it is.
    NoLetter,
}

impl Wanted {
    /// The topic that records go to.
    pub(super) fn target(&self) -> &str {
        self.to.as_deref().unwrap_or(&self.input)
    }

    /// Where a letter goes. `partitions` is how many the topic has that records go to.
    pub(super) fn course(&self, found: &Found, partitions: usize) -> Course {
        let Some(kind) = found.kind() else { return Course::NoLetter };
        if self.to.is_none() && found.topic().is_some_and(|topic| topic != self.input) {
            return Course::Elsewhere;
        }
        if !self.selects(found) {
            return Course::Left;
        }
        match (kind, found.exporter()) {
            (Kind::Record | Kind::Spans, _) => {
                // Another topic may place a key elsewhere.
                let is_same = found.topic() == Some(self.target());
                let is_there = |partition: &Partition| {
                    usize::try_from(partition.0).is_ok_and(|partition| partition < partitions)
                };
                Course::Topic(found.partition().filter(|at| is_same && is_there(at)))
            }
            (Kind::Refused, None) => Course::Exporters((0..self.exporters.len()).collect()),
            (Kind::Refused, Some(name)) => {
                match self.exporters.iter().position(|exporter| exporter == name) {
                    Some(place) => Course::Exporters(vec![place]),
                    None => Course::Stuck(format!("there is no exporter {name} any more")),
                }
            }
        }
    }

    fn selects(&self, found: &Found) -> bool {
        let is_recent = match (self.since, found.refused_at()) {
            (Some(since), Some(at)) => at >= since,
            _ => true,
        };
        let of_reason = |reason: &String| reason == found.reason();
        is_recent && (self.reasons.is_empty() || self.reasons.iter().any(of_reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[(&str, &str)]) -> Found {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec());
        Found { headers: headers.iter().map(own).collect(), ..Found::default() }
    }

    fn wanted() -> Wanted {
        let exporters = vec!["tempo".to_owned(), "archive".to_owned()];
        Wanted { input: "spans".to_owned(), exporters, ..Wanted::default() }
    }

    fn record(more: &[(&str, &str)]) -> Found {
        let mut headers = vec![(KIND, "record"), (REASON, "json"), (TOPIC, "spans")];
        headers.extend(more);
        found(&headers)
    }

    #[test]
    fn records_go_where_they_came_from_if_that_is_still_there() {
        let course = |wanted: &Wanted, partition, partitions| {
            wanted.course(&record(&[(PARTITION, partition)]), partitions)
        };
        assert_eq!(course(&wanted(), "3", 4), Course::Topic(Some(Partition(3))));
        assert_eq!(course(&wanted(), "4", 4), Course::Topic(None));
        assert_eq!(course(&wanted(), "-1", 4), Course::Topic(None));
        let other = Wanted { to: Some("mended".to_owned()), ..wanted() };
        assert_eq!(course(&other, "3", 4), Course::Topic(None));
    }

    #[test]
    fn what_was_judged_goes_to_the_exporter_that_did_not_deliver_it_and_to_no_topic() {
        let refused = |more: &[(&str, &str)]| {
            let mut headers = vec![(KIND, "refused"), (TOPIC, "spans"), (PARTITION, "1")];
            headers.extend(more);
            wanted().course(&found(&headers), 4)
        };
        assert_eq!(refused(&[(EXPORTER, "archive")]), Course::Exporters(vec![1]));
        assert_eq!(refused(&[]), Course::Exporters(vec![0, 1]));
        assert!(
            matches!(refused(&[(EXPORTER, "gone")]), Course::Stuck(why) if why.contains("gone"))
        );
    }

    #[test]
    fn only_what_is_asked_for_is_fed_back() {
        let at = |time| record(&[(TIMESTAMP, time)]);
        let since = humantime::parse_rfc3339_weak("2026-05-01 12:00:00").ok();
        let wanted = Wanted { since, reasons: vec!["json".into(), "malformed".into()], ..wanted() };
        let course = |found: &Found| wanted.course(found, 4);
        assert_eq!(course(&at("2026-05-01T12:00:00.000Z")), Course::Topic(None));
        assert_eq!(course(&at("2026-05-01T11:59:59.999Z")), Course::Left);
        let other = found(&[(KIND, "record"), (REASON, "too_large"), (TOPIC, "spans")]);
        assert_eq!(course(&other), Course::Left);
        assert_eq!(course(&found(&[])), Course::NoLetter);
        assert_eq!(course(&found(&[(KIND, "novelty")])), Course::NoLetter);
    }

    #[test]
    fn letters_of_another_topic_stay_unless_a_topic_is_named() {
        let other = found(&[(KIND, "record"), (TOPIC, "other"), (PARTITION, "1")]);
        assert_eq!(wanted().course(&other, 4), Course::Elsewhere);
        let to = Wanted { to: Some("other".to_owned()), ..wanted() };
        assert_eq!(to.course(&other, 4), Course::Topic(Some(Partition(1))));
    }

    #[test]
    fn requests_get_only_the_headers_that_are_forwarded_and_topics_get_all() {
        let letter = record(&[("x-scope-orgid", "blue"), ("traceparent", "00-1"), ("Host", "a")]);
        let pairs = |forwarded: &[u8]| -> Vec<(String, Vec<u8>)> {
            let pairs = record_headers::iter(forwarded);
            pairs.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
        };
        let kept = KeptHeaders::Named(vec!["X-Scope-OrgID".to_owned()]);
        let forwarded = pairs(&letter.forwarded(&kept));
        assert_eq!(forwarded, [("X-Scope-OrgID".to_owned(), b"blue".to_vec())]);
        assert!(letter.forwarded(&KeptHeaders::None).is_empty());
        let all: Vec<String> =
            pairs(&letter.foreign_headers()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(all, ["x-scope-orgid", "traceparent", "Host"]);
    }

    #[test]
    fn a_letter_says_how_often_it_was_refused() {
        assert_eq!(record(&[(ATTEMPTS, "7")]).attempts(), 7);
        assert_eq!(record(&[]).attempts(), 1);
    }
}
