//! The ledger of what was written against the book of what arrived.

use std::collections::BTreeSet;
use std::fmt;

use tailsieve::testing::ids::TraceId;
use tailsieve::testing::testbed::ledger::{Ledger, SpanEntry, TraceEntry};

use crate::book::{Arrived, Book};
use crate::decisions::{Decision, Decisions};
use crate::disturbance::Disturbance;
use crate::letters::Letters;
use crate::rules::{Rules, is_version_of};

/// How many traces with a defect are named.
const EXAMPLES: usize = 8;

/// What a run came to. Of spans each is counted once, unless a field says otherwise.
#[derive(Debug, Default)]
pub struct Verdict {
    pub traces: u64,
    pub spans: u64,
    pub expected_traces: u64,
    pub delivered_traces: u64,
    pub delivered_spans: u64,
    /// Expected traces of which nothing came, and spans that did not come, without late ones.
    pub missing_traces: u64,
    pub missing_spans: u64,
    /// Traces of which something came and something did not, without late spans.
    pub partial_traces: u64,
    /// Traces that came although the policies drop them.
    pub extra_traces: u64,
    /// Spans that came and were never written.
    pub unknown_spans: u64,
    /// Late spans of expected traces that did not come.
    pub late_missing: u64,
    /// Late spans of expected traces.
    pub late_spans: u64,
    /// Traces whose spans name different policies: they were judged twice.
    pub judged_twice: u64,
    /// Traces whose spans name a policy that does not keep them.
    pub misjudged: u64,
    /// Traces of which the backend refused something for good, and spans that are not there for it.
    pub refused_traces: u64,
    pub refused_spans: u64,
    /// Deliveries of spans beyond how often they were written.
    pub duplicates: u64,
    /// The most that there could be: for each span its deliveries of which the member may not have
    /// heard, and its owners that could not know of any.
    pub duplicates_bound: u64,
    /// Duplicates of spans above that.
    pub duplicates_without_cause: u64,
    /// Requests that were taken and not acknowledged.
    pub unacknowledged: u64,
    /// All deliveries of spans.
    pub deliveries: u64,
    /// How often a committed offset was seen to go back; no fault, but more to read again.
    pub committed_lower: u64,
    /// What the decision log says of the traces that were written; none without one.
    pub log: Option<LogVerdict>,
    /// What else was wrong.
    pub complaints: Vec<String>,
    pub examples: Vec<(TraceId, &'static str)>,
}

/// The decision log against the ledger and the book, in traces.
#[derive(Debug, Default)]
pub struct LogVerdict {
    /// The log says nothing of them.
    pub undecided: u64,
    /// It says different things of them, each in the name of who owned the partition.
    pub judged_twice: u64,
    /// It does not say what the policies say.
    pub misjudged: u64,
    /// Their spans name another policy than the log.
    pub misnamed: u64,
    /// It says that they were re-opened, or kept on request, and they had no reason; or the other way round.
    pub wrongly_taken_back: u64,
    /// They were dropped, and re-opened.
    pub reopened: u64,
    /// They were dropped, and kept since somebody asked for them.
    pub restored: u64,
    /// They were kept, and it does not say that they were delivered: no fault. Who delivered them
    /// may have been killed before it could say so, and have let go of their records before.
    pub undelivered: u64,
    /// Records of owners that somebody had followed: no fault.
    pub superseded: u64,
}

impl LogVerdict {
    /// What must not be, with its number.
    fn defects(&self) -> [(u64, &'static str); 5] {
        [
            (self.undecided, "traces are not in the decision log"),
            (self.judged_twice, "traces were judged twice by the decision log"),
            (self.misjudged, "traces were misjudged by the decision log"),
            (self.misnamed, "traces name another policy than the decision log"),
            (
                self.wrongly_taken_back,
                "traces were re-opened or restored, or not, without a reason",
            ),
        ]
    }
}

impl Verdict {
    /// Holds the decision log against ledger and book.
    pub fn read_log(&mut self, ledger: &Ledger, book: &Book, log: &Decisions, rules: &Rules) {
        let mut verdict = LogVerdict { superseded: log.superseded, ..LogVerdict::default() };
        let nobody = BTreeSet::new();
        for (id, trace) in &ledger.traces {
            let Some(said) = log.traces.get(id) else {
                verdict.undecided += 1;
                self.example(*id, "not in the decision log");
                continue;
            };
            if said.decisions.len() > 1 || said.reopened.len() > 1 || said.restored.len() > 1 {
                verdict.judged_twice += 1;
                self.example(*id, "judged twice by the decision log");
            }
            let at_once = rules.kept_at_once_by(trace);
            let is_right = |decision: &Decision, by: Option<&str>| match by {
                Some(policy) => decision.is_kept && is_version_of(&decision.policy, policy),
                None => !decision.is_kept,
            };
            let late = rules.reopened_by(trace);
            if !said.decisions.iter().all(|it| is_right(it, at_once))
                || !said.reopened.iter().all(|it| is_right(it, late))
            {
                verdict.misjudged += 1;
                self.example(*id, "misjudged by the decision log");
            }
            let (reopened, restored) = (!said.reopened.is_empty(), !said.restored.is_empty());
            if !rules.may_be_taken_back(*id, trace, (reopened, restored)) {
                verdict.wrongly_taken_back += 1;
                self.example(*id, "re-opened or restored, or not, without a reason");
            }
            verdict.reopened += u64::from(reopened);
            verdict.restored += u64::from(restored);
            let named = book.traces.get(id).map_or(&nobody, |arrived| &arrived.policies);
            let all = || said.decisions.iter().chain(&said.reopened);
            let is_said = |policy: &String| all().any(|it| it.policy == *policy);
            if !named.iter().all(is_said) {
                verdict.misnamed += 1;
                self.example(*id, "delivered with another policy than the decision log says");
            }
            if !rules.kept_by(*id, trace).is_empty() && !said.is_delivered() {
                verdict.undelivered += 1;
            }
        }
        self.log = Some(verdict);
    }

