use super::super::{parse_policies, parse_policies_of};
use crate::sampling::policy::spec::*;

fn policy_errors(text: &str) -> String {
    parse_policies("p.yaml", text).unwrap_err().to_string()
}

#[test]
fn policies_are_read_as_the_collector_writes_them() {
    let file = parse_policies(
        "p",
        "num_traces: 50000\ndecision_cache: {sampled_cache_size: 9}\ndecision_wait: 10s\npolicies:\n\
         - {name: e, type: status_code, status_code: {status_codes: [ERROR, UNSET]}}\n\
         - {name: a, type: and, and: {and_sub_policy: [{name: l, type: latency, latency: {threshold_ms: 5}}]}}\n\
         - {name: p, type: probabilistic, probabilistic: {sampling_percentage: 0.5, hash_salt: \"\"}}\n\
         - {name: s, type: string_attribute, string_attribute: {key: k, values: [a], cache_max_size: 9}}\n",
    )
    .unwrap();
    let codes = vec![StatusCode::Error, StatusCode::Unset];
    assert_eq!(file.policies[0].kind, PolicyKind::StatusCode(StatusCodes { status_codes: codes }));
    let latency = PolicyKind::Latency(Latency { threshold_ms: 5, upper_threshold_ms: None });
    let sub = PolicySpec::new("l", latency);
    assert_eq!(file.policies[1].kind, PolicyKind::And(And { and_sub_policy: vec![sub] }));
    let salted = PolicyKind::Probabilistic(Probabilistic {
        sampling_percentage: 0.5,
        hash_salt: Some(String::new()),
    });
    assert_eq!(file.policies[2].kind, salted);
    assert_eq!(file.notes.len(), 3, "{:?}", file.notes);
}

