//! Tests of the command against the embedded broker.

use std::io::BufReader;
use std::time::Duration;

use clap::Parser;
use rdkafka::mocking::MockCluster;

use super::*;

const TOPIC: &str = "spans";

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    generate: GenerateArgs,
}

fn parse(arguments: &[&str]) -> Result<GenerateArgs, clap::Error> {
    let name = ["generate"].iter();
    Cli::try_parse_from(name.chain(arguments)).map(|cli| cli.generate)
}

#[test]
fn the_command_leaves_a_ledger_of_what_is_on_the_topic() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 6, 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.jsonl");
    let args = parse(&[
        "--brokers",
        &cluster.bootstrap_servers(),
        "--topic",
        TOPIC,
        "--rate=0",
        "--traces=200",
        "--late-fraction=0.1",
        "--compression=lz4",
        "-Xbatch.size=10000",
        "--start-time=2026-01-02T03:04:05Z",
        "--ledger",
        file.to_str().unwrap(),
    ]);
    generate(&args.unwrap(), &AtomicBool::new(false)).unwrap();
    let reader = BufReader::new(std::fs::File::open(&file).unwrap());
    let ledger = Ledger::read(reader);
    assert_eq!(ledger.settings["start_unix_milli"], "1767323045000");
    let mut expected = Ledger::new(ledger.settings.clone());
    for record in Model::new(ModelSettings {
        start: Timestamp(1_767_323_045_000),
        rate: 10_000.0,
        max_traces: Some(200),
        late_fraction: 0.1,
        ..ModelSettings::default()
    }) {
        expected.record(&record.spans);
    }
    assert_eq!(ledger.traces.len(), expected.traces.len());
    for (trace_id, trace) in &mut expected.traces {
        // Acknowledgements come partition by partition, records in order within each.
        let written = &ledger.traces[trace_id];
        assert_eq!(written, trace);
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let endless = parse(&["--rate=0"]).unwrap();
    let now = std::time::SystemTime::now();
    let error = endless.model_settings(now).unwrap_err().to_string();
    assert!(error.starts_with("--rate 0 needs "), "{error}");
    assert!(parse(&["--error-fraction=1.5"]).is_err());
    assert!(parse(&["--rate=-1"]).is_err());
    assert!(parse(&["-Xlinger"]).is_err());
    assert!(parse(&["--duration=soon"]).is_err());
}

#[test]
fn a_backlog_ends_in_the_past() {
    let args = parse(&["--rate=0", "--spans=20000", "--late-fraction=0.01"]).unwrap();
    let now = std::time::UNIX_EPOCH + Duration::from_secs(1_760_000_000);
    let settings = args.model_settings(now).unwrap();
    let last = Model::new(settings).last().unwrap();
    assert!(last.at < Timestamp(1_760_000_000_000));
    assert!(last.at > Timestamp(1_760_000_000_000 - 60_000));
}
