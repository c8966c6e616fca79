//! What can be wrong with a condition: with its text, and with what it meets in a span.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// Why a text is no condition. The first fault only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OttlError {
    /// Where it is: the first byte in the text.
    pub offset: usize,
    /// How many bytes are meant; 0 at the end of the text.
    pub length: usize,
    /// What is wrong, and what was expected.
    pub message: String,
    /// How it may be put right.
    pub help: Option<String>,
}

impl OttlError {
    pub(super) fn new(range: Range<usize>, message: impl Into<String>) -> Self {
        let (offset, length) = (range.start, range.len());
        Self { offset, length, message: message.into(), help: None }
    }

    pub(super) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    pub(super) fn with_help_if_any(self, help: Option<impl Into<String>>) -> Self {
        match help {
            Some(help) => self.with_help(help),
            None => self,
        }
    }

    /// With the known name that may have been meant, else all of them.
    pub(super) fn with_known(self, name: &str, known: &[&str]) -> Self {
        match nearest(name, known) {
            Some(name) => self.with_help(format!("did you mean `{name}`?")),
            None => self.with_help(format!("known here: {}", known.join(", "))),
        }
    }
}

impl fmt::Display for OttlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.message, self.offset)?;
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

impl std::error::Error for OttlError {}

/// The known name that is meant, if it was nearly hit: with one letter in four wrong at most.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let name = name.to_lowercase();
    let wrong = |known: &str| strsim::osa_distance(&name, &known.to_lowercase());
    let best = known.iter().min_by_key(|known| wrong(known))?;
    (wrong(best) <= (name.len() / 4).max(1)).then_some(*best)
}

/// Why a condition has no answer for a span: the cases in which the Collector has none, and values
/// that are too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum EvalError {
    /// A function cannot take a value of this type.
    #[error("{function} takes no {found}")]
    Type {
        /// The function.
        function: &'static str,
        /// The type that it got.
        found: &'static str,
    },
    /// A value that is no map or list was indexed, or one with the wrong kind of key.
    #[error("a value of type {found} cannot be indexed like this")]
    Index {
        /// The type of the value.
        found: &'static str,
    },
    /// A list has no such element.
    #[error("a list has no element {0}")]
    OutOfBounds(i64),
    /// A string that should be a number is none.
    #[error("a string is not a number")]
    NotANumber,
    /// A string that should be a boolean is none.
    #[error("a string is not a boolean")]
    NotABool,
    /// A number, a time or a list of events that no JSON text can hold.
    #[error("a value has no text")]
    NoText,
    /// What is asked is neither true nor false.
    #[error("a value of type {found} is neither true nor false")]
    NoAnswer {
        /// The type of the value.
        found: &'static str,
    },
    /// Types that cannot be computed with.
    #[error("{left} {operator} {right} cannot be computed")]
    Operands {
        /// The type on the left.
        left: &'static str,
        /// The operator.
        operator: &'static str,
        /// The type on the right.
        right: &'static str,
    },
    /// A type that has no negative.
    #[error("a value of type {found} has no negative")]
    Negative {
        /// The type.
        found: &'static str,
    },
    /// A division by 0.
    #[error("a division by zero")]
    DivisionByZero,
    /// The map that a function yields does not have this key.
    #[error("a map has no such key")]
    NoKey,
    /// A text that a function cannot read.
    #[error("{function} cannot read a text")]
    Unreadable {
        /// The function.
        function: &'static str,
    },
    /// A substring that starts or ends outside of the string, or is empty.
    #[error("a substring lies outside of its string")]
    OutOfRange,
    /// An expression that came from a span is not valid.
    #[error("a regular expression is invalid")]
    Pattern,
    /// A value with more items and entries than a condition looks at.
    #[error("a list or a map has more than 100000 parts")]
    TooManyParts,
    /// A text that a function would make too long.
    #[error("a text that is made here has more than 1 MiB")]
    TooLong,
}
