//! The JSON Schemas of the files, for editors and pipelines: made of the descriptions by which the
//! files are read.

use serde_json::{Value as Json, json};

use super::policies::FileOptions;
use super::{Settings, policy_tests};
use crate::options::{Schemas, described, name, or_variable};
use crate::sampling::policy::written::{self, Level};

/// Keys of a processor.
const PROCESSOR: &str = "^tail_sampling(/.*)?$";

/// Keys of the files that hold policies by themselves.
const KNOWN: &str = "^(policies|processors|tail_sampling(/.*)?|decision_.*|maximum_trace_.*)$";

/// The schema of a policy file, a `tail_sampling` block or a Collector configuration, as JSON.
pub fn policies() -> String {
    let mut schemas = Schemas::default();
    let root = policy_file(&mut schemas);
    schemas.print("tailsieve policy file", root)
}

/// The schema of the static file, as JSON.
pub fn config() -> String {
    let mut schemas = Schemas::default();
    let root = schemas.object::<Settings>();
    schemas.print("tailsieve static file", root)
}

/// The schema of a file with tests of policies, as JSON.
pub fn policy_tests() -> String {
    let mut schemas = Schemas::default();
    let root = schemas.object::<policy_tests::TestFile>();
    schemas.print("tailsieve policy tests", root)
}

/// A path, a list of policies, or what stands in a policy file.
pub(super) fn policies_under_test(schemas: &mut Schemas) -> Json {
    let path = name().describe(schemas);
    let list = written::describe_list(schemas, Level::Top);
    let file = policy_file(schemas);
    json!({
        "if": { "type": "object" },
        "then": file,
        "else": { "if": { "type": "array" }, "then": list, "else": path },
    })
}

/// A policy file in all its forms: tailsieve's own, a `tail_sampling` block, or a whole Collector
/// configuration.
fn policy_file(schemas: &mut Schemas) -> Json {
    let policies = schemas.define("PolicyFile", Schemas::object::<FileOptions>);
    schemas.is_collectors = true;
    let processor = schemas.define("Processor", |schemas| {
        let about = "The block of a Collector's `tail_sampling` processor.";
        described(schemas.object::<FileOptions>(), about)
    });
    schemas.is_collectors = false;
    let processors = json!({
        "type": "object",
        "patternProperties": { PROCESSOR: or_variable(processor.clone()) },
        "not": { "propertyNames": { "not": { "pattern": PROCESSOR } } },
    });
    json!({
        "description": "Which traces are kept. The options and policies stand at the top level, in a \
                        block `tail_sampling`, or in a processor of a Collector configuration.",
        // Helm values, resources: the configuration stands somewhere in them.
        "if": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "not": { "pattern": KNOWN } },
            "anyOf": [
                { "required": ["apiVersion", "kind"] },
                { "additionalProperties": { "not": { "type": "array" } } },
            ],
        },
        "else": {
            "if": { "required": ["processors"], "not": { "required": ["policies"] } },
            "then": {
                "type": "object",
                "properties": { "processors": or_variable(processors) },
            },
            "else": {
                "if": {
                    "type": "object",
                    "propertyNames": { "not": { "pattern": PROCESSOR } },
                },
                "then": policies,
                "else": { "type": "object", "patternProperties": { PROCESSOR: or_variable(processor) } },
            },
        },
    })
}

#[cfg(test)]
mod tests;
