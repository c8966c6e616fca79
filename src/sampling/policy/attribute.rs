//! What is asked of the values of one attribute.
//!
//! Many policies may ask of the same one, and few answers are yes: a value is looked up once among
//! all strings that are named, and matched once against all expressions together, if its first byte
//! leaves a chance. Only if that says yes it is found out which of them it was.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use foldhash::fast::FixedState;
use regex::bytes::RegexSet;

use super::first_bytes::FirstBytes;
use crate::otlp::span::ValueRef;
use crate::sampling::facts::Facts;
use crate::sampling::ottl::readable;

/// A question about the value of an attribute.
#[derive(Debug)]
pub(super) enum AttributeTest {
    /// A string, one of these.
    OneOf(HashSet<Box<[u8]>, FixedState>),
    /// A string that one of these expressions matches somewhere.
    Matches(RegexSet),
    /// A whole number in this range.
    Within(RangeInclusive<i64>),
    /// This boolean.
    Is(bool),
}

impl PartialEq for AttributeTest {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OneOf(one), Self::OneOf(other)) => one == other,
            (Self::Matches(one), Self::Matches(other)) => one.patterns() == other.patterns(),
            (Self::Within(one), Self::Within(other)) => one == other,
            (Self::Is(one), Self::Is(other)) => one == other,
            _ => false,
        }
    }
}

/// All questions about one attribute, each once.
#[derive(Debug, Default)]
pub(super) struct AttributeTests {
    /// Each with the fact that it holds.
    asked: Vec<(AttributeTest, u16)>,
    /// By string: the facts that hold where it is the value.
    strings: HashMap<Box<[u8]>, Facts, FixedState>,
    /// Of these strings.
    string_bytes: FirstBytes,
    /// Where in `asked` the expressions are.
    expressions: Vec<usize>,
    /// All expressions, if there are several questions with some and they fit together.
    any_expression: Option<RegexSet>,
    /// Of what any expression matches.
    expression_bytes: FirstBytes,
}

impl AttributeTests {
    /// The fact that this question leads to, if it was added before.
    pub(super) fn fact_of(&self, test: &AttributeTest) -> Option<u16> {
        self.asked.iter().find(|(asked, _)| asked == test).map(|(_, fact)| *fact)
    }

    /// Asks this, too, from now on.
    pub(super) fn add(&mut self, test: AttributeTest, fact: u16) {
        match &test {
            AttributeTest::OneOf(values) => {
                for value in values {
                    self.strings.entry(value.clone()).or_default().insert(fact);
                }
            }
            AttributeTest::Matches(_) => self.expressions.push(self.asked.len()),
            AttributeTest::Within(_) | AttributeTest::Is(_) => {}
        }
        self.asked.push((test, fact));
    }

    /// Nothing more is added.
    pub(super) fn finish(&mut self) {
        self.string_bytes = FirstBytes::of_texts(self.strings.keys().map(Box::as_ref));
        let patterns = self.expressions().flat_map(|(set, _)| set.patterns());
        self.expression_bytes = FirstBytes::of_expressions(patterns);
        if self.expressions.len() > 1 {
            let patterns = self.expressions().flat_map(|(set, _)| set.patterns());
            // Too large together, they are tried one by one.
            self.any_expression = RegexSet::new(patterns).ok();
        }
    }

    /// Enters the facts that hold of `value`. Another type than asked for is no match: a number is
    /// not its text, nor a missing value 0.
    pub(super) fn ask(&self, value: ValueRef, record: &[u8], facts: &mut Facts) {
        match value {
            ValueRef::String(text) => self.ask_string(text.of(record), facts),
            ValueRef::Int(number) => self.ask_each(facts, |test| match test {
                AttributeTest::Within(range) => range.contains(&number),
                _ => false,
            }),
            ValueRef::Bool(value) => self.ask_each(facts, |test| *test == AttributeTest::Is(value)),
            _ => {}
        }
    }

