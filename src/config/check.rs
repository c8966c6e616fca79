//! Checks a file, and tells by its content which kind of file it is.

use std::path::{Path, PathBuf};

use super::diagnostics::{Diagnostics, Finding, Problem};
use super::document::{Document, Node, Value};
use super::locate::{Found, Located};
use super::policies::{self, Form, Reading};
use super::{
    Errors, PolicyFile, Settings, Surroundings, folder, lint, locate, name, policy_tests, sections,
    text, values,
};
use crate::options::nearest;

/// What a file is, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The static file.
    Config,
    /// A policy file of tailsieve.
    Policies,
    /// A `tail_sampling` block.
    Block,
    /// A whole Collector configuration.
    Collector,
    /// Tests of policies.
    Tests,
    /// It cannot be read, or is of no known kind.
    Unknown,
}

impl Kind {
    /// Its name, for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Policies => "policies",
            Self::Block => "tail_sampling",
            Self::Collector => "collector",
            Self::Tests => "tests",
            Self::Unknown => "unknown",
        }
    }
}

/// A file and its findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What it was called.
    pub file: String,
    /// What it is.
    pub kind: Kind,
    /// Why it cannot be used.
    pub errors: Vec<Finding>,
    /// What was read well and is probably not meant.
    pub warnings: Vec<Finding>,
    /// What was read and has no meaning here.
    pub notes: Vec<Finding>,
    /// The policy file that a static file names, and the processor in it.
    pub policies: Option<(PathBuf, Option<String>)>,
    /// The names of the exporters, if it is a static file without errors.
    pub exporters: Option<Vec<String>>,
}

impl Checked {
    fn broken(file: &str, kind: Kind, errors: &Diagnostics) -> Self {
        let (file, errors) = (file.to_owned(), errors.findings().to_vec());
        let (warnings, notes) = (Vec::new(), Vec::new());
        Self { file, kind, errors, warnings, notes, policies: None, exporters: None }
    }
}

/// Keys of a static file.
const OF_CONFIG: &[&str] = &[
    "kafka",
    "decision_log",
    "export",
    "exporters",
    "dead_letter",
    "buffer",
    "annotate",
    "admin",
    "retrieval",
    "telemetry",
    "shutdown_timeout",
];

/// Keys of the files with policies.
const OF_POLICIES: &[&str] = &["policies", "processors", "tail_sampling", "decision_wait"];

/// Checks the file at `path`, with what is known around it if it is a policy file.
pub fn check(path: &Path, surroundings: &Surroundings) -> Checked {
    let file = name(path);
    let located = text(path).and_then(|text| locate::parse(&file, &text));
    let Located { mut document, found } = match located {
        Ok(located) => located,
        Err(errors) => return Checked::broken(&file, Kind::Unknown, &errors),
    };
    // A list in a variable makes another file of it than a path.
    document.open(&["policies".to_owned()]);
    if document.root.get("tests").is_some() {
        return check_tests(&document, path);
    }
    if is_static_file(&document.root) {
        return check_static(&mut document, path);
    }
    if !is_policies(&document.root) {
        let errors = unknown(&document);
        return Checked::broken(&file, Kind::Unknown, &errors);
    }
    check_policies(&mut document, found.as_ref(), surroundings, usize::MAX).0
}

/// Findings of each kind in a file that somebody sends. Each has an excerpt, and a file may be one line.
const MOST_SENT: usize = 100;

/// Checks the text of a policy file that somebody sends, as [`check`] does, and reads it if there is
/// nothing wrong with it. Nothing on this machine is read for it: variables are errors. `file` is what
/// the findings call it, of which there are at most a hundred of each kind.
pub fn check_sent(
    file: &str,
    text: &str,
    surroundings: &Surroundings,
) -> (Checked, Option<PolicyFile>) {
    let Located { mut document, found } = match locate::parse(file, text) {
        Ok(located) => located,
        Err(errors) => return (Checked::broken(file, Kind::Unknown, &errors), None),
    };
    document.close();
    let root = &document.root;
    if root.get("tests").is_some() || is_static_file(root) || !is_policies(root) {
        let message = "this is no policy file".to_owned();
        let help = "expected `policies:` with a list, a `tail_sampling` block, or a Collector \
                    configuration with one"
            .to_owned();
        let problem = Problem { place: root.place, message, help: Some(help) };
        let errors = document.diagnostics(vec![problem]);
        return (Checked::broken(file, Kind::Unknown, &errors), None);
    }
    let (checked, policies) =
        check_policies(&mut document, found.as_ref(), surroundings, MOST_SENT);
    let is_good = checked.errors.is_empty();
    (checked, is_good.then_some(policies))
}

/// Checks a document with policies; what it says is complete only if there are no errors. Of the
/// findings of a kind, the first `most` are told.
fn check_policies(
    document: &mut Document,
    found: Option<&Found>,
    surroundings: &Surroundings,
    most: usize,
) -> (Checked, PolicyFile) {
    let reading = policies::read(document, found, surroundings);
    let Reading { file: policies, errors, warnings, notes, form } = reading;
    let findings = |mut problems: Vec<Problem>| {
        problems.sort_by_key(|problem| problem.place);
        problems.truncate(most);
        document.diagnostics(problems).findings().to_vec()
    };
    let kind = match form {
        Form::Policies => Kind::Policies,
        Form::Block => Kind::Block,
        Form::Collector => Kind::Collector,
    };
    let (errors, warnings, notes) = (findings(errors), findings(warnings), findings(notes));
    let file = document.name().to_owned();
    let checked = Checked { file, kind, errors, warnings, notes, policies: None, exporters: None };
    (checked, policies)
}

