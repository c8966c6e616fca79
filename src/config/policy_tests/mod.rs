//! Files with tests of policies: which policies, traces in few words, and what is expected.
//!
//! Owns the form of the file. Leaves to others how spans are made of it, and the comparison.

mod expected;
mod spans;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::document::{Document, Entry, Node, Value};
use super::{Errors, PolicyFile, Surroundings, folder, name, policies, schema, text, values};
use crate::ids::TraceId;
use crate::options::{
    At, Context, Form, NUMBER, Options, Schemas, Section, duration, form, list, or_variable,
};

pub use expected::{Expected, ExpectedVote};
pub use spans::{AttributeValue, EventSpec, SpanSpec};

/// A file with tests.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyTests {
    /// The policies that are tested.
    pub policies: PolicyFile,
    /// The tests, in order; never empty.
    pub tests: Vec<PolicyTest>,
}

/// One test: traces that come one after the other, to one partition that saw nothing before.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyTest {
    /// What it is called.
    pub name: String,
    /// The line that it stands in.
    pub line: usize,
    /// Its traces; never empty.
    pub traces: Vec<TraceCase>,
}

/// A trace, and what is expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceCase {
    /// When all of it comes in, from the beginning of the test.
    pub at: Duration,
    /// Its id, if it is given.
    pub trace_id: Option<TraceId>,
    /// Its randomness from 0 to below 1; with 0 no probabilistic policy keeps it.
    pub randomness: f64,
    /// Its spans without a parent among them.
    pub roots: Vec<SpanSpec>,
    /// What is expected.
    pub expected: Expected,
}

/// Reads a file with tests, and the policies that it names.
///
/// # Errors
/// Everything that is wrong with both.
pub fn load(path: &Path) -> Result<PolicyTests, Errors> {
    parse(&name(path), &text(path)?, folder(path))
}

/// Reads the text of a file with tests; paths in it are relative to `folder`.
///
/// # Errors
/// Everything that is wrong with it and with the policies that it names.
pub fn parse(name: &str, text: &str, folder: &Path) -> Result<PolicyTests, Errors> {
    let mut document = Document::parse_alone(name, text)?;
    // A list in a variable is the policies themselves, and no path.
    document.open(&["policies".to_owned()]);
    let policies = tested(&document, folder);
    document.substitute(&[]);
    let known = policies.as_ref().and_then(|policies| policies.as_ref().ok());
    let names = |file: &PolicyFile| -> Vec<String> {
        file.policies.iter().map(|policy| policy.name.clone()).collect()
    };
    let known = known.map(names);
    let known = known.as_ref().map(|names| names.iter().map(String::as_str).collect());
    let context = Context { policies: known, ..document.context() };
    let TestFile { tests, has_policies: is_given } = Section::new(&document.root, &context).read();
    let problems = context.problems.into_inner();
    let problems = document.all_problems(problems);
    let of_file = (!problems.is_empty()).then(|| document.diagnostics(problems));
    let (policies, of_policies) = match policies {
        // That there are none was told above.
        None => (None, None),
        Some(Ok(policies)) => (Some(policies), None),
        Some(Err(errors)) => (None, is_given.then_some(errors)),
    };
    match policies {
        Some(policies) if of_file.is_none() => Ok(PolicyTests { policies, tests }),
        _ => {
            let of_policies = of_policies.map(|Errors(errors)| errors).into_iter().flatten();
            Err(Errors(of_file.into_iter().chain(of_policies).collect()))
        }
    }
}

/// The policies under test: of a file, or written out.
fn tested(document: &Document, folder: &Path) -> Option<Result<PolicyFile, Errors>> {
    let node = document.root.get("policies")?;
    if let Value::Text(_) = node.value {
        let mut document = document.clone();
        document.substitute(&[]);
        let path = document.root.get("policies").map(values::name)?.ok()?;
        let processor = document.root.get("processor").and_then(|node| values::name(node).ok());
        let file = super::load_policies_of(&folder.join(path), processor.as_deref());
        return Some(file.map_err(Errors::from));
    }
    let mut part = document.clone();
    part.root = match node.value {
        Value::List(_) => {
            let entry = Entry { key: "policies".to_owned(), place: node.place, node: node.clone() };
            Node { value: Value::Map(vec![entry]), ..node.clone() }
        }
        _ => node.clone(),
    };
    let reading = policies::read(&mut part, None, &Surroundings::default());
    if reading.errors.is_empty() {
        return Some(Ok(reading.file));
    }
    Some(Err(part.diagnostics(reading.errors).into()))
}

/// What stands in a file with tests.
pub(super) struct TestFile {
    has_policies: bool,
    tests: Vec<PolicyTest>,
}

impl Options for TestFile {
    const NAME: &'static str = "PolicyTests";
    const ABOUT: &'static str = "A file with tests: which policies, traces in few words, and what \
                                 is to become of them.";

