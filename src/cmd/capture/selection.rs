//! Which traces are taken, when that is over, and what is told of those that may not be whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::ids::{Timestamp, TraceId};
use crate::otlp::{AttributeKeys, Scan, SplitRecord, scan};

/// How many traces that may not be whole are named.
const MOST_NAMED: usize = 5;

/// The traces that are taken.
pub(super) struct Selection {
    most: Option<usize>,
    wait: Duration,
    traces: HashMap<TraceId, Taken>,
    /// When the last trace was taken, in the time of the records.
    last_taken: Timestamp,
    /// The time of the records.
    now: Option<Timestamp>,
    records: u64,
    spans: u64,
    bytes: u64,
    found: Scan,
    keys: AttributeKeys,
}

/// What is known of a trace.
#[derive(Clone, Copy)]
struct Taken {
    has_root: bool,
    last: Timestamp,
}

impl Selection {
    /// Takes the first `most` traces, or all, and waits for the rest of them.
    pub(super) fn new(most: Option<usize>, wait: Duration) -> Self {
        Self {
            most,
            wait,
            traces: HashMap::new(),
            last_taken: Timestamp(i64::MIN),
            now: None,
            records: 0,
            spans: 0,
            bytes: 0,
            found: Scan::default(),
            keys: AttributeKeys::default(),
        }
    }

