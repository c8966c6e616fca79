//! What is compared: a range of a topic, or captures.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;

use super::files::Files;
use super::progress::Progress;
use super::state::State;
use super::{Until, WhatIfArgs};
use crate::clock;
use crate::cmd::process::{CommandError, Process};
use crate::cmd::{decisions, origin};
use crate::ids::{Offset, Partition, Timestamp};
use crate::retrieval::{Origin, Rate, RetrievalError};
use crate::testbed::captures::Capture;
use crate::whatif::{
    Baseline, Choice, Compared, Lane, Outcome, Plan, PlanError, Question, ReadCounts, Reading,
    RoutingCounts, Scope, TimeSpan, read,
};

/// More records than this without a key, or with another one, of a hundred, and the topic is not keyed.
const KEYLESS_PERCENT: u64 = 50;

/// More traces than this on several partitions, of a thousand, and a partition is no sample of traces.
const SCATTERED_PER_MILLE: u64 = 10;

/// What mends a topic that is keyed wrongly.
const KEY_BY_TRACE: &str =
    "key records by their trace id (partition_traces_by_id of the Collector, or `tailsieve rekey`)";

/// Why there is nothing to compare.
pub(super) struct Nothing {
    pub(super) why: String,
    /// Kafka has deleted it.
    pub(super) is_gone: bool,
}

/// What was compared.
type Found = Result<Outcome, Nothing>;

/// Compares.
pub(super) fn compare(args: &WhatIfArgs, files: &Files) -> Result<Found, CommandError> {
    if args.spans.is_empty() { of_topic(args, files) } else { of_captures(args, files).map(Ok) }
}

fn question(
    args: &WhatIfArgs,
    files: &Files,
    origin: Option<&Origin>,
    topic_size: u32,
) -> Question {
    let group = origin.and_then(|origin| origin.group);
    let baseline = files.baseline.as_ref().map(|it| it.judge.clone());
    let baseline = baseline.map_or(Baseline::OnRecord(group), Baseline::Judged);
    let candidates = files.candidates.iter().map(|it| it.judge.clone()).collect();
    Question::new(baseline, candidates, topic_size, args.max_bytes)
}

fn of_topic(args: &WhatIfArgs, files: &Files) -> Result<Found, CommandError> {
    let (origin, has_log) = args.origin.origin()?;
    if !has_log && files.baseline.is_none() {
        return Err(CommandError::usage(
            "the decision log is switched off (decision_log.enabled), so what was decided is not on record: \
             name the policies that were in force with --baseline",
        ));
    }
    let (now, state) = (clock::now(), State::load(args.state.as_deref())?);
    let span = span(args, files, &state, now)?;
    let mut plan = match plan(args, files, &origin, span)? {
        Ok(plan) => plan,
        Err(nothing) => return Ok(Err(nothing)),
    };
    state.shorten(&mut plan);
    let empty = empty(files, &origin, span, &plan);
    // Before anything is read it is known whether the state is one of this.
    state.complete(empty.clone())?;
    let finished = |compared: &Compared| {
        if !state.is_kept() {
            return;
        }
        let outcome = state.complete(filled(empty.clone(), compared.clone()));
        let saved = outcome.map_err(io::Error::other).and_then(|it| state.save(&it));
        if let Err(error) = saved {
            eprintln!("warning: the state cannot be written: {error}");
        }
    };
    let compared = read_topic(args, files, &origin, (span, now), &plan, &finished)?;
    let mut outcome = state.complete(filled(empty.clone(), compared))?;
    if outcome.partitions.is_empty() {
        return Err(CommandError::failed("it was stopped before a partition was read to its end"));
    }
    check_keys(&outcome)?;
    notes(&mut outcome, plan.is_log_cut, "the warm-up before the range");
    Ok(Ok(outcome))
}

/// The range: that of the state, or else what is asked for.
fn span(
    args: &WhatIfArgs,
    files: &Files,
    state: &State,
    now: Timestamp,
) -> Result<TimeSpan, CommandError> {
    let asked = || {
        let to = match args.to {
            Until::Now => now,
            Until::Time(time) => decisions::timestamp(time),
        };
        (decisions::timestamp(args.from), to)
    };
    let (from, to) = state.range().unwrap_or_else(asked);
    if from >= to {
        return Err(CommandError::usage("the range is empty: --from is not before --to"));
    }
    let warm_up = args.warm_up.unwrap_or(files.longest_memory() + files.longest_wait());
    Ok(TimeSpan { from, to, warm_up })
}

