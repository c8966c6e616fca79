//! No text is too strange: it compiles or it does not, and what compiles has an answer.
//!
//! `TAILSIEVE_MUTATIONS=100000 cargo test --lib ottl::tests::fuzz` is the long run.

use proptest::prelude::*;

use super::{SUMS, TRACE, world};
use crate::sampling::ottl::{Context, compile, compile_apart};

/// How many texts of each kind are tried; the variable of this name says otherwise.
const CASES: &str = "TAILSIEVE_MUTATIONS";
const DEFAULT_CASES: u32 = 3000;

fn config() -> ProptestConfig {
    let cases = std::env::var(CASES).ok().map(|cases| cases.parse().unwrap());
    ProptestConfig::with_cases(cases.unwrap_or(DEFAULT_CASES))
}

const TOKENS: [&str; 84] = [
    "end_time",
    "span.duration_ms",
    "links",
    "Duration(",
    "\"5s\"",
    "TraceID(",
    "ParseJSON(",
    "Split(",
    "ContainsValue(",
    "Coalesce([",
    "Now(",
    "*",
    "/",
    "{",
    "}",
    ":",
    "1 / 0",
    "Hour(",
    "name",
    "kind",
    "attributes[\"who\"]",
    "attributes[\"m\"][\"k\"]",
    "attributes",
    "root.name",
    "trace.bytes",
    "span.",
    "resource.attributes[\"a\"]",
    "scope.name",
    "spanevent.name",
    "trace_state",
    "trace_id",
    "parent_span_id.string",
    "status.code",
    "IsMatch(",
    "IsRootSpan()",
    "IsString(",
    "Len(",
    "Int(",
    "Double(",
    "String(",
    "Concat([",
    "Substring(",
    "ToLowerCase(",
    "HasPrefix(",
    "IsMap(",
    "Foo(",
    "STATUS_CODE_ERROR",
    "SPAN_KIND",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "=",
    "and",
    "or",
    "not",
    "(",
    ")",
    "[",
    "]",
    ",",
    ".",
    "-",
    "+",
    "nil",
    "true",
    "false",
    "0",
    "1",
    "1.5",
    "0x0102",
    "08",
    "9223372036854775808",
    "1.",
    "\"a\"",
    "\"\\d\"",
    "\"(\"",
    "\"\\\\w+[\"",
    "\"ä",
    "ä",
    "{",
    "\\",
];

fn soup() -> impl Strategy<Value = String> {
    let token = prop::sample::select(TOKENS.as_slice());
    prop::collection::vec(token, 0..14).prop_map(|tokens| tokens.join(" "))
}

/// Well-formed, mostly.
fn grown() -> impl Strategy<Value = String> {
    let value = prop::sample::select(TOKENS.as_slice());
    let comparison = (value.clone(), prop::sample::select(&["==", "!=", "<", ">="][..]), value)
        .prop_map(|(left, comparison, right)| format!("{left} {comparison} {right}"));
    comparison.prop_recursive(5, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| format!("not ({inner})")),
            inner.clone().prop_map(|inner| format!("IsMatch(String({inner}), \"a\")")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|all| all.join(" and ")),
            prop::collection::vec(inner, 1..4).prop_map(|any| format!("({})", any.join(" or "))),
        ]
    })
}

/// A condition with one character of it replaced.
fn mutated() -> impl Strategy<Value = String> {
    let seed = r#"IsMatch(attributes["who"], "^a\\d{2}[b-z]$") and not (root.kind.string == "x"
        or Substring(Concat([name, 1.5e3], "\u00e4"), 0, 01) != nil) or 0x01ff <= trace.bytes"#;
    let place = 0..seed.chars().count();
    (
        place,
        any::<char>(),
        prop::sample::select(&["(", ")", "[", "\"", "\\", "{", "0", "a", ""][..]),
    )
        .prop_map(move |(place, strange, usual)| {
            let new = if strange.is_ascii() { usual.to_owned() } else { strange.to_string() };
            let keep = |(at, char): (usize, char)| {
                if at == place { new.clone() } else { char.to_string() }
            };
            seed.chars().enumerate().map(keep).collect()
        })
}

fn check(text: &str) {
    let record = world::record(TRACE);
    for context in [Context::Span, Context::SpanEvent] {
        match compile(text, context) {
            Ok(condition) => {
                let apart = compile_apart(text, context).unwrap();
                let together = world::answers(condition, &record, SUMS);
                assert_eq!(together, world::answers(apart, &record, SUMS), "{text}");
            }
            Err(error) => {
                let range = error.offset..error.offset + error.length;
                assert!(text.get(range).is_some(), "{text}: {error:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn token_soup(text in soup()) {
        check(&text);
    }

    #[test]
    fn conditions_that_grew(text in grown()) {
        check(&text);
    }

    #[test]
    fn mutations(text in mutated()) {
        check(&text);
    }

    #[test]
    fn any_text(text in ".{0,60}") {
        check(&text);
    }

    #[test]
    fn any_expression(pattern in "[\\[\\](){}*+?|^$a-c0-2\\\\:,&QEdDwpL.-]{0,24}") {
        check(&format!("IsMatch(name, {pattern:?})"));
    }
}
