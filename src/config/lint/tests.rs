use crate::config::parse_policies;

/// The warnings for these policies, one a line of the file from line 2 on, without the file's name.
fn warnings(policies: &[&str]) -> Vec<String> {
    let lines: String = policies.iter().map(|line| format!("- {line}\n")).collect();
    of(&format!("policies:\n{lines}"))
}

fn of(text: &str) -> Vec<String> {
    let file = parse_policies("p", text).unwrap_or_else(|errors| panic!("{errors}"));
    file.warnings.iter().map(|line| line.strip_prefix("p:").unwrap_or(line).to_owned()).collect()
}

#[test]
fn files_that_keep_nothing_are_found() {
    let drops = "{name: a, type: drop, drop: {drop_sub_policy: [{name: b, type: trace_flags}]}}";
    let shadow = "{name: c, type: trace_flags, mode: shadow}";
    let rule = "{name: d, type: rule, rule: {when: 'name == \"x\"', sample: drop}}";
    for policies in [&[drops][..], &[shadow], &[rule], &[shadow, drops, rule]] {
        let told = warnings(policies);
        assert_eq!(told.len(), 1, "{policies:?}: {told:?}");
        assert!(told[0].starts_with("2:") && told[0].contains("no policy keeps"), "{told:?}");
    }
    let slow = "{name: e, type: latency, latency: {threshold_ms: 1000}}";
    assert_eq!(warnings(&[drops, rule, slow]), [""; 0]);
    let none = warnings(&["{name: none, type: trace_flags}"]);
    assert!(none[0].contains("`none`"), "{none:?}");
}

#[test]
fn policies_that_never_match_are_found() {
    let cases = [
        ("latency, latency: {threshold_ms: 100, upper_threshold_ms: 100}", "not above 100 ms"),
        ("span_count, span_count: {min_spans: 5, max_spans: 4}", "below min_spans 5"),
        ("numeric_attribute, numeric_attribute: {key: k, min_value: 2, max_value: 1}", "below min"),
        ("probabilistic, probabilistic: {sampling_percentage: 0}", "0 %"),
        ("probabilistic, probabilistic: {sampling_percentage: -1}", "0 %"),
        ("rate_limiting, rate_limiting: {spans_per_second: 0}", "a budget of 0"),
        ("bytes_limiting, bytes_limiting: {bytes_per_second: 0}", "a budget of 0"),
        (
            "composite, composite: {max_total_spans_per_second: 0, composite_sub_policy: [{name: b, type: trace_flags}]}",
            "a budget of 0",
        ),
        ("ottl_condition, ottl_condition: {span: ['1 == 2', 'false']}", "no condition"),
        ("ottl_condition, ottl_condition: {spanevent: ['1 == 2']}", "no condition"),
        ("rule, rule: {when: '1 == 2', sample: keep}", "does not depend"),
        ("rule, rule: {when: 'true', scope: no_span, sample: keep}", "does not depend"),
        (
            "and, and: {and_sub_policy: [{name: b, type: trace_flags}, {name: c, type: span_count, span_count: {min_spans: 5, max_spans: 4}}]}",
            "policy `c` can never match",
        ),
    ];
    for (policy, expected) in cases {
        let told = warnings(&[&format!("{{name: a, type: {policy}}}")]);
        assert_eq!(told.len(), 1, "{policy}: {told:?}");
        assert!(told[0].starts_with("2:") && told[0].contains("can never match"), "{told:?}");
        assert!(told[0].contains(expected), "{told:?}");
    }
}

#[test]
fn policies_that_keep_everything_are_found() {
    let cases = [
        "always_sample",
        "probabilistic, probabilistic: {sampling_percentage: 100}",
        "span_count, span_count: {min_spans: 1}",
        "status_code, status_code: {status_codes: [OK, ERROR, UNSET]}",
        "ottl_condition, ottl_condition: {span: ['false', 'true']}",
        "numeric_attribute, numeric_attribute: {key: k, min_value: 2, max_value: 1, invert_match: true}",
        "and, and: {and_sub_policy: [{name: b, type: always_sample}, {name: c, type: always_sample}]}",
        "rule, rule: {when: 'true', sample: keep}",
    ];
    for policy in cases {
        let told = warnings(&[&format!("{{name: a, type: {policy}}}")]);
        assert_eq!(told.len(), 1, "{policy}: {told:?}");
        assert!(told[0].starts_with("2:10: policy `a` keeps every trace"), "{told:?}");
    }
    let negated = "{name: a, type: not, not: {not_sub_policy: {name: b, type: probabilistic, probabilistic: {sampling_percentage: 0}}}}";
    let told = warnings(&[negated]);
    assert!(
        told[0].contains("`a` keeps every trace") && told[1].contains("`b` can never"),
        "{told:?}"
    );
    let drop = "{name: d, type: drop, drop: {drop_sub_policy: [{name: b, type: always_sample}]}}";
    assert!(warnings(&[drop])[0].contains("drops every trace"));
    // How rules end, and what has no effect.
    assert_eq!(warnings(&["{name: a, type: always_sample, exporters: archive}"]), [""; 0]);
    assert_eq!(warnings(&["{name: a, type: rule, rule: {when: 'true', sample: 10%}}"]), [""; 0]);
    let errors = "{name: b, type: trace_flags}";
    assert_eq!(warnings(&["{name: a, type: always_sample, mode: shadow}", errors]), [""; 0]);
}

