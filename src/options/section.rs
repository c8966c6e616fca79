//! A section of a file that is being read, key by key, so that every error is found and none hides
//! another; or that is only described.

use serde_json::{Map, Value as Json, json};

use super::schema::{Schemas, described};
use super::{At, Context, Entry, Key, Node, Options, Place, Value};

/// A section. What is left untaken at the end is unknown.
pub(crate) struct Section<'a> {
    pub(crate) place: Place,
    pub(crate) context: &'a Context<'a>,
    entries: &'a [Entry],
    /// False for what should have been a section: that its keys are missing goes without saying.
    is_section: bool,
    pub(super) known: Vec<&'static str>,
    /// Keys that are as if they were not there.
    passed_over: Vec<&'static str>,
    description: Option<Description<'a>>,
}

/// What is noted down of a section that is described.
struct Description<'a> {
    schemas: &'a mut Schemas,
    properties: Map<String, Json>,
    required: Vec<&'static str>,
    rules: Map<String, Json>,
}

impl<'a> Section<'a> {
    /// `node` as a section; anything else is a problem and reads as an empty one.
    pub(crate) fn new(node: &'a Node, context: &'a Context<'a>) -> Self {
        let nothing = Self { place: node.place, ..Self::nothing(context) };
        match &node.value {
            Value::Map(entries) => Self { entries, ..nothing },
            Value::Null => nothing,
            _ => {
                let message = format!("expected a section with keys, found {}", node.kind());
                context.problems.add(node.place, message, None);
                Self { is_section: false, ..nothing }
            }
        }
    }

    /// A section without keys.
    pub(crate) fn nothing(context: &'a Context<'a>) -> Self {
        Self {
            place: Place::default(),
            context,
            entries: &[],
            is_section: true,
            known: Vec::new(),
            passed_over: Vec::new(),
            description: None,
        }
    }

    /// A section without keys in this one.
    pub(super) fn nothing_below(&self) -> Self {
        let is_section = self.is_section && self.description.is_none();
        Self { place: self.place, is_section, ..Self::nothing(self.context) }
    }

    /// A section whose keys are to be described.
    pub(super) fn describing(context: &'a Context<'a>, schemas: &'a mut Schemas) -> Self {
        let (properties, required, rules) = (Map::new(), Vec::new(), Map::new());
        let description = Some(Description { schemas, properties, required, rules });
        Self { description, ..Self::nothing(context) }
    }

    /// Reads `key`, which `doc` describes, or notes it down.
    pub(crate) fn take<T: 'static>(&mut self, key: &'static str, doc: &str, wanted: Key<T>) -> T {
        self.known.push(key);
        if let Some(description) = &mut self.description {
            let schema = wanted.describe(description.schemas, doc);
            description.properties.insert(key.to_owned(), schema);
            if wanted.is_required() {
                description.required.push(key);
            }
        }
        wanted.read(self, key)
    }

    /// Takes keys that have no meaning, each with the reason, which a note tells.
    pub(crate) fn take_without_meaning(&mut self, keys: &[(&'static str, &str)]) {
        for (key, reason) in keys {
            self.known.push(key);
            if let Some(node) = self.node(key) {
                let message = format!("{key} has no meaning here: {reason}");
                self.context.notes.add_once(node.place, message);
            }
            if let Some(description) = &mut self.description {
                let doc = format!("The Collector's; has no meaning here: {reason}.");
                description.properties.insert((*key).to_owned(), described(json!({}), &doc));
            }
        }
    }

    /// The value of `key`, if it is there; an empty value is none. What a variable holds may be a
    /// text that YAML takes for nothing.
    pub(crate) fn node(&self, key: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        if self.passed_over.contains(&key) {
            return None;
        }
        let is_text = entry.node.written.as_ref().is_some_and(|written| !written.is_empty());
        (is_text || !matches!(entry.node.value, Value::Null)).then_some(&entry.node)
    }

    /// What stands under `key` was told to have no place here: it is not read.
    pub(crate) fn pass_over(&mut self, key: &'static str) {
        self.passed_over.push(key);
    }

    /// A key that is not there is missing.
    pub(crate) fn need(&self, key: &str, example: &str) {
        if self.node(key).is_none() {
            self.missing(key, example);
        }
    }

    /// True if `key` is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The section under `key`; one without keys if it is not there.
    pub(crate) fn block(&mut self, key: &'static str) -> Section<'a> {
        self.known.push(key);
        match self.node(key) {
            Some(node) => Section::new(node, self.context),
            None => self.nothing_below(),
        }
    }

    /// Where to tell what is found in the value of `key`.
    pub(crate) fn at(&self, key: &'a str) -> At<'a> {
        At { key, context: self.context }
    }

    /// Something is wrong with the section as a whole.
    pub(crate) fn problem(&self, message: &str, example: &str) {
        let help = Some(format!("for example `{example}`"));
        self.context.problems.add(self.place, message, help);
    }

    pub(super) fn missing(&self, key: &str, example: &str) {
        let problems = &self.context.problems;
        let entry = self.entries.iter().find(|entry| entry.key == key);
        if let Some(entry) = entry.filter(|entry| entry.node.from_env) {
            let message = format!("{key}: the variable is empty");
            problems.add(entry.node.place, message, Some(format!("for example `{example}`")));
        } else if self.is_section && self.description.is_none() {
            let help = format!("for example `{key}: {example}`");
            problems.add(self.place, format!("`{key}` is missing"), Some(help));
        }
    }

    /// One of two keys is needed.
    pub(crate) fn need_either(&mut self, [one, other]: [&str; 2], example: &str) {
        self.rule("anyOf", json!([{ "required": [one] }, { "required": [other] }]));
        if self.node(one).is_none() && self.node(other).is_none() {
            self.problem(&format!("there is neither `{one}` nor `{other}`"), example);
        }
    }

    /// A keyword of the section's schema that does not come from its keys.
    pub(crate) fn rule(&mut self, keyword: &str, schema: Json) {
        if let Some(description) = &mut self.description {
            description.rules.insert(keyword.to_owned(), schema);
        }
    }

    /// Reads what it is described to be, and tells every key that is not known.
    pub(crate) fn read<T: Options>(mut self) -> T {
        let read = T::read(&mut self);
        self.finish();
        read
    }

    /// Every key that was not taken is unknown.
    pub(crate) fn finish(self) {
        for entry in self.entries {
            if !self.known.contains(&entry.key.as_str()) {
                let help = match nearest(&entry.key, &self.known) {
                    Some(name) if !entry.is_hidden() => format!("did you mean `{name}`?"),
                    _ => format!("known here: {}", self.known.join(", ")),
                };
                let message = match entry.is_hidden() {
                    true => "unknown key in what the variable holds".to_owned(),
                    false => format!("unknown key `{}`", entry.key),
                };
                self.context.problems.add(entry.place, message, Some(help));
            }
        }
    }

    pub(super) fn into_schema(self) -> Json {
        let Some(description) = self.description else { return json!({}) };
        let Description { properties, required, mut rules, .. } = description;
        rules.insert("type".to_owned(), json!("object"));
        rules.insert("additionalProperties".to_owned(), json!(false));
        rules.insert("properties".to_owned(), Json::Object(properties));
        if !required.is_empty() {
            rules.insert("required".to_owned(), json!(required));
        }
        Json::Object(rules)
    }
}

/// The known name that is meant, if it was nearly hit.
pub(crate) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let name = name.to_lowercase();
    let likeness = |known: &&&str| strsim::jaro_winkler(&name, &known.to_lowercase());
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) > 0.8).then_some(*best)
}
