use super::*;

use std::fs;

use crate::export::{Auth, Protocol, TlsVersion};
use crate::kafka::source::StartFrom;
use crate::secret::Secret;
use crate::telemetry::admin::{Changes, Token};

/// The static file `text`, as if it lay in /etc/tailsieve.
fn settings(text: &str) -> Result<Settings, String> {
    let document = Document::parse("t.yaml", text).map_err(|errors| errors.to_string())?;
    static_file(&document, Path::new("/etc/tailsieve")).map_err(|errors| errors.to_string())
}

fn errors(text: &str) -> String {
    settings(text).unwrap_err()
}

const LEAST: &str = "kafka: {brokers: k:9092}\nexport: {endpoint: t:4317}\npolicies: p.yaml\n";

#[test]
fn the_least_that_is_needed_is_enough() {
    let settings = settings(LEAST).unwrap();
    assert_eq!(settings.source.brokers, "k:9092");
    assert_eq!(settings.source.start_from, StartFrom::Earliest);
    assert_eq!(
        settings.exports,
        [ExportSettings { endpoint: "t:4317".into(), ..Default::default() }]
    );
    assert_eq!(settings.policies, Path::new("/etc/tailsieve/p.yaml"));
    assert!(settings.workers > 0);
}

#[test]
fn the_commented_files_hold_the_defaults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let commented = load(&folder.join("tailsieve.yaml")).unwrap();
    let defaults = settings(LEAST).unwrap();
    let of = |settings: &Settings| {
        let mut settings = settings.clone();
        settings.source.brokers.clear();
        settings.decision_log.iter_mut().for_each(|log| log.brokers.clear());
        settings.policies = PathBuf::new();
        settings.exports[0].endpoint = String::new();
        settings.telemetry.log = None;
        let source = &settings.source;
        let waits = (source.revoke_timeout, source.future_tolerance);
        let times = (source.commit_interval, source.lease_timeout, waits);
        format!("{settings:?} {times:?}")
    };
    assert_eq!(of(&commented), of(&defaults));

    let commented = load_policies(&commented.policies).unwrap();
    let defaults = parse_policies("p", "policies: [{name: a, type: always_sample}]").unwrap();
    let of = |file: &PolicyFile| PolicyFile {
        policies: Vec::new(),
        warnings: Vec::new(),
        hash: String::new(),
        ..file.clone()
    };
    assert_eq!(of(&commented), of(&defaults));
    assert_eq!(commented.policies.len(), 3);
    assert_eq!(commented.warnings, [""; 0]);
}

#[test]
fn what_is_commented_out_of_the_policy_file_works_too() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies.yaml");
    let text = fs::read_to_string(path).unwrap();
    let (_, more) = text.split_once("labelled with.\n  #\n").unwrap();
    let more: String = more.lines().map(|line| line.replacen("  # ", "  ", 1) + "\n").collect();
    let more = more.replace("  #\n", "\n");
    let file = parse_policies("p", &format!("policies:\n{more}")).unwrap();
    assert_eq!(file.policies.len(), 10, "{more}");
}

#[test]
fn the_files_of_deploy_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/compose");
    let settings = load(&folder.join("tailsieve.yaml")).unwrap();
    load_policies(&settings.policies).unwrap();
}

#[test]
fn every_error_is_told_at_once_with_its_place_and_what_to_do() {
    let told = errors(
        "kafka:\n  brokers: [k:9092]\n  topik: spans\n  consumers: 0\n  start_from: yesterday\n\
         export:\n  endpoint: gopher://t:4317\n  compression: gzp\n  timeout: 5\n\
         buffer: 1GiB\n",
    );
    let expected = "\
t.yaml:1:1: `policies` is missing
   |
 1 | kafka:
   | ^
   = for example `policies: policies.yaml`

t.yaml:3:3: unknown key `topik`
   |
 3 |   topik: spans
   |   ^^^^^
   = did you mean `topic`?

t.yaml:4:14: consumers: expected a whole number from 1 to 64, found `0`
   |
 4 |   consumers: 0
   |              ^

t.yaml:5:15: start_from: expected earliest, latest or a time such as 2026-01-31T12:00:00Z, found `yesterday`
   |
 5 |   start_from: yesterday
   |               ^^^^^^^^^

t.yaml:7:13: endpoint: export endpoint \"gopher://t:4317\": only http:// and https:// are supported
   |
 7 |   endpoint: gopher://t:4317
   |             ^^^^^^^^^^^^^^^

t.yaml:8:16: compression: expected one of gzip, zstd, none, found `gzp`; did you mean gzip?
   |
 8 |   compression: gzp
   |                ^^^

t.yaml:9:12: timeout: expected a duration such as `200ms` or `5s`, found `5`
   |
 9 |   timeout: 5
   |            ^

t.yaml:10:9: expected a section with keys, found text
    |
 10 | buffer: 1GiB
    |         ^^^^

8 errors";
    assert_eq!(told, expected);
}

