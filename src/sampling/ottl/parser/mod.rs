//! Tokens to a condition (`pkg/ottl/grammar.go`: `booleanExpression`).
//!
//! `or` binds looser than `and`, `not` stands before one operand and only once. Of arithmetic, `*` and
//! `/` bind closer than `+` and `-`, and a sign stands before one operand. Recursion is bounded by
//! [`MAX_DEPTH`]; chains of one kind are loops. What a `(` opens, a condition or a number, is known
//! by what stands behind the bracket that closes it.

mod cursor;
mod numbers;

use cursor::Cursor;

use super::error::OttlError;
use super::hints;
use super::lexer::Token;
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
    let mut parser = Parser { cursor: Cursor::new(text)?, depth: 0 };
    let condition = parser.alternatives()?;
    match parser.cursor.peek() {
        Token::End => Ok(condition),
        _ => Err(parser.cursor.expected_more("`and`, `or` or the end")),
    }
}

/// Descends through the grammar: a method for each of its rules.
struct Parser<'t> {
    cursor: Cursor<'t>,
    /// How many brackets and calls are open.
    depth: usize,
}

impl Parser<'_> {
    /// One level deeper, if there is one.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, OttlError>,
    ) -> Result<T, OttlError> {
        if self.depth == MAX_DEPTH {
            let message = format!("brackets and calls nest more than {MAX_DEPTH} deep");
            return Err(OttlError::new(self.cursor.place(), message));
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
        let start = self.cursor.place().start;
        let first = operand(self)?;
        if self.cursor.peek() != operator {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.cursor.takes(operator) {
            operands.push(operand(self)?);
        }
        Ok(Node { kind: join(operands), range: self.cursor.since(start) })
    }

    fn negation(&mut self) -> Result<Node<Boolean>, OttlError> {
        let start = self.cursor.place().start;
        if !self.cursor.takes(&Token::Not) {
            return self.operand();
        }
        let negated = Box::new(self.operand()?);
        Ok(Node { kind: Boolean::Not(negated), range: self.cursor.since(start) })
    }

    fn operand(&mut self) -> Result<Node<Boolean>, OttlError> {
        let start = self.cursor.place().start;
        if *self.cursor.peek() == Token::Open && !self.cursor.opens_a_value() {
            self.cursor.take();
            let inner = self.nested(Self::alternatives)?;
            if !self.cursor.takes(&Token::Close) {
                return Err(self.cursor.expected_more("`and`, `or` or `)`"));
            }
            return Ok(Node { kind: inner.kind, range: self.cursor.since(start) });
        }
        let left = self.value("a condition")?;
        let kind = if let Token::Comparison(comparison) = *self.cursor.peek() {
            self.cursor.take();
            Boolean::Compare(left, comparison, self.value("a value to compare with")?)
        } else {
            self.alone(left)?
        };
        Ok(Node { kind, range: self.cursor.since(start) })
    }

    /// A value that is compared with nothing.
    fn alone(&self, value: Node<Value>) -> Result<Boolean, OttlError> {
        let error = self.cursor.expected("a comparison");
        let next = match self.cursor.peek() {
            Token::Assign => Some("write `==`"),
            next => hints::token(next),
        };
        let written = self.cursor.text(value.range);
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
        Err(error.with_help_if_any(next))
    }

    fn value(&mut self, what: &str) -> Result<Node<Value>, OttlError> {
        let start = self.cursor.place().start;
        let kind = match self.cursor.peek() {
            Token::OpenIndex => self.nested(Self::list)?,
            Token::OpenMap => self.nested(Self::map)?,
            Token::Nil | Token::True | Token::False | Token::String(_) | Token::Bytes(_) => {
                self.literal(what)?
            }
            _ => return self.sum(what),
        };
        Ok(Node { kind, range: self.cursor.since(start) })
    }

    fn literal(&mut self, what: &str) -> Result<Value, OttlError> {
        let value = match self.cursor.peek() {
            Token::Nil => Value::Nil,
            Token::True => Value::Bool(true),
            Token::False => Value::Bool(false),
            Token::Int(value) => Value::Int(*value),
            Token::Float(value) => Value::Float(*value),
            Token::String(value) => Value::String(value.clone()),
            Token::Bytes(value) => Value::Bytes(value.clone()),
            _ => {
                let is_comparison = matches!(self.cursor.peek(), Token::Comparison(_));
                let help = is_comparison.then_some("unequal is `!=`, and at most is `<=`");
                return Err(self.cursor.expected(what).with_help_if_any(help));
            }
        };
        self.cursor.take();
        Ok(value)
    }

    fn symbol(&mut self) -> Result<Value, OttlError> {
        let range = self.cursor.place();
        let Token::Symbol(name) = self.cursor.take() else {
            return Err(self.cursor.expected("a name"));
        };
        if !self.cursor.takes(&Token::Open) {
            return Ok(Value::Enum(name));
        }
        let argument = |parser: &mut Self| {
            let name = parser.cursor.argument_name();
            Ok(Argument { name, value: parser.value("a value")? })
        };
        let arguments =
            self.nested(|parser| parser.separated(&Token::Close, "`,` or `)`", argument))?;
        let keys = self.nested(Self::keys)?;
        Ok(Value::Call(Call { name, arguments, keys, range }))
    }

    /// Items with commas between them, up to `close`.
    fn separated<T>(
        &mut self,
        close: &Token,
        comma_or_close: &str,
        item: impl Fn(&mut Self) -> Result<T, OttlError>,
    ) -> Result<Vec<T>, OttlError> {
        let mut items = Vec::new();
        if self.cursor.takes(close) {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.cursor.takes(close) {
                return Ok(items);
            }
            self.cursor.expect(&Token::Comma, comma_or_close)?;
        }
    }

    fn list(&mut self) -> Result<Value, OttlError> {
        self.cursor.take();
        let item = |parser: &mut Self| parser.value("a value");
        self.separated(&Token::CloseIndex, "`,` or `]`", item).map(Value::List)
    }

    /// The commas are optional, and of a key that stands twice the last value counts.
    fn map(&mut self) -> Result<Value, OttlError> {
        let mut entries: Vec<(String, Node<Value>)> = Vec::new();
        self.cursor.take();
        while !self.cursor.takes(&Token::CloseMap) {
            let Token::String(key) = self.cursor.peek().clone() else {
                let error = self.cursor.expected("a key in double quotes, or `}`");
                return Err(error.with_help("for example `{\"key\": 1}`"));
            };
            self.cursor.take();
            self.cursor.expect(&Token::Colon, "`:`")?;
            let value = self.value("a value")?;
            entries.retain(|(known, _)| *known != key);
            entries.push((key, value));
            self.cursor.takes(&Token::Comma);
        }
        Ok(Value::Map(entries))
    }

    fn path(&mut self) -> Result<Value, OttlError> {
        let mut segments = Vec::new();
        loop {
            let place = self.cursor.place();
            let Token::Name(name) = self.cursor.peek().clone() else {
                return Err(self.cursor.expected("a name"));
            };
            self.cursor.take();
            if *self.cursor.peek() == Token::Open {
                return Err(hints::no_function(&name, place));
            }
            let keys = self.nested(Self::keys)?;
            segments.push(Segment { name, keys });
            if !self.cursor.takes(&Token::Dot) {
                return Ok(Value::Path(segments));
            }
        }
    }

    fn keys(&mut self) -> Result<Vec<Node<Key>>, OttlError> {
        let mut keys = Vec::new();
        while self.cursor.takes(&Token::OpenIndex) {
            let start = self.cursor.place().start;
            let value = self.value("a string or a number")?;
            let kind = match value.kind {
                Value::String(key) => Key::String(key),
                Value::Int(key) => Key::Int(key),
                Value::Path(_) | Value::Call(_) | Value::Chain(..) | Value::Negative(_) => {
                    Key::Computed(Box::new(value))
                }
                _ => {
                    let message = "a key is a string or a whole number";
                    return Err(OttlError::new(self.cursor.since(start), message));
                }
            };
            let range = self.cursor.since(start);
            keys.push(Node { kind, range });
            self.cursor.expect(&Token::CloseIndex, "`]`")?;
        }
        Ok(keys)
    }
}
