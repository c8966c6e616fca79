//! The functions (`pkg/ottl/ottlfuncs`): how they are called, and the call that was checked.
//!
//! `table` lists them all, the other modules have what they do. Each is a function of its arguments
//! and of what the condition can see, and of nothing else: no clock, no chance, no state.

mod call;
mod json;
mod lists;
mod network;
mod refused;
mod strptime;
mod table;
mod text;
mod times;
mod types;

use regex::Regex;

use super::error::{EvalError, nearest};
use super::expression::Level;
use super::operand::Operand;
use super::value::Value;

pub(super) use call::{Args, Call};
pub(super) use refused::{is_editor, why_refused};
pub(super) use table::SIGNATURES;

/// What an argument has to be. A literal is checked when the condition is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything.
    Any,
    /// A string.
    String,
    /// A string that is written as such.
    StringLiteral,
    /// Anything that has a text.
    StringLike,
    /// A list of what has a text.
    StringLikes,
    /// A list, written as such, of strings.
    Strings,
    /// A list, written as such, of anything.
    Anythings,
    Int,
    /// What can be made an int.
    IntLike,
    Double,
    /// What can be made a double.
    DoubleLike,
    Bool,
    /// What can be made a boolean.
    BoolLike,
    /// A boolean that is written as such.
    BoolLiteral,
    /// What can be made bytes.
    BytesLike,
    Map,
    List,
    Time,
    Duration,
}

/// A parameter: its name, and what it takes.
pub(super) type Parameter = (&'static str, Kind);

/// What a call yields, or why it yields nothing.
pub(super) type Answer<'v> = Result<Value<'v>, EvalError>;

/// Makes something of the arguments before they are asked for, or says what is wrong with them.
pub(super) type Prepare = fn(&[Operand]) -> Result<Prepared, String>;

/// How a function is called, and what it does.
pub(super) struct Signature {
    pub(super) name: &'static str,
    /// Those in `[..required]` have to be given.
    pub(super) parameters: &'static [Parameter],
    pub(super) required: usize,
    pub(super) yields: Yields,
    /// What it is about beside its arguments.
    pub(super) level: Level,
    /// What is made of literal arguments once, or what is wrong with them.
    pub(super) prepare: Option<Prepare>,
    pub(super) apply: for<'v> fn(Args<'v, '_>) -> Answer<'v>,
}

/// Whether a call may be a condition by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Yields {
    /// A boolean, always.
    Condition,
    /// A boolean, if its argument is like that.
    Either,
    /// Never a boolean.
    Value,
}

/// What was made of literal arguments.
#[derive(Clone, Debug)]
pub(super) enum Prepared {
    Nothing,
    Pattern(Regex),
    Networks(Vec<network::Network>),
    Layout(strptime::Layout),
}

/// The function whose name is nearly this.
pub(super) fn nearly_called(name: &str) -> Option<&'static str> {
    let known: Vec<&'static str> = SIGNATURES.iter().map(|signature| signature.name).collect();
    nearest(name, &known)
}