    /// True if nothing more of the traces is to be expected at `now`.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let is_full = self.most.is_some_and(|most| self.traces.len() >= most);
        is_full && now > self.after(self.last_taken)
    }

    fn after(&self, time: Timestamp) -> Timestamp {
        let wait = i64::try_from(self.wait.as_millis()).unwrap_or(i64::MAX);
        Timestamp(time.0.saturating_add(wait))
    }

    /// A record of this time was read.
    pub(super) fn clock(&mut self, now: Timestamp) {
        self.records += 1;
        self.now = self.now.max(Some(now));
    }

    /// What is written of a record that was split: all of it, or what belongs to traces that are
    /// taken.
    pub(super) fn choose<'r>(
        &mut self,
        now: Timestamp,
        record: &'r [u8],
        split: SplitRecord,
    ) -> Vec<Cow<'r, [u8]>> {
        self.clock(now);
        let is_chosen = match (&split, self.most) {
            (SplitRecord::Whole(trace), Some(_)) => self.is_wanted(*trace, now),
            (SplitRecord::Parts(_), Some(_)) => false,
            (SplitRecord::Without, most) => most.is_none(),
            (_, None) => true,
        };
        if is_chosen {
            self.note(now, record);
            return vec![Cow::Borrowed(record)];
        }
        let SplitRecord::Parts(parts) = split else { return Vec::new() };
        let mut chosen = Vec::new();
        for part in parts {
            if part.trace.is_some_and(|trace| self.is_wanted(trace, now)) {
                self.note(now, &part.bytes);
                chosen.push(Cow::Owned(part.bytes));
            }
        }
        chosen
    }

    /// True if spans of `trace` are taken: it is, or it is one of the first.
    fn is_wanted(&self, trace: TraceId, now: Timestamp) -> bool {
        debug_assert!(!self.is_over(now), "nothing is taken when it is over");
        let has_room = self.most.is_none_or(|most| self.traces.len() < most);
        has_room || self.traces.contains_key(&trace)
    }

    /// Takes note of what is written.
    fn note(&mut self, now: Timestamp, message: &[u8]) {
        self.bytes += message.len() as u64;
        // What was split can be read.
        if scan(message, &self.keys, &mut self.found).is_err() {
            return;
        }
        self.spans += self.found.spans.len() as u64;
        for span in &self.found.spans {
            let trace = self.traces.entry(span.trace_id).or_insert_with(|| {
                self.last_taken = self.last_taken.max(now);
                Taken { has_root: false, last: now }
            });
            trace.has_root |= span.is_root;
            trace.last = trace.last.max(now);
        }
    }

    /// True if no span was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.spans == 0
    }

    /// What is to be known of the capture.
    pub(super) fn report(&self, topic: &str, unread: u64) -> String {
        let (traces, Self { spans, bytes, records, .. }) = (self.traces.len(), self);
        let mut text = format!(
            "captured {traces} traces of {spans} spans in {bytes} bytes, out of {records} records \
             of {topic}"
        );
        if unread > 0 {
            let _ = write!(text, "\n{unread} records cannot be read and are left out");
        }
        if let Some(most) = self.most.filter(|most| traces < *most) {
            let _ = write!(text, "\nthe topic ends before there are {most} traces");
        }
        let end = self.now.unwrap_or(Timestamp(i64::MIN));
        self.tell(&mut text, "have no root span: they may have begun before", |it| !it.has_root);
        self.tell(&mut text, "were still coming in at the end: they may go on", |it| {
            self.after(it.last) > end
        });
        text
    }

    fn tell(&self, text: &mut String, what: &str, is_told: impl Fn(&Taken) -> bool) {
        let told = self.traces.iter().filter(|(_, taken)| is_told(taken));
        let mut told: Vec<TraceId> = told.map(|(trace, _)| *trace).collect();
        if told.is_empty() {
            return;
        }
        told.sort_unstable();
        let named: Vec<String> = told.iter().take(MOST_NAMED).map(TraceId::to_string).collect();
        let more = if told.len() > MOST_NAMED { ", ..." } else { "" };
        let _ = write!(text, "\n{} of them {what} ({}{more})", told.len(), named.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
    use prost::Message as _;

    use super::*;
    use crate::otlp::Splitter;

    /// A record of these traces; a capital is a root.
    fn record(traces: &str) -> Vec<u8> {
        let span = |letter: char| Span {
            trace_id: vec![letter.to_ascii_lowercase() as u8; 16],
            span_id: vec![1; 8],
            parent_span_id: if letter.is_uppercase() { vec![] } else { vec![2; 8] },
            ..Span::default()
        };
        let spans = traces.chars().map(span).collect();
        let scope = ScopeSpans { spans, ..ScopeSpans::default() };
        let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        TracesData { resource_spans: vec![resource] }.encode_to_vec()
    }

    /// The traces of what is written of records, each with its time in seconds, until it is over.
    fn taken(selection: &mut Selection, records: &[(i64, &str)]) -> String {
        let mut splitter = Splitter::new(usize::MAX);
        let mut taken = String::new();
        for (seconds, traces) in records {
            let now = Timestamp(seconds * 1000);
            if selection.is_over(now) {
                break;
            }
            let record = record(traces);
            let split = splitter.split(&record).unwrap();
            for message in selection.choose(now, &record, split) {
                let data = TracesData::decode(&*message).unwrap();
                let scopes = data.resource_spans.iter().flat_map(|it| &it.scope_spans);
                let ids = scopes.flat_map(|it| &it.spans).map(|span| span.trace_id[0] as char);
                taken.extend(ids);
            }
        }
        taken
    }

    const RECORDS: &[(i64, &str)] =
        &[(0, "Ab"), (10, "bc"), (20, "C"), (30, "a"), (70, "B"), (71, "a"), (90, "Ca")];

    #[test]
    fn the_first_traces_are_taken_with_all_that_comes_of_them_for_a_while() {
        let wait = Duration::from_secs(70);
        assert_eq!(taken(&mut Selection::new(None, wait), RECORDS), "abbccabaca");
        assert_eq!(taken(&mut Selection::new(Some(1), wait), RECORDS), "aa");
        let mut selection = Selection::new(Some(2), wait);
        assert_eq!(taken(&mut selection, RECORDS), "abbab");
        let report = selection.report("spans", 3);
        assert!(report.starts_with("captured 2 traces of 5 spans in "), "{report}");
        assert!(report.contains("\n3 records cannot be read"), "{report}");
        assert!(report.contains("2 of them were still coming in at the end"), "{report}");
        assert!(!report.contains("no root span"), "{report}");
    }

    #[test]
    fn what_may_not_be_whole_is_told() {
        let mut selection = Selection::new(Some(5), Duration::from_secs(15));
        assert_eq!(taken(&mut selection, &[(0, "Ab"), (10, "b"), (100, "C")]), "abbc");
        let report = selection.report("spans", 0);
        let id = |letter: &str| TraceId::from_slice(&[letter.as_bytes()[0]; 16]).unwrap();
        let told = format!("1 of them have no root span: they may have begun before ({})", id("b"));
        assert!(report.contains(&told), "{report}");
        let told =
            format!("1 of them were still coming in at the end: they may go on ({})", id("c"));
        assert!(report.contains(&told), "{report}");
        assert!(report.contains("the topic ends before there are 5 traces"), "{report}");
    }
}
