//! Numbers as the Collector's YAML reads them (go.yaml.in/yaml/v3): a leading 0 is octal, as in
//! YAML 1.1 and Go, underscores part digits, and 0x, 0o and 0b are bases.

/// What a scalar without quotes is, if it is a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i128),
    /// Never infinite, never NaN.
    Float(f64),
}

/// Reads a scalar that stands without quotes; `None` if it is text there.
pub(crate) fn resolve(plain: &str) -> Option<Number> {
    let first = plain.chars().next()?;
    if !first.is_ascii_digit() && !matches!(first, '+' | '-' | '.') {
        return None;
    }
    // Behind a point, Go does not take underscores.
    let digits = if first == '.' { plain.to_owned() } else { plain.replace('_', "") };
    if let Some(integer) = integer(&digits) {
        return Some(Number::Integer(integer));
    }
    if !is_float(&digits) {
        return None;
    }
    let float: f64 = digits.parse().ok()?;
    float.is_finite().then_some(Number::Float(float))
}

/// Go's `strconv.ParseInt` and `ParseUint` with base 0: what fits 64 bits, with or without sign.
fn integer(digits: &str) -> Option<i128> {
    let (is_negative, unsigned) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let lower = unsigned.to_ascii_lowercase();
    let (digits, base) = if let Some(rest) = lower.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (rest, 8)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (rest, 2)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    // Rust would take another sign here.
    if !digits.chars().all(|c| c.is_digit(base)) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, base).ok()?;
    let integer = if is_negative { -magnitude } else { magnitude };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&integer).then_some(integer)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && are_digits(fraction),
        Some((whole, fraction)) => are_digits(whole) && are_digits(fraction),
        None => !mantissa.is_empty() && are_digits(mantissa),
    };
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && are_digits(digits)
    });
    is_mantissa && is_exponent
}

/// The value of what looks decimal and is octal, if that makes a difference: 8 for `010`.
pub(crate) fn octal_lookalike(plain: &str) -> Option<i128> {
    let unsigned = plain.strip_prefix(['-', '+']).unwrap_or(plain);
    let looks_decimal = unsigned.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    if !looks_decimal || !unsigned.starts_with('0') {
        return None;
    }
    let Some(Number::Integer(value)) = resolve(plain) else { return None };
    let decimal: Option<i128> = plain.replace('_', "").parse().ok();
    (decimal != Some(value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed: `go.opentelemetry.io/collector/confmap` v1.71.0 with its file provider, decoded
    /// into an `int64`, and where that is refused, into a `string`.
    #[test]
    fn numbers_are_those_of_the_collector() {
        let integers = [
            ("010", 8),
            ("0777", 511),
            ("0o17", 15),
            ("0O17", 15),
            ("0b11", 3),
            ("0b1_1", 3),
            ("-0b11", -3),
            ("0x1F", 31),
            ("0X1f", 31),
            ("0x_F", 15),
            ("-0x1F", -31),
            ("-0o17", -15),
            ("1_000", 1000),
            ("1__0_", 10),
            ("-010", -8),
            ("+5", 5),
            ("+010", 8),
            ("00", 0),
            ("0", 0),
            ("-0", 0),
            ("0_7", 7),
            ("0123", 83),
            ("9223372036854775807", i128::from(i64::MAX)),
            ("18446744073709551615", i128::from(u64::MAX)),
        ];
        for (plain, value) in integers {
            assert_eq!(resolve(plain), Some(Number::Integer(value)), "{plain}");
        }
        let floats = [
            ("1e3", 1000.0),
            ("1E3", 1000.0),
            ("1e+3", 1000.0),
            ("+1e3", 1000.0),
            ("1_e3", 1000.0),
            ("12e03", 12000.0),
            ("1.0", 1.0),
            ("1.", 1.0),
            ("1.7", 1.7),
            (".5", 0.5),
            ("+.5", 0.5),
            ("-1.0", -1.0),
            ("08", 8.0),
            ("089", 89.0),
            ("0.1e1", 1.0),
            ("1e-3", 0.001),
            ("1_000.5", 1000.5),
            ("010.5", 10.5),
            ("18446744073709551616", 18_446_744_073_709_551_616.0),
            ("-9223372036854775809", -9_223_372_036_854_775_808.0),
        ];
        for (plain, value) in floats {
            assert_eq!(resolve(plain), Some(Number::Float(value)), "{plain}");
        }
        let texts = [
            "_1",
            "._8",
            "0x",
            "0b2",
            "0o8",
            "0xG",
            "1e400",
            "1:30",
            "1,000",
            "1e3.0",
            "00x1",
            "-",
            "+",
            ".",
            "",
            "e3",
            "1e",
            "--1",
            "+-1",
            "0x-1",
            "10s",
            "2024-01-01",
            ".e3",
        ];
        for plain in texts {
            assert_eq!(resolve(plain), None, "{plain}");
        }
    }

    #[test]
    fn octal_numbers_that_look_decimal_are_known() {
        for (plain, value) in [("010", 8), ("0777", 511), ("-010", -8), ("0_17", 15)] {
            assert_eq!(octal_lookalike(plain), Some(value), "{plain}");
        }
        for plain in ["0", "00", "07", "10", "08", "0o17", "0x10", "0.5", "1e3", "a", ""] {
            assert_eq!(octal_lookalike(plain), None, "{plain}");
        }
    }
}
