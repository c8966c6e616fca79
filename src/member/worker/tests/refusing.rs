//! Records that are not what they should be: what is counted, what is sent, what is held back.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;
use rdkafka::mocking::MockCluster;
use tokio::sync::mpsc;

use super::bench::*;
use crate::export::Refusal;
use crate::ids::Position;
use crate::kafka::dead_letters::{
    DeadLetterSettings, DeadLetters, Input, Kind, LetterSink, LetterTicket,
};
use crate::otlp::encoding::Encoding;
use crate::telemetry::accounts::{Amount, Counts};
use crate::telemetry::metrics::Invalid;

fn bench() -> Bench {
    Bench::new(active(&[everything("all")]))
}

/// A bench with a dead-letter topic; nothing is settled until its broker comes.
fn bench_with_letters(brokers: &str) -> (Bench, mpsc::UnboundedReceiver<LetterTicket>) {
    let mut bench = bench();
    let (sender, told) = mpsc::unbounded_channel();
    let sink: LetterSink = Box::new(move |ticket| {
        let _ = sender.send(ticket);
    });
    let settings =
        DeadLetterSettings { topic: "dead".into(), message_timeout: Duration::from_secs(600) };
    let input = Input { brokers, properties: &[], topic: "spans" };
    bench.shared().dead_letters = DeadLetters::start(&settings, input, vec![sink]).unwrap();
    (bench, told)
}

/// A value, why it is refused, and what it is counted as.
type Case = (Option<&'static [u8]>, Invalid, Option<Encoding>);

fn assert_balanced(counts: &Counts) {
    let mut sum = Amount::default();
    counts.invalid.iter().for_each(|amount| sum.add(*amount));
    assert_eq!(counts.received, sum, "nothing else was received");
}

#[test]
fn each_reason_is_counted_and_the_accounts_balance() {
    let cases: [Case; 12] = [
        (None, Invalid::NullValue, None),
        (Some(b"\xff\xff"), Invalid::Malformed, Some(Encoding::OtlpProto)),
        (Some(b"\x1f\x8b\x08 no gzip"), Invalid::Compressed, Some(Encoding::OtlpProto)),
        (Some(b"{\"resourceSpans\": 1}"), Invalid::Json, Some(Encoding::OtlpJson)),
        (Some(b"[{\"traceId\":\"1\",\"id\":\"2\"}]"), Invalid::Unsupported, Some(Encoding::ZipkinJson)),
        // Content of which nothing is understood: old names, in both encodings, and fields of later.
        (
            Some(b"{\"resourceSpans\":[{\"instrumentationLibrarySpans\":[{\"spans\":[{}]}]}]}"),
            Invalid::NotUnderstood,
            Some(Encoding::OtlpJson),
        ),
        (Some(b"\x0a\x05\xc2\x3e\x02ab"), Invalid::NotUnderstood, Some(Encoding::OtlpProto)),
        (Some(b"\xc2\x3e\x02ab"), Invalid::NotUnderstood, Some(Encoding::OtlpProto)),
        (Some(b"\x0a\x00\x12\x08\x1a\x06\xff\xff\xff\xff\x00\x00"), Invalid::Unsupported, Some(Encoding::Otap)),
        (Some(b"\n{\"resourceSpans\": 1}"), Invalid::Json, Some(Encoding::OtlpJson)),
        (
            Some(b"\x0a\x16\x0a\x08\x07\x07\x07\x07\x07\x07\x07\x07\x1a\x08\x07\x07\x07\x07\x07\x07\x07\x07\x20\x01"),
            Invalid::Unsupported,
            Some(Encoding::ZipkinProto),
        ),
        (Some(b"Obj\x01"), Invalid::Unsupported, Some(Encoding::Avro)),
    ];
    for (value, reason, encoding) in cases {
        let mut bench = bench();
        bench.take_in_value(value);
        let counts = bench.counts();
        assert_eq!(counts.invalid_records[reason as usize], 1, "{value:?}");
        assert_eq!(counts.invalid_records.iter().sum::<u64>(), 1, "{value:?}");
        let bytes = value.map_or(0, <[u8]>::len) as u64;
        assert_eq!(counts.invalid[reason as usize].bytes, bytes);
        assert_balanced(counts);
        let encoded: Vec<_> = Encoding::ALL
            .into_iter()
            .filter(|encoding| counts.encoded[*encoding as usize] == 1)
            .collect();
        assert_eq!(encoded, Vec::from_iter(encoding));
        assert_eq!(bench.committable(), Position(1), "nothing is held back");
    }
}

#[test]
fn json_and_compressed_records_are_spans_like_others() {
    let mut bench = bench();
    let packed = zstd::stream::encode_all(&*record("shop", vec![span(1)]), 1).unwrap();
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"01010101010101010101010101010101","spanId":"0101010101010101"}]}]}]}"#;
    bench.take_in_value(Some(&packed));
    bench.take_in_value(Some(json));
    bench.take_in(0, "shop", vec![span(1)]);
    bench.run_clock_to(40_000);
    assert_eq!(bench.forwarded().len(), 3);
    let counts = bench.counts();
    assert_eq!(counts.encoded[Encoding::OtlpProto as usize], 2);
    assert_eq!(counts.encoded[Encoding::OtlpJson as usize], 1);
    assert_eq!(counts.compressed, [0, 1]);
}