fn plan(
    args: &WhatIfArgs,
    files: &Files,
    origin: &Origin,
    span: TimeSpan,
) -> Result<Result<Plan, Nothing>, CommandError> {
    let choice = match (args.partitions, args.these.as_slice()) {
        _ if args.full => Choice::All,
        (Some(some), _) => Choice::Some(some),
        (None, []) => Choice::All,
        (None, these) => Choice::These(these.iter().copied().map(Partition).collect()),
    };
    match Plan::make(origin, files.baseline.is_none(), span, &choice) {
        Ok(plan) => Ok(Ok(plan)),
        Err(PlanError::Kafka(RetrievalError::NoTopic(topic))) if topic == origin.decision_log => {
            Err(CommandError::usage(format_args!(
                "the decision log {topic} does not exist, so what was decided is not on record: name another \
                 one with --decision-log, or the policies that were in force with --baseline"
            )))
        }
        Err(PlanError::Kafka(error)) => Err(origin::failed(origin, error)),
        Err(error @ (PlanError::Empty(_) | PlanError::BeyondRetention(_))) => {
            let is_gone = matches!(error, PlanError::BeyondRetention(_));
            Ok(Err(Nothing { why: error.to_string(), is_gone }))
        }
        Err(error) => Err(CommandError::usage(error)),
    }
}

/// An outcome of which nothing was read.
fn empty(files: &Files, origin: &Origin, span: TimeSpan, plan: &Plan) -> Outcome {
    let baseline = baseline(files, &origin.decision_log);
    let mut empty = Outcome::new(origin.topic.clone(), plan.topic_size, baseline);
    (empty.from_unix_milli, empty.to_unix_milli) = (Some(span.from.0), Some(span.to.0));
    empty.is_cut = plan.is_cut;
    empty.candidates = files.named();
    empty
}

/// Whether it can be taken for a sample.
///
/// # Errors
/// When it is one, of parts of traces.
fn check_keys(outcome: &Outcome) -> Result<(), CommandError> {
    let ReadCounts { routing, records, .. } = outcome.read;
    let RoutingCounts { without_key, looked_for, scattered, .. } = routing;
    if outcome.sample().is_whole() {
        return Ok(());
    }
    let found = if is_most(without_key, records) {
        format!("{without_key} of {records} records of {} have no key", outcome.source)
    } else if scattered * 1000 > looked_for * SCATTERED_PER_MILLE {
        format!(
            "{scattered} of {looked_for} traces have spans on several of the partitions of {}",
            outcome.source
        )
    } else {
        return Ok(());
    };
    Err(CommandError::usage(format_args!(
        "{found}, so a partition is no sample of traces: read all of them, and {KEY_BY_TRACE}"
    )))
}

fn read_topic(
    args: &WhatIfArgs,
    files: &Files,
    origin: &Origin,
    (span, now): (TimeSpan, Timestamp),
    plan: &Plan,
    finished: &(dyn Fn(&Compared) + Sync),
) -> Result<Compared, CommandError> {
    let (_runtime, stop) = Process::start()?.stop_flag();
    let rate = args.bytes_per_second.map(Rate::new);
    let cores = || available_parallelism().map_or(1, NonZeroUsize::get);
    let all = plan.stretches.iter().map(|it| it.records.end - it.records.start).sum::<i64>();
    let progress = Progress::of(all.cast_unsigned())?;
    let reading = Reading {
        origin,
        question: &question(args, files, Some(origin), plan.topic_size),
        span,
        now,
        hold: files.longest_memory() + files.longest_wait(),
        room: files.room(),
        threads: args.threads.map_or_else(cores, usize::from).min(plan.stretches.len()),
        rate: rate.as_ref(),
        stop: &stop,
        progress: progress.records(),
        finished,
    };
    let compared = read(&reading, plan).map_err(|error| origin::failed(origin, error))?;
    drop(progress);
    if stop.load(Ordering::Relaxed) {
        let (read, of) = (compared.partitions.len(), plan.chosen.len());
        eprintln!("stopped: {read} of {of} partitions were read to their ends");
    }
    Ok(compared)
}

/// What the candidates are compared with, in words.
fn baseline(files: &Files, decision_log: &str) -> String {
    let on_record = || format!("what {decision_log} has on record");
    files.baseline.as_ref().map_or_else(on_record, |it| it.name.clone())
}

