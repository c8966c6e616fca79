//! The functions (`pkg/ottl/ottlfuncs`): their parameters, and what they yield.

use std::borrow::Cow;

use regex::Regex;

use super::convert::{self, readable};
use super::error::{EvalError, nearest};
use super::expression::Operand;
use super::fields::Fields;
use super::pattern;
use super::value::Value;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Concat,
    Double,
    HasPrefix,
    HasSuffix,
    Int,
    IsBool,
    IsDouble,
    IsInt,
    IsList,
    IsMap,
    IsMatch,
    IsRootSpan,
    IsString,
    Len,
    String,
    Substring,
    ToLowerCase,
    ToUpperCase,
}

/// What an argument has to be. A literal is checked when the condition is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything.
    Any,
    /// A string.
    String,
    /// Anything that has a text.
    StringLike,
    /// A list, written as such, of what has a text.
    StringLikes,
    Int,
    /// What can be made an int.
    IntLike,
    Double,
    /// What can be made a double.
    DoubleLike,
    Bool,
    /// A boolean that is written as such.
    BoolLiteral,
    Map,
}

/// A parameter: its name, and what it takes.
pub(super) type Parameter = (&'static str, Kind);

/// How a function is called.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    /// Those in `[..required]` have to be given.
    pub(super) parameters: &'static [Parameter],
    pub(super) required: usize,
    /// True if it yields a boolean, always.
    pub(super) is_condition: bool,
}

const fn value(
    name: &'static str,
    function: Function,
    parameters: &'static [Parameter],
) -> Signature {
    Signature { name, function, parameters, required: parameters.len(), is_condition: false }
}

const fn condition(
    name: &'static str,
    function: Function,
    parameters: &'static [Parameter],
) -> Signature {
    Signature { is_condition: true, ..value(name, function, parameters) }
}

/// The function whose name is nearly this.
pub(super) fn nearly_called(name: &str) -> Option<&'static str> {
    let known = SIGNATURES.each_ref().map(|signature| signature.name);
    nearest(name, &known)
}

/// All functions, in the order of [`Function`].
pub(super) static SIGNATURES: [Signature; 18] = [
    value("Concat", Function::Concat, &[("vals", Kind::StringLikes), ("delimiter", Kind::String)]),
    value("Double", Function::Double, &[("target", Kind::DoubleLike)]),
    condition(
        "HasPrefix",
        Function::HasPrefix,
        &[("target", Kind::String), ("prefix", Kind::String)],
    ),
    condition(
        "HasSuffix",
        Function::HasSuffix,
        &[("target", Kind::String), ("suffix", Kind::String)],
    ),
    value("Int", Function::Int, &[("target", Kind::IntLike)]),
    condition("IsBool", Function::IsBool, &[("target", Kind::Bool)]),
    condition("IsDouble", Function::IsDouble, &[("target", Kind::Double)]),
    condition("IsInt", Function::IsInt, &[("target", Kind::Int)]),
    condition("IsList", Function::IsList, &[("target", Kind::Any)]),
    condition("IsMap", Function::IsMap, &[("target", Kind::Map)]),
    condition(
        "IsMatch",
        Function::IsMatch,
        &[("target", Kind::StringLike), ("pattern", Kind::String)],
    ),
    condition("IsRootSpan", Function::IsRootSpan, &[]),
    condition("IsString", Function::IsString, &[("target", Kind::String)]),
    value("Len", Function::Len, &[("target", Kind::Any)]),
    value("String", Function::String, &[("target", Kind::StringLike)]),
    Signature {
        required: 3,
        ..value(
            "Substring",
            Function::Substring,
            &[
                ("target", Kind::String),
                ("start", Kind::Int),
                ("length", Kind::Int),
                ("utf8_safe", Kind::BoolLiteral),
            ],
        )
    },
    value("ToLowerCase", Function::ToLowerCase, &[("target", Kind::String)]),
    value("ToUpperCase", Function::ToUpperCase, &[("target", Kind::String)]),
];

/// A call that was checked: every parameter has its argument, of its kind as far as that is known.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) function: Function,
    /// By parameter. Those of `Concat` are the delimiter, and then the values.
    pub(super) arguments: Vec<Operand>,
    /// The expression of `IsMatch`, where it is a literal.
    pub(super) pattern: Option<Regex>,
}

