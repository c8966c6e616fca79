//! A call that was checked, and what a function sees of it.

use std::borrow::Cow;
use std::fmt;

use super::{Answer, Prepared, Signature};
use crate::sampling::ottl::convert;
use crate::sampling::ottl::error::EvalError;
use crate::sampling::ottl::fields::Fields;
use crate::sampling::ottl::operand::Operand;
use crate::sampling::ottl::time::Time;
use crate::sampling::ottl::value::{Entry, List, Several, Value};

/// Every parameter has its argument, of its kind as far as that is known.
#[derive(Clone)]
pub(in crate::sampling::ottl) struct Call {
    pub(in crate::sampling::ottl) signature: &'static Signature,
    /// By parameter; those that are missing at the end were not given.
    pub(in crate::sampling::ottl) arguments: Vec<Operand>,
    pub(in crate::sampling::ottl) prepared: Prepared,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(self.signature.name).field(&self.arguments).finish()
    }
}

impl Call {
    /// What the function yields.
    pub(in crate::sampling::ottl) fn value<'v>(&'v self, fields: &Fields<'v>) -> Answer<'v> {
        (self.signature.apply)(Args { call: self, fields })
    }
}

/// The arguments of a call for what is looked at. Those of the wrong type are errors.
#[derive(Clone, Copy)]
pub(in crate::sampling::ottl) struct Args<'v, 'f> {
    pub(super) call: &'v Call,
    pub(super) fields: &'f Fields<'v>,
}

impl<'v> Args<'v, '_> {
    pub(super) fn name(self) -> &'static str {
        self.call.signature.name
    }

    /// Whatever it is; nil if it was not given.
    pub(super) fn get(self, index: usize) -> Answer<'v> {
        self.call.arguments.get(index).map_or(Ok(Value::Nil), |argument| argument.get(self.fields))
    }

    pub(super) fn wrong_type<T>(self, found: &Value<'_>) -> Result<T, EvalError> {
        Err(EvalError::Type { function: self.name(), found: found.type_name() })
    }

    pub(super) fn unreadable<T>(self) -> Result<T, EvalError> {
        Err(EvalError::Unreadable { function: self.name() })
    }

    /// A string, and nothing that could be made one.
    pub(super) fn text(self, index: usize) -> Result<Cow<'v, [u8]>, EvalError> {
        match self.get(index)? {
            Value::String(text) => Ok(text),
            other => self.wrong_type(&other),
        }
    }

    /// A string that was written in the condition; none if it was not given.
    pub(super) fn written(self, index: usize) -> Option<&'v [u8]> {
        match self.call.arguments.get(index) {
            Some(Operand::Literal(Value::String(text))) => Some(text),
            _ => None,
        }
    }

    /// The text of anything but nil.
    pub(super) fn text_of(self, index: usize) -> Result<Option<Cow<'v, [u8]>>, EvalError> {
        convert::string(self.get(index)?)
    }

    pub(super) fn int(self, index: usize) -> Result<i64, EvalError> {
        match self.get(index)? {
            Value::Int(value) => Ok(value),
            other => self.wrong_type(&other),
        }
    }

    pub(super) fn time(self, index: usize) -> Result<Time, EvalError> {
        match self.get(index)? {
            Value::Time(time) => Ok(time),
            other => self.wrong_type(&other),
        }
    }

    pub(super) fn duration(self, index: usize) -> Result<i64, EvalError> {
        match self.get(index)? {
            Value::Duration(nanos) => Ok(nanos),
            other => self.wrong_type(&other),
        }
    }

    pub(super) fn list(self, index: usize) -> Result<List<'v>, EvalError> {
        match self.get(index)? {
            Value::List(list) => Ok(list),
            other => self.wrong_type(&other),
        }
    }

    pub(super) fn map(self, index: usize) -> Result<Several<'v, Entry<'v>>, EvalError> {
        match self.get(index)? {
            Value::Map(entries) => Ok(entries),
            other => self.wrong_type(&other),
        }
    }

    /// Shows the items of a list to `visit`, one after the other, until it has an answer. A list
    /// that is written in the condition is not made for that.
    pub(super) fn each_item<T>(
        self,
        index: usize,
        mut visit: impl FnMut(Value<'v>) -> Result<Option<T>, EvalError>,
    ) -> Result<Option<T>, EvalError> {
        if let Some(Operand::List(items)) = self.call.arguments.get(index) {
            for item in items {
                if let Some(answer) = visit(item.get(self.fields)?)? {
                    return Ok(Some(answer));
                }
            }
            return Ok(None);
        }
        self.list(index)?.each(visit)
    }
}
