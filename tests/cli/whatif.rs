//! `tailsieve whatif` on captures, and `whatif merge`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{tailsieve, told};

const OLD: &str =
    "policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";
const NEW: &str = "policies: [{name: slow, type: latency, latency: {threshold_ms: 500}}]";

/// A trace of one span: its number, its service, how long it took, and whether it failed.
pub fn trace(number: u128, service: &str, millis: u64, failed: bool) -> Value {
    let begin = 1_700_000_000_000_000_000_u64;
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"spans": [{
            "traceId": format!("{number:032x}"),
            "spanId": format!("{:016x}", number as u64),
            "name": "GET",
            "startTimeUnixNano": begin.to_string(),
            "endTimeUnixNano": (begin + millis * 1_000_000).to_string(),
            "status": {"code": if failed { 2 } else { 0 }},
        }]}],
    }]})
}

/// Two policy files, and traffic.
pub struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let cart = |number, millis, failed| trace(number, "<cart>", millis, failed);
        let traces = [
            cart(1, 10, true),
            cart(2, 900, true),
            cart(3, 900, false),
            cart(4, 10, false),
            cart(5, 20, true),
        ];
        Self::of(OLD, NEW, traces.into_iter())
    }

    pub fn of(old: &str, new: &str, traces: impl Iterator<Item = Value>) -> Self {
        let folder = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("old.yaml", old);
        write("new.yaml", new);
        let traces: Vec<String> = traces.map(|trace| trace.to_string()).collect();
        write("spans.json", &traces.join("\n"));
        Self { folder }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(Path::new(name)).to_str().unwrap().to_owned()
    }

    pub fn run(&self, more: &[&str]) -> (i32, String, String) {
        let (old, new, spans) =
            (self.path("old.yaml"), self.path("new.yaml"), self.path("spans.json"));
        let args = ["whatif", "--policies", &new, "--baseline", &old, &spans];
        told(&tailsieve(&[&args, more].concat()))
    }
}

/// Guarantees: the cells are right, text, JSON and page say the same, and conditions decide the exit code.
#[test]
fn two_files_are_compared_on_a_capture() {
    let files = Files::new();
    let (code, text, said) = files.run(&["--price-per-gb", "5000000"]);
    assert_eq!((code, said.as_str()), (0, ""), "{text}");
    let rows: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    for row in [["compared", "5", "5"], ["newly", "lost", "2"], ["newly", "kept", "1"]] {
        assert!(rows.iter().any(|it| it.starts_with(&row)), "{row:?} in {text}");
    }
    assert!(text.contains("kept by errors -> dropped"), "{text}");
    let id = format!("{:032x}", 1);
    assert!(
        text.contains(&format!("{id}  kept by errors -> dropped: <cart> GET, 1 span\n")),
        "{text}"
    );

    let (code, json, _) = files.run(&["--output", "json", "--price-per-gb", "5000000"]);
    let outcome: Value = serde_json::from_str(&json).unwrap();
    let summary = &outcome["candidates"][0]["summary"];
    assert_eq!((code, &summary["newlyLost"]["traces"]["value"]), (0, &json!(2.0)));
    let money = summary["keptNow"]["money"]["value"].as_f64().unwrap();
    let bytes = summary["keptNow"]["bytes"]["value"].as_f64().unwrap();
    assert!((money - bytes / 1e9 * 5e6).abs() < 1e-9 && money > 0.0, "{summary}");
    assert!(text.contains(&format!(" {money:.2} ")), "{money} in {text}");

    let (code, page, _) = files.run(&["--output", "html", "--price-per-gb", "5000000"]);
    assert!(
        code == 0
            && page.contains("<bdi>&lt;cart&gt;</bdi> <bdi>GET</bdi>, 1 span<")
            && !page.contains("<cart>"),
        "{page}"
    );
    assert!(page.contains(&format!("\">{money:.2}</data>")), "{money} in {page}");

    for (condition, code) in [("lost > 2", 0), ("lost(errors) > 1", 1), ("bytes < -10%", 1)] {
        assert_eq!(files.run(&["--fail-if", condition]).0, code, "{condition}");
    }
    let (_, text, _) = files.run(&["--fail-if", "lost(errors) > 1"]);
    assert!(text.contains("FAILED  lost(errors) > 1") && text.contains(": 2)"), "{text}");
    let (code, _, said) = files.run(&["--fail-if", "lost(nobody) > 1"]);
    assert!(
        code == 2 && said.contains("there is no policy nobody; there are errors, slow"),
        "{said}"
    );
}

