//! JSON Schema (draft 7, which all editors know) of what is described.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Choice, Context, Options, Section};

/// A text with a variable in it; what comes out is not known to an editor.
pub(crate) const VARIABLE: &str = r"\$\{";

/// A number as the Collector's YAML reads it, where that of an editor takes it for text; or a text
/// with a variable in it.
pub(crate) const NUMBER: &str = concat!(
    r"^[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]+)?)$",
    r"|\$\{"
);

/// The schemas that others refer to.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    definitions: BTreeMap<String, Json>,
    /// The keys of each section, in the order in which they are described.
    #[cfg(test)]
    pub(crate) keys: BTreeMap<&'static str, Vec<&'static str>>,
    /// Those of the Collector's files are asked for.
    pub(crate) is_collectors: bool,
}

impl Schemas {
    /// A reference to the schema `name`, which is made if it is not there.
    pub(crate) fn define(&mut self, name: &str, make: impl FnOnce(&mut Self) -> Json) -> Json {
        if !self.definitions.contains_key(name) {
            // It may refer to itself.
            self.definitions.insert(name.to_owned(), Json::Null);
            let schema = make(self);
            self.definitions.insert(name.to_owned(), schema);
        }
        json!({ "$ref": format!("#/definitions/{name}") })
    }

    /// A section, by a reference.
    pub(crate) fn section<T: Options>(&mut self) -> Json {
        self.define(T::NAME, Self::object::<T>)
    }

    /// A section, written out.
    pub(crate) fn object<T: Options>(&mut self) -> Json {
        let context = Context::default();
        let mut section = Section::describing(&context, self);
        T::read(&mut section);
        #[cfg(test)]
        let keys = section.known.clone();
        let schema = described(section.into_schema(), T::ABOUT);
        #[cfg(test)]
        self.keys.insert(T::NAME, keys);
        schema
    }

    /// True if a section with this schema, or this reference, cannot do without keys.
    pub(crate) fn needs_keys(&self, schema: &Json) -> bool {
        let name = schema["$ref"].as_str().and_then(|it| it.strip_prefix("#/definitions/"));
        let schema = name.and_then(|name| self.definitions.get(name)).unwrap_or(schema);
        // One that is not there yet holds others of its kind.
        schema.is_null() || schema.get("required").is_some() || schema.get("anyOf").is_some()
    }

    pub(super) fn choice<T: Choice>(&mut self) -> Json {
        self.define(T::NAME, |_| {
            let one =
                |(name, _, about): &(&str, T, &str)| described(json!({ "const": name }), about);
            let all: Vec<Json> = T::ALL.iter().map(one).collect();
            described(json!({ "type": "string", "oneOf": all }), T::ABOUT)
        })
    }

    /// `root` as the schema of a file, with all that it refers to; printed.
    pub(crate) fn print(self, title: &str, mut root: Json) -> String {
        root["$schema"] = json!("http://json-schema.org/draft-07/schema#");
        root["title"] = json!(title);
        root["definitions"] = json!(self.definitions);
        format!("{root:#}\n")
    }
}

/// The words of a doc comment in one line.
pub(crate) fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// With a description.
pub(crate) fn described(mut schema: Json, doc: &str) -> Json {
    // What stands beside a reference is not looked at in draft 7.
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    schema["description"] = json!(one_line(doc));
    schema
}

/// Allows this, too.
fn or(mut schema: Json, other: Json) -> Json {
    match schema.get_mut("anyOf").and_then(Json::as_array_mut) {
        Some(alternatives) => {
            if !alternatives.contains(&other) {
                alternatives.push(other);
            }
            schema
        }
        None => json!({ "anyOf": [schema, other] }),
    }
}

/// Allows a variable in the place of a list, a section or a name.
pub(crate) fn or_variable(schema: Json) -> Json {
    or(schema, json!({ "type": "string", "pattern": VARIABLE }))
}

/// Allows an empty value.
pub(crate) fn nullable(mut schema: Json) -> Json {
    // Anything at all may be empty already.
    if schema == json!({}) {
        return schema;
    }
    let is_one_of = schema.get("const").is_some() || schema.get("oneOf").is_some();
    match schema.get_mut("type") {
        Some(kind @ Json::String(_)) if !is_one_of => {
            *kind = json!([kind.take(), "null"]);
            schema
        }
        Some(Json::Array(kinds)) => {
            kinds.push(json!("null"));
            schema
        }
        _ => or(schema, json!({ "type": "null" })),
    }
}
