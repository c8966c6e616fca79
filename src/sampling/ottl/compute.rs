//! Arithmetic on numbers, times and durations (`pkg/ottl/math.go`).
//!
//! Whole numbers wrap where they have no place, as in Go; a whole number and a double make a double.

use super::error::EvalError;
use super::syntax::Operator;
use super::value::Value;

/// What `left` and `right` make.
pub(super) fn apply(
    left: &Value<'_>,
    operator: Operator,
    right: &Value<'_>,
) -> Result<Value<'static>, EvalError> {
    use Operator::{Add, Subtract};
    Ok(match (left, operator, right) {
        (Value::Int(left), _, Value::Int(right)) => Value::Int(whole(*left, operator, *right)?),
        (Value::Int(left), _, Value::Double(right)) => {
            Value::Double(double(*left as f64, operator, *right)?)
        }
        (Value::Double(left), _, Value::Int(right)) => {
            Value::Double(double(*left, operator, *right as f64)?)
        }
        (Value::Double(left), _, Value::Double(right)) => {
            Value::Double(double(*left, operator, *right)?)
        }
        (Value::Time(left), Subtract, Value::Time(right)) => Value::Duration(left.since(*right)),
        (Value::Time(time), Add, Value::Duration(nanos))
        | (Value::Duration(nanos), Add, Value::Time(time)) => Value::Time(time.plus(*nanos)),
        (Value::Time(time), Subtract, Value::Duration(nanos)) => {
            Value::Time(time.plus(nanos.wrapping_neg()))
        }
        (Value::Duration(left), Add, Value::Duration(right)) => {
            Value::Duration(left.wrapping_add(*right))
        }
        (Value::Duration(left), Subtract, Value::Duration(right)) => {
            Value::Duration(left.wrapping_sub(*right))
        }
        _ => {
            let (left, right) = (left.type_name(), right.type_name());
            return Err(EvalError::Operands { left, operator: operator.symbol(), right });
        }
    })
}

fn whole(left: i64, operator: Operator, right: i64) -> Result<i64, EvalError> {
    Ok(match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Subtract => left.wrapping_sub(right),
        Operator::Multiply => left.wrapping_mul(right),
        Operator::Divide if right == 0 => return Err(EvalError::DivisionByZero),
        Operator::Divide => left.wrapping_div(right),
    })
}

fn double(left: f64, operator: Operator, right: f64) -> Result<f64, EvalError> {
    Ok(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide if right == 0.0 => return Err(EvalError::DivisionByZero),
        Operator::Divide => left / right,
    })
}

/// With the other sign.
pub(super) fn negative(value: &Value<'_>) -> Result<Value<'static>, EvalError> {
    match value {
        Value::Int(value) => Ok(Value::Int(value.wrapping_neg())),
        Value::Double(value) => Ok(Value::Double(-value)),
        other => Err(EvalError::Negative { found: other.type_name() }),
    }
}