#[test]
fn json_may_come_behind_a_line_feed_in_lines_or_in_a_list() {
    let json = |id: u8| {
        format!(
            r#"{{"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{:016x}"}}]}}]}}"#,
            u128::from(id),
            u64::from(id)
        )
    };
    let whole = |id| format!("{{\"resourceSpans\":[{}]}}", json(id));
    let values = [
        format!("\n{}", whole(1)),
        format!("\u{feff}{}\n{}\n", whole(2), whole(3)),
        format!("[{},{}]", json(4), json(5)),
        format!("\n [{}]", json(6)),
    ];
    let mut bench = bench();
    for value in &values {
        bench.take_in_value(Some(value.as_bytes()));
    }
    bench.run_clock_to(40_000);
    assert_eq!(bench.forwarded().len(), 6);
    let counts = bench.counts();
    assert_eq!(counts.encoded[Encoding::OtlpJson as usize], 4);
    assert_eq!(counts.invalid_records, [0; Invalid::ALL.len()]);
}

#[test]
fn what_is_empty_is_counted_and_no_fault() {
    let values: [&[u8]; 5] =
        [b"", b"\x0a\x00", b"\x0a\x04\x0a\x02\x0a\x00", b"{\"resourceSpans\":[]}", b"[]"];
    let mut bench = bench();
    for value in values {
        bench.take_in_value(Some(value));
    }
    assert_eq!(bench.counts().empty_records, 5);
    assert_eq!(bench.counts().invalid_records, [0; Invalid::ALL.len()]);
}

#[test]
fn text_that_is_not_utf8_is_forwarded_as_it_is_and_counted() {
    let mut bench = bench();
    let good = span(1);
    let mut bytes = record("shop", vec![Span { name: "xxx".into(), ..span(2) }, good]);
    let at = bytes.windows(3).position(|it| it == b"xxx").expect("the name is there");
    bytes[at..at + 3].copy_from_slice(b"\xe2\x28\xa1");
    bench.take_in_value(Some(&bytes));
    bench.run_clock_to(40_000);
    assert_eq!(bench.counts().not_utf8_spans, 1);
    assert_eq!(bench.counts().invalid_records, [0; Invalid::ALL.len()]);
}

#[test]
fn a_letter_holds_the_offset_back_until_it_is_settled() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("dead", 1, 1).unwrap();
    cluster.broker_down(1).unwrap();
    let (mut bench, mut told) = bench_with_letters(&cluster.bootstrap_servers());
    bench.take_in_value(Some(b"\xff\xff"));
    bench.take_in_value(None);
    assert_eq!(bench.state.settlement.under_way(), 2);
    assert_eq!(bench.committable(), Position(0));
    cluster.broker_up(1).unwrap();
    let tickets: Vec<_> = (0..2).map(|_| told.blocking_recv().unwrap()).collect();
    assert_eq!(bench.committable(), Position(0), "the worker was not told");
    for ticket in tickets {
        assert_eq!(ticket.origin, bench.state.origin);
        bench.state.settlement.letter_settled(ticket.waiter, &mut bench.ctx.outbox);
    }
    assert_eq!((bench.state.settlement.under_way(), bench.committable()), (0, Position(2)));
}

#[test]
fn what_finds_no_room_waits_in_order_and_whole() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("dead", 1, 1).unwrap();
    cluster.broker_down(1).unwrap();
    let (mut bench, _told) = bench_with_letters(&cluster.bootstrap_servers());
    let huge = vec![0xff; 45 << 20];
    bench.take_in_value(Some(&huge));
    assert!(bench.ctx.outbox.letters.is_empty());
    bench.take_in_value(Some(&huge));
    let short = |id| Span { span_id: vec![1; id], ..span(1) };
    bench.take_in(0, "shop", vec![short(7), span(1), short(9)]);
    let waiting: Vec<_> = bench.ctx.outbox.letters.iter().map(|(letter, _)| letter).collect();
    assert_eq!(waiting.len(), 2);
    assert_eq!((waiting[0].kind, waiting[0].value.as_ref()), (Kind::Record, Some(&huge)));
    assert_eq!((waiting[1].kind, waiting[1].reason.as_str()), (Kind::Spans, "span_id"));
    let spans = TracesData::decode(waiting[1].value.as_deref().unwrap()).unwrap();
    assert_eq!(spans.resource_spans[0].scope_spans[0].spans, [short(7), short(9)]);
    assert_eq!(bench.state.settlement.under_way(), 3);
    bench.ctx.shared.dead_letters.crash();
}

/// A backend refuses a chunk for good: the delivery is done, and on record as such, only when the
/// letter that takes its place is settled.
#[test]
fn a_refused_chunk_is_not_done_before_its_letter_is() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("dead", 1, 1).unwrap();
    let (mut bench, mut settled) = bench_with_letters(&cluster.bootstrap_servers());
    bench.take_in(0, "shop", vec![span(1)]);
    bench.run_clock_to(30_000);
    let delivery = bench.ctx.outbox.chunks.pop().unwrap().chunk.ticket.delivery;
    let refusal = Refusal {
        bytes: Bytes::from_static(b"spans"),
        forwarded: Bytes::new(),
        reason: "INVALID_ARGUMENT",
        message: "no".to_owned(),
    };
    let outbox = &mut bench.ctx.outbox;
    bench.state.settlement.chunk_refused(delivery, "default", &refusal, outbox);
    assert_eq!(bench.state.settlement.under_way(), 1);
    assert_eq!(bench.committable(), Position(0));
    bench.ctx.send_letters();
    let ticket = settled.blocking_recv().unwrap();
    bench.state.settlement.letter_settled(ticket.waiter, &mut bench.ctx.outbox);
    assert_eq!(bench.state.settlement.under_way(), 0);
    assert_eq!(bench.committable(), Position(1));
}