    /// Holds the book against the ledger.
    pub fn new(ledger: &Ledger, book: &Book, letters: Option<&Letters>, rules: &Rules) -> Self {
        let mut verdict = Self {
            traces: ledger.traces.len() as u64,
            spans: ledger.span_count(),
            delivered_traces: book.traces.len() as u64,
            refused_traces: book.refused.len() as u64,
            unacknowledged: book.deliveries.iter().filter(|it| !it.is_acknowledged).count() as u64,
            deliveries: book.deliveries.iter().map(|delivery| delivery.spans).sum(),
            ..Self::default()
        };
        let nothing = Arrived::default();
        for (id, trace) in &ledger.traces {
            let arrived = book.traces.get(id).unwrap_or(&nothing);
            let is_there = |span: &SpanEntry| match book.refused.contains(id) {
                // Without letters, what a backend refused is nowhere, and that is its doing.
                true => letters.is_none_or(|letters| letters.holds(*id, span.span_id)),
                false => false,
            };
            verdict.judge(*id, trace, arrived, &rules.kept_by(*id, trace), is_there);
        }
        let unknown = book.traces.iter().filter(|(id, _)| !ledger.traces.contains_key(*id));
        for (id, arrived) in unknown {
            verdict.unknown_spans += arrived.spans.len() as u64;
            verdict.example(*id, "never written");
        }
        verdict
    }

