//! Comparisons of generated traffic against judging each file by `decide`.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::summary::Scale;
use super::{format, suggest};
use crate::cmd::decide::Offline;
use crate::config::{self, PolicyFile};
use crate::ids::{Offset, Partition, Timestamp, TraceId};
use crate::member::reload;
use crate::otlp::{AttributeKeys, Scan, scan};
use crate::sampling::policy::Decision;
use crate::testbed::generator::{GeneratedRecord, Model, ModelSettings};
use crate::whatif::{
    Baseline, Candidate, Cell, Edges, Estimate, Figures, Judge, Lane, Measure, Outcome,
    PolicyTally, Question, Sample, Scope, Tally, Verdict,
};

fn verdict(kept: bool, policy: &str) -> Verdict {
    Verdict { kept, policy: (!policy.is_empty()).then(|| policy.to_owned()) }
}

/// An outcome that is easy to check by hand: a trace has 2 spans of 50 bytes.
pub(super) fn an_outcome() -> Outcome {
    let cell = |old, new, traces: u64| {
        let figures = (0..traces).map(|_| Figures::of_trace(2, 100)).collect::<Vec<_>>();
        Cell { old, new, figures: Figures::sum(&figures), examples: Vec::new() }
    };
    let cells = vec![
        cell(verdict(true, "errors"), verdict(true, "errors"), 6),
        cell(verdict(true, "errors"), verdict(false, ""), 4),
        cell(verdict(true, "slow"), verdict(true, "more"), 5),
        cell(verdict(false, ""), verdict(true, "more"), 8),
        cell(verdict(false, ""), verdict(false, ""), 100),
    ];
    let policy = |name: &str| PolicyTally { name: name.to_owned(), ..PolicyTally::default() };
    let policies = vec![policy("errors"), policy("more")];
    let tally = Tally { cells, policies, ..Tally::default() };
    let mut outcome = Outcome::new("spans".to_owned(), 1, "old.yaml".to_owned());
    outcome.partitions.insert(0);
    let (file, hash) = ("new.yaml".to_owned(), "1".to_owned());
    outcome.candidates.push(Candidate { file, hash, decision_wait_millis: None, tally });
    outcome
}

/// A policy of its own kind, with random numbers.
fn policy(number: usize, rng: &mut StdRng) -> String {
    let percent = rng.random_range(1..60);
    let millis = rng.random_range(50..1500);
    let service = ["payment", "cart", "frontend", "checkout"][rng.random_range(0..4)];
    let spans = rng.random_range(2..30);
    let body = match rng.random_range(0..9) {
        0 => "type: status_code, status_code: {status_codes: [ERROR]}".to_owned(),
        1 => format!("type: latency, latency: {{threshold_ms: {millis}}}"),
        2 => format!("type: probabilistic, probabilistic: {{sampling_percentage: {percent}}}"),
        3 => format!(
            "type: string_attribute, string_attribute: {{key: service.name, values: [{service}]}}"
        ),
        4 => format!("type: span_count, span_count: {{min_spans: {spans}}}"),
        5 => format!("type: rate_limiting, rate_limiting: {{spans_per_second: {}}}", spans * 10),
        6 => format!(
            "type: and, and: {{and_sub_policy: [\
             {{name: a, type: latency, latency: {{threshold_ms: {millis}}}}}, \
             {{name: b, type: probabilistic, probabilistic: {{sampling_percentage: {percent}}}}}]}}"
        ),
        7 => format!(
            "type: drop, drop: {{drop_sub_policy: [{{name: a, type: span_count, \
             span_count: {{min_spans: {}}}}}]}}",
            spans * 3
        ),
        _ => format!(
            "type: ottl_condition, ottl_condition: {{span: ['attributes[\"http.response.status_code\"] >= {}']}}",
            200 + percent
        ),
    };
    format!("  - {{name: p{number}, {body}}}\n")
}

/// A random policy file.
fn file(rng: &mut StdRng) -> PolicyFile {
    let waits = (rng.random_range(2..20), rng.random_range(1..4));
    file_waiting(waits, rng)
}