#[test]
fn messages_speak_of_the_file_and_not_of_its_reader() {
    let in_quotes = "policies: [{name: a, type: boolean_attribute, \
                     boolean_attribute: {key: k, value: \"true\"}}]";
    let no_number = "policies: [{name: a, type: probabilistic, \
                     probabilistic: {sampling_percentage: .nan}}]";
    let no_key = "policies: [{name: a, type: string_attribute, string_attribute: {key: '', \
                  values: ['('], enabled_regex_matching: true}}]";
    for (text, expected) in [
        (in_quotes, "value: expected true or false, found text: take the quotes off true"),
        (no_number, "p.yaml:1:80: sampling_percentage: expected a number, found `.nan`"),
        ("policies: []\n---\npolicies: []\n", "there is more than one document in the file"),
        (no_key, "values: not a regular expression: unclosed group"),
    ] {
        let told = policy_errors(text);
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
}

#[test]
fn attributes_counts_flags_and_negations_are_read() {
    let kind = |policy: &str| {
        let file = parse_policies("p", &format!("policies: [{{name: a, {policy}}}]")).unwrap();
        file.policies[0].kind.clone()
    };
    let key = || "k".to_owned();
    let status = |min_value, max_value, invert_match| {
        PolicyKind::NumericAttribute(NumericAttribute {
            key: key(),
            min_value,
            max_value,
            invert_match,
        })
    };
    let cases = [
        ("type: numeric_attribute, numeric_attribute: {key: k, min_value: 0}", {
            status(Some(0), None, false)
        }),
        (
            "type: numeric_attribute, numeric_attribute: {key: k, max_value: -5, invert_match: true}",
            status(None, Some(-5), true),
        ),
        ("type: boolean_attribute, boolean_attribute: {key: k, value: true}", {
            PolicyKind::BooleanAttribute(BooleanAttribute {
                key: key(),
                value: true,
                invert_match: false,
            })
        }),
        ("type: span_count, span_count: {min_spans: 2, max_spans: 3}", {
            PolicyKind::SpanCount(SpanCount { min_spans: 2, max_spans: Some(3) })
        }),
        ("type: span_count, span_count: {min_spans: 2, max_spans: 0}", {
            PolicyKind::SpanCount(SpanCount { min_spans: 2, max_spans: None })
        }),
        ("type: trace_state, trace_state: {key: k, values: [a, b]}", {
            PolicyKind::TraceState(TraceState { key: key(), values: vec!["a".into(), "b".into()] })
        }),
        ("type: trace_flags", PolicyKind::TraceFlags(TraceFlags {})),
        ("type: not, not: {not_sub_policy: {name: b, type: trace_flags}}", {
            let negated = PolicySpec::new("b", PolicyKind::TraceFlags(TraceFlags {}));
            PolicyKind::Not(Not { not_sub_policy: Box::new(negated) })
        }),
    ];
    for (text, expected) in cases {
        assert_eq!(kind(text), expected, "{text}");
    }
    let told = policy_errors(
        "policies:\n\
         - {name: a, type: numeric_attribute, numeric_attribute: {key: k}}\n\
         - {name: b, type: numeric_attribute, numeric_attribute: {key: k, min_value: 0.5}}\n\
         - {name: c, type: span_count}\n\
         - {name: d, type: trace_state, trace_state: {key: k, values: []}}\n\
         - {name: e, type: not}\n\
         - {name: f, type: not, not: {not_sub_policy: {name: g, type: latency}}}\n",
    );
    for expected in [
        "p.yaml:2:57: there is neither `min_value` nor `max_value`",
        "min_value: expected a whole number",
        "p.yaml:4:3: there is neither `min_spans` nor `max_spans`",
        "values: must hold a value",
        "`not_sub_policy` is missing",
        "`threshold_ms` is missing",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}

#[test]
fn broken_policies_are_told_all_at_once() {
    let told = policy_errors(
        "policies:\n\
         - {name: a, type: status_code, status_code: {status_codes: []}}\n\
         - {name: b, type: status_code, status_code: {status_codes: [error]}}\n\
         - {name: b, type: latency, latency: {threshold: 5}}\n\
         - {name: c, type: string_attribute, string_attribute: {key: k, values: [\"[\"], enabled_regex_matching: true}}\n\
         - {name: d, type: rate_limiting, rate_limiting: {spans_per_second: -5}}\n\
         - {name: e, type: latencyy}\n\
         - {name: f, type: probabilistic, probabilistic: {sampling_percentage: NaN}}\n\
         - {name: g, type: latency, latency: {threshold_ms: 5}, status_code: {status_codes: [OK]}}\n\
         - {name: h, type: and, and: {and_sub_policy: []}}\n\
         - {name: i, type: always_sample}\n\
         - {name: i, type: always_sample}\n\
         - {type: always_sample}\n",
    );
    for expected in [
        "p.yaml:2:60: status_codes: must hold a value",
        "did you mean ERROR?",
        "p.yaml:4:37: `threshold_ms` is missing",
        "unknown key `threshold`",
        "p.yaml:5:74: values: not a regular expression: unclosed character class",
        "p.yaml:6:68: spans_per_second: expected a whole number from 0",
        "`latencyy` is no policy type, did you mean `latency`?",
        "sampling_percentage: expected a number",
        "unknown key `status_code`",
        "there are no policies",
        "p.yaml:12:10: there are two policies named `i`",
        "`name` is missing",
        "p.yaml:4:10: there are two policies named `b`",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
    assert!(policy_errors("policies: []").contains("every trace would be dropped"));
    assert!(policy_errors("{}").contains("`policies` is missing"));
}

/// The policy `{name: a, ...}`.
fn kind(policy: &str) -> PolicyKind {
    let file = parse_policies("p", &format!("policies: [{{name: a, {policy}}}]")).unwrap();
    file.policies[0].kind.clone()
}

fn always(name: &str) -> PolicySpec {
    PolicySpec::new(name, PolicyKind::AlwaysSample(AlwaysSample {}))
}

#[test]
fn budgets_conditions_and_rules_are_read() {
    let rule = |sample: Sample, scope: RuleScope| {
        PolicyKind::Rule(Rule { when: "name == \"x\"".into(), scope, sample })
    };
    let condition = |span: &[&str], span_event: &[&str], error_mode| {
        PolicyKind::OttlCondition(OttlCondition {
            span: span.iter().map(|text| (*text).to_owned()).collect(),
            spanevent: span_event.iter().map(|text| (*text).to_owned()).collect(),
            error_mode,
        })
    };
    let when = "when: 'name == \"x\"'";
    let cases = [
        (
            "type: rate_limiting, rate_limiting: {spans_per_second: 35}".to_owned(),
            PolicyKind::RateLimiting(RateLimiting { spans_per_second: 35, burst_capacity: None }),
        ),
        (
            "type: rate_limiting, rate_limiting: {spans_per_second: 35, burst_capacity: 0}".to_owned(),
            PolicyKind::RateLimiting(RateLimiting { spans_per_second: 35, burst_capacity: None }),
        ),
        (
            "type: bytes_limiting, bytes_limiting: {bytes_per_second: 10, burst_capacity: 30}"
                .to_owned(),
            PolicyKind::BytesLimiting(BytesLimiting { bytes_per_second: 10, burst_capacity: Some(30) }),
        ),
        (
            "type: ottl_condition, ottl_condition: {span: ['name == \"x\"']}".to_owned(),
            condition(&["name == \"x\""], &[], ErrorMode::Ignore),
        ),
        (
            "type: ottl_condition, ottl_condition: {error_mode: propagate, spanevent: ['name == \"e\"']}"
                .to_owned(),
            condition(&[], &["name == \"e\""], ErrorMode::Propagate),
        ),
        (format!("type: rule, rule: {{{when}, sample: keep}}"), rule(Sample::Keep, RuleScope::AnySpan)),
        (
            format!("type: rule, rule: {{{when}, scope: no_span, sample: drop}}"),
            rule(Sample::Drop, RuleScope::NoSpan),
        ),
        (
            format!("type: rule, rule: {{{when}, scope: root, sample: 12.5%}}"),
            rule(Sample::Percent(12.5), RuleScope::Root),
        ),
        (
            format!("type: rule, rule: {{{when}, scope: same_span, sample: '100 %'}}"),
            rule(Sample::Percent(100.0), RuleScope::SameSpan),
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(kind(&text), expected, "{text}");
    }
}

/// What the file takes, the policies can be compiled of, and the other way round.
#[test]
fn the_scope_of_a_rule_says_how_many_parts_can_alternate() {
    let cases = [
        ("any_span", 6, true),
        ("any_span", 40, true),
        ("same_span", 5, true),
        ("same_span", 6, false),
        ("no_span", 6, false),
        ("root", 6, false),
    ];
    for (scope, parts, expected) in cases {
        let when = vec!["kind == 1 and trace.bytes > 5"; parts].join(" and ");
        let text = format!(
            "policies: [{{name: a, type: rule, rule: {{when: '{when}', scope: {scope}, sample: keep}}}}]"
        );
        let read = parse_policies("p.yaml", &text);
        assert_eq!(read.is_ok(), expected, "{parts} parts in {scope}");
        match read {
            Ok(file) => {
                assert!(crate::sampling::policy::compile(&file.policies).is_ok(), "{scope}")
            }
            Err(errors) => {
                let told = errors.to_string();
                assert!(told.contains("when: 6 parts about spans alternate"), "{told}");
            }
        }
    }
}

#[test]
fn a_composite_asks_in_the_order_that_is_given() {
    let children = "composite_sub_policy: [{name: x, type: always_sample}, {name: y, type: always_sample}, {name: z, type: always_sample}]";
    let read = |more: &str| {
        let text = format!(
            "type: composite, composite: {{max_total_spans_per_second: 100, {children}{more}}}"
        );
        let PolicyKind::Composite(Composite { max_total_spans_per_second: 100, children }) =
            kind(&text)
        else {
            panic!("{text}")
        };
        let child = |CompositeChild { policy, percent }: CompositeChild| (policy.name, percent);
        children.into_iter().map(child).collect::<Vec<_>>()
    };
    let named =
        |names: [(&str, Option<f64>); 3]| names.map(|(name, percent)| (name.to_owned(), percent));
    assert_eq!(read(""), named([("x", None), ("y", None), ("z", None)]));
    let more = ", policy_order: [z, x, y], rate_allocation: [{policy: x, percent: 50}, {policy: y, percent: 0}]";
    assert_eq!(read(more), named([("z", None), ("x", Some(50.0)), ("y", None)]));
}

#[test]
fn policies_nest_freely_and_only_so_deep() {
    let text = "type: not, not: {not_sub_policy: {type: drop, drop: {drop_sub_policy: [{name: x, type: always_sample}]}}}";
    let drop =
        PolicySpec::new("drop", PolicyKind::Drop(Drop { drop_sub_policy: vec![always("x")] }));
    assert_eq!(kind(text), PolicyKind::Not(Not { not_sub_policy: Box::new(drop) }));
    let text = "type: and, and: {and_sub_policy: [{name: c, type: composite, composite: {max_total_spans_per_second: 9, composite_sub_policy: [{name: x, type: always_sample}]}}]}";
    let children = vec![CompositeChild { policy: always("x"), percent: None }];
    let composite = PolicyKind::Composite(Composite { max_total_spans_per_second: 9, children });
    assert_eq!(
        kind(text),
        PolicyKind::And(And { and_sub_policy: vec![PolicySpec::new("c", composite)] })
    );

    let nested = |levels: usize| {
        let open = "{name: n, type: and, and: {and_sub_policy: [".repeat(levels - 1);
        let close = "]}}".repeat(levels - 1);
        format!("policies: [{open}{{name: n, type: always_sample}}{close}]")
    };
    parse_policies("p", &nested(32)).unwrap();
    let told = policy_errors(&nested(33));
    assert!(told.contains("more than 32 levels deep") && !told.contains("errors"), "{told}");
    assert!(policy_errors(&nested(60)).contains("more than 128 levels deep"));
    assert!(policy_errors(&nested(5000)).contains("more than 128 levels deep"));
}

#[test]
fn modes_stand_at_the_top_level_and_so_do_rules() {
    let file = parse_policies(
        "p",
        "policies: [{name: a, type: always_sample, mode: shadow}, {name: b, type: always_sample, mode: enforce}]",
    )
    .unwrap();
    assert_eq!([file.policies[0].mode, file.policies[1].mode], [Mode::Shadow, Mode::Enforce]);
    let told = policy_errors(
        "policies:\n\
         - {name: a, type: always_sample, mode: shaddow}\n\
         - {name: b, type: not, not: {not_sub_policy: {name: c, type: always_sample, mode: shadow}}}\n\
         - {name: d, type: not, not: {not_sub_policy: {name: e, type: rule, rule: {when: 'true', sample: keep}}}}\n",
    );
    for expected in [
        "p.yaml:2:40: mode: expected one of enforce, shadow, found `shaddow`; did you mean shadow?",
        "p.yaml:3:83: `mode` stands only",
        "p.yaml:4:62: `rule` inside another policy",
        "3 errors",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}

#[test]
fn broken_budgets_rules_and_composites_are_told_all_at_once() {
    let told = policy_errors(
        "policies:\n\
         - {name: a, type: rule, rule: {when: 'true', sample: 110%}}\n\
         - {name: b, type: rule, rule: {when: 'true', sample: 10}}\n\
         - {name: c, type: rule, rule: {sample: some, scope: any}}\n\
         - {name: d, type: ottl_condition, ottl_condition: {span: [], spanevent: []}}\n\
         - {name: e, type: bytes_limiting, bytes_limiting: {bytes_per_second: lots, burst: 3}}\n\
         - name: f\n\
        \x20 type: composite\n\
        \x20 composite:\n\
        \x20   max_total_spans_per_second: 100\n\
        \x20   policy_order: [erors, slow, slow]\n\
        \x20   composite_sub_policy:\n\
        \x20   - {name: errors, type: status_code, status_code: {status_codes: [ERR]}}\n\
        \x20   - {name: slow, type: latency, latency: {threshold_ms: 5}}\n\
        \x20   - {name: slow, type: latency, latency: {threshold_ms: 5}}\n\
        \x20   rate_allocation:\n\
        \x20   - {policy: errors, percent: 60}\n\
        \x20   - {policy: errors, percent: 60}\n\
        \x20   - {policy: nobody, percent: 101}\n\
         - {name: g, type: composite, composite: {max_total_spans_per_second: 9, policy_order: [x], composite_sub_policy: [{name: x, type: always_sample}, {name: y, type: always_sample}]}}\n\
         - {name: h, type: composite}\n",
    );
    for expected in [
        "p.yaml:2:54: sample: a percentage lies between 0% and 100%, found `110%`",
        "p.yaml:3:54: sample: expected `keep`, `drop` or a percentage such as `10%`, found a number",
        "p.yaml:4:31: `when` is missing",
        "p.yaml:4:40: sample: expected `keep`, `drop`",
        "p.yaml:4:53: scope: expected one of any_span",
        "p.yaml:5:51: there are no conditions",
        "p.yaml:6:70: bytes_per_second: expected a whole number",
        "p.yaml:6:76: unknown key `burst`",
        "did you mean `burst_capacity`?",
        "p.yaml:11:20: policy_order: there is no sub-policy `erors`",
        "did you mean `errors`?",
        "p.yaml:11:33: policy_order: `slow` is named twice",
        "p.yaml:13:70: status_codes: expected one of OK, ERROR, UNSET, found `ERR`; did you mean ERROR?",
        "p.yaml:15:14: there are two policies named `slow`",
        "p.yaml:17:7: rate_allocation: the shares come to 120 %",
        "p.yaml:18:16: rate_allocation: `errors` has two shares",
        "p.yaml:19:16: rate_allocation: there is no sub-policy `nobody`",
        "p.yaml:19:33: percent: expected a percentage from 0 to 100, found `101`",
        "p.yaml:20:154: `y` is not in policy_order",
        "add `y` to policy_order",
        "p.yaml:21:3: `max_total_spans_per_second` is missing",
        "p.yaml:21:3: `composite_sub_policy` is missing",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}

#[test]
fn policies_are_found_in_all_the_files_that_hold_them() {
    let list = "policies: [{name: a, type: always_sample}]";
    let name = |text: &str, processor: Option<&str>| {
        let file =
            parse_policies_of("p.yaml", text, processor).map_err(|errors| errors.to_string())?;
        Ok::<String, String>(file.policies[0].name.clone())
    };
    let block = format!("tail_sampling: {{decision_wait: 10s, {list}}}");
    assert_eq!(name(&block, None).unwrap(), "a");
    let block = format!("tail_sampling/shop: {{{list}}}\nother: x\n");
    assert_eq!(name(&block, Some("tail_sampling/shop")).unwrap(), "a");

    let collector = "receivers: {otlp: {endpoint: '${env:TAILSIEVE_TEST_UNSET}'}}\n\
                     processors:\n  batch:\n  tail_sampling/b: {policies: [{name: b, type: always_sample}]}\n  \
                     tail_sampling: {policies: [{name: \"${env:TAILSIEVE_TEST_UNSET:-c}\", type: always_sample}]}\n\
                     service: {pipelines: {traces: {processors: [tail_sampling]}}}\n";
    assert_eq!(name(collector, None).unwrap(), "c");
    assert_eq!(name(collector, Some("tail_sampling/b")).unwrap(), "b");
    assert_eq!(name(collector, Some("tail_sampling")).unwrap(), "c");
    let told = name(collector, Some("tail_sampling/c")).unwrap_err();
    assert!(told.contains("p.yaml:3:3: there is no processor `tail_sampling/c`"), "{told}");
    assert!(told.contains("did you mean `tail_sampling"), "{told}");
    let told = name("processors:\n  batch:\n", None).unwrap_err();
    assert!(told.contains("there is no processor `tail_sampling` or"), "{told}");
    let told = name(list, Some("tail_sampling")).unwrap_err();
    assert!(told.contains("no Collector configuration"), "{told}");
    let unset = collector.replace(":-c}", "}");
    let told = name(&unset, Some("tail_sampling")).unwrap_err();
    assert!(
        told.contains("p.yaml:5:37: the environment variable TAILSIEVE_TEST_UNSET is not set"),
        "{told}"
    );
    assert!(!told.contains("errors"), "{told}");
}

#[test]
fn every_option_of_the_collector_is_read_noted_or_refused() {
    let options = "decision_wait: 1m30s\ndecision_wait_after_root_received: 0s\nnum_traces: 5\n\
                   block_on_overflow: true\nexpected_new_traces_per_sec: 5\n\
                   decision_cache: {sampled_cache_size: 5, non_sampled_cache_size: 5}\n\
                   tail_storage: my_storage\nsample_on_first_match: true\n\
                   sampling_strategy: trace-complete\ndrop_pending_traces_on_shutdown: true\n\
                   mutates_data: true\n\
                   maximum_trace_size_bytes: 1000\n";
    let options: String = options.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("tail_sampling:\n{options}  policies: [{{name: a, type: always_sample}}]\n");
    let file = parse_policies("p.yaml", &text).unwrap();
    assert_eq!(file.decision_wait.as_secs(), 90);
    assert_eq!(file.decision_wait_after_root_received, file.decision_wait);
    assert_eq!(file.maximum_trace_size, 1000);
    for key in [
        "num_traces",
        "block_on_overflow",
        "expected_new_traces_per_sec",
        "sampled_cache_size",
        "non_sampled_cache_size",
        "tail_storage",
        "sample_on_first_match",
        "sampling_strategy",
        "drop_pending_traces_on_shutdown",
        "mutates_data",
        "maximum_trace_size_bytes",
    ] {
        let of_key = |note: &&String| {
            note.starts_with(&format!("{key} ")) || note.starts_with(&format!("{key}:"))
        };
        assert_eq!(file.notes.iter().filter(of_key).count(), 1, "{key}: {:?}", file.notes);
    }
    let told = parse_policies("p.yaml", &text.replace("trace-complete", "span-ingest"));
    assert!(
        told.unwrap_err()
            .to_string()
            .contains("10:22: sampling_strategy: `span-ingest` is not supported")
    );
    let file = parse_policies("p.yaml", &text.replace("1m30s", "5000000000")).unwrap();
    assert_eq!(file.decision_wait.as_secs(), 5);
    assert!(file.warnings.is_empty() || file.warnings[0].contains("nanoseconds"));
}
