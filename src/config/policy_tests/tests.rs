use super::*;

/// Policies, and one test with `fields`.
fn file(fields: &str) -> String {
    format!(
        "policies:\n  - {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}\n\
         tests:\n  - {{name: t, {fields}}}\n"
    )
}

fn errors(text: &str) -> String {
    match parse("tests.yaml", text, Path::new("/nowhere")) {
        Ok(_) => panic!("{text} is taken"),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn errors_say_where_and_what_was_expected() {
    let same = "{trace_id: 0af7651916cd43dd8448eb211c80319c, spans: {}, expect: keep}";
    let cases: [(String, &[&str]); 25] = [
        (file(&format!("traces: [{same}, {same}]")), &["two traces of this test have the id 0af7651916cd43dd8448eb211c80319c"]),
        (file("spans: {statuz: error}, expect: keep"), &["tests.yaml:4:23: unknown key `statuz`", "did you mean `status`?"]),
        (file("spans: {status: bad}, expect: keep"), &["tests.yaml:4:31: status: expected one of unset, ok, error"]),
        (file("spans: {kind: servre}, expect: keep"), &["did you mean server?"]),
        (file("spans: {duration: 5}, expect: keep"), &["duration: expected a duration such as `200ms` or `5s`, found `5`"]),
        (file("spans: {}, expect: maybe"), &["tests.yaml:4:34: expect: expected one of keep, drop, found `maybe`"]),
        (file("spans: {}"), &["tests.yaml:4:5: `expect` is missing"]),
        (file("expect: keep"), &["`spans` is missing"]),
        (file("spans: [], expect: keep"), &["tests.yaml:4:22: spans: must hold a value"]),
        (file("spans: {}, expect: {policy: errors}"), &["`decision` is missing"]),
        (file("spans: {}, expect: {decision: keep, policy: error}"), &["tests.yaml:4:59: there is no policy `error`", "did you mean `errors`?"]),
        (file("spans: {}, expect: {decision: keep, votes: {x: keep}}"), &["tests.yaml:4:59: there is no policy `x`", "there are errors"]),
        (file("spans: {}, expect: {decision: keep, votes: {errors: yes}}"), &["errors: expected one of keep, none, drop"]),
        (file("spans: {}, expect: {decision: keep, votes: keep}"), &["votes: expected `policy: keep`, found text"]),
        (file("spans: {}, expect: {decision: keep, threshold: 8e6}"), &["threshold: expected 1 to 14 hexadecimal digits"]),
        (file("spans: {}, expect: {decision: keep, threshold: xyz}"), &["threshold: expected 1 to 14 hexadecimal digits"]),
        (file("randomness: 1, spans: {}, expect: keep"), &["tests.yaml:4:27: randomness: expected a number from 0 to below 1, found `1`"]),
        (file("trace_id: 12, spans: {}, expect: keep"), &["trace_id: expected 32 hexadecimal digits"]),
        (file("trace_id: 0af7651916cd43dd8448eb211c80319c, randomness: 0.5, spans: {}, expect: keep"), &["`randomness` is that of the trace id"]),
        (file("traces: [], expect: keep"), &["traces: must hold a value", "unknown key `expect`"]),
        (file("traces: [{spans: {}, expect: keep, color: red}]"), &["unknown key `color`"]),
        (file("spans: {attributes: [a]}, expect: keep"), &["attributes: expected `key: value`, found a list"]),
        ("policies: [{name: a, type: always_sampel}]\ntests: [{name: t, spans: {}, expect: keepp}]".to_owned(), &["tests.yaml:1:28", "always_sampel", "tests.yaml:2:38: expect"]),
        ("policies: nothing.yaml\ntests: []".to_owned(), &["tests.yaml:2:8: tests: must hold a value", "/nowhere/nothing.yaml: cannot be read"]),
        ("test: []".to_owned(), &["`policies` is missing", "`tests` is missing", "unknown key `test`"]),
    ];
    for (text, expected) in cases {
        let errors = errors(&text);
        for part in expected {
            assert!(errors.contains(part), "{part:?} is not in:\n{errors}\nof\n{text}");
        }
    }
}

#[test]
fn thresholds_are_compared_as_numbers() {
    let cases = [
        ("e666", "e666"),
        ("'0'", "0"),
        ("0", "0"),
        ("'80'", "8"),
        ("FD70A", "fd70a"),
        ("none", "none"),
    ];
    for (written, expected) in cases {
        let text = file(&format!("spans: {{}}, expect: {{decision: keep, threshold: {written}}}"));
        let tests = parse("tests.yaml", &text, Path::new("")).unwrap();
        let threshold = tests.tests[0].traces[0].expected.threshold.as_deref();
        assert_eq!(threshold, Some(expected), "{written}");
    }
}

#[test]
fn policies_may_be_a_whole_file_written_out() {
    let text = "policies:\n  decision_wait: 7s\n  policies: [{name: a, type: always_sample}]\n\
                tests: [{name: t, spans: {}, expect: keep}]";
    let tests = parse("tests.yaml", text, Path::new("")).unwrap();
    assert_eq!(tests.policies.decision_wait, Duration::from_secs(7));
    assert_eq!(tests.tests[0].line, 4);
}