#[test]
fn settings_that_would_break_a_promise_are_refused_by_name() {
    let told = errors(
        "kafka:\n  brokers: k:9092\n  group_protocol: consumer\n  properties:\n    \
         enable.auto.commit: true\n    auto.offset.reset: latest\n    session.timeout.ms: 6000\n    \
         fetch.min.bytes: 1\nexport: {endpoint: t:4317}\npolicies: p.yaml\n",
    );
    for name in [
        "`enable.auto.commit` may not",
        "`auto.offset.reset` may not",
        "`session.timeout.ms` may not",
    ] {
        assert!(told.contains(name), "{told}");
    }
    assert!(told.contains("t.yaml:5:5") && told.ends_with("3 errors"), "{told}");
}

#[test]
fn syntax_errors_and_duplicate_keys_have_their_place() {
    let told = errors("kafka:\n  brokers: [k:9092\nexport: x\n");
    assert!(told.contains("t.yaml:") && told.contains("not valid YAML"), "{told}");
    let told = errors(&format!("{LEAST}policies: q.yaml\n"));
    assert!(told.starts_with("t.yaml:4:1: `policies` is given twice"), "{told}");
    let told = errors("");
    assert!(
        told.contains("`brokers` is missing") && told.contains("`policies` is missing"),
        "{told}"
    );
}

/// A static file with these exporters, a line each.
fn with_exporters(exporters: &[&str]) -> String {
    let exporters: String = exporters.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "kafka: {{brokers: k:9092, properties: {{a: b}}}}\npolicies: p.yaml\nexporters:\n{exporters}"
    )
}

#[test]
fn several_exporters_have_the_defaults_of_their_protocols() {
    let text = with_exporters(&[
        "tempo: {endpoint: t:4317, tls: {ca_file: ca.pem, min_version: '1.3'}}",
        "vendor: {protocol: http, endpoint: https://v, auth: {bearer: {token_file: token}}}",
        "archive: {protocol: kafka, topic: kept}",
        "other: {protocol: kafka, topic: kept, brokers: [o:9092], timeout: 9s}",
    ]);
    let settings = settings(&text).unwrap();
    assert_eq!(settings.exporters(), ["tempo", "vendor", "archive", "other"]);
    let [tempo, vendor, archive, other] = &settings.exports[..] else { panic!("{text}") };
    let tls = tempo.tls.as_ref().unwrap();
    assert_eq!(tls.ca_file.as_deref(), Some(Path::new("/etc/tailsieve/ca.pem")));
    assert_eq!(tls.min_version, TlsVersion::Tls13);
    let token = PathBuf::from("/etc/tailsieve/token");
    assert_eq!(vendor.auth, Some(Auth::BearerFile(token)));
    let seconds = [tempo, vendor, archive, other].map(|export| export.timeout.as_secs());
    assert_eq!(seconds, [5, 30, 30, 9]);
    let target = |export: &ExportSettings| export.kafka.clone().unwrap();
    let of_source = vec![("a".to_owned(), "b".to_owned())];
    assert_eq!((target(archive).brokers, target(archive).properties), ("k:9092".into(), of_source));
    assert_eq!((target(other).brokers, target(other).properties), ("o:9092".into(), vec![]));
    assert!(archive.max_request_bytes < 1_000_000);
}

