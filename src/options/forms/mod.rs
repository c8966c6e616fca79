//! How values are written: each form reads a value and has a schema. A key is a form with what
//! becomes of it if it is not there.

mod lists;
mod scalars;

use serde_json::{Value as Json, json};

use super::numbers::{Number, resolve};
use super::schema::{Schemas, described, nullable};
use super::{At, Context, Fault, Node, Options, Place, Section, Value, values};

pub(crate) use lists::{entries, items, list, perhaps_empty, section, split_by_commas};
pub(crate) use scalars::{
    any_number, boolean, choice, collector_duration, duration, form, name, number, path,
    percentage, size, text, wait, whole,
};

type Read<T> = Box<dyn Fn(&Node, At<'_>) -> Option<T>>;
type ReadKey<T> = Box<dyn Fn(&Section<'_>, &'static str) -> T>;
type Describe = Box<dyn Fn(&mut Schemas) -> Json>;

/// How a value is written. Who reads `None` has told why.
pub(crate) struct Form<T> {
    read: Read<T>,
    describe: Describe,
}

/// A form of which it is said what becomes of a key that is not there, or is refused.
pub(crate) struct Key<T> {
    read: ReadKey<T>,
    describe: Describe,
    default: Option<&'static str>,
    is_required: bool,
}

impl<T: 'static> Form<T> {
    pub(crate) fn new(
        read: impl Fn(&Node, At<'_>) -> Option<T> + 'static,
        describe: impl Fn(&mut Schemas) -> Json + 'static,
    ) -> Self {
        Self { read: Box::new(read), describe: Box::new(describe) }
    }

    pub(crate) fn read(&self, node: &Node, at: At<'_>) -> Option<T> {
        (self.read)(node, at)
    }

    pub(crate) fn describe(&self, schemas: &mut Schemas) -> Json {
        (self.describe)(schemas)
    }

    /// The same, made into something else.
    pub(crate) fn map<U: 'static>(self, make: impl Fn(T) -> U + 'static) -> Form<U> {
        let Self { read, describe } = self;
        Form { read: Box::new(move |node, at| read(node, at).map(&make)), describe }
    }

    /// The same, made into something else unless that is refused.
    pub(crate) fn try_map<U: 'static>(
        self,
        make: impl Fn(T) -> Result<U, String> + 'static,
    ) -> Form<U> {
        let Self { read, describe } = self;
        let read = move |node: &Node, at: At<'_>| {
            let made = make(read(node, at)?);
            made.map_err(|message| at.refuse(node, message, None)).ok()
        };
        Form { read: Box::new(read), describe }
    }

    /// The key has to be there, for example as in `example`.
    pub(crate) fn required(self, example: &'static str) -> Key<T>
    where
        T: Default,
    {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| match section.node(key) {
            Some(node) => read(node, section.at(key)).unwrap_or_default(),
            None => {
                section.missing(key, example);
                T::default()
            }
        };
        Key { read: Box::new(read), describe, default: None, is_required: true }
    }

    /// The key may be there.
    pub(crate) fn optional(self) -> Key<Option<T>> {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| {
            section.node(key).and_then(|node| read(node, section.at(key)))
        };
        Key { read: Box::new(read), describe, default: None, is_required: false }
    }

    /// Without the key, it is as if this stood there.
    pub(crate) fn or(self, default: &'static str) -> Key<T> {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| {
            let given = section.node(key).and_then(|node| read(node, section.at(key)));
            given.unwrap_or_else(|| {
                let context = Context::default();
                let default = read(&written(default), At { key, context: &context });
                default.expect("the default is good")
            })
        };
        Key { read: Box::new(read), describe, default: Some(default), is_required: false }
    }

    /// Without the key, it is empty.
    pub(crate) fn or_default(self) -> Key<T>
    where
        T: Default,
    {
        self.optional().map(Option::unwrap_or_default)
    }

    /// The key may be there; 0 is as if it were not.
    pub(crate) fn unless_zero(self) -> Key<Option<T>>
    where
        T: PartialEq + From<u8>,
    {
        self.optional().map(|given| given.filter(|given| *given != T::from(0)))
    }
}