fn check_static(document: &mut Document, path: &Path) -> Checked {
    document.substitute(&[]);
    let reading = sections::settings(document, folder(path));
    let errors = document.all_problems(reading.errors);
    let exporters = errors.is_empty().then(|| Settings::exporters(&reading.settings));
    let errors = document.diagnostics(errors);
    let mut checked = Checked::broken(&name(path), Kind::Config, &errors);
    checked.warnings = document.diagnostics(reading.warnings).findings().to_vec();
    checked.notes = document.diagnostics(reading.notes).findings().to_vec();
    checked.policies = sections::policies_path(document, folder(path));
    checked.exporters = exporters;
    checked
}

/// The policy file that the tests name is checked by itself.
fn check_tests(document: &Document, path: &Path) -> Checked {
    let of_all = policy_tests::load(path).err().map_or(Vec::new(), |Errors(errors)| errors);
    let file = name(path);
    let mut checked = Checked::broken(&file, Kind::Tests, &document.diagnostics(Vec::new()));
    let of_file = of_all.iter().filter(|errors| errors.file() == file);
    checked.errors = of_file.flat_map(|errors| errors.findings().to_vec()).collect();
    let mut document = document.clone();
    document.substitute(&[]);
    let warnings = document.diagnostics(lint::scalars(&document.root));
    checked.warnings = warnings.findings().to_vec();
    let root = &document.root;
    let text = |key: &str| root.get(key).and_then(|node| values::name(node).ok());
    let is_path = root.get("policies").is_some_and(|it| matches!(it.value, Value::Text(_)));
    let policies = text("policies").filter(|_| is_path);
    checked.policies = policies.map(|it| (folder(path).join(it), text("processor")));
    checked
}

fn keys(root: &Node) -> impl Iterator<Item = &str> {
    let entries = if let Value::Map(entries) = &root.value { entries.as_slice() } else { &[] };
    entries.iter().map(|entry| entry.key.as_str())
}

fn is_static_file(root: &Node) -> bool {
    let names_a_file = root.get("policies").is_some_and(|it| matches!(it.value, Value::Text(_)));
    let is_of_config = keys(root).any(|key| OF_CONFIG.contains(&key));
    // A whole Collector configuration may have a section `telemetry` or `export` of its own.
    let is_else = policies::is_policy_file(root) && root.get("kafka").is_none();
    names_a_file || (is_of_config && !is_else)
}

/// True if a file is made for something else, and its keys are not worth a word each.
pub(super) fn is_foreign(root: &Node) -> bool {
    let is_resource = root.get("apiVersion").is_some() && root.get("kind").is_some();
    let holds_config = root.get("config").is_some();
    (is_resource || holds_config) && !is_policies(root)
}

fn is_policies(root: &Node) -> bool {
    policies::is_policy_file(root) || keys(root).any(|key| nearest(key, OF_POLICIES).is_some())
}

/// Says that a file is nothing that is known.
pub(super) fn unknown(document: &Document) -> Diagnostics {
    let message = "neither a static file, nor a policy file, nor a Collector configuration";
    let help = "a static file has `kafka:`, `export:` and `policies: FILE`; a policy file has \
                `policies:` with a list; a Collector configuration has `processors:` with a \
                `tail_sampling` among them, and may stand in Helm values, an \
                OpenTelemetryCollector resource or a ConfigMap";
    let (message, help) = (message.to_owned(), Some(help.to_owned()));
    document.diagnostics(vec![Problem { place: document.root.place, message, help }])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> (Vec<String>, bool) {
        let (checked, policies) = check_sent("p.yaml", text, &Surroundings::default());
        let findings = checked.errors.iter().map(|error| error.shown("p.yaml", ""));
        (findings.collect(), policies.is_some())
    }

    #[test]
    fn a_file_that_is_sent_is_checked_as_others_are() {
        let good = "policies: [{name: a$$b, type: always_sample}]\n";
        assert_eq!(sent(good), (vec![], true));
        let block = "tail_sampling: {policies: [{name: a, type: always_sample}]}";
        assert_eq!(sent(block), (vec![], true));
        let (errors, is_read) = sent("policies:\n  - {name: a, type: guess}\n");
        assert!(!is_read && errors[0].starts_with("p.yaml:2:21: ") && errors[0].contains("^^^^^"));
        assert!(sent("a: [").0[0].starts_with("p.yaml:1:"));
    }

    #[test]
    fn nothing_on_this_machine_is_read_for_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[{name: hidden, type: guess}]").unwrap();
        let path = file.path().display();
        for text in [
            "policies: [{name: '${env:PATH}', type: always_sample}]".to_owned(),
            "policies: [{name: 'a${PATH}', type: always_sample}]".to_owned(),
            format!(
                "decision_wait: ${{file:{path}}}\npolicies: [{{name: a, type: always_sample}}]"
            ),
            format!("tail_sampling: {{policies: '${{file:{path}}}'}}"),
            format!("processors: '${{file:{path}}}'"),
            format!("policies: '${{file:{path}}}'"),
            format!("tests: []\npolicies: {path}"),
            format!("kafka: {{brokers: ['a:1']}}\npolicies: {path}"),
        ] {
            let (errors, is_read) = sent(&text);
            let all = errors.concat();
            assert!(!is_read && !all.contains("hidden"), "{text}: {all}");
            assert!(!all.contains(&std::env::var("PATH").unwrap()), "{text}: {all}");
            assert!(
                ["not filled in", "no policy file", "no processor"]
                    .iter()
                    .any(|said| all.contains(said)),
                "{text}: {all}"
            );
        }
    }

    #[test]
    fn its_findings_are_few() {
        let policies = "{name: a, type: guess}, ".repeat(5000);
        let (errors, _) = sent(&format!("policies: [{policies}]"));
        assert_eq!(errors.len(), 100);
    }
}
