//! Tokens to a condition (`pkg/ottl/grammar.go`: `booleanExpression`).
//!
//! `or` binds looser than `and`, `not` stands before one operand and only once. Of arithmetic, `*` and
//! `/` bind closer than `+` and `-`, and a sign stands before one operand. Recursion is bounded by
//! [`MAX_DEPTH`]; chains of one kind are loops. What a `(` opens, a condition or a number, is known
//! by what stands behind the bracket that closes it.

mod numbers;

use std::mem;
use std::ops::Range;

use super::error::OttlError;
use super::hints;
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
    let tokens = tokens(text)?;
    let closing = closing(&tokens);
    let mut parser = Parser { text, tokens, closing, at: 0, depth: 0 };
    let condition = parser.alternatives()?;
    match parser.peek() {
        Token::End => Ok(condition),
        _ => Err(parser.expected_more("`and`, `or` or the end")),
    }
}

/// For each `(`, the place of the token behind its `)`.
fn closing(tokens: &[Placed]) -> Vec<Option<usize>> {
    let mut closing = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (at, Placed { token, .. }) in tokens.iter().enumerate() {
        match token {
            Token::Open => open.push(at),
            Token::Close => {
                if let Some(start) = open.pop() {
                    closing[start] = Some(at + 1);
                }
            }
            _ => {}
        }
    }
    closing
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Placed>,
    closing: Vec<Option<usize>>,
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

    /// The same where a condition could go on.
    fn expected_more(&self, what: &str) -> OttlError {
        let error = self.expected(what);
        match self.peek() {
            Token::Comparison(_) => error.with_help("conditions are not compared"),
            Token::Plus | Token::Minus | Token::Times | Token::Over => {
                error.with_help(hints::COMPUTED)
            }
            Token::Name(word) | Token::Symbol(word) => match hints::word(word) {
                Some(help) => error.with_help(help),
                None => error,
            },
            _ => error,
        }
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
        if *self.peek() == Token::Open && !self.opens_a_value() {
            self.take();
            let inner = self.nested(Self::alternatives)?;
            if !self.takes(&Token::Close) {
                return Err(self.expected_more("`and`, `or` or `)`"));
            }
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

    /// True if the bracket here holds a number and no condition.
    fn opens_a_value(&self) -> bool {
        let behind = self.closing[self.at].map(|behind| &self.tokens[behind].token);
        matches!(
            behind,
            Some(Token::Comparison(_) | Token::Plus | Token::Minus | Token::Times | Token::Over)
        )
    }

    /// A value that is compared with nothing.
    fn alone(&self, value: Node<Value>) -> Result<Boolean, OttlError> {
        let error = self.expected("a comparison");
        let next = match self.peek() {
            Token::Assign => Some("write `==`"),
            Token::Plus | Token::Minus | Token::Times | Token::Over => Some(hints::COMPUTED),
            Token::Name(word) | Token::Symbol(word) => hints::word(word),
            _ => None,
        };
        let written = &self.text[value.range];
        match value.kind {
            Value::Bool(literal) => return Ok(Boolean::Literal(literal)),
            Value::Call(call) if next.is_none() => return Ok(Boolean::Call(call)),
            _ if next.is_some() => {}
            Value::Path(segments) => {
                let is_attribute = segments.last().is_some_and(|segment| !segment.keys.is_empty());
                return Err(error.with_help(hints::bare_path(written, is_attribute)));
            }
            // Enums have no lower case letters.
            Value::Enum(name) if name.contains(|letter: char| letter.is_ascii_lowercase()) => {
                return Err(error.with_help(format!("a call is `{name}()`")));
            }
            Value::Chain(..) | Value::Negative(_) => {
                return Err(
                    error.with_help(format!("a number is no answer: for example `{written} > 0`"))
                );
            }
            _ => {}
        }
        Err(next.map_or(error.clone(), |help| error.with_help(help)))
    }

    fn value(&mut self, what: &str) -> Result<Node<Value>, OttlError> {
        let start = self.place().start;
        let kind = match self.peek() {
            Token::OpenIndex => self.nested(Self::list)?,
            Token::OpenMap => self.nested(Self::map)?,
            Token::Nil | Token::True | Token::False | Token::String(_) | Token::Bytes(_) => {
                self.literal(what)?
            }
            _ => return self.sum(what),
        };
        Ok(Node { kind, range: self.since(start) })
    }

    fn literal(&mut self, what: &str) -> Result<Value, OttlError> {
        let value = match self.peek() {
            Token::Nil => Value::Nil,
            Token::True => Value::Bool(true),
            Token::False => Value::Bool(false),
            Token::Int(value) => Value::Int(*value),
            Token::Float(value) => Value::Float(*value),
            Token::String(value) => Value::String(value.clone()),
            Token::Bytes(value) => Value::Bytes(value.clone()),
            _ => {
                let error = self.expected(what);
                let is_comparison = matches!(self.peek(), Token::Comparison(_));
                return Err(match is_comparison {
                    true => error.with_help("unequal is `!=`, and at most is `<=`"),
                    false => error,
                });
            }
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
        let keys = self.nested(Self::keys)?;
        Ok(Value::Call(Call { name, arguments, keys, range }))
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

    /// The commas are optional, and of a key that stands twice the last value counts.
    fn map(&mut self) -> Result<Value, OttlError> {
        let mut entries: Vec<(String, Node<Value>)> = Vec::new();
        self.take();
        while !self.takes(&Token::CloseMap) {
            let Token::String(key) = self.peek().clone() else {
                let error = self.expected("a key in double quotes, or `}`");
                return Err(error.with_help("for example `{\"key\": 1}`"));
            };
            self.take();
            self.expect(&Token::Colon, "`:`")?;
            let value = self.value("a value")?;
            entries.retain(|(known, _)| *known != key);
            entries.push((key, value));
            self.takes(&Token::Comma);
        }
        Ok(Value::Map(entries))
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
                return Err(hints::no_function(&name, place));
            }
            let keys = self.nested(Self::keys)?;
            segments.push(Segment { name, keys });
            if !self.takes(&Token::Dot) {
                return Ok(Value::Path(segments));
            }
        }
    }

    fn keys(&mut self) -> Result<Vec<Node<Key>>, OttlError> {
        let mut keys = Vec::new();
        while self.takes(&Token::OpenIndex) {
            let start = self.place().start;
            let value = self.value("a string or a number")?;
            let kind = match value.kind {
                Value::String(key) => Key::String(key),
                Value::Int(key) => Key::Int(key),
                Value::Path(_) | Value::Call(_) | Value::Chain(..) | Value::Negative(_) => {
                    Key::Computed(Box::new(value))
                }
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
