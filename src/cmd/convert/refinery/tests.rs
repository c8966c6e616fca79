//! What becomes of rules, as a member reads it.

use std::path::PathBuf;

use serde_json::json;

use super::*;

fn args() -> RefineryArgs {
    RefineryArgs {
        file: PathBuf::new(),
        environment: None,
        environment_attribute: None,
        instances: 1,
    }
}

/// The policy file of the one sampler, which can be used, and what was lost.
fn converted(sampler: &str) -> (String, Vec<String>) {
    let indented = sampler.replace('\n', "\n    ");
    let text = format!("RulesVersion: 2\nSamplers:\n  __default__:\n    {indented}\n");
    let conversion = convert(&text, &args()).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    let file = conversion.file();
    if let Err(wrong) = config::parse_policies("converted.yaml", &file) {
        panic!("{wrong}\n{file}");
    }
    (file, conversion.notes().collect())
}

/// The `when` of a rule with these conditions, and its scope.
fn asked(conditions: &str, scope: Option<&str>) -> Result<(String, Option<&'static str>), String> {
    let conditions: Value = serde_saphyr::from_str(conditions).unwrap();
    let (when, scope) = when(conditions.as_array().unwrap(), scope, None)?;
    let what = What { name: "a", when: &when, scope, notes: None };
    readable(&policy("a", &what, &Sample::Keep))?;
    Ok((when, scope))
}

fn is(conditions: &str, expected: &str) {
    assert_eq!(asked(conditions, None), Ok((expected.to_owned(), None)), "{conditions}");
}

#[test]
fn a_share_is_a_share() {
    let (file, notes) = converted("DeterministicSampler: {SampleRate: 8}");
    assert!(file.contains("sample: 12.5%"), "{file}");
    assert!(notes.is_empty(), "{notes:?}");
    let (file, notes) = converted("EMADynamicSampler: {GoalSampleRate: 4, FieldList: [a]}");
    assert!(file.contains("sample: 25%"), "{file}");
    assert!(notes[0].contains("a rate for each key has no counterpart"), "{notes:?}");
    let (file, _) = converted("EMAThroughputSampler: {GoalThroughputPerSec: 100}");
    assert!(file.contains("rate_limiting: {spans_per_second: 100}"), "{file}");
}

#[test]
fn rules_keep_their_order_and_their_end() {
    let (file, notes) = converted(
        "RulesBasedSampler:
  Rules:
    - {Name: health, Drop: true, Conditions: [{Field: url.path, Operator: '=', Value: /healthz}]}
    - {Name: health, SampleRate: 1, Conditions: [{Field: error, Operator: exists}]}
    - {Name: odd, SampleRate: 1, Conditions: [{Field: meta.x, Operator: exists}]}
    - {Name: rest, SampleRate: 20}
    - {Name: never, SampleRate: 1}",
    );
    let places: Vec<_> =
        ["'health'", "'health (2)'", "# rule \"odd\"", "'rest'", "# rule \"never\""]
            .map(|it| file.find(it).unwrap_or_else(|| panic!("{it} is not in:\n{file}")))
            .into();
    assert!(places.is_sorted(), "{file}");
    assert!(file.contains("sample: 5%") && !file.contains("no rule matches"), "{file}");
    assert_eq!(notes.len(), 2, "{notes:?}");
    let (file, notes) = converted("RulesBasedSampler: {Rules: []}");
    assert!(file.contains("'no rule matches'") && file.contains("sample: keep"), "{file}");
    assert!(notes.is_empty());
}

#[test]
fn operators_are_those_of_refinery() {
    let route = "attributes[\"http.route\"]";
    let of = |rest: &str| format!("[{{Field: http.route, {rest}}}]");
    is(&of("Operator: '=', Value: /a"), &format!("{route} == \"/a\""));
    is(&of("Operator: '!=', Value: /a"), &format!("({route} < \"/a\" or {route} > \"/a\")"));
    is(&of("Operator: '>=', Value: 5"), &format!("{route} >= 5"));
    is(&of("Operator: '=', Value: 500, Datatype: int"), &format!("Int({route}) == 500"));
    is(&of("Operator: '=', Value: '500', Datatype: int"), &format!("Int({route}) == 500"));
    is(&of("Operator: '!=', Value: true"), &format!("{route} == false"));
    is(&of("Operator: exists"), &format!("{route} != nil"));
    is(&of("Operator: not-exists"), &format!("{route} == nil"));
    is(&of("Operator: starts-with, Value: /a.b"), &format!("IsMatch({route}, \"^/a\\\\.b\")"));
    is(&of("Operator: contains, Value: a"), &format!("IsMatch({route}, \"a\")"));
    is(&of("Operator: matches, Value: '^/a$'"), &format!("IsMatch({route}, \"^/a$\")"));
    is(&of("Operator: In, Value: [a, b]"), &format!("({route} == \"a\" or {route} == \"b\")"));
    let without = asked(&of("Operator: does-not-contain, Value: a"), None);
    let expected = format!("{route} != nil and not IsMatch({route}, \"a\")");
    assert_eq!(without, Ok((expected, Some("same_span"))));
    let beside = "[{Field: a, Operator: not-in, Value: [1]}, {Field: b, Operator: exists}]";
    assert!(asked(beside, None).unwrap_err().contains("`Scope: span`"));
    assert_eq!(asked(beside, Some("span")).unwrap().1, Some("same_span"));
}