#[test]
fn exporters_know_whether_they_have_a_default_for_what_is_forwarded() {
    let lacks = |forwarded: &str, headers: &str| {
        let text = with_exporters(&[&format!("tempo: {{endpoint: t:4317, headers: {headers}}}")]);
        let text = text.replace("brokers: k:9092", &format!("brokers: k:9092{forwarded}"));
        settings(&text).unwrap().exports[0].forwards_without_default
    };
    let forwarded = ", forward_headers: [X-Scope-OrgID]";
    assert!(lacks(forwarded, "{}"));
    assert!(lacks(forwarded, "{other: a}"));
    assert!(!lacks(forwarded, "{x-scope-orgid: nobody}"));
    assert!(!lacks("", "{}"));
}

#[test]
fn pasted_exporters_are_what_their_names_say() {
    let text = with_exporters(&[
        "otlp/a: {endpoint: a:4317, sending_queue: {sizer: bytes, queue_size: 16Mi}}",
        "otlphttp/b: {traces_endpoint: https://b/v1/traces, endpoint: https://other}",
        "otlp_http: {endpoint: http://c:4318}",
        "otlp_grpc/d: {protocol: http, endpoint: http://d:4318}",
        "kafka/e: {traces: {topic: kept}, producer: {required_acks: 1}}",
        "nop: {}",
        "archive-kafka: {endpoint: f:4317}",
    ]);
    let settings = settings(&text).unwrap();
    let protocols: Vec<Protocol> = settings.exports.iter().map(|it| it.protocol).collect();
    use Protocol::{Grpc, Http, Kafka};
    assert_eq!(protocols, [Grpc, Http, Http, Http, Kafka, Grpc]);
    assert_eq!(settings.exports[0].sending_queue.queue_size_bytes, 16 << 20);
    assert_eq!(settings.exports[1].endpoint, "https://b/v1/traces");
    assert_eq!(settings.exports[4].kafka.as_ref().unwrap().topic, "kept");
    let notes = settings.notes.join("\n");
    for part in ["t.yaml:4:", "the Collector encrypts", "t.yaml:8:", "producer has no", "`nop`"] {
        assert!(notes.contains(part), "{part} is not in\n{notes}");
    }
    assert_eq!(settings.notes.len(), 3, "{notes}");
}

#[test]
fn mistakes_in_exporters_are_told_with_their_place() {
    let text = with_exporters(&[
        "a: {endpoint: t:4317, topic: kept}",
        "b: {protocol: kafka, topic: otlp_spans, endpoint: t:4317}",
        "c: {protocol: http, endpoint: http://t:4318, tls: {cert_file: c.pem}}",
        "d: {endpoint: t:4317, auth: {basic: {username: me}, bearer: {token: hunter2}}}",
        "e: {endpoint: t:4317, auth: {bearer: {}}, headers: {Authorization: hunter2}}",
        "f f: {endpoint: t:4317}",
        "g: {protocol: kafka}",
        "h: {endpoint: t:4317, headers: {authorization: x}, auth: {bearer: {token: hunter2}}}",
    ]);
    let told = errors(&format!("{text}export: {{endpoint: t:4317}}\n"));
    for (place, message) in [
        ("t.yaml:4:", "`topic` has no meaning with protocol: grpc or http"),
        ("t.yaml:5:", "`endpoint` has no meaning with protocol: kafka"),
        ("t.yaml:5:", "in circles"),
        ("t.yaml:6:", "http:// is not encrypted, but `tls` is set"),
        ("t.yaml:6:", "cert_file and key_file are needed together"),
        ("t.yaml:7:", "one of `basic` and `bearer`"),
        ("t.yaml:8:", "one of `token` and `token_file`"),
        ("t.yaml:9:", "`f f` is no name of an exporter"),
        ("t.yaml:10:", "`topic` is missing"),
        ("t.yaml:11:", "`headers` has an authorization already"),
        ("t.yaml:4:", "`export` and `exporters` are both given"),
    ] {
        let is_told = told.lines().any(|line| line.starts_with(place) && line.contains(message));
        assert!(is_told, "{place} {message} is not in\n{told}");
    }
    let secret = errors(&with_exporters(&["d: {auth: {basic: {password: [hunter2]}}}"]));
    assert!(!secret.contains("hunter2"), "{secret}");
    for none in ["exporters: {}", "exporters: [a]", ""] {
        let told = errors(&format!("kafka: {{brokers: k:9092}}\npolicies: p.yaml\n{none}\n"));
        assert!(told.contains("expor") || told.contains("`endpoint` is missing"), "{told}");
    }
}

