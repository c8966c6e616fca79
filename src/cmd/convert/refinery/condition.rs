//! Conditions of a rule, as OTTL.
//!
//! With `Scope: trace` each condition may hold for another span, and a field that is not there matches
//! nothing but `not-exists`. `scope: any_span` asks each *comparison* of any span by itself, so a
//! condition has to be comparisons each of which is false where the field is missing. Where that
//! cannot be said, the condition has to be about one and the same span.

use serde_json::Value;

use super::field::{Field, Kind};
use super::literal::{converted, escaped, literal, text};

/// A condition in OTTL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) ottl: String,
    /// It means the same only where all of it is asked of one and the same span.
    pub(super) is_of_one_span: bool,
}

impl Condition {
    fn anywhere(ottl: String) -> Self {
        Self { ottl, is_of_one_span: false }
    }

    fn of_one_span(ottl: String) -> Self {
        Self { ottl, is_of_one_span: true }
    }
}

/// The condition in OTTL.
///
/// # Errors
/// Why there is none like it.
pub(super) fn condition(of: &Value) -> Result<Condition, String> {
    let string = |key: &str| of[key].as_str().unwrap_or_default();
    let operator = string("Operator").to_lowercase();
    let value = &of["Value"];
    if operator == "has-root-span" {
        return match value {
            Value::Bool(true) => Ok(Condition::anywhere("IsRootSpan()".to_owned())),
            _ => Err("has-root-span: false has no counterpart beside other conditions".to_owned()),
        };
    }
    let names: Vec<&str> = match of["Fields"].as_array() {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => vec![string("Field")],
    };
    let field = Field::first_of(&names)?;
    match field.kind {
        Kind::Error => return error(&field, &operator, value),
        Kind::Parent if matches!(&*operator, "exists" | "not-exists") => {
            let not = if operator == "exists" { "not " } else { "" };
            return Ok(Condition::anywhere(format!("{not}IsRootSpan()")));
        }
        Kind::Parent | Kind::Plain => {}
    }
    let datatype = string("Datatype").to_lowercase();
    Comparison { field: &field, operator: &operator, value, datatype: &datatype }.ottl()
}

/// A field, what it is compared with, and how.
struct Comparison<'a> {
    field: &'a Field,
    operator: &'a str,
    value: &'a Value,
    datatype: &'a str,
}

impl Comparison<'_> {
    fn ottl(&self) -> Result<Condition, String> {
        let Self { field, operator, value, datatype } = self;
        let left = self.left();
        match *operator {
            "exists" => Ok(Condition::anywhere(format!("{} != nil", field.value))),
            "not-exists" => Ok(Condition::anywhere(format!("{} == nil", field.value))),
            "=" | "==" => Ok(Condition::anywhere(format!("{left} == {}", self.right(value)?))),
            "!=" => self.differs(),
            ">" | ">=" | "<" | "<=" => {
                let right = self.right(value)?;
                Ok(Condition::anywhere(format!("{left} {operator} {right}")))
            }
            "starts-with" => self.matches(|it| format!("^{}", escaped(it))),
            "contains" => self.matches(escaped),
            "does-not-contain" => {
                let pattern = text(&escaped(&self.text()?));
                Ok(self.where_it_is(format!("not IsMatch({left}, {pattern})")))
            }
            "matches" => self.matches(str::to_owned),
            "in" => {
                let list = self.list()?;
                let any: Vec<_> = list.iter().map(|it| format!("{left} == {it}")).collect();
                Ok(Condition::anywhere(format!("({})", any.join(" or "))))
            }
            "not-in" => {
                let list = self.list()?;
                let none: Vec<_> = list.iter().map(|it| format!("{left} != {it}")).collect();
                Ok(self.where_it_is(none.join(" and ")))
            }
            "" => Err("a condition has no Operator".to_owned()),
            other => Err(format!("the operator {other:?} has no counterpart ({datatype})")),
        }
    }

    /// The field as its type; a text is compared as it is.
    fn left(&self) -> String {
        let value = &self.field.value;
        match self.datatype {
            // It is a whole number anyway.
            "int" | "float" if value == "span.duration_ms" => value.clone(),
            "int" => format!("Int({value})"),
            "float" => format!("Double({value})"),
            "string" => format!("String({value})"),
            "bool" => format!("Bool({value})"),
            _ => value.clone(),
        }
    }

    fn right(&self, value: &Value) -> Result<String, String> {
        if self.datatype.is_empty() {
            return literal(value);
        }
        literal(&converted(value, self.datatype)?)
    }

    fn list(&self) -> Result<Vec<String>, String> {
        let Some(values) = self.value.as_array().filter(|values| !values.is_empty()) else {
            return Err(format!("{} needs a list of values", self.operator));
        };
        values.iter().map(|value| self.right(value)).collect()
    }

    fn text(&self) -> Result<String, String> {
        let text = self.value.as_str().map(str::to_owned);
        let scalar = || literal(self.value).ok();
        text.or_else(scalar).ok_or_else(|| format!("{} needs a text", self.operator))
    }

    fn matches(&self, pattern: impl FnOnce(&str) -> String) -> Result<Condition, String> {
        let pattern = text(&pattern(&self.text()?));
        Ok(Condition::anywhere(format!("IsMatch({}, {pattern})", self.left())))
    }

    /// Nothing that is missing is smaller or larger than anything.
    fn differs(&self) -> Result<Condition, String> {
        let (left, right) = (self.left(), self.right(self.value)?);
        match &*right {
            "true" => Ok(Condition::anywhere(format!("{left} == false"))),
            "false" => Ok(Condition::anywhere(format!("{left} == true"))),
            _ => Ok(Condition::anywhere(format!("({left} < {right} or {left} > {right})"))),
        }
    }

    /// A condition that would hold, too, where the field is missing.
    fn where_it_is(&self, ottl: String) -> Condition {
        if self.field.is_always_there && !ottl.contains(" and ") {
            return Condition::anywhere(ottl);
        }
        Condition::of_one_span(format!("{} != nil and {ottl}", self.field.value))
    }
}

/// `error` is there, and true, on spans with that status.
fn error(field: &Field, operator: &str, value: &Value) -> Result<Condition, String> {
    let is_true = matches!(value, Value::Bool(true)) || value.as_str() == Some("true");
    let is_error = match (operator, is_true) {
        ("exists", _) | ("=", true) => true,
        ("not-exists", _) => false,
        _ => return Err("`error` can be asked only whether it exists, or = true".to_owned()),
    };
    let comparison = if is_error { "==" } else { "!=" };
    Ok(Condition::anywhere(format!("{} {comparison} STATUS_CODE_ERROR", field.value)))
}