    fn read(root: &mut Section<'_>) -> Self {
        // They are read apart, before the tests, which speak of them.
        let policies = Form::new(|_, _| Some(true), schema::policies_under_test);
        let doc = "The policies under test: a file, relative to this one, or the policies \
                   themselves.";
        let has_policies = root.take("policies", doc, policies.required("policies.yaml"));
        let doc = "Which processor of a Collector configuration is meant: `tail_sampling/NAME`.";
        root.take("processor", doc, crate::options::name().optional());
        let doc = "The tests. Each runs in a partition of its own, on a clock of its own.";
        let tests = list(test()).some("[{name: ..., spans: [...], expect: keep}]");
        Self { has_policies, tests: root.take("tests", doc, tests) }
    }
}

/// A test with one trace, or with several.
fn test() -> Form<PolicyTest> {
    let read = |node: &Node, at: At<'_>| {
        let section = Section::new(node, at.context);
        Some(match section.node("traces") {
            Some(_) => section.read::<SeveralTraces>().0,
            None => section.read::<OneTrace>().0,
        })
    };
    Form::new(read, |schemas| or_variable(schemas.define("Test", describe_test)))
}

fn describe_test(schemas: &mut Schemas) -> Json {
    let several = schemas.section::<SeveralTraces>();
    let one = schemas.section::<OneTrace>();
    json!({ "if": { "required": ["traces"] }, "then": several, "else": one })
}

struct OneTrace(PolicyTest);

struct SeveralTraces(PolicyTest);

impl Options for OneTrace {
    const NAME: &'static str = "OneTrace";
    const ABOUT: &'static str = "A test with one trace.";

    fn read(section: &mut Section<'_>) -> Self {
        let (name, line) = (test_name(section), section.place.line);
        let traces = vec![TraceCase::read(section)];
        // With that, it would be a test with several.
        section.block("traces");
        Self(PolicyTest { name, line, traces })
    }
}

impl Options for SeveralTraces {
    const NAME: &'static str = "SeveralTraces";
    const ABOUT: &'static str = "A test with several traces of one partition.";

    fn read(section: &mut Section<'_>) -> Self {
        let (name, line) = (test_name(section), section.place.line);
        let traces = list(crate::options::section::<TraceCase>());
        let doc = "Its traces, as they come in one after the other.";
        let traces = section.take("traces", doc, traces.some("[{spans: {}, expect: keep}]"));
        let nodes = section.node("traces").map_or(&[][..], values::items);
        for (index, (trace, node)) in traces.iter().zip(nodes).enumerate() {
            let is_same = |before: &TraceCase| before.trace_id == trace.trace_id;
            if let Some(id) = trace.trace_id.filter(|_| traces[..index].iter().any(is_same)) {
                let message = format!("two traces of this test have the id {id}");
                let help = "leave out one of the ids".to_owned();
                section.context.problems.add(node.place, message, Some(help));
            }
        }
        Self(PolicyTest { name, line, traces })
    }
}

fn test_name(section: &mut Section<'_>) -> String {
    let name = crate::options::name().required("errors are kept");
    section.take("name", "What it is called.", name)
}

impl Options for TraceCase {
    const NAME: &'static str = "Trace";
    const ABOUT: &'static str = "A trace among several.";

    fn read(section: &mut Section<'_>) -> Self {
        let doc = "When all of it comes in, from the beginning of the test.";
        let at = section.take("at", doc, duration().or("0s"));
        let schema = json!({ "type": "string", "pattern": r"^(?!0{32}$)[0-9a-fA-F]{32}$|\$\{" });
        let trace_id = form(trace_id, schema).optional();
        let trace_id = section.take("trace_id", "Its id; made up by default.", trace_id);
        let schema = json!({
            "type": ["number", "string"],
            "pattern": NUMBER,
            "minimum": 0,
            "exclusiveMaximum": 1,
        });
        let doc = "Its randomness, from 0 to below 1; with 0, the default, no probabilistic policy \
                   keeps it, and one with 10 % keeps it from 0.9 up.";
        let randomness = section.take("randomness", doc, form(randomness, schema).optional());
        // The randomness of an id that is given is that of the id.
        section.rule("not", json!({ "required": ["trace_id", "randomness"] }));
        if trace_id.is_some() && randomness.is_some() {
            let message = "`randomness` is that of the trace id where `trace_id` is given";
            section.problem(message, "randomness: 0.95");
        }
        let doc = "Its spans without a parent among them; everything in them has a default.";
        let example = "[{service: shop, name: GET /, duration: 120ms}]";
        let roots = section.take("spans", doc, spans::spans().required(example));
        let doc = "What is to become of it.";
        let expected = section.take("expect", doc, expected::expected().required("keep"));
        Self { at, trace_id, randomness: randomness.unwrap_or(0.0), roots, expected }
    }
}

fn trace_id(node: &Node) -> Result<TraceId, String> {
    let expected = "expected 32 hexadecimal digits, not all 0; in quotes if all are decimal";
    let Value::Text(text) = &node.value else { return Err(expected.to_owned()) };
    TraceId::from_hex(text.as_bytes()).ok_or_else(|| expected.to_owned())
}

fn randomness(node: &Node) -> Result<f64, String> {
    let number = values::number(node)?;
    if (0.0..1.0).contains(&number) {
        return Ok(number);
    }
    Err(format!("expected a number from 0 to below 1, found {}", values::shown(node)))
}

#[cfg(test)]
mod tests;
