//! Text to tokens, by the rules of OTTL's own lexer (`pkg/ottl/grammar.go`, `buildLexer`).
//!
//! Numbers and strings are read here as the Collector reads them: an int with a leading zero is
//! octal, and the escapes of a string are those of a Go string, of which each stands for one
//! character, never for a byte of one.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

use super::error::OttlError;

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Bytes(Vec<u8>),
    Float(f64),
    Int(i64),
    String(String),
    /// A word that starts with a lower case letter.
    Name(String),
    /// A word that starts with an upper case letter.
    Symbol(String),
    Nil,
    True,
    False,
    Not,
    And,
    Or,
    Comparison(Comparison),
    /// `=`, which stands between the name and the value of an argument.
    Assign,
    Plus,
    Minus,
    Times,
    Over,
    Comma,
    Dot,
    Colon,
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    OpenMap,
    CloseMap,
    End,
}

/// A token and where it stands in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) range: Range<usize>,
}

/// All tokens of `text`; the last one, and only that, is [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, OttlError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].bytes().take_while(|byte| b"\t\n\x0c\r ".contains(byte)).count();
        let (token, length) = next(text, at)?;
        let end = token == Token::End;
        tokens.push(Placed { token, range: at..at + length });
        if end {
            return Ok(tokens);
        }
        at += length;
    }
}

/// The token at byte `at`, and its length.
fn next(text: &str, at: usize) -> Result<(Token, usize), OttlError> {
    let rest = &text[at..];
    let mut bytes = rest.bytes();
    let (first, second) = (bytes.next(), bytes.next());
    let Some(first) = first else { return Ok((Token::End, 0)) };
    match first {
        b'"' => string(rest, at),
        b'0'..=b'9' => number(rest, at),
        b'.' if second.is_some_and(|byte| byte.is_ascii_digit()) => number(rest, at),
        b'a'..=b'z' | b'A'..=b'Z' => Ok(word(rest)),
        _ => mark(rest).ok_or_else(|| unknown(rest, at)),
    }
}

fn mark(rest: &str) -> Option<(Token, usize)> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    const MARKS: [(&str, Token); 20] = [
        ("==", Token::Comparison(Equal)),
        ("!=", Token::Comparison(NotEqual)),
        (">=", Token::Comparison(GreaterOrEqual)),
        ("<=", Token::Comparison(LessOrEqual)),
        (">", Token::Comparison(Greater)),
        ("<", Token::Comparison(Less)),
        ("=", Token::Assign),
        ("+", Token::Plus),
        ("-", Token::Minus),
        ("*", Token::Times),
        ("/", Token::Over),
        (":", Token::Colon),
        ("{", Token::OpenMap),
        ("}", Token::CloseMap),
        (",", Token::Comma),
        (".", Token::Dot),
        ("(", Token::Open),
        (")", Token::Close),
        ("[", Token::OpenIndex),
        ("]", Token::CloseIndex),
    ];
    let (mark, token) = MARKS.into_iter().find(|(mark, _)| rest.starts_with(mark))?;
    (!rest.starts_with("=>")).then_some((token, mark.len()))
}

fn unknown(rest: &str, at: usize) -> OttlError {
    const KNOWN: [(&str, &str); 12] = [
        (
            "=>",
            "functions that take an expression are experimental in the Collector, which refuses \
             them, too",
        ),
        ("&&", "write `and`"),
        ("||", "write `or`"),
        ("!~", "write `not IsMatch(name, \"expression\")`"),
        ("~", "write `IsMatch(name, \"expression\")`"),
        ("!", "write `not`, or `!=` for unequal"),
        ("'", "a string stands in double quotes"),
        ("`", "a string stands in double quotes"),
        ("%", "there is no remainder in OTTL"),
        ("$", "a variable of the environment is put in before, where the file has `${env:NAME}`"),
        ("_", "a name starts with a letter"),
        (";", "one condition ends here: the next one is an item of its own in the list"),
    ];
    let known = KNOWN.into_iter().find(|(mark, _)| rest.starts_with(mark));
    let one = rest.chars().next().map_or(0, char::len_utf8);
    let length = known.map_or(one, |(mark, _)| mark.len());
    let message = format!("`{}` has no meaning here", &rest[..length]);
    OttlError::new(at..at + length, message).with_help_if_any(known.map(|(_, help)| help))
}

fn word(rest: &str) -> (Token, usize) {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let length = rest.bytes().take_while(is_word).count();
    let word = &rest[..length];
    let token = match word {
        "nil" => Token::Nil,
        "true" => Token::True,
        "false" => Token::False,
        "not" => Token::Not,
        "and" => Token::And,
        "or" => Token::Or,
        _ if word.starts_with(|first: char| first.is_ascii_uppercase()) => {
            Token::Symbol(word.to_owned())
        }
        _ => Token::Name(word.to_owned()),
    };
    (token, length)
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn number(rest: &str, at: usize) -> Result<(Token, usize), OttlError> {
    if let Some(hex) = rest.strip_prefix("0x") {
        let length = hex.bytes().take_while(u8::is_ascii_hexdigit).count();
        if length > 0 {
            let range = at..at + 2 + length;
            return Ok((bytes(&hex[..length], range)?, 2 + length));
        }
    }
    let whole = digits(rest);
    if !rest[whole..].starts_with('.') {
        return Ok((int(&rest[..whole], at)?, whole));
    }
    let mut length = whole + 1 + digits(&rest[whole + 1..]);
    if let Some(exponent) = rest[length..].strip_prefix(['e', 'E']) {
        let unsigned = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        let sign = exponent.len() - unsigned.len();
        if digits(unsigned) > 0 {
            length += 1 + sign + digits(unsigned);
        }
    }
    match rest[..length].parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Token::Float(value), length)),
        _ => Err(OttlError::new(at..at + length, "a number that is too large")),
    }
}

