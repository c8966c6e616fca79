//! Spans in their usual form, which the scan reads at a glance, and spans that are nearly so: cut
//! short, with a byte changed, or the same with longer tags, lengths and numbers than need be.

use super::*;
use crate::otlp::usual::Found;
use crate::otlp::wire::delimited_field as field;

/// Spans as SDKs send them.
fn usual_spans() -> Vec<Span> {
    let attribute = |key: &str, value| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        key_strindex: 0,
    };
    let root = Span {
        trace_id: (1..17).collect(),
        span_id: (1..9).collect(),
        name: "GET /cart".into(),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_001_000_000,
        attributes: vec![
            attribute("http.route", Value::StringValue("/cart".into())),
            attribute("k", Value::IntValue(200)),
            attribute("asked", Value::BoolValue(true)),
            attribute("asked", Value::DoubleValue(0.5)),
            attribute("k", Value::IntValue(-1)),
            attribute("other", Value::StringValue("x".repeat(130))),
        ],
        status: Some(Status { code: 1, ..Status::default() }),
        flags: 0x101,
        ..Span::default()
    };
    let event = Event {
        time_unix_nano: 1_700_000_000_000_500_000,
        name: "exception".into(),
        attributes: vec![attribute("k", Value::StringValue("no stock".into()))],
        ..Event::default()
    };
    let link = Link { trace_id: vec![7; 16], span_id: vec![7; 8], flags: 0x100, ..Link::default() };
    let array = ArrayValue { values: vec![AnyValue { value: Some(Value::IntValue(1)) }] };
    let child = Span {
        trace_state: "ot=th:8;rv:80000000000000".into(),
        parent_span_id: vec![3; 8],
        attributes: vec![attribute("k", Value::ArrayValue(array))],
        dropped_attributes_count: 1,
        events: vec![event],
        links: vec![link],
        status: Some(Status { message: "no stock".into(), code: 2 }),
        ..root.clone()
    };
    let unset = Span { attributes: vec![], status: Some(Status::default()), ..root.clone() };
    vec![root, child, unset]
}

/// A record of this span, with nothing around it.
fn record_of(span: &[u8]) -> Vec<u8> {
    [2, 2, 1].into_iter().fold(span.to_vec(), |inner, number| field(number, &inner))
}

/// Appends a varint with a byte more than it needs.
fn write_padded(value: u64, out: &mut Vec<u8>) {
    write_varint(value, out);
    *out.last_mut().expect("a varint has a byte") |= 0x80;
    out.push(0);
}

/// The same message; each field with this chance with padded tag, length and number. With a chance
/// of 1 nothing is in its usual form.
fn pad(message: &[u8], shape: &Shape, chance: f64, rng: &mut StdRng) -> Vec<u8> {
    let mut padded = Vec::new();
    let mut reader = Reader::new(message, 0);
    while !reader.is_at_end() {
        let start = reader.position();
        let tag = reader.tag().expect("it is valid");
        let body = reader.position();
        reader.skip(tag, 100).expect("it is valid");
        let is_padded = rng.random_bool(chance);
        let write = if is_padded { write_padded } else { write_varint };
        let mut field = Reader::new(message, body);
        match tag.wire_type {
            WireType::Bytes => {
                let nested = shape.0.iter().find(|(field, _)| *field == tag.field);
                let (start, end) = field.delimited().expect("it is valid");
                let inner = match nested {
                    Some((_, shape)) => pad(&message[start..end], shape, chance, rng),
                    None => message[start..end].to_vec(),
                };
                write(u64::from(tag.field << 3 | 2), &mut padded);
                write(inner.len() as u64, &mut padded);
                padded.extend_from_slice(&inner);
            }
            WireType::Varint => {
                let number = field.varint().expect("it is valid");
                write(u64::from(tag.field << 3), &mut padded);
                // There are no longer varints than those of ten bytes.
                let write = if number >> 63 == 0 { write } else { write_varint };
                write(number, &mut padded);
            }
            WireType::Fixed64 if is_padded => {
                write(u64::from(tag.field << 3 | 1), &mut padded);
                padded.extend_from_slice(&message[body..reader.position()]);
            }
            _ => padded.extend_from_slice(&message[start..reader.position()]),
        }
    }
    padded
}

#[test]
fn a_usual_span_is_read_at_a_glance_and_a_padded_one_is_not() {
    for span in usual_spans() {
        let bytes = span.encode_to_vec();
        let mut reader = Reader::new(&bytes, 0);
        Found::begin(&mut reader);
        let next = bytes[reader.position()];
        let expected = if span.attributes.is_empty() { 15 << 3 | 2 } else { 9 << 3 | 2 };
        assert_eq!(next, expected, "what comes behind the times");
        let mut rng = StdRng::seed_from_u64(1);
        let padded = pad(&bytes, &SPAN, 1.0, &mut rng);
        let mut reader = Reader::new(&padded, 0);
        Found::begin(&mut reader);
        assert_eq!(reader.position(), 0);
    }
}

#[test]
fn agrees_with_prost_on_usual_spans_cut_anywhere() {
    for span in usual_spans() {
        let bytes = span.encode_to_vec();
        for end in 0..=bytes.len() {
            agree(&record_of(&bytes[..end]));
        }
        let record = record_of(&bytes);
        for end in 0..=record.len() {
            agree(&record[..end]);
        }
    }
}

#[test]
fn agrees_with_prost_on_usual_spans_with_any_byte_changed() {
    for span in usual_spans() {
        let bytes = span.encode_to_vec();
        for at in 0..bytes.len() {
            let flipped = (0..8).map(|bit| bytes[at] ^ 1 << bit);
            let near = [bytes[at].wrapping_add(1), bytes[at].wrapping_sub(1), 0, 0x80, 0xff];
            for byte in flipped.chain(near) {
                let mut changed = bytes.clone();
                changed[at] = byte;
                agree(&record_of(&changed));
            }
        }
    }
}

#[test]
fn agrees_with_prost_on_values_cut_anywhere() {
    let values = usual_spans().into_iter().flat_map(|span| span.attributes);
    for value in values.filter_map(|attribute| attribute.value) {
        let value = value.encode_to_vec();
        let cut = (0..value.len()).map(|end| value[..end].to_vec());
        let longer = [&value[..], &[0]].concat();
        let of_other_kinds = (0..=255).map(|kind| [&[kind], &value[1..]].concat());
        for value in cut.chain([longer]).chain(of_other_kinds) {
            let attribute = [field(1, b"k"), field(2, &value)].concat();
            let ids = [field(1, &[1; 16]), field(2, &[2; 8])].concat();
            agree(&record_of(&[ids, field(9, &attribute), vec![0x85, 1, 1, 0, 0, 0]].concat()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn agrees_with_prost_on_messages_that_are_longer_than_need_be(
        seed in any::<u64>(),
        chance in prop::sample::select(vec![0.02, 0.2, 1.0]),
    ) {
        let mut rng = StdRng::seed_from_u64(seed);
        let record = request(&mut rng).encode_to_vec();
        agree(&pad(&record, &TRACES_DATA, chance, &mut rng));
        let mangled = mangle(&record, &TRACES_DATA, &mut rng);
        agree(&pad(&mangled, &TRACES_DATA, chance, &mut rng));
    }
}