#[test]
fn policies_without_effect_are_found() {
    let errors = "type: status_code, status_code: {status_codes: [ERROR]}";
    let slow = "type: latency, latency: {threshold_ms: 500}";
    let health =
        "type: string_attribute, string_attribute: {key: url.path, values: [/health, /live]}";
    let live = "type: string_attribute, string_attribute: {key: url.path, values: [/live]}";
    let rule = |when: &str| format!("type: rule, rule: {{when: '{when}', sample: 10%}}");
    let drop = |part: &str| format!("type: drop, drop: {{drop_sub_policy: [{{name: x, {part}}}]}}");
    let and = |a: &str, b: &str| {
        format!("type: and, and: {{and_sub_policy: [{{name: x, {a}}}, {{name: y, {b}}}]}}")
    };
    let share = |percent: u32| {
        format!("type: probabilistic, probabilistic: {{sampling_percentage: {percent}}}")
    };
    let limit = "type: rate_limiting, rate_limiting: {spans_per_second: 100}";
    // The first policy, the second, and why the second has no effect, if so.
    let cases: Vec<(String, String, Option<&str>)> = vec![
        (errors.into(), errors.into(), Some("kept by `a` (line 2)")),
        (slow.into(), slow.replace("500", "600"), Some("kept by")),
        (slow.into(), slow.replace("500", "400"), None),
        (slow.replace("500", "500, upper_threshold_ms: 900"), slow.into(), None),
        (share(10), share(5), Some("kept by")),
        (share(10), share(20), None),
        (health.into(), live.into(), Some("kept by")),
        (live.into(), health.into(), None),
        (errors.into(), and(slow, errors), Some("kept by")),
        (and(slow, errors), errors.into(), None),
        (and(slow, errors), and(errors, slow), Some("kept by")),
        (drop(health), drop(live), Some("dropped by")),
        (drop(health), live.into(), Some("dropped by")),
        (live.into(), drop(health), None),
        (rule("name == \"a\""), rule("name == \"a\""), Some("matches the same")),
        (rule("name == \"a\""), rule("name == \"b\""), None),
        (rule("true"), errors.into(), Some("ends the asking")),
        (rule("true"), drop(health), None),
        (limit.into(), limit.into(), None),
        (format!("{errors}, mode: shadow"), errors.into(), None),
        (errors.into(), format!("{errors}, mode: shadow"), None),
    ];
    for (first, second, expected) in cases {
        let told = warnings(&[&format!("{{name: a, {first}}}"), &format!("{{name: b, {second}}}")]);
        match expected {
            None => {
                assert!(!told.iter().any(|told| told.contains("policy `b`")), "{second}: {told:?}")
            }
            Some(why) => {
                let is_told =
                    |told: &String| told.contains("`b` has no effect") && told.contains(why);
                assert_eq!(
                    told.iter().filter(|told| is_told(told)).count(),
                    1,
                    "{second}: {told:?}"
                );
            }
        }
    }
    let told = warnings(&["{name: a, type: always_sample}", &format!("{{name: b, {limit}}}")]);
    assert!(
        told[1].starts_with("3:10: policy `b` has no effect: `a` (line 2) before it keeps every")
    );
}

#[test]
fn an_earlier_live_path_is_dropped_too() {
    let keep = "{name: a, type: trace_state, trace_state: {key: k, values: [v]}}";
    let drop = "{name: b, type: drop, drop: {drop_sub_policy: [{name: x, type: trace_state, trace_state: {key: k, values: [v]}}]}}";
    let told = warnings(&[keep, drop]);
    assert!(
        told[0].contains("`a` has no effect: what it keeps is dropped by `b` (line 3)"),
        "{told:?}"
    );
}