    fn judge(
        &mut self,
        id: TraceId,
        trace: &TraceEntry,
        arrived: &Arrived,
        kept_by: &[&str],
        is_refused: impl Fn(&SpanEntry) -> bool,
    ) {
        let is_known = |span| trace.spans.iter().any(|entry| entry.span_id == span);
        let unknown = arrived.spans.keys().filter(|span| !is_known(**span)).count();
        self.unknown_spans += unknown as u64;
        self.delivered_spans += arrived.spans.len() as u64;
        if kept_by.is_empty() {
            if !arrived.spans.is_empty() {
                self.extra_traces += 1;
                self.example(id, "not kept, and delivered");
            }
            return;
        }
        self.expected_traces += 1;
        let missing = trace.spans.iter().filter(|span| !arrived.spans.contains_key(&span.span_id));
        let (refused, missing): (Vec<_>, Vec<_>) = missing.partition(|span| is_refused(span));
        self.refused_spans += refused.len() as u64;
        let missing = missing.into_iter();
        let (late, missing): (Vec<_>, Vec<_>) = missing.partition(|span| span.late);
        self.late_spans += trace.spans.iter().filter(|span| span.late).count() as u64;
        self.count_missing(id, late.len() as u64, missing.len() as u64, arrived);
        let may_follow_a_request = kept_by.len() > 1;
        let is_judgement = |name: &&String| !name.is_empty() || !may_follow_a_request;
        if arrived.policies.iter().filter(is_judgement).count() > 1 {
            self.judged_twice += 1;
            self.example(id, "judged twice");
        }
        let names = |name: &String| kept_by.iter().any(|policy| is_version_of(name, policy));
        if !arrived.policies.iter().all(names) {
            self.misjudged += 1;
            self.example(id, "kept by another policy");
        }
    }

    fn count_missing(&mut self, id: TraceId, late: u64, missing: u64, arrived: &Arrived) {
        self.late_missing += late;
        self.missing_spans += missing;
        match (missing, arrived.spans.is_empty()) {
            (0, _) if late > 0 => self.example(id, "late spans are missing"),
            (0, _) => {}
            (_, true) => {
                self.missing_traces += 1;
                self.example(id, "missing");
            }
            (_, false) => {
                self.partial_traces += 1;
                self.example(id, "delivered in part");
            }
        }
    }

    /// Counts what came more often than it was written, and asks for the cause: an earlier delivery
    /// whose answer the member may not have heard, or an owner that could not know of it, since it
    /// was not on record yet when that owner began.
    pub fn count_duplicates(
        &mut self,
        ledger: &Ledger,
        book: &Book,
        log: &Decisions,
        unheard: &[Disturbance],
    ) {
        let may_repeat = book.deliveries.iter().map(|delivery| {
            let touches = |it: &Disturbance| it.touches(delivery.slot, delivery.at);
            !delivery.is_acknowledged || unheard.iter().any(touches)
        });
        let may_repeat: Vec<bool> = may_repeat.collect();
        for (id, trace) in &ledger.traces {
            let Some(arrived) = book.traces.get(id) else { continue };
            for span in &trace.spans {
                let Some(deliveries) = arrived.spans.get(&span.span_id) else { continue };
                let copies = span.copies as usize;
                let duplicates = deliveries.len().saturating_sub(copies) as u64;
                let (_, earlier) = deliveries.split_last().expect("it was delivered");
                let unheard = earlier.iter().filter(|number| may_repeat[**number as usize]);
                let hand_overs = log.traces.get(id).map_or(0, |said| said.hand_overs(span.late));
                let most = unheard.count() as u64 + u64::from(span.copies * hand_overs);
                self.duplicates += duplicates;
                self.duplicates_bound += most;
                if duplicates > most {
                    self.duplicates_without_cause += duplicates - most;
                    self.example(*id, "delivered twice without a cause");
                }
            }
        }
    }

    fn example(&mut self, id: TraceId, defect: &'static str) {
        let alike = self.examples.iter().filter(|(_, other)| *other == defect).count();
        if alike < EXAMPLES {
            self.examples.push((id, defect));
        }
    }

    /// What must not be whatever was read twice, or from the middle: nothing may be missing.
    pub fn losses(&self) -> Vec<String> {
        let missing = [
            (self.missing_traces, "traces are missing"),
            (self.missing_spans, "spans are missing"),
            (self.partial_traces, "traces were delivered in part"),
            (self.unknown_spans, "spans were never written"),
        ];
        let wrong = missing.iter().filter(|(count, _)| *count > 0);
        let losses = wrong.map(|(count, what)| format!("{count} {what}"));
        losses.chain(self.complaints.iter().cloned()).collect()
    }