impl Form<String> {
    /// A text that has a language of its own.
    pub(crate) fn checked(self, check: impl Fn(&str) -> Result<(), Fault> + 'static) -> Self {
        let Self { read, describe } = self;
        let read = move |node: &Node, at: At<'_>| {
            let text = read(node, at)?;
            check(&text).map_err(|fault| at.fault(node, fault)).ok()?;
            Some(text)
        };
        Self { read: Box::new(read), describe }
    }
}

impl<T: 'static> Form<Vec<T>> {
    /// A list with something in it, for example as in `example`.
    pub(crate) fn not_empty(self, example: &'static str) -> Self {
        let Self { read, describe } = self;
        let read = move |node: &Node, at: At<'_>| {
            if values::items(node).is_empty() {
                let help = format!("for example `{}: {example}`", at.key);
                at.refuse(node, "must hold a value".to_owned(), Some(&help));
                return None;
            }
            read(node, at)
        };
        Self { read: Box::new(read), describe }
    }

    /// A list that has to be there, with something in it.
    pub(crate) fn some(self, example: &'static str) -> Key<Vec<T>> {
        self.not_empty(example).required(example)
    }
}

impl<T: 'static> Key<T> {
    pub(super) fn read(&self, section: &Section<'_>, key: &'static str) -> T {
        (self.read)(section, key)
    }

    pub(super) fn is_required(&self) -> bool {
        self.is_required
    }

    pub(super) fn describe(&self, schemas: &mut Schemas, doc: &str) -> Json {
        let schema = (self.describe)(schemas);
        let schema = if self.is_required { schema } else { nullable(schema) };
        let Some(default) = self.default else { return described(schema, doc) };
        // That what is not said is not so needs no words.
        let mut schema = match default != "false" && !doc.contains("default") {
            true => {
                let doc = doc.trim_end().trim_end_matches('.');
                described(schema, &format!("{doc}; {default} by default."))
            }
            false => described(schema, doc),
        };
        let is_text = schema["type"].as_array().is_none_or(|kinds| kinds[0] == "string");
        let value = serde_json::from_str(default).ok().filter(|_| !is_text);
        schema["default"] = value.unwrap_or_else(|| json!(default));
        schema
    }

    /// The same, made into something else.
    pub(crate) fn map<U: 'static>(self, make: impl Fn(T) -> U + 'static) -> Key<U> {
        let Self { read, describe, default, is_required } = self;
        let read = move |section: &Section<'_>, key: &'static str| make(read(section, key));
        Key { read: Box::new(read), describe, default, is_required }
    }
}

/// A value as a variable may hold it: what stands for a text is one, whatever it looks like.
fn written(text: &str) -> Node {
    let value = match (text, resolve(text)) {
        ("true" | "false", _) => Value::Bool(text == "true"),
        (_, Some(Number::Integer(number))) => Value::Integer(number),
        (_, Some(Number::Float(number))) => Value::Float(number),
        (_, None) => Value::Text(text.to_owned()),
    };
    let (written, from_env) = (Some(text.into()), true);
    Node { written, from_env, ..Node::new(Place::default(), value) }
}

impl<T: Options + 'static> Form<T> {
    /// Without the section, the keys that it has to have are missing.
    pub(crate) fn needed(self) -> Key<T> {
        let Self { read, describe } = self;
        let read = move |section: &Section<'_>, key: &'static str| {
            let given = section.node(key).and_then(|node| read(node, section.at(key)));
            given.unwrap_or_else(|| section.nothing_below().read())
        };
        Key { read: Box::new(read), describe, default: None, is_required: true }
    }

    /// Without the section, its keys have their defaults.
    pub(crate) fn or_defaults(self) -> Key<T> {
        self.optional().map(|given| given.unwrap_or_else(super::defaults))
    }
}
