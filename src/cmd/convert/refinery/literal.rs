//! Values of Refinery's file as literals of OTTL, and texts as YAML has them.

use serde_json::Value;

/// A text in OTTL.
pub(super) fn text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A value in OTTL; a text, a number or a boolean.
///
/// # Errors
/// Why there is none.
pub(super) fn literal(value: &Value) -> Result<String, String> {
    match value {
        Value::String(it) => Ok(text(it)),
        Value::Bool(it) => Ok(it.to_string()),
        Value::Number(it) => Ok(it.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err("a condition compares with something that is no text, number or boolean".to_owned())
        }
    }
}

/// What Refinery makes of a value before it compares it as `datatype`.
///
/// # Errors
/// When it can be none of that type: then the condition never holds.
pub(super) fn converted(value: &Value, datatype: &str) -> Result<Value, String> {
    let plain = match value {
        Value::String(it) => it.clone(),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            return literal(value).map(Value::String);
        }
        other => other.to_string(),
    };
    let never = || format!("{plain:?} is no {datatype}, so that the condition never holds");
    match datatype {
        "string" => Ok(Value::String(plain)),
        "int" => {
            let whole = plain.parse::<i64>().ok();
            let cut = || plain.parse::<f64>().ok().filter(|it| it.abs() < 1e15).map(|it| it as i64);
            whole.or_else(cut).map(Value::from).ok_or_else(never)
        }
        "float" => plain.parse::<f64>().ok().map(Value::from).ok_or_else(never),
        "bool" => plain.to_lowercase().parse::<bool>().map(Value::from).map_err(|_| never()),
        other => Err(format!("Datatype {other:?} is not one of string, int, float, bool")),
    }
}

/// A text as a scalar of YAML on one line. Dollar signs would be variables of the policy file.
pub(super) fn yaml(text: &str) -> String {
    let text = text.replace('$', "$$");
    if text.chars().any(char::is_control) {
        return Value::String(text).to_string();
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// A regular expression that matches this text and no other.
pub(super) fn escaped(text: &str) -> String {
    regex_syntax::escape(text)
}
