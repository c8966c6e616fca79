//! What readers of a file know beside its tree, and whom they tell what they find.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;

use super::{Node, Place, Problem, scalar, values};

/// What was found so far, of one kind.
#[derive(Debug, Default)]
pub(crate) struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    pub(crate) fn add(&self, place: Place, message: impl Into<String>, help: Option<String>) {
        self.0.borrow_mut().push(Problem { place, message: message.into(), help });
    }

    /// The same, unless it was said before of another place.
    pub(crate) fn add_once(&self, place: Place, message: String) {
        let is_there = self.0.borrow().iter().any(|problem| problem.message == message);
        if !is_there {
            self.add(place, message, None);
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub(crate) fn into_inner(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// What all readers of a file share.
#[derive(Debug, Default)]
pub(crate) struct Context<'a> {
    /// The texts that values stand in, by the source of their place.
    pub(crate) texts: Vec<&'a str>,
    /// Paths in the file are relative to it.
    pub(crate) folder: Option<&'a Path>,
    /// It is a file of the Collector, where a bare number is a duration in nanoseconds.
    pub(crate) is_collectors: bool,
    /// The exporters that policies may name; `None`: it is not known which there are.
    pub(crate) exporters: Option<&'a [String]>,
    /// The policies that tests may speak of; `None`: it is not known which there are.
    pub(crate) policies: Option<Vec<&'a str>>,
    /// How many policies the one in hand is a part of.
    pub(crate) depth: Cell<usize>,
    /// Why the file cannot be used.
    pub(crate) problems: Problems,
    /// What was read well and is probably not meant.
    pub(crate) warnings: Problems,
    /// What was read and has no meaning here.
    pub(crate) notes: Problems,
}

/// What is wrong with a text, and where in it.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Bytes of the text.
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// A key whose value is read.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) key: &'a str,
    pub(crate) context: &'a Context<'a>,
}

impl Context<'_> {
    /// Where bytes of the text that `node` holds stand in the file.
    pub(crate) fn place_within(&self, node: &Node, range: Range<usize>) -> Place {
        let text = self.texts.get(node.place.source).copied().unwrap_or_default();
        scalar::place_within(text, node, range)
    }
}

impl At<'_> {
    /// The value cannot be used. What a variable held is not repeated.
    pub(crate) fn refuse(self, node: &Node, message: String, help: Option<&str>) {
        let message = format!("{}: {}", self.key, values::told(node, message));
        self.context.problems.add(node.place, message, help.map(str::to_owned));
    }

    /// A part of the text cannot be used.
    pub(crate) fn fault(self, node: &Node, fault: Fault) {
        let place = self.context.place_within(node, fault.range);
        let message = format!("{}: {}", self.key, values::told(node, fault.message));
        let help = fault.help.and_then(|help| values::fit(node, help));
        self.context.problems.add(place, message, help);
    }
}