#[test]
fn fields_are_found_where_otlp_has_them() {
    let of = |field: &str, expected: &str| {
        is(
            &format!("[{{Field: '{field}', Operator: '=', Value: a}}]"),
            &format!("{expected} == \"a\""),
        );
    };
    of("service.name", "resource.attributes[\"service.name\"]");
    of("http.method", "attributes[\"http.method\"]");
    of("team", "Coalesce([attributes[\"team\"], resource.attributes[\"team\"]])");
    of("root.http.method", "root.attributes[\"http.method\"]");
    of("name", "name");
    of("trace.trace_id", "trace_id.string");
    of("library.name", "scope.name");
    of("span.kind", "ToLowerCase(kind.string)");
    is(
        "[{Field: duration_ms, Operator: '>', Value: 1000, Datatype: float}]",
        "span.duration_ms > 1000.0",
    );
    is("[{Field: trace.parent_id, Operator: not-exists}]", "IsRootSpan()");
    is("[{Field: trace.parent_id, Operator: exists}]", "not IsRootSpan()");
    is("[{Field: error, Operator: '=', Value: true}]", "status.code == STATUS_CODE_ERROR");
    is("[{Field: '?.NUM_DESCENDANTS', Operator: '>', Value: 9}]", "trace.span_count - 1 > 9");
    is(
        "[{Fields: [http.status_code, http.response.status_code], Operator: '>', Value: 499, Datatype: int}]",
        "Int(Coalesce([attributes[\"http.status_code\"], attributes[\"http.response.status_code\"]])) > 499",
    );
    let only = "[{Operator: has-root-span, Value: false}]";
    assert_eq!(asked(only, None), Ok(("IsRootSpan()".to_owned(), Some("no_span"))));
}

#[test]
fn what_has_no_counterpart_is_named() {
    for (conditions, reason) in [
        ("[{Field: meta.refinery.reason, Operator: exists}]", "made by Refinery"),
        ("[{Field: a, Operator: sounds-like, Value: b}]", "sounds-like"),
        ("[{Field: a, Operator: matches, Value: '(?=b)'}]", ""),
        ("[{Field: a, Operator: '=', Value: [1]}]", "no text, number or boolean"),
        ("[{Field: a, Operator: '=', Value: b, Datatype: int}]", "is no int"),
        (
            "[{Operator: has-root-span, Value: false}, {Field: a, Operator: exists}]",
            "has-root-span",
        ),
        ("[{Operator: exists}]", "no field"),
    ] {
        let error = asked(conditions, None).unwrap_err();
        assert!(error.contains(reason), "{conditions}: {error}");
    }
    for (text, reason) in [
        ("RulesVersion: 1", "RulesVersion: 2"),
        ("RulesVersion: 2", "Samplers"),
        ("RulesVersion: 2\nSamplers: {a: {}, b: {}}", "--environment"),
        ("a: [", ""),
    ] {
        let error = convert(text, &args()).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn environments_are_told_apart() {
    let text = "RulesVersion: 2\nSamplers:\n  __default__: {DeterministicSampler: {SampleRate: 1}}\n  prod: \
                {RulesBasedSampler: {Rules: [{Name: a, Drop: true, Conditions: [{Field: b.c, Operator: \
                exists}]}]}}\n";
    let one = RefineryArgs { environment: Some("prod".into()), ..args() };
    let file = convert(text, &one).unwrap().file();
    assert!(file.contains("name: 'a'") && !file.contains("'all'"), "{file}");
    let key = "deployment.environment.name";
    let all = RefineryArgs { environment_attribute: Some(key.into()), ..args() };
    let file = convert(text, &all).unwrap().file();
    let guard = format!("resource.attributes[\"{key}\"] == \"prod\"");
    assert!(file.contains(&format!("when: '{guard} and ")), "{file}");
    assert!(file.contains("name: 'prod/no rule matches'"), "{file}");
    assert!(file.find("prod/").unwrap() < file.find("'all'").unwrap(), "{file}");
    config::parse_policies("converted.yaml", &file).unwrap();
}

#[test]
fn texts_stay_what_they_are() {
    let (file, _) = converted(
        "RulesBasedSampler:
  Rules:
    - {Name: \"it's ${HOME} \\n $X\", SampleRate: 1, Conditions: [{Field: a.b, Operator: '=', Value: 'say \"$$\" \\'}]}",
    );
    let read = config::parse_policies("converted.yaml", &file).unwrap();
    assert_eq!(read.policies[0].name, "it's ${HOME} \n $X");
    assert!(file.contains(r#"say \"$$$$\" \\"#), "{file}");
    let value = json!("a\"b\\c");
    assert_eq!(literal::literal(&value), Ok(r#""a\"b\\c""#.to_owned()));
}
