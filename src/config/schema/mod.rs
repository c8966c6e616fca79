//! The JSON Schemas of the files, for editors and pipelines.
//!
//! The structs here have the shape of the files and nothing else; what reads the files is the
//! reader, which tells more and better. Tests hold the two together: the same keys, the same
//! files taken and refused.

#![expect(dead_code, reason = "only the shape of these structs is of use")]

mod kinds;
mod policies;
mod policy_tests;
mod scalars;
mod variables;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use super::Settings;
use crate::options::Schemas;

/// The schema of a policy file, a `tail_sampling` block or a Collector configuration, as JSON.
pub fn policies() -> String {
    printed::<policies::File>()
}

/// The schema of the static file, as JSON.
pub fn config() -> String {
    let mut schemas = Schemas::default();
    let root = schemas.object::<Settings>();
    schemas.print("tailsieve static file", root)
}

/// The schema of a file with tests of policies, as JSON.
pub fn policy_tests() -> String {
    printed::<policy_tests::PolicyTests>()
}

fn printed<T: JsonSchema>() -> String {
    format!("{:#}\n", schema::<T>().as_value())
}

/// Draft 7: what all editors know.
fn schema<T: JsonSchema>() -> Schema {
    variables::allow(SchemaSettings::draft07().into_generator().into_root_schema_for::<T>())
}

#[cfg(test)]
mod tests;
