//! Tokens to a condition (`pkg/ottl/grammar.go`: `booleanExpression`).
//!
//! `or` binds looser than `and`, `not` stands before one operand and only once. Recursion is
//! bounded by [`MAX_DEPTH`]; chains of `and` and `or` are loops.

use std::mem;
use std::ops::Range;

use super::error::OttlError;
use super::functions;
use super::lexer::{Placed, Token, tokens};
use super::syntax::{Argument, Boolean, Call, Key, Node, Segment, Value};

/// The longest condition, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// How deep brackets and calls may nest.
const MAX_DEPTH: usize = 64;

/// Reads a whole text.
pub(super) fn parse(text: &str) -> Result<Node<Boolean>, OttlError> {
    if text.len() > MAX_LENGTH {
        let message = format!("a condition has at most {MAX_LENGTH} bytes");
        return Err(OttlError::new(0..text.len(), message));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
    let condition = parser.alternatives()?;
    match parser.peek() {
        Token::End => Ok(condition),
        Token::Comparison(_) => {
            Err(parser.expected("`and`, `or` or the end").with_help("conditions are not compared"))
        }
        _ => Err(parser.expected("`and`, `or` or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    /// Where the next token stands.
    fn place(&self) -> Range<usize> {
        self.tokens[self.at].range.clone()
    }

    /// From `start` to the end of the last token that was taken.
    fn since(&self, start: usize) -> Range<usize> {
        start..self.tokens[self.at.saturating_sub(1)].range.end
    }

    /// Takes the next token. The end is never passed.
    fn take(&mut self) -> Token {
        match &mut self.tokens[self.at].token {
            Token::End => Token::End,
            token => {
                self.at += 1;
                mem::replace(token, Token::End)
            }
        }
    }

    /// Takes the next token if it is `token`.
    fn takes(&mut self, token: &Token) -> bool {
        let takes = self.peek() == token && *token != Token::End;
        self.at += usize::from(takes);
        takes
    }

    fn expect(&mut self, token: &Token, name: &str) -> Result<(), OttlError> {
        if self.takes(token) { Ok(()) } else { Err(self.expected(name)) }
    }

    fn expected(&self, what: &str) -> OttlError {
        let place = self.place();
        let found = match &self.text[place.clone()] {
            "" => "the end".to_owned(),
            found => format!("`{found}`"),
        };
        OttlError::new(place, format!("expected {what}, found {found}"))
    }

    /// One level deeper, if there is one.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, OttlError>,
    ) -> Result<T, OttlError> {
        if self.depth == MAX_DEPTH {
            let message = format!("brackets and calls nest more than {MAX_DEPTH} deep");
            return Err(OttlError::new(self.place(), message));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn alternatives(&mut self) -> Result<Node<Boolean>, OttlError> {
        self.chain(&Token::Or, Self::conjunction, Boolean::Or)
    }

    fn conjunction(&mut self) -> Result<Node<Boolean>, OttlError> {
        self.chain(&Token::And, Self::negation, Boolean::And)
    }

    fn chain(
        &mut self,
        operator: &Token,
        operand: impl Fn(&mut Self) -> Result<Node<Boolean>, OttlError>,
        join: impl FnOnce(Vec<Node<Boolean>>) -> Boolean,
    ) -> Result<Node<Boolean>, OttlError> {
        let start = self.place().start;
        let first = operand(self)?;
        if self.peek() != operator {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.takes(operator) {
            operands.push(operand(self)?);
        }
        Ok(Node { kind: join(operands), range: self.since(start) })
    }

    fn negation(&mut self) -> Result<Node<Boolean>, OttlError> {
        let start = self.place().start;
        if !self.takes(&Token::Not) {
            return self.operand();
        }
        let negated = Box::new(self.operand()?);
        Ok(Node { kind: Boolean::Not(negated), range: self.since(start) })
    }

    fn operand(&mut self) -> Result<Node<Boolean>, OttlError> {
        let start = self.place().start;
        if self.takes(&Token::Open) {
            let inner = self.nested(Self::alternatives)?;
            self.expect(&Token::Close, "`and`, `or` or `)`")?;
            return Ok(Node { kind: inner.kind, range: self.since(start) });
        }
        let left = self.value("a condition")?;
        let kind = if let Token::Comparison(comparison) = *self.peek() {
            self.take();
            Boolean::Compare(left, comparison, self.value("a value to compare with")?)
        } else {
            self.alone(left)?
        };
        Ok(Node { kind, range: self.since(start) })
    }

    /// A value that is compared with nothing.
    fn alone(&self, value: Node<Value>) -> Result<Boolean, OttlError> {
        match value.kind {
            Value::Bool(literal) => Ok(Boolean::Literal(literal)),
            Value::Call(call) => Ok(Boolean::Call(call)),
            _ if *self.peek() == Token::Assign => {
                Err(self.expected("a comparison").with_help("write `==`"))
            }
            Value::Path(_) => {
                let path = &self.text[value.range];
                Err(self.expected("a comparison").with_help(format!("write `{path} == true`")))
            }
            // Enums have no lower case letters.
            Value::Enum(name) if name.contains(|letter: char| letter.is_ascii_lowercase()) => {
                Err(self.expected("a comparison").with_help(format!("a call is `{name}()`")))
            }
            _ => Err(self.expected("a comparison")),
        }
    }

    fn value(&mut self, what: &str) -> Result<Node<Value>, OttlError> {
        let start = self.place().start;
        let kind = match self.peek() {
            Token::Name(_) => self.path()?,
            Token::Symbol(_) => self.symbol()?,
            Token::OpenIndex => self.nested(Self::list)?,
            _ => self.literal(what)?,
        };
        Ok(Node { kind, range: self.since(start) })
    }

    fn literal(&mut self, what: &str) -> Result<Value, OttlError> {
        let value = match self.peek() {
            Token::Plus | Token::Minus => return self.signed(),
            Token::Nil => Value::Nil,
            Token::True => Value::Bool(true),
            Token::False => Value::Bool(false),
            Token::Int(value) => Value::Int(*value),
            Token::Float(value) => Value::Float(*value),
            Token::String(value) => Value::String(value.clone()),
            Token::Bytes(value) => Value::Bytes(value.clone()),
            _ => return Err(self.expected(what)),
        };
        self.take();
        Ok(value)
    }

    fn signed(&mut self) -> Result<Value, OttlError> {
        let negative = self.take() == Token::Minus;
        let value = match *self.peek() {
            Token::Int(value) if negative => Value::Int(-value),
            Token::Int(value) => Value::Int(value),
            Token::Float(value) if negative => Value::Float(-value),
            Token::Float(value) => Value::Float(value),
            _ => return Err(self.expected("a number")),
        };
        self.take();
        Ok(value)
    }

    fn symbol(&mut self) -> Result<Value, OttlError> {
        let range = self.place();
        let Token::Symbol(name) = self.take() else { return Err(self.expected("a name")) };
        if !self.takes(&Token::Open) {
            return Ok(Value::Enum(name));
        }
        let arguments = self.nested(Self::arguments)?;
        if *self.peek() == Token::OpenIndex {
            return Err(OttlError::new(self.place(), format!("{name} gives nothing to index")));
        }
        Ok(Value::Call(Call { name, arguments, range }))
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, OttlError> {
        let mut arguments = Vec::new();
        if self.takes(&Token::Close) {
            return Ok(arguments);
        }
        loop {
            let name = self.argument_name();
            let value = self.value("a value")?;
            arguments.push(Argument { name, value });
            if self.takes(&Token::Close) {
                return Ok(arguments);
            }
            self.expect(&Token::Comma, "`,` or `)`")?;
        }
    }

    fn argument_name(&mut self) -> Option<Node<String>> {
        let range = self.place();
        let is_assigned = self.tokens.get(self.at + 1)?.token == Token::Assign;
        let Token::Name(name) = self.peek() else { return None };
        let kind = name.clone();
        self.at += if is_assigned { 2 } else { 0 };
        is_assigned.then_some(Node { kind, range })
    }

    fn list(&mut self) -> Result<Value, OttlError> {
        let mut items = Vec::new();
        self.take();
        if self.takes(&Token::CloseIndex) {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value("a value")?);
            if self.takes(&Token::CloseIndex) {
                return Ok(Value::List(items));
            }
            self.expect(&Token::Comma, "`,` or `]`")?;
        }
    }

    fn path(&mut self) -> Result<Value, OttlError> {
        let mut segments = Vec::new();
        loop {
            let place = self.place();
            let Token::Name(name) = self.peek().clone() else {
                return Err(self.expected("a name"));
            };
            self.take();
            if *self.peek() == Token::Open {
                let message = format!("`{name}` is no function");
                let error = OttlError::new(place, message);
                return Err(match functions::nearly_called(&name) {
                    Some(known) => error.with_help(format!("did you mean `{known}`?")),
                    None => {
                        error.with_help("the name of a function starts with an upper case letter")
                    }
                });
            }
            segments.push(Segment { name, keys: self.keys()? });
            if !self.takes(&Token::Dot) {
                return Ok(Value::Path(segments));
            }
        }
    }

    fn keys(&mut self) -> Result<Vec<Node<Key>>, OttlError> {
        let mut keys = Vec::new();
        while self.takes(&Token::OpenIndex) {
            let start = self.place().start;
            let kind = match self.literal("a string or a number")? {
                Value::String(key) => Key::String(key),
                Value::Int(key) => Key::Int(key),
                _ => {
                    let message = "a key is a string or a whole number";
                    return Err(OttlError::new(self.since(start), message));
                }
            };
            let range = self.since(start);
            keys.push(Node { kind, range });
            self.expect(&Token::CloseIndex, "`]`")?;
        }
        Ok(keys)
    }
}