/// What has to be known of it. Budgets run from `start` on.
fn notes(outcome: &mut Outcome, is_log_cut: bool, start: &str) {
    let (counts, is_cut) = (outcome.read, outcome.is_cut);
    outcome.notes.extend(routing_notes(&counts));
    outcome.notes.extend(simulated(outcome, start));
    let mut note = |is_so: bool, text: String| {
        if is_so {
            outcome.notes.push(text);
        }
    };
    note(is_cut, "Kafka has deleted the beginning of that range".to_owned());
    let text = "the decision log may not reach back to the beginning of that range";
    note(is_log_cut, text.to_owned());
    note(counts.unreadable > 0, format!("{} records cannot be read", counts.unreadable));
    let text = "traces were decided early for want of memory: give more with --max-bytes";
    note(counts.relieved > 0, format!("{} {text}", counts.relieved));
    let text = "records or entries of the decision log are not understood";
    note(counts.log_not_understood > 0, format!("{} {text}", counts.log_not_understood));
    let text = "records of the decision log are of other groups, and are passed over; --config says which is meant";
    note(counts.log_of_others > 0, format!("{} {text}", counts.log_of_others));
}

fn is_most(some: u64, records: u64) -> bool {
    some * 100 > records * KEYLESS_PERCENT
}

/// What is wrong with how the topic is keyed, and what to do.
fn routing_notes(counts: &ReadCounts) -> Vec<String> {
    let RoutingCounts { without_key, foreign_key, looked_for, scattered } = counts.routing;
    let most = |some| is_most(some, counts.records);
    let mut notes = Vec::new();
    if most(without_key) {
        notes.push(format!(
            "most records have no key, so the spans of a trace are on several partitions, and what is counted \
             here are parts of traces: {KEY_BY_TRACE}"
        ));
    } else if most(foreign_key) {
        notes.push(format!(
            "most records have a key that is not their trace id; where it does not keep the spans of a trace \
             together, what is counted here are parts of traces: {KEY_BY_TRACE}"
        ));
    }
    if scattered > 0 {
        let percent = scattered as f64 / looked_for.max(1) as f64 * 100.0;
        notes.push(format!(
            "{percent:.1} % of the traces have spans on several partitions, and are decided and counted in \
             parts: `tailsieve doctor` says why; {KEY_BY_TRACE}"
        ));
    }
    notes
}

/// What has to be known of policies with budgets, if there are some. They run from `start` on.
fn simulated(outcome: &Outcome, start: &str) -> Option<String> {
    let policies = outcome.candidates.iter().flat_map(|it| &it.tally.policies);
    let names: BTreeSet<&str> =
        policies.filter(|it| it.simulated).map(|it| it.name.as_str()).collect();
    let named = names.into_iter().collect::<Vec<_>>().join(", ");
    (!named.is_empty()).then(|| {
        format!(
            "simulated: what {named} keeps depends on what it kept before, from {start} on; each partition has \
             its share of the budget, as in a member"
        )
    })
}

/// With what was found.
fn filled(mut outcome: Outcome, compared: Compared) -> Outcome {
    outcome.read = compared.counts;
    outcome.partitions = compared.partitions.iter().map(|partition| partition.0).collect();
    for (candidate, tally) in outcome.candidates.iter_mut().zip(compared.tallies) {
        candidate.tally = tally;
    }
    outcome
}

/// Captures are read as `decide` reads them: one after the other, as one partition.
fn of_captures(args: &WhatIfArgs, files: &Files) -> Result<Outcome, CommandError> {
    let scope = Scope {
        partition: Partition(0),
        records: 0..i64::MAX,
        from: Timestamp(i64::MIN),
        to: Timestamp(i64::MAX),
        hold: files.longest_memory() + files.longest_wait(),
        room: files.room(),
    };
    let mut lane = Lane::new(&question(args, files, None, 1), scope);
    let mut next = Offset(0);
    for spans in &args.spans {
        for record in open(spans)? {
            match record {
                Ok(record) => {
                    lane.take_in_captured(next, record.timestamp, &record.payload);
                    next = Offset(next.0 + 1);
                }
                Err(error) if error.is_of_one_record() => lane.unreadable(),
                Err(error) => return Err(CommandError::failed(error)),
            }
        }
    }
    lane.run_out();
    let (tallies, counts) = lane.finish();
    let baseline = baseline(files, "");
    let mut empty = Outcome::new(args.spans.join(", "), 1, baseline);
    empty.candidates = files.named();
    let partitions = [Partition(0)].into();
    let mut outcome = filled(empty, Compared { tallies, partitions, counts });
    notes(&mut outcome, false, "the first record");
    Ok(outcome)
}

fn open(spans: &str) -> Result<Capture, CommandError> {
    let opened = match spans {
        "-" => Capture::new("standard input".to_owned(), Box::new(std::io::stdin())),
        path => Capture::open(Path::new(path)),
    };
    opened.map_err(CommandError::failed)
}
