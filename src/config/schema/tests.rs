use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::super::{parse_policies, static_file};
use crate::config::document::Document;
use crate::sampling::policy::spec::PolicyKind;

/// The keys that the reader knows where `zzz` stands in the file, in the order of the file.
fn known(findings: &[crate::config::Finding]) -> Vec<BTreeSet<String>> {
    let help = findings.iter().filter(|finding| finding.message == "unknown key `zzz`");
    let help = help.map(|finding| finding.help.as_deref().unwrap());
    let keys = help.map(|help| help.strip_prefix("known here: ").expect(help));
    keys.map(|keys| keys.split(", ").map(str::to_owned).collect()).collect()
}

fn known_in_policies(text: &str) -> Vec<BTreeSet<String>> {
    known(parse_policies("p", text).unwrap_err().findings())
}

/// Follows references, and what stands around them.
fn resolved<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    loop {
        schema = if let Some(reference) = schema["$ref"].as_str() {
            root.pointer(reference.strip_prefix('#').unwrap()).unwrap()
        } else if let Some(one) = ["allOf", "anyOf"].into_iter().find_map(|key| {
            let of = schema[key].get(0);
            of.filter(|of| of.get("$ref").is_some())
        }) {
            one
        } else {
            return schema;
        }
    }
}

fn keys(schema: &Value) -> BTreeSet<String> {
    assert_eq!(schema["additionalProperties"], false, "{schema:#}");
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

fn root(printed: &str) -> Value {
    serde_json::from_str(printed).unwrap()
}

fn of_type<'s>(policies: &'s Value, kind: &str) -> &'s Value {
    let mut of = policies["oneOf"].as_array().unwrap().iter();
    of.find(|policy| policy["properties"]["type"]["const"] == kind).expect(kind)
}

#[test]
fn the_schema_of_policies_has_the_keys_that_the_reader_knows() {
    let root = root(&super::policies());
    let definition = |name: &str| &root["definitions"][name];
    let one = "policies: [{name: a, type: always_sample}]";
    let file = known_in_policies(&format!("zzz: 1\ndecision_cache: {{zzz: 1}}\n{one}"));
    assert_eq!(file, [keys(definition("PolicyFile")), keys(definition("DecisionCache"))]);
    let block = known_in_policies(&format!("tail_sampling: {{zzz: 1, {one}}}"));
    assert_eq!(block, [keys(definition("Processor"))]);

    let types = PolicyKind::NAMES;
    assert_eq!(definition("Policy")["oneOf"].as_array().unwrap().len(), types.len());
    assert_eq!(definition("Part")["oneOf"].as_array().unwrap().len(), types.len() - 1);
    for kind in types {
        let policy = format!("{{name: a, type: {kind}, zzz: 1, {kind}: {{zzz: 1}}}}");
        let told = known_in_policies(&format!("policies: [{policy}]"));
        let schema = of_type(definition("Policy"), kind);
        let block = resolved(&root, &schema["properties"][kind]);
        let of_block = match block["properties"].as_object() {
            Some(properties) if !properties.is_empty() => keys(block),
            // Nothing is known in the block of a type without fields.
            _ => BTreeSet::from([String::new()]),
        };
        assert_eq!(told, [keys(schema), of_block], "{kind}");
        if *kind == "rule" {
            continue;
        }
        // Inside of another policy, a mode and exporters are refused by name.
        for (outer, list, name) in
            [("and", "and_sub_policy", "Part"), ("composite", "composite_sub_policy", "Child")]
        {
            let text =
                format!("policies: [{{name: o, type: {outer}, {outer}: {{{list}: [{policy}]}}}}]");
            let mut told = known_in_policies(&text).swap_remove(0);
            assert!(told.remove("mode") && told.remove("exporters"));
            assert_eq!(told, keys(of_type(definition(name), kind)), "{kind} in {outer}");
        }
    }
    let share = known_in_policies(
        "policies: [{name: o, type: composite, composite: {rate_allocation: [{zzz: 1}]}}]",
    );
    assert_eq!(share, [keys(definition("Allocation"))]);
}

#[test]
fn the_schema_of_the_static_file_has_the_keys_that_the_reader_knows() {
    let root = root(&super::config());
    let text = "zzz: 1\nkafka: {zzz: 1}\nexport:\n  zzz: 1\n  auth: {zzz: 1, basic: {zzz: 1}}\n  tls: {zzz: 1}\n  \
                retry_on_failure: {zzz: 1}\n  sending_queue: {zzz: 1}\nbuffer: {zzz: 1}\nannotate: {zzz: 1}\nadmin: {zzz: 1}\n\
                telemetry: {zzz: 1}\n";
    let document = Document::parse("t", text).unwrap();
    let told = static_file(&document, Path::new("")).unwrap_err();
    let sections = [
        "Kafka",
        "Exporter",
        "Auth",
        "Basic",
        "TlsSettings",
        "RetrySettings",
        "QueueSettings",
        "Buffer",
        "Annotate",
        "Admin",
        "TelemetrySettings",
    ];
    let sections = sections.map(|name| keys(&root["definitions"][name]));
    let expected: Vec<_> = [keys(&root)].into_iter().chain(sections).collect();
    assert_eq!(known(told.findings()), expected);
}

#[test]
fn the_schema_of_policy_tests_has_the_keys_that_the_reader_knows() {
    let root = root(&super::policy_tests());
    let text = "zzz: 1\npolicies: [{name: a, type: always_sample}]\ntests:\n\
                - {zzz: 1, name: a, spans: {zzz: 1, events: {zzz: 1, name: e}},\n   \
                expect: {zzz: 1, decision: keep}}\n\
                - {zzz: 1, name: b, traces: {zzz: 1, spans: {}, expect: keep}}\n";
    let told = crate::config::policy_tests::parse("t", text, Path::new("")).unwrap_err();
    let sections = ["OneTrace", "SpanSpec", "EventSpec", "Expected", "SeveralTraces", "Trace"];
    let sections = sections.map(|name| keys(&root["definitions"][name]));
    let expected: Vec<_> = [keys(&root)].into_iter().chain(sections).collect();
    let mut told = known(told.0[0].findings());
    // With `traces` it is the other kind of test.
    assert!(told[1].remove("traces"));
    assert_eq!(told, expected);
}

/// With `TAILSIEVE_BLESS=1` they are written instead: look at what changes.
#[test]
fn the_committed_schemas_are_those_that_the_command_prints() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/schema");
    let schemas = [
        ("policies", "policies", super::policies()),
        ("config", "config", super::config()),
        ("tests", "policy-tests", super::policy_tests()),
    ];
    for (which, file, printed) in schemas {
        let path = folder.join(format!("{file}.schema.json"));
        if std::env::var_os("TAILSIEVE_BLESS").is_some() {
            fs::write(&path, &printed).unwrap();
        }
        let is_same = fs::read_to_string(&path).is_ok_and(|committed| committed == printed);
        assert!(is_same, "run: tailsieve schema {which} > config/schema/{file}.schema.json");
    }
}