/// A random policy file with these waits, in seconds: after the first span, and after the root.
fn file_waiting((wait, after_root): (u32, u32), rng: &mut StdRng) -> PolicyFile {
    let policies: String = (0..rng.random_range(1..6)).map(|number| policy(number, rng)).collect();
    let text = format!(
        "decision_wait: {wait}s\ndecision_wait_after_root_received: {}s\npolicies:\n{policies}",
        after_root.min(wait)
    );
    config::parse_policies("random.yaml", &text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn judge(file: &PolicyFile) -> Judge {
    let room = usize::try_from(file.decision_cache_entries).unwrap();
    Judge { policies: Arc::new(reload::policies(file).unwrap()), room }
}

/// What `decide` says of each trace, and of how many spans.
type Decided = HashMap<TraceId, (Verdict, u64)>;

fn decided(file: &PolicyFile, records: &[GeneratedRecord]) -> Decided {
    let mut offline = Offline::new(file).unwrap();
    let mut all = Vec::new();
    for record in records {
        offline.take_in(Some(record.at), &record.payload, &mut |it| all.push(it)).unwrap();
    }
    offline.run_on(None, &mut |it| all.push(it));
    let mut verdicts = HashMap::new();
    for explained in &all {
        let verdict = match explained.decision {
            Decision::Keep { policy, .. } => verdict(true, offline.policies().name(policy)),
            Decision::Drop { policy: Some(policy) } => {
                verdict(false, offline.policies().name(policy))
            }
            Decision::Drop { policy: None } => verdict(false, ""),
        };
        let before = verdicts.insert(explained.trace_id, (verdict, explained.amount.spans));
        assert!(before.is_none(), "{} is decided once", explained.trace_id);
    }
    verdicts
}

/// Of each trace: its first record, its spans, their bytes, those that are late included.
fn traces(records: &[GeneratedRecord]) -> HashMap<TraceId, (i64, u64, u64)> {
    let (keys, mut found) = (AttributeKeys::default(), Scan::default());
    let mut traces = HashMap::new();
    for (offset, record) in (0..).zip(records) {
        scan(&record.payload, &keys, &mut found).unwrap();
        for span in &found.spans {
            let trace = traces.entry(span.trace_id).or_insert((offset, 0, 0));
            *trace = (trace.0, trace.1 + 1, trace.2 + span.framed.len() as u64);
        }
    }
    traces
}

type Cells = BTreeMap<(Verdict, Verdict), [u64; 3]>;

fn cells(tally: &Tally) -> Cells {
    let cell = |cell: &Cell| {
        let Figures { traces, spans, bytes, .. } = cell.figures;
        ((cell.old.clone(), cell.new.clone()), [traces, spans, bytes])
    };
    tally.cells.iter().map(cell).collect()
}

/// What judging both files by `decide` says of the traces that begin in a range of records.
fn expected(
    (old, new): (&Decided, &Decided),
    traces: &HashMap<TraceId, (i64, u64, u64)>,
    range: &Range<i64>,
) -> Cells {
    let mut cells = Cells::new();
    for (id, (first, spans, bytes)) in traces {
        if range.contains(first) {
            let cell = cells.entry((old[id].0.clone(), new[id].0.clone())).or_default();
            let more = [1, *spans, *bytes];
            cell.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    cells
}

fn compare(
    old: &PolicyFile,
    candidates: &[&PolicyFile],
    records: &[GeneratedRecord],
    range: &Range<i64>,
) -> Vec<Tally> {
    compare_one_of(1, (old, candidates), records, range)
}

/// What the files say of one partition of so many.
fn compare_one_of(
    topic_size: u32,
    (old, candidates): (&PolicyFile, &[&PolicyFile]),
    records: &[GeneratedRecord],
    range: &Range<i64>,
) -> Vec<Tally> {
    let candidates = candidates.iter().map(|file| judge(file)).collect();
    let question = Question::new(Baseline::Judged(judge(old)), candidates, topic_size, u64::MAX);
    let scope = Scope {
        partition: Partition(0),
        records: range.clone(),
        from: Timestamp(i64::MIN),
        to: Timestamp(i64::MAX),
        hold: Duration::from_secs(24 * 3600),
        room: usize::MAX,
    };
    let mut lane = Lane::new(&question, scope);
    for (offset, record) in (0..).map(Offset).zip(records) {
        lane.take_in(offset, record.at, Some(&record.payload));
    }
    lane.run_out();
    let (tallies, counts) = lane.finish();
    assert_eq!((counts.records, counts.unreadable), (records.len() as u64, 0));
    tallies
}

fn size(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Scenario: random pairs of policy files, with the same waits and with others, judge generated traffic with late
/// spans, lost roots and duplicates.
/// Guarantees: each cell of each candidate is, in traces, spans and bytes, what judging both files by `decide`
/// comes to; for a part of the traffic as for all of it. `TAILSIEVE_WHATIF_TRACES` and `TAILSIEVE_WHATIF_PAIRS`
/// make it larger.
#[test]
fn each_cell_is_what_decide_says_of_both_files() {
    let traces_wanted = size("TAILSIEVE_WHATIF_TRACES", 600);
    let pairs = size("TAILSIEVE_WHATIF_PAIRS", 6);
    let mut rng = StdRng::seed_from_u64(21);
    let settings = ModelSettings {
        seed: 5,
        rate: 2000.0,
        max_traces: Some(traces_wanted),
        late_fraction: 0.1,
        ..ModelSettings::default()
    };
    let records: Vec<GeneratedRecord> = Model::new(settings).collect();
    let traces = traces(&records);
    assert!(traces.len() as u64 >= traces_wanted);
    let all = 0..records.len() as i64;
    let part = all.end / 4..all.end / 2;
    let (mut changed, mut is_late) = (0, false);
    for pair in 0..pairs {
        // Those with the same waits are judged in common: all of them, two of them, or none.
        let waits = (rng.random_range(2..20), rng.random_range(1..4));
        let together = pair % 3;
        let files = [0, 1, 2].map(|number| {
            if number <= together { file_waiting(waits, &mut rng) } else { file(&mut rng) }
        });
        let [old, new, other] = [0, 1, 2].map(|number| decided(&files[number], &records));
        for range in [&all, &part] {
            let tallies = compare(&files[0], &[&files[1], &files[2]], &records, range);
            for (tally, new) in tallies.iter().zip([&new, &other]) {
                assert_eq!(cells(tally), expected((&old, new), &traces, range), "pair {pair}");
                assert_eq!(tally.edges.not_on_record + tally.edges.only_on_record, 0);
                changed += tally.square().newly_lost.traces;
                let late = |(id, (first, spans, _)): (&TraceId, &(i64, u64, u64))| {
                    if range.contains(first) { spans - new[id].1 } else { 0 }
                };
                assert_eq!(tally.late_spans, traces.iter().map(late).sum::<u64>(), "pair {pair}");
                is_late |= tally.late_spans > 0;
            }
        }
    }
    assert!(changed > 0 && is_late, "some pairs differ, and some spans are late");
}

#[test]
fn a_file_beside_itself_changes_nothing() {
    let settings = ModelSettings { seed: 6, max_traces: Some(200), ..ModelSettings::default() };
    let records: Vec<GeneratedRecord> = Model::new(settings).collect();
    let file = file(&mut StdRng::seed_from_u64(3));
    let tallies = compare(&file, &[&file], &records, &(0..records.len() as i64));
    assert!(tallies[0].cells.iter().all(|cell| cell.old == cell.new));
    assert_eq!(tallies[0].edges, Edges::default());
    assert_eq!(tallies[0].square().all().traces, 200);
}

/// Guarantee: what a policy alone is responsible for is what is decided otherwise without it.
#[test]
fn what_a_policy_alone_keeps_is_lost_without_it() {
    let settings = ModelSettings { seed: 7, max_traces: Some(500), ..ModelSettings::default() };
    let records: Vec<GeneratedRecord> = Model::new(settings).collect();
    let policies = [
        "{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}",
        "{name: slow, type: latency, latency: {threshold_ms: 400}}",
        "{name: some, type: probabilistic, probabilistic: {sampling_percentage: 20}}",
    ];
    let without = |left_out: usize| {
        let some = policies.iter().enumerate().filter(|(number, _)| *number != left_out);
        let some: Vec<&str> = some.map(|(_, policy)| *policy).collect();
        let text = format!("policies: [{}]", some.join(", "));
        config::parse_policies("p.yaml", &text).unwrap()
    };
    let whole = without(9);
    let parts: Vec<PolicyFile> = (0..3).map(without).collect();
    let all = 0..records.len() as i64;
    let alone = compare(&whole, &[&whole], &records, &all).remove(0).policies;
    let tallies = compare(&whole, &parts.iter().collect::<Vec<_>>(), &records, &all);
    for (policy, tally) in alone.iter().zip(&tallies) {
        assert_eq!(policy.alone, tally.square().newly_lost, "{}", policy.name);
        assert!(policy.alone.traces > 0 && policy.votes_keep >= policy.alone.traces);
    }
}

/// Guarantee: a policy that is suggested drops as much as is said, and no trace with an error.
#[test]
fn what_is_suggested_drops_what_it_says() {
    let settings = ModelSettings {
        seed: 11,
        max_traces: Some(1500),
        error_fraction: 0.2,
        lost_root_fraction: 0.1,
        ..ModelSettings::default()
    };
    let records: Vec<GeneratedRecord> = Model::new(settings).collect();
    let rest = "{name: rest, type: latency, latency: {threshold_ms: 20}}";
    let parse = |rest: &str| {
        let text = format!("policies: [{rest}]");
        config::parse_policies("p.yaml", &text).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let (file, all) = (parse(rest), 0..records.len() as i64);
    let mut outcome = an_outcome();
    outcome.candidates[0].tally = compare(&file, &[&file], &records, &all).remove(0);
    let found = suggest::suggestions(&outcome.candidates[0], &Scale::of(&outcome, None));
    let policies: Vec<_> =
        found.iter().filter_map(|it| Some((&it.text, it.yaml.as_ref()?))).collect();
    assert!(policies.len() > 1, "{found:?}");
    for (text, policy) in policies {
        let sub = rest.replace("rest", "slow");
        let less = parse(&format!(
            "{{name: rest, type: and, and: {{and_sub_policy: [{sub}, {policy}]}}}}"
        ));
        let square = compare(&file, &[&less], &records, &all).remove(0).square();
        let lost = format::size(Estimate::exact(square.newly_lost.bytes as f64));
        assert!(text.starts_with(&format!("rest alone keeps {lost} (")), "{text}: {square:?}");
        assert_eq!(square.newly_kept, Figures::default());
    }
}

/// The traffic of each of so many partitions, which are chosen by a hash.
fn keyed(records: &[GeneratedRecord], partitions: u64, salt: u64) -> Vec<Vec<GeneratedRecord>> {
    let mut keyed = vec![Vec::new(); partitions as usize];
    for record in records {
        let id = record.trace_id.unwrap();
        let bytes = id.as_bytes().iter().copied().chain(salt.to_le_bytes());
        keyed[(crate::fnv::hash_64(bytes) % partitions) as usize].push(record.clone());
    }
    keyed
}

/// What two files say of the traffic of each of so many partitions.
fn by_partition(
    files: &[PolicyFile; 2],
    records: &[GeneratedRecord],
    (partitions, salt): (u64, u64),
) -> Vec<Tally> {
    let compared = |records: &Vec<GeneratedRecord>| {
        compare(&files[0], &[&files[1]], records, &(0..records.len() as i64)).remove(0)
    };
    keyed(records, partitions, salt).iter().map(compared).collect()
}

fn sum<'a>(tallies: impl Iterator<Item = &'a Tally>) -> Tally {
    let mut sum = Tally::default();
    tallies.for_each(|tally| sum.add(tally));
    sum
}

/// Scenario: 200 runs that read 4 of 12 partitions, of traffic that is keyed in ten ways.
/// Guarantee: the 95 % intervals of the figures have what all partitions come to in 92 to 98 % of them.
#[test]
fn intervals_of_runs_over_some_partitions_hold_the_truth() {
    let max_traces = Some(size("TAILSIEVE_WHATIF_TRACES", 600));
    let settings = ModelSettings { seed: 8, rate: 2000.0, max_traces, ..ModelSettings::default() };
    let records: Vec<GeneratedRecord> = Model::new(settings).collect();
    let parse = |text: &str| config::parse_policies("p.yaml", text).unwrap();
    let files = [
        parse(
            "policies: [{name: a, type: probabilistic, probabilistic: {sampling_percentage: 40}}]",
        ),
        parse("policies: [{name: b, type: latency, latency: {threshold_ms: 150}}]"),
    ];
    let sample = Sample { read: 4, of: 12 };
    let mut rng = StdRng::seed_from_u64(9);
    let (mut held, mut all) = (0, 0);
    for salt in 0..10 {
        let tallies = by_partition(&files, &records, (12, salt));
        let truth = sum(tallies.iter()).square();
        for _ in 0..20 {
            let chosen = rand::seq::index::sample(&mut rng, 12, 4);
            let seen = sum(chosen.iter().map(|it| &tallies[it])).square();
            for (seen, truth) in [
                (seen.all(), truth.all()),
                (seen.kept_before(), truth.kept_before()),
                (seen.kept_now(), truth.kept_now()),
                (seen.newly_lost, truth.newly_lost),
                (seen.newly_kept, truth.newly_kept),
            ] {
                for measure in [Measure::Traces, Measure::Spans, Measure::Bytes] {
                    let Estimate { low, high, .. } = sample.estimate(&seen, measure);
                    let truth = truth.get(measure) as f64;
                    (held, all) = (held + i32::from(low <= truth && truth <= high), all + 1);
                }
            }
        }
    }
    let share = f64::from(held) / f64::from(all);
    assert!((0.92..=0.98).contains(&share), "{share}");
}

/// Scenario: a file with budgets is tried on 4 of 16 partitions, 80 times, of traffic that is a multiple of them; the
/// range begins when the buckets, which were full, are empty.
/// Guarantees: scaled up, it keeps on average what it keeps on all of them, which is what the budgets allow, and the
/// intervals hold that; without the warm-up it would keep more.
#[test]
fn budgets_of_some_partitions_keep_what_those_of_all_do() {
    const PER_SECOND: u64 = 160;
    let settings = ModelSettings { seed: 10, rate: 1000.0, ..ModelSettings::default() };
    let (start, seconds) = (settings.start, size("TAILSIEVE_WHATIF_SECONDS", 20));
    let duration = Some(Duration::from_secs(10 + seconds));
    let records: Vec<GeneratedRecord> =
        Model::new(ModelSettings { duration, ..settings }).collect();
    let parse = |policy: &str| {
        let waits = "decision_wait: 2s\ndecision_wait_after_root_received: 1s";
        config::parse_policies("p.yaml", &format!("{waits}\npolicies: [{policy}]")).unwrap()
    };
    let none = parse("{name: none, type: span_count, span_count: {min_spans: 100000}}");
    let bucket = "{name: bucket, type: rate_limiting, rate_limiting: {spans_per_second: 160, burst_capacity: 1600}}";
    let composite = "{name: composite, type: composite, composite: {max_total_spans_per_second: 160, \
                     composite_sub_policy: [{name: all, type: always_sample}]}}";
    let sample = Sample { read: 4, of: 16 };
    let mut rng = StdRng::seed_from_u64(11);
    for policy in [bucket, composite] {
        let file = parse(policy);
        let (mut warm, mut cold) = (Vec::new(), Vec::new());
        for records in keyed(&records, 16, 1) {
            let begin = records.partition_point(|it| it.at < start.after(Duration::from_secs(10)));
            let end = records.len() as i64;
            let of = |records: &[GeneratedRecord], range: Range<i64>| {
                compare_one_of(16, (&none, &[&file]), records, &range).remove(0)
            };
            warm.push(of(&records, begin as i64..end));
            if policy == bucket {
                cold.push(of(&records[begin..], 0..end - begin as i64));
            }
        }
        assert!(warm.iter().all(|tally| tally.policies[0].simulated));
        let kept = |tallies: &[Tally]| sum(tallies.iter()).square().newly_kept;
        let all = kept(&warm).get(Measure::Spans) as f64;
        let allowed = (PER_SECOND * seconds) as f64;
        // A trace that does not fit into what is left of a second leaves that unused.
        assert!((0.8..1.1).contains(&(all / allowed)), "{policy}: {all} of {allowed}");
        assert!(sum(warm.iter()).square().all().get(Measure::Spans) as f64 > 4.0 * all);
        let (mut total, mut held) = (0.0, 0);
        for _ in 0..80 {
            let chosen = rand::seq::index::sample(&mut rng, 16, 4);
            let seen = sum(chosen.iter().map(|it| &warm[it])).square().newly_kept;
            let Estimate { value, low, high } = sample.estimate(&seen, Measure::Spans);
            total += value;
            held += i32::from(low <= all && all <= high);
        }
        let mean = total / 80.0;
        assert!((0.97..1.03).contains(&(mean / all)), "{policy}: {mean} instead of {all}");
        assert!(held >= 76, "{policy}: {held} of 80 intervals hold it");
        if policy == bucket {
            let more = kept(&cold).get(Measure::Spans) as f64 - all;
            assert!((800.0..2400.0).contains(&more), "{more}");
        }
    }
}

/// A record of one span of the trace 1, of so many seconds after the first one.
fn one_span(seconds: i64, span: u8, failed: bool) -> (Timestamp, Vec<u8>) {
    use opentelemetry_proto::tonic::trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status, TracesData,
    };
    use prost::Message as _;

    let status = Status { code: if failed { 2 } else { 1 }, ..Status::default() };
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![span; 8],
        status: Some(status),
        ..Span::default()
    };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    let at = Timestamp(1_700_000_000_000 + seconds * 1000);
    (at, TracesData { resource_spans: vec![resource] }.encode_to_vec())
}

/// Scenario: a late error re-opens a trace that was dropped, by one of two files.
/// Guarantees: it is kept by that file, with all of its spans, whichever side has it.
#[test]
fn a_trace_that_late_spans_reopen_is_kept() {
    let policies =
        "policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";
    let parse = |text: &str| config::parse_policies("p.yaml", text).unwrap();
    let (plain, reopens) =
        (parse(policies), parse(&format!("reopen: {{policies: [errors]}}\n{policies}")));
    let record = |(at, payload): (Timestamp, Vec<u8>)| GeneratedRecord {
        at,
        key: None,
        trace_id: None,
        payload,
        spans: Vec::new(),
    };
    let records = [one_span(0, 1, false), one_span(60, 2, true), one_span(61, 3, false)];
    let records = records.map(record);
    for (old, new) in [(&plain, &reopens), (&reopens, &plain), (&reopens, &reopens)] {
        let tally = compare(old, &[new], &records, &(0..3)).remove(0);
        let verdict = |file: &PolicyFile| match file.reopen {
            Some(_) => verdict(true, "errors"),
            None => verdict(false, ""),
        };
        let cells: Vec<_> = cells(&tally).into_iter().collect();
        let [((before, now), [traces, spans, _])] = &cells[..] else { panic!("{cells:?}") };
        assert_eq!((before, now), (&verdict(old), &verdict(new)));
        assert_eq!((*traces, *spans, tally.late_spans, tally.late_traces), (1, 3, 2, 1));
    }
}