#[test]
fn policies_may_name_the_exporters_there_are() {
    let text = "policies:\n- {name: a, type: always_sample, exporters: tempo}\n\
                - {name: b, type: always_sample, exporters: [tempo, archive]}\n\
                - {name: c, type: always_sample}\n";
    let known = |names: &[&str]| Surroundings {
        exporters: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Surroundings::default()
    };
    let file = parse_policies_in("p", text, &known(&["tempo", "archive"])).unwrap();
    let of = |index: usize| file.policies[index].exporters.as_slice();
    assert_eq!(of(0), ["tempo"]);
    assert_eq!(of(1), ["archive", "tempo"]);
    assert_eq!(of(2), [""; 0]);
    assert_eq!(parse_policies("p", text).unwrap().policies, file.policies);
    let told = parse_policies_in("p", text, &known(&["temp"])).unwrap_err().to_string();
    assert!(told.contains("p:2:") && told.contains("did you mean `temp`?"), "{told}");
    assert!(told.contains("p:3:") && told.contains("`archive` is no exporter"), "{told}");
    let inner = "{type: always_sample, exporters: tempo}";
    for (text, message) in [
        (format!("{{type: and, and: {{and_sub_policy: [{inner}]}}}}"), "only at a policy"),
        (format!("{{type: drop, exporters: x, drop: {{drop_sub_policy: [{inner}]}}}}"), "dropped"),
        ("{type: always_sample, exporters: []}".to_owned(), "must hold a value"),
    ] {
        let text = format!("policies: [{}]", text.replacen('{', "{name: a, ", 1));
        let told = parse_policies("p", &text).unwrap_err().to_string();
        assert!(told.contains(message), "{message} is not in\n{told}");
    }
}

#[test]
fn both_files_together_know_which_exporters_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.yaml");
    fs::write(&path, with_exporters(&["tempo: {endpoint: t:4317}"])).unwrap();
    let policies = |names: &str| {
        let text = format!("policies: [{{name: a, type: always_sample, exporters: {names}}}]\n");
        fs::write(folder.path().join("p.yaml"), text).unwrap();
        load_both(&path)
    };
    policies("tempo").unwrap();
    let told = policies("jaeger").unwrap_err().to_string();
    assert!(told.contains("`jaeger` is no exporter; the static file has tempo"), "{told}");
}

