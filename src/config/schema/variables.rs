//! A variable in the place of a list or a section: a text with `${` in it.

use schemars::Schema;
use serde_json::{Map, Value, json};

use super::scalars::VARIABLE;

/// Allows a variable wherever the schema has a list or a section, but for the file as a whole.
pub(super) fn allow(schema: Schema) -> Schema {
    let mut value = schema.to_value();
    let definitions = value["definitions"].as_object().cloned().unwrap_or_default();
    below(&mut value, &definitions);
    Schema::try_from(value).expect("a schema with more alternatives is one")
}

/// Goes through the schemas of the values that a schema speaks of.
fn below(schema: &mut Value, definitions: &Map<String, Value>) {
    let Value::Object(keywords) = schema else { return };
    for (keyword, value) in keywords.iter_mut() {
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties", Value::Object(values)) => {
                values.values_mut().for_each(|value| at(value, definitions));
            }
            ("items" | "additionalProperties", value) => at(value, definitions),
            ("definitions", Value::Object(of)) => {
                of.values_mut().for_each(|schema| below(schema, definitions));
            }
            ("anyOf" | "oneOf" | "allOf", Value::Array(of)) => {
                of.iter_mut().for_each(|schema| below(schema, definitions));
            }
            ("then" | "else", value) => below(value, definitions),
            _ => {}
        }
    }
}

/// The schema of a value: allows a variable there.
fn at(schema: &mut Value, definitions: &Map<String, Value>) {
    below(schema, definitions);
    let variable = json!({ "type": "string", "pattern": VARIABLE });
    if let Some(alternatives) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        if alternatives.iter().any(|schema| is_structure(schema, definitions)) {
            alternatives.push(variable);
        }
    } else if is_structure(schema, definitions) {
        let description = schema.get("description").cloned();
        let of = json!({ "anyOf": [schema.take(), variable] });
        *schema = of;
        if let Some(description) = description {
            schema["description"] = description;
        }
    }
}

/// True if the schema is that of a list or a section.
fn is_structure(schema: &Value, definitions: &Map<String, Value>) -> bool {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let name = reference.trim_start_matches("#/definitions/");
        return definitions.get(name).is_some_and(|schema| is_structure(schema, definitions));
    }
    let is_one = |kind: &str| matches!(kind, "object" | "array");
    match schema.get("type") {
        Some(Value::String(kind)) => is_one(kind),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(is_one),
        _ => {
            let of = schema.get("oneOf").and_then(Value::as_array);
            of.is_some_and(|of| of.iter().any(|schema| is_structure(schema, definitions)))
        }
    }
}
