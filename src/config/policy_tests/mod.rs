//! Files with tests of policies: which policies, traces in few words, and what is expected.
//!
//! Owns the form of the file. Leaves to others how spans are made of it, and the comparison.

mod expected;
mod spans;

use std::path::Path;
use std::time::Duration;

use super::document::{Document, Entry, Node, Value};
use super::reader::{Problems, Section};
use super::{Errors, PolicyFile, Surroundings, folder, name, policies, text, values};
use crate::ids::TraceId;

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
    let problems = Problems::default();
    let mut root = Section::new(&document.root, &problems);
    let is_given = root.required("policies", "policies.yaml", Ok).is_some();
    root.optional("processor", values::name);
    let list = root.required("tests", "[{name: ..., spans: [...], expect: keep}]", Ok);
    root.finish();
    let reader = Reader { problems: &problems, policies: policies.as_ref().and_then(read_well) };
    let tests = list.map(|list| reader.tests(list)).unwrap_or_default();
    let problems = document.all_problems(problems.into_inner());
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

fn read_well(policies: &Result<PolicyFile, Errors>) -> Option<&PolicyFile> {
    policies.as_ref().ok()
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

/// Reads tests of certain policies, as far as those could be read.
#[derive(Clone, Copy)]
struct Reader<'d> {
    problems: &'d Problems,
    policies: Option<&'d PolicyFile>,
}

impl<'d> Reader<'d> {
    fn tests(self, list: &'d Node) -> Vec<PolicyTest> {
        let items = values::items(list);
        if items.is_empty() {
            self.problems.add(list.place, "there are no tests", None);
        }
        items.iter().filter_map(|node| self.test(node)).collect()
    }

    fn test(self, node: &'d Node) -> Option<PolicyTest> {
        let mut section = Section::new(node, self.problems);
        let name = section.required("name", "errors are kept", values::name);
        let line = node.place.line;
        let mut ids = Vec::new();
        let traces = match section.node("traces") {
            Some(list) => {
                let traces = values::items(list);
                if traces.is_empty() {
                    self.problems.add(list.place, "traces: must hold a trace", None);
                }
                let traces = traces.iter().map(|node| {
                    let mut section = Section::new(node, self.problems);
                    let trace = self.trace(&mut section, &mut ids);
                    section.finish();
                    trace
                });
                let traces: Vec<Option<TraceCase>> = traces.collect();
                traces.into_iter().collect()
            }
            None => self.trace(&mut section, &mut ids).map(|trace| vec![trace]),
        };
        section.finish();
        Some(PolicyTest { name: name?, line, traces: traces? })
    }

    /// A trace; `ids` are those of the traces before it in its test.
    fn trace(self, section: &mut Section<'d>, ids: &mut Vec<TraceId>) -> Option<TraceCase> {
        let at = section.optional("at", values::duration).unwrap_or_default();
        let trace_id = section.optional("trace_id", trace_id);
        if let Some(id) = trace_id.filter(|id| ids.contains(id)) {
            let message = format!("two traces of this test have the id {id}");
            self.problems.add(section.place, message, Some("leave out one of the ids".to_owned()));
        }
        ids.extend(trace_id);
        let randomness = section.optional("randomness", randomness);
        if trace_id.is_some() && randomness.is_some() {
            let message = "`randomness` is that of the trace id where `trace_id` is given";
            section.problem(message, "randomness: 0.95");
        }
        let example = "[{service: shop, name: GET /, duration: 120ms}]";
        let roots = section.required("spans", example, Ok);
        let roots = roots.map(|list| spans::spans(self.problems, list));
        let expected = section.required("expect", "keep", Ok);
        let expected = expected.map(|node| expected::read(self.problems, self.policies, node));
        let (randomness, roots) = (randomness.unwrap_or(0.0), roots?);
        Some(TraceCase { at, trace_id, randomness, roots, expected: expected? })
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
