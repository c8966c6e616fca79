//! Arithmetic: `mathExpression` of `pkg/ottl/grammar.go`.

use std::iter;

use super::Parser;
use crate::sampling::ottl::error::OttlError;
use crate::sampling::ottl::hints;
use crate::sampling::ottl::lexer::Token;
use crate::sampling::ottl::syntax::{Node, Operator, Value};

impl Parser<'_> {
    /// A number, or what is computed; whatever stands alone, too.
    pub(super) fn sum(&mut self, what: &str) -> Result<Node<Value>, OttlError> {
        let operator = |token: &Token| match token {
            Token::Plus => Some(Operator::Add),
            Token::Minus => Some(Operator::Subtract),
            _ => None,
        };
        self.computed(what, operator, Self::product)
    }

    fn product(&mut self, what: &str) -> Result<Node<Value>, OttlError> {
        let operator = |token: &Token| match token {
            Token::Times => Some(Operator::Multiply),
            Token::Over => Some(Operator::Divide),
            _ => None,
        };
        self.computed(what, operator, Self::signed)
    }

    /// A chain of operands, as long as there is an operator between them.
    fn computed(
        &mut self,
        what: &str,
        operator: impl Fn(&Token) -> Option<Operator>,
        operand: impl Fn(&mut Self, &str) -> Result<Node<Value>, OttlError>,
    ) -> Result<Node<Value>, OttlError> {
        let start = self.cursor.place().start;
        let first = operand(self, what)?;
        let mut rest = Vec::new();
        while let Some(operator) = operator(self.cursor.peek()) {
            self.cursor.take();
            rest.push((operator, operand(self, "a number, a path or a call")?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let operands = iter::once(&first).chain(rest.iter().map(|(_, operand)| operand));
        if let Some(name) = operands.into_iter().find(|one| matches!(one.kind, Value::Enum(_))) {
            let message = "the name of a number cannot be computed with";
            return Err(OttlError::new(name.range.clone(), message).with_help(hints::COMPUTED));
        }
        Ok(Node { kind: Value::Chain(Box::new(first), rest), range: self.cursor.since(start) })
    }

    /// An operand with at most one sign.
    fn signed(&mut self, what: &str) -> Result<Node<Value>, OttlError> {
        let start = self.cursor.place().start;
        let negative = *self.cursor.peek() == Token::Minus;
        let what = if negative || self.cursor.takes(&Token::Plus) {
            "a number, a path or a call"
        } else {
            what
        };
        if negative {
            self.cursor.take();
        }
        let operand = self.single(what)?;
        let kind = match operand.kind {
            kind if !negative => kind,
            Value::Int(value) => Value::Int(value.wrapping_neg()),
            Value::Float(value) => Value::Float(-value),
            _ => Value::Negative(Box::new(operand)),
        };
        Ok(Node { kind, range: self.cursor.since(start) })
    }

    /// A number, a path, a call, a name of a number, or something in brackets.
    fn single(&mut self, what: &str) -> Result<Node<Value>, OttlError> {
        let start = self.cursor.place().start;
        let kind = match self.cursor.peek() {
            Token::Name(_) => self.path()?,
            Token::Symbol(_) => self.symbol()?,
            Token::Open => {
                self.cursor.take();
                let inner = self.nested(|parser| parser.sum("a number, a path or a call"))?;
                if !self.cursor.takes(&Token::Close) {
                    return Err(self.cursor.expected_more("`)` or an operator"));
                }
                inner.kind
            }
            Token::Nil | Token::True | Token::False | Token::String(_) | Token::Bytes(_) => {
                return Err(self.cursor.expected(what).with_help(hints::COMPUTED));
            }
            _ => self.literal(what)?,
        };
        Ok(Node { kind, range: self.cursor.since(start) })
    }
}
