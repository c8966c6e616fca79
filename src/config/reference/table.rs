//! A section as a table of its options, read from its JSON Schema.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use crate::config::document::holds_secrets;

/// How descriptions begin of what is read only so that a block of the Collector can be pasted.
const COLLECTORS: &str = "The Collector's";

/// The definitions that are policies.
const POLICIES: [&str; 3] = ["Policy", "Part", "Child"];

/// The schema of a file, and the keys of its sections in the order in which they are described.
pub(super) struct File {
    pub(super) root: Json,
    pub(super) keys: BTreeMap<&'static str, Vec<&'static str>>,
}

/// A section of a file.
pub(super) struct Table<'f> {
    pub(super) file: &'f File,
    /// What the schema calls it.
    pub(super) name: &'f str,
    /// What stands before its keys in anchors.
    pub(super) path: &'f str,
}

impl File {
    pub(super) fn definition(&self, name: &str) -> &Json {
        match &self.root["definitions"][name] {
            Json::Null => &self.root,
            definition => definition,
        }
    }

    /// The section that a value is, if it is one with keys of its own.
    pub(super) fn section_of<'f>(&'f self, schema: &'f Json) -> Option<&'f str> {
        let name = referred(schema)?;
        self.keys.contains_key(name).then_some(name)
    }

    /// What may stand there, for people.
    fn value(&self, schema: &Json) -> String {
        if let Some(one) = schema["allOf"].get(0) {
            return self.value(one);
        }
        if let Some(name) = referred(schema) {
            let definition = self.definition(name);
            return match definition["oneOf"].as_array() {
                Some(names) if names.iter().all(|it| it.get("const").is_some()) => choice(names),
                _ if self.keys.contains_key(name) => "section".to_owned(),
                _ if POLICIES.contains(&name) => "policy".to_owned(),
                _ => self.value(definition),
            };
        }
        if let Some(alternatives) = schema["anyOf"].as_array() {
            let values = alternatives.iter().filter(|it| !is_beside_the_point(it));
            let mut values: Vec<String> = values.map(|it| self.value(it)).collect();
            values.dedup();
            return match values.as_slice() {
                [text, list] if list.starts_with("list") => format!("{text}, or a {list}"),
                [unit, ..] if ["duration", "size"].contains(&unit.as_str()) => unit.clone(),
                _ => values.join(" or "),
            };
        }
        self.plain(schema)
    }

    fn plain(&self, schema: &Json) -> String {
        let pattern = schema["pattern"].as_str().unwrap_or_default();
        if pattern.contains("nsec") {
            let is_wait = !pattern.contains("0 *$");
            return if is_wait { "duration above 0".to_owned() } else { "duration".to_owned() };
        }
        if pattern.contains("[kKMGT]?B") {
            return "size".to_owned();
        }
        let kind = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
        match kind.as_str().unwrap_or_default() {
            "boolean" => "`true` or `false`".to_owned(),
            "integer" => range("whole number", schema),
            "number" => range("number", schema),
            "array" => format!("list of {}", self.items(schema)),
            "object" => match self.section_of(&schema["additionalProperties"]) {
                Some(_) => "names, and for each a section".to_owned(),
                None => "names and values".to_owned(),
            },
            _ => match schema.get("const").and_then(Json::as_str) {
                Some(text) => format!("`{text}`"),
                None => "text".to_owned(),
            },
        }
    }

    fn items(&self, list: &Json) -> String {
        match self.value(&list["items"]).as_str() {
            "policy" => "policies".to_owned(),
            "section" => "sections".to_owned(),
            "text" => "texts".to_owned(),
            other => other.to_owned(),
        }
    }
}

/// The definition that a schema refers to, also as one of several alternatives.
fn referred(schema: &Json) -> Option<&str> {
    let within =
        |of: &Json| of.as_array().and_then(|all| referred(all.first()?).map(str::to_owned));
    match schema["$ref"].as_str() {
        Some(path) => path.strip_prefix("#/definitions/"),
        None if within(&schema["allOf"]).is_some() => referred(&schema["allOf"][0]),
        None if within(&schema["anyOf"]).is_some() => referred(&schema["anyOf"][0]),
        None => None,
    }
}

/// An empty value, or a variable in the place of something else than text.
fn is_beside_the_point(schema: &Json) -> bool {
    schema["type"] == "null" || schema["pattern"] == r"\$\{"
}

fn choice(names: &[Json]) -> String {
    let one = |it: &Json| {
        let name = it["const"].as_str().expect("choices are texts");
        match it["description"].as_str().map(|it| it.trim_end_matches('.')) {
            Some("") | None => format!("`{name}`"),
            Some(about) => format!("`{name}`: {}", lower(about)),
        }
    };
    names.iter().map(one).collect::<Vec<_>>().join("<br>")
}