    /// What must not be; nothing after a good run. `strict`: with a decision log.
    pub fn defects(&self, strict: bool) -> Vec<String> {
        let always = [
            (self.missing_traces, "traces are missing"),
            (self.missing_spans, "spans are missing"),
            (self.partial_traces, "traces were delivered in part"),
            (self.extra_traces, "dropped traces were delivered"),
            (self.unknown_spans, "spans were never written"),
            (self.duplicates_without_cause, "duplicates have no cause"),
        ];
        let final_and_whole = [
            (self.late_missing, "late spans are missing"),
            (self.judged_twice, "traces were judged twice"),
            (self.misjudged, "traces were kept by another policy"),
        ];
        let asked = always.iter().chain(final_and_whole.iter().filter(|_| strict));
        let of_log = self.log.iter().flat_map(LogVerdict::defects);
        let asked = asked.copied().chain(of_log);
        let wrong = asked.filter(|(count, _)| *count > 0);
        let mut defects: Vec<String> = wrong.map(|(n, what)| format!("{n} {what}")).collect();
        if self.expected_traces < 500 {
            defects.push(format!("only {} traces to lose", self.expected_traces));
        }
        defects.extend(self.complaints.iter().cloned());
        defects
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("written", self.traces, "traces"),
            ("", self.spans, "spans"),
            ("expected", self.expected_traces, "traces"),
            ("", self.late_spans, "late spans of these"),
            ("delivered", self.delivered_traces, "traces"),
            ("", self.delivered_spans, "spans"),
            ("", self.deliveries, "spans, each as often as it came"),
            ("missing", self.missing_traces, "traces"),
            ("", self.missing_spans, "spans"),
            ("", self.late_missing, "late spans"),
            ("delivered in part", self.partial_traces, "traces"),
            ("not expected", self.extra_traces, "traces"),
            ("", self.unknown_spans, "spans"),
            ("judged twice", self.judged_twice, "traces"),
            ("another policy", self.misjudged, "traces"),
            ("refused for good", self.refused_traces, "traces"),
            ("", self.refused_spans, "spans that are not there for it"),
            ("not acknowledged", self.unacknowledged, "requests that were taken"),
            ("duplicates", self.duplicates, "deliveries of spans"),
            ("without a cause", self.duplicates_without_cause, "of these"),
            ("committed", self.committed_lower, "times an offset that was lower than before"),
            ("bound of duplicates", self.duplicates_bound, "answers or records that may be missed"),
        ];
        for (label, count, unit) in rows {
            writeln!(f, "{label:<18}{count:>12}  {unit}")?;
        }
        if let Some(log) = &self.log {
            for (count, what) in log.defects() {
                writeln!(f, "{:<18}{count:>12}  {what}", "decision log")?;
            }
            writeln!(f, "{:<18}{:>12}  dropped, and re-opened", "", log.reopened)?;
            writeln!(f, "{:<18}{:>12}  dropped, and kept on request", "", log.restored)?;
            writeln!(f, "{:<18}{:>12}  kept, and not on record as delivered", "", log.undelivered)?;
            writeln!(f, "{:<18}{:>12}  records of superseded owners", "", log.superseded)?;
        }
        for complaint in &self.complaints {
            writeln!(f, "complaint: {complaint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tailsieve::testing::ids::SpanId;
    use tailsieve::testing::testbed::ledger::SpanFact;

    use super::*;
    use crate::book::Delivery;
    use crate::decisions::Said;

    /// A trace with an error is number 1, one that is dropped number 2.
    fn id(number: u8) -> TraceId {
        // The low 56 bits are what the probabilistic policy goes by: none of these passes.
        let mut bytes = [0; 16];
        bytes[0] = number;
        TraceId::from_slice(&bytes).unwrap()
    }

    fn rules() -> Rules {
        Rules { quick: true, ..Rules::default() }
    }

    fn span(number: u8) -> SpanId {
        SpanId::from_slice(&[number; 8]).unwrap()
    }

    /// Two traces with the spans 1 and 2, and the late one 3.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for (trace, number) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)] {
            ledger.record(&[SpanFact {
                trace_id: id(trace),
                span_id: span(number),
                start_unix_nano: 1,
                end_unix_nano: 2,
                error: trace == 1,
                root: number == 1,
                late: number == 3,
                service: "a",
                randomness: id(trace).randomness(),
            }]);
        }
        ledger
    }