/// Guarantee: whatever a service is called, it does not write to the terminal.
#[test]
fn names_control_no_terminal() {
    let traces = [trace(1, "a\u{1b}[2J\u{202e}", 900, false)];
    let (code, text, _) = Files::of(OLD, NEW, traces.into_iter()).run(&[]);
    assert!(code == 0 && text.matches("a\u{fffd}[2J\u{fffd}").count() == 2, "{text}");
    assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
}

#[test]
fn other_waits_are_a_table_and_suggestions_are_asked_for() {
    let files = Files::new();
    let (code, text, _) = files.run(&["--decision-wait", "5s,2m"]);
    let has = |start: &str| text.lines().any(|line| line.starts_with(start));
    assert!(code == 0 && has("as in the file") && has("5s ") && has("2m "), "{text}");
    assert_eq!(text.matches("new.yaml instead of").count(), 1, "{text}");
    let (_, text, _) = files.run(&["--suggest"]);
    assert!(text.contains("suggestions\n- 5 traces are too few"), "{text}");
    let (_, json, _) = files.run(&["--suggest", "--output", "json"]);
    let outcome: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(outcome["candidates"][0]["suggestions"].as_array().unwrap().len(), 1);
    let (code, _, said) = files.run(&["--decision-wait", "0s"]);
    assert!(code == 2 && said.contains("above 0"), "{said}");
}

/// Guarantee: what a policy with a budget keeps is said to be simulated, wherever it is printed.
#[test]
fn policies_with_budgets_are_said_to_be_simulated() {
    let files = Files::new();
    let limited =
        "policies: [{name: few, type: rate_limiting, rate_limiting: {spans_per_second: 1}}]";
    fs::write(files.folder.path().join("new.yaml"), limited).unwrap();
    let on_the_page = "<bdi>few</bdi> <span class=\"tag\">simulated</span>";
    for (output, marked) in
        [("text", "few (simulated)"), ("html", on_the_page), ("json", "\"simulated\": true")]
    {
        let (code, printed, _) = files.run(&["--output", output]);
        let note =
            "simulated: what few keeps depends on what it kept before, from the first record on";
        assert!(code == 0 && printed.contains(marked) && printed.contains(note), "{printed}");
    }
}

#[test]
fn what_is_wrong_with_the_command_line_is_told() {
    let files = Files::new();
    let spans = files.path("spans.json");
    let new = files.path("new.yaml");
    let says = |args: &[&str], what: &str| {
        let (code, _, said) = told(&tailsieve(&[&["whatif"], args].concat()));
        assert!(code == 2 && said.contains(what), "{args:?}: {said}");
    };
    says(&["--policies", &new, &spans], "--baseline");
    says(&["--policies", &new], "--config");
    for some in [["--partitions", "4"], ["--partition", "0,3"]] {
        says(&[&["--policies", &new, "--full"], &some[..]].concat(), "cannot be used with");
    }
    says(
        &["--policies", &new, "--baseline", &new, &spans, "--fail-if", "lost"],
        "lost(errors) > 0",
    );
    says(&["merge", &spans], "is not what `tailsieve whatif --output json` prints");
    says(&["merge", "/nowhere"], "cannot be read");
    let (code, _, said) =
        told(&tailsieve(&["whatif", "--policies", &new, "--baseline", &new, "/nowhere.json"]));
    assert!(code == 5 && said.contains("/nowhere.json"), "{said}");
}