#[test]
fn secrets_are_shown_nowhere() {
    let text = "kafka:\n  brokers: k:9092\n  properties:\n    sasl.password: hunter2\n    \
                ssl.key.password: [hunter2]\nexport:\n  endpoint: t:4317\n  headers:\n    \
                x-scope: hunter2\n    \"bad name\": hunter2\n    other: [hunter2]\npolicies: p.yaml\n";
    let told = errors(text);
    assert!(told.contains("ssl.key.password: expected a single value"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
    let fine = "kafka: {brokers: k:9092, properties: {sasl.password: hunter2}}\n\
                export: {endpoint: t:4317, headers: {authorization: hunter2}}\npolicies: p.yaml\n";
    assert!(!format!("{:?}", settings(fine).unwrap()).contains("hunter2"));
    assert!(!errors(&format!("{fine}x: y\n")).contains("hunter2"));
}

/// How a scalar is written says what it is: as the Collector's YAML has it.
#[test]
fn scalars_of_a_file_are_those_of_the_collector() {
    let kinds = [
        ("010", "i8"),
        ("-010", "i-8"),
        ("!!int 010", "i8"),
        ("1_000", "i1000"),
        ("1e3", "f1000.0"),
        ("08", "f8.0"),
        ("'010'", "010"),
        ("\"010\"", "010"),
        ("!!str 010", "010"),
        ("|-\n  010", "010"),
        (">-\n  010", "010"),
        ("7e12345", "7e12345"),
        ("1:30", "1:30"),
        (".inf", ".inf"),
        ("0x", "0x"),
        ("yes", "yes"),
        ("2024-01-01", "2024-01-01"),
        ("é010", "é010"),
    ];
    let kind = |node: &document::Node| match &node.value {
        document::Value::Integer(number) => format!("i{number}"),
        document::Value::Float(number) => format!("f{number:?}"),
        document::Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    for (written, expected) in kinds {
        let text = match written.contains('\n') {
            true => format!("a: {written}\n"),
            false => format!("\u{feff}é: ü\na: {written} # é\nb: [&x {written}, *x]\n"),
        };
        let document = Document::parse_alone("f", &text).unwrap();
        assert_eq!(kind(document.root.find("a")), expected, "{text}");
        if let document::Value::List(items) = &document.root.find("b").value {
            let kinds: Vec<String> = items.iter().map(kind).collect();
            // An anchor stands before the quotes or the tag.
            assert_eq!(kinds, [expected, expected], "{text}");
        }
    }
}

#[test]
fn secrets_in_variables_are_the_texts_that_they_are() {
    // What YAML takes for a number, a list, nothing.
    for secret in ["0123", "1e3", "[a]", "null", "~", "# x", "true", "a: b", "'q'", "{"] {
        let of_kafka = "kafka: {brokers: k:9092, properties: {sasl.password: SECRET}}\n";
        let text = format!(
            "{of_kafka}export: {{endpoint: t:4317, auth: {{bearer: {{token: SECRET}}}}, headers: {{x: SECRET}}}}\n\
             policies: p.yaml\n"
        );
        let secret_in_yaml = serde_json::to_string(&format!("${{yaml:{secret}}}")).unwrap();
        let settings = settings(&text.replace("SECRET", &secret_in_yaml)).unwrap();
        let export = &settings.exports[0];
        assert_eq!(settings.source.properties[0].1, secret);
        assert_eq!(export.auth, Some(Auth::Bearer(Secret::new(secret.to_owned()))));
        assert_eq!(export.headers["x"], Secret::new(secret.to_owned()));
    }
}

#[test]
fn variables_are_put_into_scalars_after_parsing() {
    let told = errors("kafka: {brokers: \"${env:TAILSIEVE_TEST_UNSET}\"}\n");
    assert!(
        told.contains("t.yaml:1:") && told.contains("TAILSIEVE_TEST_UNSET is not set"),
        "{told}"
    );
    let text = LEAST.replace("k:9092", "${env:TAILSIEVE_TEST_UNSET:-k:9093}");
    let text =
        text.replace("{brokers: ", "{consumers: \"${env:TAILSIEVE_TEST_UNSET:-3}\", brokers: ");
    let text = text.replace(", brokers: ${", ", brokers: \"${").replace("9093}}", "9093}\"}");
    let settings = settings(&text).unwrap();
    assert_eq!((settings.source.brokers.as_str(), settings.consumers), ("k:9093", 3));
}

#[test]
fn what_a_variable_holds_of_an_endpoint_is_not_repeated() {
    let url = "${env:TAILSIEVE_TEST_UNSET:-https://h:99999/hunter2/v1/traces}";
    for key in ["endpoint", "traces_endpoint"] {
        let told = errors(&format!(
            "kafka: {{brokers: k:9092}}\npolicies: p.yaml\nexporters:\n  otlphttp/a:\n    {key}: {url}\n"
        ));
        let message = told.lines().next().unwrap();
        assert!(message.contains(&format!("t.yaml:5:{}: {key}: ", key.len() + 7)), "{told}");
        assert!(!message.contains("hunter2") && !message.contains("99999"), "{told}");
    }
}

#[test]
fn keys_that_a_variable_holds_are_not_repeated() {
    for section in [r"hunter2: 1\nendpoint: t:1", r"endpoint: t:1\nhunter2: 1\nhunter2: 2"] {
        let told = errors(&format!(
            "kafka: {{brokers: k:9092}}\npolicies: p.yaml\nexport: \"${{env:TAILSIEVE_TEST_UNSET:-{section}}}\"\n"
        ));
        let messages = told.lines().filter(|line| line.starts_with("t.yaml"));
        let messages: Vec<&str> = messages.collect();
        assert!(messages.iter().all(|line| line.contains(" what the variable holds")), "{told}");
        assert!(!messages.is_empty() && !messages.concat().contains("hunter2"), "{told}");
    }
}

#[test]
fn a_file_of_more_documents_than_there_may_be_is_refused() {
    let text = format!("{}---\ntail_sampling: {{}}\n", "---\na: 1\n".repeat(1000));
    let told = parse_policies("p.yaml", &text).unwrap_err().to_string();
    assert!(told.contains("p.yaml:2001:1: there are more than 1000 documents"), "{told}");
}

#[test]
fn what_stands_in_a_later_document_has_its_place_in_the_file() {
    let text = "a: 1\n---\ndata:\n  c.yaml: |\n    tail_sampling:\n      wrong: 1\n";
    let told = parse_policies("p.yaml", text).unwrap_err().to_string();
    assert!(told.contains("p.yaml:6:7: unknown key `wrong`"), "{told}");
    assert!(told.contains(" 6 |       wrong: 1"), "{told}");
}

#[test]
fn names_of_policies_that_variables_hold_are_not_repeated() {
    let policy = "  - {name: \"${yaml:hunter2}\", type: always_sample}\n";
    let told = parse_policies("p.yaml", &format!("policies:\n{policy}{policy}")).unwrap_err();
    let told = told.to_string();
    assert!(told.contains("there are two policies named `...`"), "{told}");
}

#[test]
fn the_admin_pages_are_for_this_machine_and_changes_may_need_one_token() {
    let admin = |text: &str| settings(&format!("{LEAST}{text}")).unwrap().admin;
    let default = admin("");
    assert!(default.listen.ip().is_loopback());
    assert_eq!(default.changes, Changes::Open);
    assert_eq!(admin("admin: {allow_changes: false, token: hunter2}").changes, Changes::Off);
    let text = admin("admin: {token: hunter2}").changes;
    assert_eq!(text, Changes::WithToken(Token::Text(Secret::new("hunter2"))));
    let file = admin("admin: {token_file: t}").changes;
    assert!(matches!(file, Changes::WithToken(Token::File(path)) if path.ends_with("t")));
    let both = errors(&format!("{LEAST}admin: {{token: hunter2, token_file: t}}"));
    assert!(both.contains("only one of") && !both.contains("hunter2"), "{both}");
}

#[test]
fn policies_that_one_span_convinces_may_reopen_traces() {
    let read = |reopen: &str, decision_log| {
        let text = format!(
            "{reopen}\npolicies:\n\
             - {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}\n\
             - {{name: slow, type: latency, latency: {{threshold_ms: 9}}}}\n\
             - {{name: short, type: latency, latency: {{threshold_ms: 9, upper_threshold_ms: 99}}}}\n\
             - {{name: some, type: probabilistic, probabilistic: {{sampling_percentage: 9}}}}\n\
             - {{name: failed, type: ottl_condition, ottl_condition: {{span: ['status.code == 2']}}}}\n\
             - {{name: many, type: ottl_condition, ottl_condition: {{span: ['trace.error_count > 2']}}}}\n\
             - {{name: tried, type: always_sample, mode: shadow}}\n"
        );
        let surroundings = Surroundings { decision_log, ..Surroundings::default() };
        parse_policies_in("p", &text, &surroundings).map_err(|error| error.to_string())
    };
    let file = read("reopen: {policies: [errors, slow, failed]}", Some(true)).unwrap();
    let reopen = file.reopen.unwrap();
    assert_eq!((reopen.policies.len(), reopen.max_traces_per_second), (3, 100));
    assert_eq!(read("", None).unwrap().reopen, None);
    let refused = [
        ("reopen: {policies: [short]}", "p:1:20", "one late span does not tell"),
        ("reopen: {policies: [errors, some]}", "p:1:20", "policy \"some\" cannot re-open"),
        ("reopen: {policies: [many]}", "p:1:20", "policy \"many\" cannot re-open"),
        ("reopen: {policies: [tried]}", "p:1:20", "shadow policy"),
        ("reopen: {policies: [error]}", "p:1:20", "there is no policy \"error\""),
        ("reopen: {}", "p:1:", "policies"),
    ];
    for (reopen, place, message) in refused {
        let told = read(reopen, Some(true)).unwrap_err();
        assert!(told.contains(place) && told.contains(message), "{reopen}: {told}");
    }
    let told = read("reopen: {policies: [errors]}", Some(false)).unwrap_err();
    assert!(told.contains("needs the decision log"), "{told}");
}