    /// Deliveries of a trace, each of some spans at a second.
    fn book(deliveries: &[(u8, &[u8], u64)]) -> Book {
        let mut book = Book::default();
        for (number, (trace, spans, second)) in (0..).zip(deliveries) {
            let arrived = book.traces.entry(id(*trace)).or_default();
            arrived.policies.insert("errors-v0".to_owned());
            for it in *spans {
                arrived.spans.entry(span(*it)).or_default().push(number);
            }
            let (at, spans) = (Duration::from_secs(*second), spans.len() as u64);
            book.deliveries.push(Delivery { at, slot: 0, is_acknowledged: true, spans });
        }
        book
    }

    fn defects(book: &Book) -> Vec<String> {
        let verdict = Verdict::new(&ledger(), book, None, &rules());
        let mut defects = verdict.defects(true);
        // There are only two traces.
        defects.retain(|defect| !defect.ends_with("traces to lose"));
        defects
    }

    #[test]
    fn all_that_is_kept_and_nothing_else_is_right() {
        assert!(defects(&book(&[(1, &[1, 2, 3], 0)])).is_empty());
        assert!(defects(&book(&[(1, &[1, 2], 0), (1, &[3], 15)])).is_empty());
    }

    #[test]
    fn what_is_missing_or_too_much_is_found() {
        let missing = ["1 traces are missing", "2 spans are missing", "1 late spans are missing"];
        assert_eq!(defects(&Book::default()), missing);
        let part = ["1 spans are missing", "1 traces were delivered in part"];
        assert_eq!(defects(&book(&[(1, &[1, 3], 0)])), part);
        assert_eq!(defects(&book(&[(1, &[1, 2], 0)])), ["1 late spans are missing"]);
        let dropped = book(&[(1, &[1, 2, 3], 0), (2, &[3], 1)]);
        assert_eq!(defects(&dropped), ["1 dropped traces were delivered"]);
        let unknown = book(&[(1, &[1, 2, 3, 4], 0)]);
        assert_eq!(defects(&unknown), ["1 spans were never written"]);
        let mut refused = Book::default();
        refused.refused.insert(id(1));
        assert!(defects(&refused).is_empty(), "that is the backend's doing");
        let letters = Letters { spans: [(id(1), [span(2)].into())].into(), ..Letters::default() };
        let verdict = Verdict::new(&ledger(), &refused, Some(&letters), &rules());
        assert_eq!((verdict.missing_spans, verdict.refused_spans), (1, 1));
    }

    #[test]
    fn a_dropped_trace_of_which_a_span_fails_late_is_whole_in_the_end() {
        let mut ledger = ledger();
        ledger.traces.get_mut(&id(2)).unwrap().late_error = true;
        let defects = |book: &Book, reopened: bool| {
            let dropped = Decision { is_kept: false, policy: String::new(), threshold: 0 };
            let kept = Decision { is_kept: true, policy: "errors-v0".to_owned(), threshold: 0 };
            let said = |decision: &Decision| Said {
                decisions: [decision.clone()].into(),
                delivered_in: Some((0, 0)),
                ..Said::default()
            };
            let mut late = said(&dropped);
            late.reopened = [kept.clone()].into_iter().filter(|_| reopened).collect();
            let traces = [(id(1), said(&kept)), (id(2), late)];
            let log = Decisions { traces: traces.into(), ..Decisions::default() };
            let mut verdict = Verdict::new(&ledger, book, None, &rules());
            verdict.read_log(&ledger, book, &log, &rules());
            let mut defects = verdict.defects(true);
            defects.retain(|defect| !defect.ends_with("traces to lose"));
            defects
        };
        let whole = book(&[(1, &[1, 2, 3], 0), (2, &[1, 2, 3], 15)]);
        assert_eq!(defects(&whole, true), [""; 0]);
        let late_alone = book(&[(1, &[1, 2, 3], 0), (2, &[3], 15)]);
        let part = ["2 spans are missing", "1 traces were delivered in part"];
        assert_eq!(defects(&late_alone, true), part);
        let unsaid = [
            "1 traces name another policy than the decision log",
            "1 traces were re-opened or restored, or not, without a reason",
        ];
        assert_eq!(defects(&whole, false), unsaid);
    }

