//! stub
#![allow(missing_docs)]
use crate::span::{EventView, KeyIndex, SpanView};
use thiserror::Error;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    Span,
    SpanEvent,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalError;
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct OttlError {
    pub offset: usize,
    pub length: usize,
    pub message: String,
    pub help: Option<String>,
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub details: bool,
    pub events: bool,
    pub scopes: bool,
    pub services: bool,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Constant,
    Span,
    Root,
    Trace,
}
#[derive(Clone, Copy, Debug)]
pub struct TraceFields {
    pub duration_ms: i64,
    pub span_count: i64,
    pub error_count: i64,
    pub service_count: i64,
    pub bytes: i64,
}
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields<'a> {
    pub span: Option<&'a SpanView<'a>>,
    pub event: Option<&'a EventView<'a>>,
    pub root: Option<&'a SpanView<'a>>,
    pub trace: Option<TraceFields>,
}
#[derive(Debug)]
pub struct Leaf;
impl Leaf {
    pub fn level(&self) -> Level {
        Level::Span
    }
    pub fn evaluate(&self, _: &Fields<'_>) -> Result<bool, EvalError> {
        Ok(true)
    }
}
#[derive(Debug)]
pub struct Skeleton;
impl Skeleton {
    pub fn evaluate(
        &self,
        leaf: &mut impl FnMut(usize) -> Result<bool, EvalError>,
    ) -> Result<bool, EvalError> {
        leaf(0)
    }
}
#[derive(Debug)]
pub struct Condition {
    c: Context,
    s: Skeleton,
    l: Vec<Leaf>,
}
impl Condition {
    pub fn context(&self) -> Context {
        self.c
    }
    pub fn skeleton(&self) -> &Skeleton {
        &self.s
    }
    pub fn leaves(&self) -> &[Leaf] {
        &self.l
    }
    pub fn needs(&self) -> Needs {
        Needs::default()
    }
    pub fn attribute_keys(&self) -> Vec<&str> {
        vec![]
    }
    pub fn bind(&mut self, _: impl FnMut(&str) -> KeyIndex) {}
    pub fn apart(&self) -> Self {
        Self { c: self.c, s: Skeleton, l: vec![Leaf] }
    }
}
pub fn compile(_: &str, c: Context) -> Result<Condition, OttlError> {
    Ok(Condition { c, s: Skeleton, l: vec![Leaf] })
}