/// As it is within a sentence. Names and what is written in capitals stay.
fn lower(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

fn range(what: &str, schema: &Json) -> String {
    match (&schema["minimum"], &schema["maximum"]) {
        (Json::Null, Json::Null) => what.to_owned(),
        (least, Json::Null) => format!("{what}, {least} or more"),
        (Json::Null, most) => format!("{what} up to {most}"),
        (least, most) => format!("{what}, {least} to {most}"),
    }
}

impl Table<'_> {
    fn properties(&self) -> &Map<String, Json> {
        self.file.definition(self.name)["properties"].as_object().expect("a section has keys")
    }

    fn is_required(&self, key: &str) -> bool {
        let required = self.file.definition(self.name)["required"].as_array();
        required.is_some_and(|keys| keys.iter().any(|it| it == key))
    }

    /// Its keys that have a meaning here, each with its schema.
    pub(super) fn options(&self) -> Vec<(&'static str, &Json)> {
        self.keys(false)
    }

    fn keys(&self, of_the_collector: bool) -> Vec<(&'static str, &Json)> {
        let properties = self.properties();
        let keys = self.file.keys[self.name].iter().map(|key| (*key, &properties[*key]));
        keys.filter(|(_, it)| description(it).starts_with(COLLECTORS) == of_the_collector).collect()
    }

    /// The table, and below it what is read only for the sake of the Collector's files.
    pub(super) fn print(&self, page: &mut String) {
        if !self.options().is_empty() {
            page.push_str("| option | value | default | |\n|---|---|---|---|\n");
        }
        for (key, schema) in self.options() {
            let (path, value) = (self.path_of(key), self.value_cell(key, schema));
            let (default, text) = (self.default(key, schema), text(key, schema, &value));
            // Of sections it is their heading.
            let has_heading = value.contains("section") || value.ends_with("policies");
            let anchor = if has_heading { String::new() } else { format!("<a id=\"{path}\"></a>") };
            let _ = writeln!(page, "| {anchor}`{key}` | {value} | {default} | {text} |");
        }
        let collectors = self.keys(true);
        if !collectors.is_empty() {
            page.push_str("\nRead, too, so that what a Collector has can be pasted:\n\n");
        }
        for (about, keys) in by_reason(&collectors) {
            let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
            let _ = writeln!(page, "- {}: {about}", keys.join(", "));
        }
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn value_cell(&self, key: &str, schema: &Json) -> String {
        match self.file.section_of(schema) {
            Some(_) => format!("[section](#{})", self.path_of(key).replace('.', "")),
            None => self.file.value(schema).replace('|', "\\|"),
        }
    }

    fn default(&self, key: &str, schema: &Json) -> String {
        let is_section = self.file.value(schema).contains("section");
        match &schema["default"] {
            _ if self.is_required(key) => "**required**".to_owned(),
            Json::Null if is_section || says(schema, "default") || says(schema, "Needed") => {
                String::new()
            }
            Json::Null => "none".to_owned(),
            Json::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        }
    }
}

/// Keys by what is said of them.
fn by_reason(keys: &[(&'static str, &Json)]) -> Vec<(String, Vec<&'static str>)> {
    let mut reasons: Vec<(String, Vec<&'static str>)> = Vec::new();
    for (key, schema) in keys {
        let about = description(schema).trim_start_matches(COLLECTORS);
        let about = about.trim_start_matches([':', ';', ',']).trim_start().trim_end_matches('.');
        let default = format!("; {} by default", schema["default"].as_str().unwrap_or_default());
        let about = about.trim_end_matches(&default).to_owned();
        match reasons.iter_mut().find(|(known, _)| *known == about) {
            Some((_, keys)) => keys.push(key),
            None => reasons.push((about, vec![key])),
        }
    }
    reasons
}

fn says(schema: &Json, word: &str) -> bool {
    description(schema).contains(word)
}

fn description(schema: &Json) -> &str {
    schema["description"].as_str().unwrap_or_default()
}

/// What is said of an option, besides its default, which has a column.
fn text(key: &str, schema: &Json, value: &str) -> String {
    let default = match &schema["default"] {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = description(schema).trim_end_matches(&format!("; {default} by default."));
    let text = format!("{}.", text.trim_end_matches('.')).replace('|', "\\|").replace('<', "&lt;");
    let is_file = key.ends_with("_file");
    let is_secret = holds_secrets(key) && !is_file && !value.contains("section");
    if is_secret { format!("{text} **Secret**: never shown.") } else { text }
}