#[test]
fn small_budgets_long_waits_and_empty_texts_are_found() {
    let composite = "{name: a, type: composite, composite: {max_total_spans_per_second: 100, \
                     composite_sub_policy: [{name: x, type: trace_flags}, {name: y, type: trace_flags}], \
                     rate_allocation: [{policy: x, percent: 5}, {policy: y, percent: 0}]}}";
    let cases = [
        (
            "{name: a, type: rate_limiting, rate_limiting: {spans_per_second: 4}}",
            vec!["2:68: the budget of `a` holds 8 spans"],
        ),
        ("{name: a, type: rate_limiting, rate_limiting: {spans_per_second: 5}}", vec![]),
        (
            "{name: a, type: rate_limiting, rate_limiting: {spans_per_second: 50, burst_capacity: 5}}",
            vec!["holds 5 spans"],
        ),
        (
            "{name: a, type: bytes_limiting, bytes_limiting: {bytes_per_second: 100}}",
            vec!["holds 200 bytes"],
        ),
        (composite, vec!["the budget of `x` holds 5 spans", "a share of 0 %"]),
        (
            "{name: a, type: string_attribute, string_attribute: {key: k, values: ['']}}",
            vec!["the empty text"],
        ),
        (
            "{name: a, type: string_attribute, string_attribute: {key: k, values: [x, ''], enabled_regex_matching: true}}",
            vec!["the empty expression"],
        ),
    ];
    for (policy, expected) in cases {
        let told = warnings(&[policy]);
        assert_eq!(told.len(), expected.len(), "{policy}: {told:?}");
        for (told, expected) in told.iter().zip(expected) {
            assert!(told.contains(expected), "{told}");
        }
    }
    let wait = |wait: &str| {
        of(&format!("decision_wait: {wait}\npolicies: [{{name: a, type: trace_flags}}]"))
    };
    assert_eq!(wait("24s"), [""; 0]);
    assert!(wait("25s")[0].starts_with("1:16: decision_wait: 25s is long for Tempo"));
}

#[test]
fn comparisons_of_two_types_are_found() {
    let told = warnings(&[
        "{name: a, type: ottl_condition, ottl_condition: {span: ['kind == 1', 'end_time - start_time > 5']}}",
        "{name: b, type: rule, rule: {when: 'name != \"x\" and status.code == \"ERROR\"', sample: keep}}",
        "{name: c, type: not, not: {not_sub_policy: {name: d, type: ottl_condition, ottl_condition: {spanevent: ['time < 5']}}}}",
        "{name: e, type: ottl_condition, ottl_condition: {span: ['end_time - start_time > Duration(\"5s\")']}}",
    ]);
    let about =
        |line: &str| told.iter().any(|one| one.starts_with(line) && one.contains("never equal"));
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(about("2:") && about("3:") && about("4:"), "{told:?}");
    assert!(
        told[0].contains("Duration(\"5s\")") && told[1].contains("STATUS_CODE_ERROR"),
        "{told:?}"
    );
}

#[test]
fn old_names_are_found_unless_the_new_one_stands_beside_them() {
    let old = "{name: a, type: numeric_attribute, numeric_attribute: {key: http.status_code, min_value: 500}}";
    let new = "{name: b, type: ottl_condition, ottl_condition: {span: ['attributes[\"http.response.status_code\"] >= 500']}}";
    let both = "{name: c, type: rule, rule: {when: 'attributes[\"http.status_code\"] == 500 or attributes[\"http.response.status_code\"] == 500', sample: keep}}";
    let told = warnings(&[old]);
    assert!(told[0].starts_with("2:63: `http.status_code` is an old name: newer instrumentation sends `http.response.status_code`"), "{told:?}");
    let told = warnings(&[new, old]);
    assert!(told[0].starts_with("3:63: the file names both `http.status_code` and, in line 2, `http.response.status_code`"), "{told:?}");
    assert_eq!(warnings(&[new]), [""; 0]);
    assert_eq!(warnings(&[both]), [""; 0]);
    let old = "{name: a, type: ottl_condition, ottl_condition: {spanevent: ['name == \"x\" and attributes[\"db.statement\"] != nil']}}";
    let told = warnings(&[old]);
    let column = old.find("\"db.statement").unwrap() + 3;
    assert!(told[0].starts_with(&format!("2:{column}: `db.statement`")), "{told:?}");
}