    #[test]
    fn a_dropped_trace_that_somebody_asked_for_is_whole_in_the_end() {
        let asked_for = Rules { asked_for: [id(2)].into(), ..rules() };
        let defects = |spans: &[u8], policy: &str, requests: &[i64], rules: &Rules| {
            let mut book = book(&[(1, &[1, 2, 3], 0), (2, spans, 15)]);
            if spans.is_empty() {
                book.traces.remove(&id(2));
            } else {
                book.traces.get_mut(&id(2)).unwrap().policies = [policy.to_owned()].into();
            }
            let decided = |is_kept, policy: &str| Said {
                decisions: [Decision { is_kept, policy: policy.to_owned(), threshold: 0 }].into(),
                delivered_in: Some((0, 0)),
                ..Said::default()
            };
            let restored = requests.iter().copied().collect();
            let dropped = Said { restored, ..decided(false, "") };
            let traces = [(id(1), decided(true, "errors-v0")), (id(2), dropped)];
            let log = Decisions { traces: traces.into(), ..Decisions::default() };
            let mut verdict = Verdict::new(&ledger(), &book, None, rules);
            verdict.read_log(&ledger(), &book, &log, rules);
            let mut defects = verdict.defects(true);
            defects.retain(|defect| !defect.ends_with("traces to lose"));
            defects
        };
        assert_eq!(defects(&[1, 2, 3], "", &[9], &asked_for), [""; 0]);
        assert_eq!(defects(&[1, 2], "", &[9], &asked_for), ["1 late spans are missing"]);
        let part = ["1 spans are missing", "1 traces were delivered in part"];
        assert_eq!(defects(&[1, 3], "", &[9], &asked_for), part);
        let twice = ["1 traces were judged twice by the decision log"];
        assert_eq!(defects(&[1, 2, 3], "", &[9, 12], &asked_for), twice);
        let without = "1 traces were re-opened or restored, or not, without a reason";
        let nothing = ["1 traces are missing", "2 spans are missing", "1 late spans are missing"];
        assert_eq!(defects(&[], "", &[], &asked_for), [&nothing[..], &[without]].concat());
        let unasked = ["1 dropped traces were delivered", without];
        assert_eq!(defects(&[1, 2, 3], "", &[9], &rules()), unasked);
        let named = [
            "1 traces were kept by another policy",
            "1 traces name another policy than the decision log",
        ];
        assert_eq!(defects(&[1, 2, 3], "quick-v0", &[9], &asked_for), named);

        let (mut trace, was) = (ledger().traces[&id(2)].clone(), [(true, true), (true, false)]);
        let may_be =
            |trace: &TraceEntry| was.map(|was| asked_for.may_be_taken_back(id(2), trace, was));
        assert_eq!(may_be(&trace), [false; 2]);
        trace.late_error = true;
        assert_eq!(may_be(&trace), [true; 2], "it was asked for, and a span failed");
    }

