//! Conditions as they are written: what the parser hands to the resolver.

use std::ops::Range;

use super::lexer::Comparison;

/// A part of the text with its place in it.
#[derive(Clone, Debug)]
pub(super) struct Node<T> {
    pub(super) kind: T,
    pub(super) range: Range<usize>,
}

/// What is true or false.
#[derive(Clone, Debug)]
pub(super) enum Boolean {
    Literal(bool),
    Call(Call),
    Compare(Node<Value>, Comparison, Node<Value>),
    Not(Box<Node<Boolean>>),
    And(Vec<Node<Boolean>>),
    Or(Vec<Node<Boolean>>),
}

/// What has a value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Bytes(Vec<u8>),
    /// A name in capitals that stands for a number.
    Enum(String),
    Path(Vec<Segment>),
    Call(Call),
    List(Vec<Node<Value>>),
    Map(Vec<(String, Node<Value>)>),
    /// What is added, subtracted, multiplied or divided in a row, from the left to the right.
    Chain(Box<Node<Value>>, Vec<(Operator, Node<Value>)>),
    Negative(Box<Node<Value>>),
}

/// An operator of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        }
    }
}

/// The call of a function.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    /// What its result is indexed with, from the outside in.
    pub(super) keys: Vec<Node<Key>>,
    /// Where the name stands.
    pub(super) range: Range<usize>,
}

/// An argument of a call.
#[derive(Clone, Debug)]
pub(super) struct Argument {
    /// `name=`, where it has one.
    pub(super) name: Option<Node<String>>,
    pub(super) value: Node<Value>,
}

/// A part of a path, between dots.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) keys: Vec<Node<Key>>,
}

/// What a map or a list is indexed with.
#[derive(Clone, Debug)]
pub(super) enum Key {
    String(String),
    Int(i64),
    Computed(Box<Node<Value>>),
}
