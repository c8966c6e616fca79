//! A YAML file as a tree that knows where everything stands.

/// Where something stands. Lines and columns count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// 0 for the file itself; else the number of a file that a variable in it names.
    pub(crate) source: usize,
    pub(crate) line: usize,
    pub(crate) column: usize,
    /// Characters that are meant; at least 1 is marked.
    pub(crate) length: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) place: Place,
    pub(crate) message: String,
    /// What was expected, or what to do.
    pub(crate) help: Option<String>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
    /// How it was written, if that says more than the value: what a text is made of where a number
    /// was written, or a list in a variable.
    pub(crate) written: Option<Box<str>>,
    /// It came from a variable: its text is not shown.
    pub(crate) from_env: bool,
    /// Where in the file a `$NAME` stands in it, which is plain text.
    pub(crate) plain_dollar: Option<Box<Place>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Entry {
    /// True if the key stands in a variable: it is not shown.
    pub(crate) fn is_hidden(&self) -> bool {
        // All that is in a variable stands where that does.
        self.node.from_env && self.node.place == self.place
    }
}

impl Node {
    /// A value that stands at `place` and is written as it is.
    pub(crate) fn new(place: Place, value: Value) -> Self {
        Self { place, value, written: None, from_env: false, plain_dollar: None }
    }

    /// The value of `key`, if this is a section that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The node below this one at `path`, its keys parted by dots; this one if there is none.
    pub(crate) fn find(&self, path: &str) -> &Self {
        let Value::Map(entries) = &self.value else { return self };
        let (key, rest) = path.split_once('.').unwrap_or((path, ""));
        match entries.iter().find(|entry| entry.key == key) {
            Some(entry) if rest.is_empty() => &entry.node,
            Some(entry) => entry.node.find(rest),
            None => self,
        }
    }

    /// What kind of value it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a section",
        }
    }

    /// Calls `visit` for this node and all below it.
    pub(crate) fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        match &self.value {
            Value::List(items) => items.iter().for_each(|item| item.walk(visit)),
            Value::Map(entries) => entries.iter().for_each(|entry| entry.node.walk(visit)),
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::Text(_) => {
            }
        }
    }
}

/// The lines of a file as YAML counts them: a carriage return alone ends one, too.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}