fn bytes(hex: &str, range: Range<usize>) -> Result<Token, OttlError> {
    let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return Err(OttlError::new(range, "bytes need an even number of hexadecimal digits"));
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    Ok(Token::Bytes(pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect()))
}

/// A leading zero makes a number octal, as in Go.
fn int(digits: &str, at: usize) -> Result<Token, OttlError> {
    let radix = if digits.starts_with('0') { 8 } else { 10 };
    i64::from_str_radix(digits, radix).map(Token::Int).map_err(|_| {
        let error = OttlError::new(at..at + digits.len(), format!("{digits} is no 64-bit number"));
        let is_octal = radix == 8 && digits.contains(['8', '9']);
        if is_octal { error.with_help("a leading zero makes it octal") } else { error }
    })
}

fn string(rest: &str, at: usize) -> Result<(Token, usize), OttlError> {
    let mut text = String::new();
    let mut chars = rest.char_indices().peekable();
    chars.next();
    while let Some((start, char)) = chars.next() {
        match char {
            '"' => return Ok((Token::String(text), start + 1)),
            '\\' => match escape(&mut chars) {
                Some(char) => text.push(char),
                None => {
                    let end = chars.peek().map_or(rest.len(), |(end, _)| *end);
                    return Err(bad_escape(&rest[start..end], at + start));
                }
            },
            char => text.push(char),
        }
    }
    Err(OttlError::new(at..at + rest.len(), "a string without an end: expected `\"`"))
}

fn bad_escape(escape: &str, at: usize) -> OttlError {
    OttlError::new(at..at + escape.len(), format!("`{escape}` is no escape of a string"))
        .with_help(format!("for a backslash write two: `\\{escape}`"))
}

/// The character that an escape stands for (Go: `strconv.UnquoteChar`).
fn escape(chars: &mut Peekable<CharIndices<'_>>) -> Option<char> {
    let (_, kind) = chars.next()?;
    Some(match kind {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' | '"' => kind,
        'x' => coded(chars, 0, 2, 16)?,
        'u' => coded(chars, 0, 4, 16)?,
        'U' => coded(chars, 0, 8, 16)?,
        '0'..='7' => coded(chars, kind.to_digit(8)?, 2, 8).filter(|char| *char <= '\u{ff}')?,
        _ => return None,
    })
}

/// The character whose code starts with `code` and goes on with `digits` digits.
fn coded(
    chars: &mut Peekable<CharIndices<'_>>,
    mut code: u32,
    digits: u32,
    radix: u32,
) -> Option<char> {
    for _ in 0..digits {
        let digit = chars.peek()?.1.to_digit(radix)?;
        chars.next();
        code = code.checked_mul(radix)?.checked_add(digit)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_fall_into_tokens() {
        let cases: [(&str, &[Token]); 8] = [
            ("0x0Aff 0x", &[Token::Bytes(vec![10, 255]), Token::Int(0), Token::Name("x".into())]),
            (
                "017 1.5 1. .5 1.e1 2.5E-1",
                &[
                    Token::Int(15),
                    Token::Float(1.5),
                    Token::Float(1.0),
                    Token::Float(0.5),
                    Token::Float(10.0),
                    Token::Float(0.25),
                ],
            ),
            ("1e3", &[Token::Int(1), Token::Name("e3".into())]),
            ("1.5and", &[Token::Float(1.5), Token::And]),
            (
                "nil nilly not or_ true",
                &[
                    Token::Nil,
                    Token::Name("nilly".into()),
                    Token::Not,
                    Token::Name("or_".into()),
                    Token::True,
                ],
            ),
            ("IsMatch STATUS", &[Token::Symbol("IsMatch".into()), Token::Symbol("STATUS".into())]),
            (
                "<= <==",
                &[
                    Token::Comparison(Comparison::LessOrEqual),
                    Token::Comparison(Comparison::LessOrEqual),
                    Token::Assign,
                ],
            ),
            (
                r#""\"\\\a\x41\u00e4\U0001F600\101\377" "" "#,
                &[
                    Token::String("\"\\\u{7}A\u{e4}\u{1f600}A\u{ff}".into()),
                    Token::String(String::new()),
                ],
            ),
        ];
        for (text, expected) in cases {
            let mut found: Vec<Token> =
                tokens(text).unwrap().into_iter().map(|placed| placed.token).collect();
            assert_eq!(found.pop(), Some(Token::End));
            assert_eq!(found, expected, "{text}");
        }
    }
}
