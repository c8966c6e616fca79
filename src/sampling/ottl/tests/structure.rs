//! How a condition is cut into leaves, and what it says of itself.

use std::fmt::Write;

use crate::sampling::ottl::expression::Kind;
use crate::sampling::ottl::{
    Condition, Context, EvalError, Level, Needs, Skeleton, compile, compile_apart,
};

/// The skeleton with the level and the text of each leaf.
fn shape(condition: &Condition) -> String {
    fn write(skeleton: &Skeleton, condition: &Condition, out: &mut String) {
        let (name, parts) = match skeleton {
            Skeleton::Leaf(index) => {
                let leaf = &condition.leaves()[*index];
                let (level, range) = (leaf.level(), &leaf.expression.range);
                // A negation that was pushed into a comparison stands nowhere in the text.
                let is_pushed =
                    matches!(&leaf.expression.kind, Kind::Not(it) if it.range == *range);
                let not = if is_pushed { "not " } else { "" };
                return write!(out, "{level:?}<{not}{}>", &condition.text()[range.clone()])
                    .unwrap();
            }
            Skeleton::Not(negated) => ("not", std::slice::from_ref(&**negated)),
            Skeleton::And(all) => ("and", all.as_slice()),
            Skeleton::Or(any) => ("or", any.as_slice()),
        };
        write!(out, "{name}(").unwrap();
        for (index, part) in parts.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { ", " });
            write(part, condition, out);
        }
        out.push(')');
    }
    let mut out = String::new();
    write(condition.skeleton(), condition, &mut out);
    out
}

fn compiled(text: &str) -> Condition {
    compile(text, Context::Span).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn leaves_are_as_large_as_can_be() {
    let cases = [
        ("name == \"a\" and kind == 1", "Span<name == \"a\" and kind == 1>"),
        ("not (true and (false or kind == 1))", "Span<not (true and (false or kind == 1))>"),
        ("root.kind == 1 or root.kind == 2", "Root<root.kind == 1 or root.kind == 2>"),
        ("1 < 2 and IsMatch(\"a\", \"a\")", "Constant<1 < 2 and IsMatch(\"a\", \"a\")>"),
        (
            "kind == 1 and flags == 1 and trace.bytes > 5 and name == \"a\"",
            "and(Span<kind == 1 and flags == 1>, Trace<trace.bytes > 5>, Span<name == \"a\">)",
        ),
        (
            "kind == 1 or IsMatch(\"a\", \"b\") or trace.bytes > 5",
            "or(Span<kind == 1 or IsMatch(\"a\", \"b\")>, Trace<trace.bytes > 5>)",
        ),
        (
            "not (root.kind == 1 or (kind == 2 and flags == 1))",
            "not(or(Root<root.kind == 1>, Span<(kind == 2 and flags == 1)>))",
        ),
        (
            "trace.bytes > 5 and kind == 1 or true",
            "Constant<trace.bytes > 5 and kind == 1 or true>",
        ),
        (
            "trace.bytes > 5 and (kind == 1 and false)",
            "Constant<trace.bytes > 5 and (kind == 1 and false)>",
        ),
        (
            "resource.attributes[\"a\"] == scope.name",
            "Span<resource.attributes[\"a\"] == scope.name>",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(shape(&compiled(text)), expected);
    }
}

#[test]
fn apart_every_comparison_is_a_leaf() {
    let cases = [
        ("name == \"a\" and kind == 1", "and(Span<name == \"a\">, Span<kind == 1>)"),
        (
            "not (kind == 1 and (trace.bytes > 5 or not IsRootSpan()))",
            "or(Span<not kind == 1>, and(Trace<not trace.bytes > 5>, Span<IsRootSpan()>))",
        ),
        ("not (not (kind == 1))", "Span<(kind == 1)>"),
        ("true and false", "Constant<true and false>"),
    ];
    for (text, expected) in cases {
        assert_eq!(shape(&compiled(text).apart()), expected);
        assert_eq!(shape(&compile_apart(text, Context::Span).unwrap()), expected);
    }
}

#[test]
fn parts_that_alternate_are_bounded() {
    let alternating = |parts: usize| vec!["kind == 1 and trace.bytes > 5"; parts].join(" and ");
    assert_eq!(compiled(&alternating(5)).leaves().len(), 10);
    let error = compile(&alternating(6), Context::Span).unwrap_err();
    assert!(error.message.starts_with("6 parts about spans"), "{error}");
    assert_eq!(compile_apart(&alternating(6), Context::Span).unwrap().leaves().len(), 12);
    assert_eq!(compiled(&["kind == 1"; 100].join(" and ")).leaves().len(), 1);
}

#[test]
fn skeletons_stop_when_the_answer_is_known() {
    let leaf = |index| Skeleton::Leaf(index);
    let skeleton = Skeleton::Or(vec![Skeleton::And(vec![leaf(0), leaf(1)]), leaf(2), leaf(3)]);
    let error = EvalError::NotANumber;
    type Answer = Result<bool, EvalError>;
    let cases: [([Answer; 4], Answer, &[usize]); 4] = [
        ([Ok(false), Ok(true), Ok(true), Ok(true)], Ok(true), &[0, 2]),
        ([Ok(true), Ok(true), Err(error), Err(error)], Ok(true), &[0, 1]),
        ([Ok(false), Ok(true), Err(error), Ok(true)], Err(error), &[0, 2]),
        ([Ok(false), Err(error), Ok(false), Ok(false)], Ok(false), &[0, 2, 3]),
    ];
    for (answers, expected, order) in cases {
        let mut asked = Vec::new();
        let answer = skeleton.evaluate(&mut |index| {
            asked.push(index);
            answers[index]
        });
        assert_eq!((answer, asked.as_slice()), (expected, order));
    }
}

#[test]
fn what_a_scan_has_to_look_at() {
    let none = Needs::default();
    let details = Needs { details: true, ..none };
    let cases = [
        ("name == \"a\" and flags == 1 and IsRootSpan()", none),
        ("parent_span_id.string == \"a\"", details),
        ("root.status.message == \"a\"", details),
        ("dropped_events_count > 1", details),
        ("IsMatch(scope.name, \"a\")", Needs { scopes: true, ..none }),
        ("trace.service_count > 1 and trace.bytes > 1", Needs { services: true, ..none }),
        ("scope.name == \"a\" and false", none),
    ];
    for (text, expected) in cases {
        assert_eq!(compiled(text).needs(), expected, "{text}");
    }
    let on_events = compile("true", Context::SpanEvent).unwrap();
    assert_eq!(on_events.needs(), Needs { events: true, ..none });
    let keys = r#"attributes["b"]["c"] == 1 and Concat([attributes["a"],
        resource.attributes["b"], scope.attributes["d"]], "") == "" or kind == 1"#;
    assert_eq!(compiled(keys).attribute_keys(), ["b", "a", "d"]);
    assert_eq!(compiled("trace.bytes > 1").leaves()[0].level(), Level::Trace);
}
