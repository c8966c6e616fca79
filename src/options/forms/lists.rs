//! Lists, and sections.

use std::borrow::Cow;

use serde_json::{Value as Json, json};

use super::{Form, Read};
use crate::options::schema::{Schemas, or_variable};
use crate::options::{At, Context, Entry, Node, Options, Section, Value, values};

/// A list, each item read alike; a single value is a list of one.
pub(crate) fn list<T: 'static>(item: Form<T>) -> Form<Vec<T>> {
    let Form { read, describe } = item;
    let read = move |node: &Node, at: At<'_>| all(values::items(node), &read, at);
    Form::new(read, move |schemas| list_schema(describe(schemas)))
}

/// As [`list`]; there may be nothing in it.
pub(crate) fn perhaps_empty<T: 'static>(item: Form<T>) -> Form<Vec<T>> {
    let Form { read, describe } = list(item);
    let describe = move |schemas: &mut Schemas| {
        let mut schema = describe(schemas);
        if let Some(list) = schema["anyOf"][1].as_object_mut() {
            list.remove("minItems");
        }
        schema
    };
    Form { read, describe: Box::new(describe) }
}

/// As [`list`]; a text with commas in it is a list, too, as for the Collector.
pub(crate) fn split_by_commas<T: 'static>(item: Form<T>) -> Form<Vec<T>> {
    let Form { read, describe } = item;
    let read = move |node: &Node, at: At<'_>| {
        let Some(parts) = parts(node, at.context) else {
            return all(values::items(node), &read, at);
        };
        if !node.from_env {
            let (key, count) = (at.key, parts.len());
            let message =
                format!("{key}: a text with commas is a list of {count}, as in the Collector");
            let help = format!(
                "write a list: `{key}: [A, B]`; a text with a comma in it is an item, too: `[\"A,B\"]`"
            );
            at.context.warnings.add(node.place, message, Some(help));
        }
        all(&parts, &read, at)
    };
    Form::new(read, move |schemas| list_schema(describe(schemas)))
}

/// The items of a list, as [`split_by_commas`] reads them.
pub(crate) fn items<'n>(node: &'n Node, context: &Context<'_>) -> Cow<'n, [Node]> {
    parts(node, context).map_or_else(|| Cow::Borrowed(values::items(node)), Cow::Owned)
}

/// The parts of a text with commas, each with its place.
fn parts(node: &Node, context: &Context<'_>) -> Option<Vec<Node>> {
    let Value::Text(text) = &node.value else { return None };
    let mut start = 0;
    let mut parts = Vec::new();
    for part in text.split(',') {
        let range = start..start + part.len();
        start = range.end + 1;
        let value = Value::Text(part.to_owned());
        parts.push(Node { place: context.place_within(node, range), value, ..node.clone() });
    }
    (parts.len() > 1).then_some(parts)
}

fn all<T>(items: &[Node], read: &Read<T>, at: At<'_>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = items.iter().map(|node| read(node, at)).collect();
    items.into_iter().collect()
}

fn list_schema(item: Json) -> Json {
    let list = json!({ "type": "array", "items": item, "minItems": 1 });
    match item["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("string"))) {
        true => json!({ "anyOf": [item, list] }),
        false => or_variable(json!({ "anyOf": [item, list] })),
    }
}

/// A section with keys of its own.
pub(crate) fn section<T: Options + 'static>() -> Form<T> {
    let read = |node: &Node, at: At<'_>| Some(Section::new(node, at.context).read());
    Form::new(read, |schemas| or_variable(schemas.section::<T>()))
}

/// A section whose keys are anything; `expected` says what its entries are.
pub(crate) fn entries<T: 'static>(
    expected: &'static str,
    value: Form<T>,
) -> Form<Vec<(String, T)>> {
    let Form { read, describe } = value;
    let read = move |node: &Node, at: At<'_>| {
        let Value::Map(entries) = &node.value else {
            at.refuse(node, format!("expected {expected}, found {}", node.kind()), None);
            return None;
        };
        let entry =
            |Entry { key, node, .. }: &Entry| Some((key.clone(), read(node, At { key, ..at })?));
        let entries: Vec<Option<(String, T)>> = entries.iter().map(entry).collect();
        entries.into_iter().collect()
    };
    let describe = move |schemas: &mut Schemas| {
        or_variable(json!({ "type": "object", "additionalProperties": describe(schemas) }))
    };
    Form::new(read, describe)
}
