//! The tokens of a condition, and how far they were taken.

use std::mem;
use std::ops::Range;

use crate::sampling::ottl::error::OttlError;
use crate::sampling::ottl::hints;
use crate::sampling::ottl::lexer::{Placed, Token, tokens};
use crate::sampling::ottl::syntax::Node;

/// Stands before one of the tokens of a text. The last one, the end, is never passed.
pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Placed>,
    closing: Vec<Option<usize>>,
    at: usize,
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

impl<'t> Cursor<'t> {
    /// Before the first token of `text`.
    pub(super) fn new(text: &'t str) -> Result<Self, OttlError> {
        let tokens = tokens(text)?;
        let closing = closing(&tokens);
        Ok(Self { text, tokens, closing, at: 0 })
    }

    /// What stands at `place`.
    pub(super) fn text(&self, place: Range<usize>) -> &'t str {
        &self.text[place]
    }

    /// The next token.
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    /// Where the next token stands.
    pub(super) fn place(&self) -> Range<usize> {
        self.tokens[self.at].range.clone()
    }

    /// From `start` to the end of the last token that was taken.
    pub(super) fn since(&self, start: usize) -> Range<usize> {
        start..self.tokens[self.at.saturating_sub(1)].range.end
    }

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Token {
        match &mut self.tokens[self.at].token {
            Token::End => Token::End,
            token => {
                self.at += 1;
                mem::replace(token, Token::End)
            }
        }
    }

    /// Takes the next token if it is `token`.
    pub(super) fn takes(&mut self, token: &Token) -> bool {
        let takes = self.peek() == token && *token != Token::End;
        self.at += usize::from(takes);
        takes
    }

    /// Takes the next token, which has to be `token`.
    pub(super) fn expect(&mut self, token: &Token, name: &str) -> Result<(), OttlError> {
        if self.takes(token) { Ok(()) } else { Err(self.expected(name)) }
    }

    /// The error that something else than the next token was expected.
    pub(super) fn expected(&self, what: &str) -> OttlError {
        let place = self.place();
        let found = match self.text(place.clone()) {
            "" => "the end".to_owned(),
            found => format!("`{found}`"),
        };
        OttlError::new(place, format!("expected {what}, found {found}"))
    }

    /// The same where a condition could go on.
    pub(super) fn expected_more(&self, what: &str) -> OttlError {
        let help = match self.peek() {
            Token::Comparison(_) => Some("conditions are not compared"),
            next => hints::token(next),
        };
        self.expected(what).with_help_if_any(help)
    }

    /// True if the bracket that comes next holds a number and no condition.
    pub(super) fn opens_a_value(&self) -> bool {
        let behind = self.closing[self.at].map(|behind| &self.tokens[behind].token);
        matches!(
            behind,
            Some(Token::Comparison(_) | Token::Plus | Token::Minus | Token::Times | Token::Over)
        )
    }

    /// Takes the name of an argument and its `=`, if they come next.
    pub(super) fn argument_name(&mut self) -> Option<Node<String>> {
        let range = self.place();
        let is_assigned = self.tokens.get(self.at + 1)?.token == Token::Assign;
        let Token::Name(name) = self.peek() else { return None };
        let kind = name.clone();
        self.at += if is_assigned { 2 } else { 0 };
        is_assigned.then_some(Node { kind, range })
    }
}