    fn ask_string(&self, text: &[u8], facts: &mut Facts) {
        if self.string_bytes.may_begin(text)
            && let Some(more) = self.strings.get(text)
        {
            facts.merge(more);
        }
        if self.expressions.is_empty() || !self.expression_bytes.may_begin(text) {
            return;
        }
        // To an expression, each byte that is no UTF-8 is U+FFFD, as in Go: `.` matches it.
        let text = readable(text);
        let text = text.as_bytes();
        if self.any_expression.as_ref().is_some_and(|any| !any.is_match(text)) {
            return;
        }
        for (expressions, fact) in self.expressions() {
            if !facts.contains(fact) && expressions.is_match(text) {
                facts.insert(fact);
            }
        }
    }

    fn ask_each(&self, facts: &mut Facts, holds: impl Fn(&AttributeTest) -> bool) {
        for (test, fact) in &self.asked {
            if holds(test) {
                facts.insert(*fact);
            }
        }
    }

    fn expressions(&self) -> impl Iterator<Item = (&RegexSet, u16)> {
        self.expressions.iter().filter_map(|place| match &self.asked[*place] {
            (AttributeTest::Matches(expressions), fact) => Some((expressions, *fact)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::span::Slice;

    fn one_of(values: &[&str]) -> AttributeTest {
        AttributeTest::OneOf(values.iter().map(|value| value.as_bytes().into()).collect())
    }

    fn matches(patterns: &[&str]) -> AttributeTest {
        AttributeTest::Matches(RegexSet::new(patterns).unwrap())
    }

    fn tests() -> AttributeTests {
        let mut tests = AttributeTests::default();
        let all = [
            one_of(&["GET", "PUT"]),
            one_of(&["PUT", "POST"]),
            matches(&["^P", "X"]),
            matches(&["T$"]),
            AttributeTest::Within(1..=5),
            AttributeTest::Within(5..=9),
            AttributeTest::Is(true),
            AttributeTest::Is(false),
        ];
        for (fact, test) in (0..).zip(all) {
            tests.add(test, fact);
        }
        tests.finish();
        tests
    }

    fn facts_of(tests: &AttributeTests, value: ValueRef, record: &[u8]) -> Vec<u16> {
        let mut facts = Facts::default();
        tests.ask(value, record, &mut facts);
        (0..64).filter(|fact| facts.contains(*fact)).collect()
    }

    #[test]
    fn each_question_is_answered_as_if_it_were_the_only_one() {
        let tests = tests();
        let of = |text: &str| {
            let text = text.as_bytes();
            facts_of(&tests, ValueRef::String(Slice { start: 0, end: text.len() as u32 }), text)
        };
        assert_eq!(of("GET"), [0, 3]);
        assert_eq!(of("PUT"), [0, 1, 2, 3]);
        assert_eq!(of("POST"), [1, 2, 3]);
        assert_eq!(of("PATCH"), [2]);
        assert_eq!(of("5"), [0; 0]);
        let bytes = |text: &[u8]| {
            facts_of(&tests, ValueRef::String(Slice { start: 0, end: text.len() as u32 }), text)
        };
        assert_eq!(bytes(b"GET\xff"), [0; 0], "strings are compared by their bytes");
        assert_eq!(bytes(b"\xe2\x28\xa1T"), [3], "an expression matches what is around them");
        assert_eq!(facts_of(&tests, ValueRef::Int(5), b""), [4, 5]);
        assert_eq!(facts_of(&tests, ValueRef::Bool(false), b""), [7]);
    }

    #[test]
    fn what_was_added_is_known() {
        let tests = tests();
        assert_eq!(tests.fact_of(&one_of(&["POST", "PUT"])), Some(1));
        assert_eq!(tests.fact_of(&one_of(&["POST"])), None);
        assert_eq!(tests.fact_of(&matches(&["T$"])), Some(3));
        assert_eq!(tests.fact_of(&AttributeTest::Is(true)), Some(6));
    }
}
