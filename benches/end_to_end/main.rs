//! What a span costs from end to end: `tailsieve run` against a bare `BaseConsumer` loop over the
//! same topic of a real Kafka, each in processes of its own, in turn, in one run.
//!
//! `cargo bench --bench end_to_end` (`-- --help` for the options). It starts Kafka itself, and keeps
//! its data in the cache folder, so that the topic is made once.
//!
//! Lanes: *bare loop* is the same client with the same settings, which looks at nothing; *bare loop,
//! scan* also finds the spans of each record; *tailsieve* has its decision log and sends what it
//! keeps, uncompressed, to a sink in another process; *tailsieve, gzip* compresses it.
//!
//! CPU is user and system time of a lane's processes without Kafka and the sink, from /proc: of the
//! whole run until everything kept has been delivered; and from a third of the records on, when
//! memory has grown to what it needs (the kernel clears each new page, which costs more than most of
//! what is measured here, but only once). Rates are of reading. Memory is that of all processes of
//! the lane together, at its peak (VmHWM) and at the end (VmRSS); *open* is the most open traces that
//! were seen, with the bytes that their spans came in and the resident memory then. A turn of
//! *tailsieve* is over when all of the topic is committed, which says that it is decided, recorded
//! and delivered: *kept* is what it says of itself, *arrived* what the sink counted, late spans
//! included in both.
//!
//! With `--lookups` tailsieve has two more turns: one in which a server of traces, whose CPU is not counted, opens
//! as many as its budget allows, and one in which a bare loop reads the same topic again and again. The second
//! says how much dearer a span is already when somebody else uses the same cores and the same Kafka.
//!
//! With `--what-if` the decisions that *tailsieve* has on record are compared with what candidates say: one, four
//! that differ in policies, four that differ in `decision_wait`. A turn is over when the process has ended.
//!
//! With `--live` there is live traffic after the turns: see `live/mod.rs`.
//!
//! With `--collector` the OpenTelemetry Collector has its turns on the same topic, with the policies
//! that its configuration holds, and into the same sink: see `benches/compare/run`. Its turn is over
//! when it has decided all traces, and its sending queue is empty and nothing moves any more.
//!
//! With several members, records that change hands at the start are read twice and count twice.

// Tests read the clock, and decode what arrived.
#![allow(clippy::disallowed_methods)]

mod collector;
mod comparison;
mod delay;
mod kafka;
mod lane;
mod live;
mod lookups;
mod options;
mod probe;
mod report;
mod roles;
#[path = "../../tests/support/mod.rs"]
mod support;
mod topic;
mod whatif;

use std::process::ExitCode;

use clap::Parser as _;

use comparison::{Backlog, SideBySide};
use lane::Lane;
use options::Options;
use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if roles::play(&arguments) {
        return ExitCode::SUCCESS;
    }
    let prepared = Options::parse().settled().and_then(|it| Ok((it, kafka::Kafka::start()?)));
    let (options, kafka) = match prepared {
        Ok(prepared) => prepared,
        Err(what) => {
            eprintln!("end_to_end: {what}");
            return ExitCode::from(2);
        }
    };
    let turns = (options.rounds > 0).then(|| turns(&kafka, &options));
    let live = if options.live > 0 { live::run(&kafka, &options) } else { Vec::new() };
    if let Some(turns) = turns.as_ref().filter(|_| options.collector.is_some()) {
        println!("{}", Backlog(turns));
    }
    if !live.is_empty() {
        println!("{}", SideBySide(&live));
    }
    report::write(&options.json, turns.as_ref(), &live);
    println!("as JSON: {}", options.json.display());
    let backlog = turns.map(|turns| turns.cpu_ratio("tailsieve"));
    let live = (live.len() > 1).then(|| live[0].cpu_us_per_span / live[1].cpu_us_per_span);
    let mut code = ExitCode::SUCCESS;
    for (what, ratio, most) in
        [("in a backlog", backlog, options.fail_above), ("live", live, options.fail_live_above)]
    {
        if let (Some(ratio), Some(most)) = (ratio, most)
            && ratio > most
        {
            println!(
                "{what} a span costs {ratio:.1} times what it costs the bare loop, above {most}"
            );
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The turns of all lanes on a topic.
fn turns(kafka: &kafka::Kafka, options: &Options) -> Report {
    let topic = topic::Topic::prepared(kafka, options);
    println!("{topic}");
    let lanes = Lane::all(options);
    let mut report = Report::new(options, kafka, &topic, &lanes);
    for round in 0..options.rounds {
        for (number, lane) in lanes.iter().enumerate() {
            let figures = lane.run(kafka, &topic, options, round);
            report.enter(number, figures);
        }
    }
    println!("{report}");
    if let Some(goals) = whatif::goals(&report) {
        println!("{goals}");
    }
    report
}