    #[test]
    fn whoever_judges_twice_or_wrongly_is_found() {
        let mut twice = book(&[(1, &[1, 2, 3], 0)]);
        let arrived = twice.traces.get_mut(&id(1)).unwrap();
        arrived.policies.insert("errors-v1".to_owned());
        assert_eq!(defects(&twice), ["1 traces were judged twice"]);
        let arrived = twice.traces.get_mut(&id(1)).unwrap();
        arrived.policies = ["quick-v1".to_owned()].into();
        assert_eq!(defects(&twice), ["1 traces were kept by another policy"]);
    }

    #[test]
    fn a_duplicate_needs_a_cause_that_its_first_delivery_has_to_do_with() {
        let twice = book(&[(1, &[1, 2, 3], 1000), (1, &[1, 2], 1010)]);
        let without_cause = |book: &Book, said: Said, disturbances: &[Disturbance]| {
            let log = Decisions { traces: [(id(1), said)].into(), ..Decisions::default() };
            let mut verdict = Verdict::default();
            verdict.count_duplicates(&ledger(), book, &log, disturbances);
            assert_eq!(verdict.duplicates, 2);
            verdict.duplicates_without_cause
        };
        let known = || Said { delivered_in: Some((0, 0)), ended_in: 1, ..Said::default() };
        let at = |slot, seconds| {
            let at = Duration::from_secs(seconds);
            [Disturbance { slot, from: at, to: at }]
        };
        assert_eq!(without_cause(&twice, known(), &at(0, 1001)), 0);
        for disturbances in [at(1, 1001), at(0, 900), at(0, 1100)] {
            assert_eq!(without_cause(&twice, known(), &disturbances), 2, "{disturbances:?}");
        }
        let unknown = Said { delivered_in: Some((1, 1)), ..Said::default() };
        assert_eq!(without_cause(&twice, unknown, &[]), 0, "who took over could not know");
        let late_unknown = Said { delivered_in: Some((0, 1)), ..Said::default() };
        assert_eq!(without_cause(&twice, late_unknown, &[]), 2, "of these spans it could");
        let mut unanswered = twice;
        unanswered.deliveries[0].is_acknowledged = false;
        assert_eq!(without_cause(&unanswered, known(), &[]), 0);
    }

    #[test]
    fn the_decision_log_is_held_against_the_ledger() {
        let decision = |is_kept, policy: &str| {
            let decision = Decision { is_kept, policy: policy.to_owned(), threshold: 0 };
            let delivered_in = is_kept.then_some((0, 0));
            Said { decisions: [decision].into(), delivered_in, ..Said::default() }
        };
        let judged = |said: [Option<Said>; 2]| {
            let mut log = Decisions::default();
            for (number, said) in (1..).zip(said) {
                log.traces.extend(said.map(|said| (id(number), said)));
            }
            let (ledger, book) = (ledger(), book(&[(1, &[1, 2, 3], 0)]));
            let mut verdict = Verdict::new(&ledger, &book, None, &rules());
            verdict.read_log(&ledger, &book, &log, &rules());
            let log = verdict.log.unwrap();
            log.defects().map(|(count, _)| count)
        };
        let (kept, dropped) = (|| decision(true, "errors-v0"), || decision(false, ""));
        assert_eq!(judged([Some(kept()), Some(dropped())]), [0; 5]);
        assert_eq!(judged([None, Some(dropped())]), [1, 0, 0, 0, 0]);
        let mut twice = kept();
        twice.decisions.extend(decision(true, "errors-v1").decisions);
        assert_eq!(judged([Some(twice), Some(dropped())]), [0, 1, 0, 0, 0]);
        assert_eq!(judged([Some(kept()), Some(kept())]), [0, 0, 1, 0, 0]);
        assert_eq!(judged([Some(decision(true, "errors-v1")), Some(dropped())]), [0, 0, 0, 1, 0]);
        let reopened = |mut said: Said| {
            said.reopened = decision(true, "errors-v0").decisions;
            said
        };
        let dropped = [Some(kept()), Some(reopened(dropped()))];
        assert_eq!(judged(dropped), [0, 0, 1, 0, 1], "nothing of it failed late");
    }
}