impl Call {
    /// What the function yields.
    pub(super) fn value<'v>(&'v self, fields: &Fields<'v>) -> Result<Value<'v>, EvalError> {
        let get = |index: usize| self.get(index, fields);
        Ok(match self.function {
            Function::Concat => self.concat(fields)?,
            Function::Double => {
                convert::double(&get(0)?, "Double")?.map_or(Value::Nil, Value::Double)
            }
            Function::HasPrefix => {
                let (target, prefix) = (text(get(0)?, "HasPrefix")?, text(get(1)?, "HasPrefix")?);
                Value::Bool(target.starts_with(&prefix))
            }
            Function::HasSuffix => {
                let (target, suffix) = (text(get(0)?, "HasSuffix")?, text(get(1)?, "HasSuffix")?);
                Value::Bool(target.ends_with(&suffix))
            }
            Function::Int => convert::int(&get(0)?, "Int")?.map_or(Value::Nil, Value::Int),
            Function::IsBool => Value::Bool(matches!(get(0)?, Value::Bool(_))),
            Function::IsDouble => Value::Bool(matches!(get(0)?, Value::Double(_))),
            Function::IsInt => Value::Bool(matches!(get(0)?, Value::Int(_))),
            Function::IsList => Value::Bool(matches!(get(0)?, Value::List(_))),
            Function::IsMap => Value::Bool(matches!(get(0)?, Value::Map(_))),
            Function::IsMatch => Value::Bool(self.is_match(fields)?),
            Function::IsRootSpan => {
                fields.span().map_or(Value::Nil, |view| Value::Bool(view.span.is_root))
            }
            Function::IsString => Value::Bool(matches!(get(0)?, Value::String(_))),
            Function::Len => length(&get(0)?)?,
            Function::String => convert::string(get(0)?)?.map_or(Value::Nil, Value::String),
            Function::Substring => self.substring(fields)?,
            Function::ToLowerCase => Value::string(convert::lower(&text(get(0)?, "ToLowerCase")?)),
            Function::ToUpperCase => Value::string(convert::upper(&text(get(0)?, "ToUpperCase")?)),
        })
    }

    fn get<'v>(&'v self, index: usize, fields: &Fields<'v>) -> Result<Value<'v>, EvalError> {
        self.arguments.get(index).map_or(Ok(Value::Nil), |argument| argument.get(fields))
    }

    /// Nil is written as Go writes a pointer to nothing.
    fn concat<'v>(&'v self, fields: &Fields<'v>) -> Result<Value<'v>, EvalError> {
        let delimiter = text(self.get(0, fields)?, "Concat")?;
        let mut joined = Vec::new();
        for (index, argument) in self.arguments.iter().skip(1).enumerate() {
            if index > 0 {
                joined.extend_from_slice(&delimiter);
            }
            match convert::string(argument.get(fields)?)? {
                Some(text) => joined.extend_from_slice(&text),
                None => joined.extend_from_slice(b"<nil>"),
            }
        }
        Ok(Value::string(joined))
    }

    fn is_match(&self, fields: &Fields<'_>) -> Result<bool, EvalError> {
        let compiled;
        let pattern = if let Some(pattern) = &self.pattern {
            pattern
        } else {
            let written = text(self.get(1, fields)?, "IsMatch")?;
            compiled = pattern::compile(&readable(&written)).map_err(|_| EvalError::Pattern)?;
            &compiled
        };
        let target = convert::string(self.get(0, fields)?)?;
        Ok(target.is_some_and(|target| pattern.is_match(&readable(&target))))
    }

    /// Start and length are in bytes. With `utf8_safe` no character is cut in two.
    fn substring<'v>(&'v self, fields: &Fields<'v>) -> Result<Value<'v>, EvalError> {
        let start = whole(&self.get(1, fields)?, "Substring")?;
        let length = whole(&self.get(2, fields)?, "Substring")?;
        let target = text(self.get(0, fields)?, "Substring")?;
        let start = usize::try_from(start).map_err(|_| EvalError::OutOfRange)?;
        let length = usize::try_from(length).map_err(|_| EvalError::OutOfRange)?;
        let end = start.checked_add(length).filter(|end| length > 0 && *end <= target.len());
        let mut range = start..end.ok_or(EvalError::OutOfRange)?;
        if matches!(self.get(3, fields)?, Value::Bool(true)) {
            let is_inside = |at: usize| target.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
            while is_inside(range.start) {
                range.start += 1;
            }
            while range.start < range.end && is_inside(range.end) {
                range.end -= 1;
            }
            range.end = range.end.max(range.start);
        }
        Ok(Value::String(match target {
            Cow::Borrowed(target) => Cow::Borrowed(&target[range]),
            Cow::Owned(target) => Cow::Owned(target[range].to_vec()),
        }))
    }
}

/// A string, and nothing that could be made one.
fn text<'v>(value: Value<'v>, function: &'static str) -> Result<Cow<'v, [u8]>, EvalError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(EvalError::Type { function, found: other.type_name() }),
    }
}

fn whole(value: &Value<'_>, function: &'static str) -> Result<i64, EvalError> {
    match value {
        Value::Int(value) => Ok(*value),
        other => Err(EvalError::Type { function, found: other.type_name() }),
    }
}

fn length(value: &Value<'_>) -> Result<Value<'static>, EvalError> {
    let length = match value {
        Value::String(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        other => return Err(EvalError::Type { function: "Len", found: other.type_name() }),
    };
    Ok(Value::Int(length as i64))
}
