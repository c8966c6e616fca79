//! Regular expressions: Go's syntax (RE2) in terms of the `regex` crate's.
//!
//! The two agree on nearly everything. Where they do not, the text is rewritten: `\d`, `\w`,
//! `\s` and `\b` are ASCII in Go; a set of characters has no operators there; any punctuation
//! may be escaped; `{` is only an operator in front of numbers; there are `\Q..\E` and octal
//! escapes. What only the `regex` crate knows is an error.

use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::RegexSetBuilder;
use regex::{Regex, RegexBuilder};
use regex_syntax::ast::parse::Parser;
use regex_syntax::ast::{Ast, RepetitionKind, RepetitionRange};

/// How large a compiled expression may become, in bytes.
const SIZE_LIMIT: usize = 4 << 20;

/// Compiles an expression that is written in Go's syntax.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let translated = translate(pattern)?;
    check_repetitions(&translated)?;
    RegexBuilder::new(&translated).size_limit(SIZE_LIMIT).build().map_err(reason)
}

/// Compiles several expressions that are written in Go's syntax, to be matched at once.
///
/// # Errors
///
/// What is wrong with the first one that cannot be compiled, or with all together.
pub fn compile_set(patterns: &[String]) -> Result<regex::bytes::RegexSet, String> {
    let translated = |pattern: &String| {
        compile(pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
        translate(pattern)
    };
    let translated: Vec<String> = patterns.iter().map(translated).collect::<Result<_, _>>()?;
    RegexSetBuilder::new(translated).size_limit(SIZE_LIMIT).build().map_err(reason)
}

fn reason(error: regex::Error) -> String {
    match error {
        regex::Error::Syntax(report) => match report.lines().last() {
            Some(last) => last.trim_start_matches("error: ").to_owned(),
            None => "invalid syntax".to_owned(),
        },
        other => other.to_string(),
    }
}

/// RE2 repeats nothing more than this often, also by a repetition in a repetition (Go's
/// `regexp/syntax`, `repeatIsValid`).
const MOST_REPETITIONS: u32 = 1000;

/// An expression of wrong syntax is left to the compiler.
fn check_repetitions(translated: &str) -> Result<(), String> {
    match Parser::new().parse(translated) {
        Ok(ast) => check_inside(&ast, MOST_REPETITIONS),
        Err(_) => Ok(()),
    }
}

/// No part of `ast` may be repeated more than `most` times.
fn check_inside(ast: &Ast, most: u32) -> Result<(), String> {
    match ast {
        Ast::Repetition(repetition) => {
            let times = match &repetition.op.kind {
                RepetitionKind::Range(range) => match range {
                    RepetitionRange::Exactly(times)
                    | RepetitionRange::AtLeast(times)
                    | RepetitionRange::Bounded(_, times) => *times,
                },
                _ => 1,
            };
            if times > most {
                return Err(format!(
                    "a repetition of more than {MOST_REPETITIONS}: RE2, which the Collector has, \
                     refuses it; repetitions in each other are multiplied"
                ));
            }
            let most = most.checked_div(times).unwrap_or(MOST_REPETITIONS);
            check_inside(&repetition.ast, most)
        }
        Ast::Group(group) => check_inside(&group.ast, most),
        Ast::Alternation(any) => any.asts.iter().try_for_each(|one| check_inside(one, most)),
        Ast::Concat(all) => all.asts.iter().try_for_each(|one| check_inside(one, most)),
        _ => Ok(()),
    }
}

fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    let mut repeats = false;
    while let Some(char) = chars.next() {
        let repeated = match char {
            '*' | '+' | '?' => Some(char.to_string()),
            '{' => repetition(&mut chars),
            _ => None,
        };
        if let Some(repeated) = repeated {
            if repeats {
                return Err("a repetition of a repetition: use a group".to_owned());
            }
            out.push_str(&repeated);
            out.extend(chars.next_if_eq(&'?'));
            repeats = true;
            continue;
        }
        repeats = false;
        match char {
            '\\' => escape(&mut chars, &mut out)?,
            '[' => set(&mut chars, &mut out)?,
            '(' if chars.next_if_eq(&'?').is_some() => group(&mut chars, &mut out)?,
            '{' | '}' | ']' => literal(char, &mut out),
            char => out.push(char),
        }
    }
    Ok(out)
}

/// What follows a `{`, with it, if that is `n}`, `n,}` or `n,m}`; else nothing is taken.
fn repetition(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut ahead = chars.clone();
    let mut text = "{".to_owned();
    let digits = |ahead: &mut Peekable<Chars<'_>>, text: &mut String| {
        while let Some(digit) = ahead.next_if(char::is_ascii_digit) {
            text.push(digit);
        }
    };
    digits(&mut ahead, &mut text);
    if text.len() == 1 {
        return None;
    }
    if let Some(comma) = ahead.next_if_eq(&',') {
        text.push(comma);
        digits(&mut ahead, &mut text);
    }
    text.push(ahead.next_if_eq(&'}')?);
    *chars = ahead;
    Some(text)
}

fn literal(char: char, out: &mut String) {
    out.push_str(&format!("\\x{{{:x}}}", u32::from(char)));
}

/// Flags and names after `(?`: only those that Go knows.
fn group(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push_str("(?");
    if matches!(chars.peek(), Some('P' | '<')) {
        return Ok(());
    }
    for char in chars.by_ref() {
        match char {
            'i' | 'm' | 's' | 'U' | '-' => out.push(char),
            ':' | ')' => {
                out.push(char);
                return Ok(());
            }
            other => return Err(format!("unknown flag `{other}` of a group")),
        }
    }
    Err("a group is not closed".to_owned())
}

/// An escape outside of a set.
fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let Some(kind) = chars.next() else { return Err("a `\\` at the end".to_owned()) };
    match kind {
        'b' | 'B' => out.push_str(&format!("(?-u:\\{kind})")),
        'A' | 'z' => out.extend(['\\', kind]),
        'Q' => quoted(chars, out),
        'd' | 's' | 'w' => out.push_str(&format!("[{}]", class(kind))),
        'D' | 'S' | 'W' => out.push_str(&format!("[^{}]", class(kind))),
        'p' | 'P' => property(kind, chars, out)?,
        kind => literal(escaped(kind, chars)?, out),
    }
    Ok(())
}

/// Literal text up to `\E`, or to the end.
fn quoted(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    while let Some(char) = chars.next() {
        if char == '\\' && chars.next_if_eq(&'E').is_some() {
            return;
        }
        literal(char, out);
    }
}

/// The members of Go's classes, without brackets.
fn class(kind: char) -> &'static str {
    match kind.to_ascii_lowercase() {
        'd' => "0-9",
        's' => "\\t\\n\\f\\r ",
        _ => "0-9A-Za-z_",
    }
}

/// A Unicode class: `\pL`, `\p{Greek}`, `\p{^Greek}`.
fn property(kind: char, chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let unclosed = || "a character class is not closed".to_owned();
    let first = chars.next().ok_or_else(unclosed)?;
    if first != '{' {
        out.push_str(&format!("\\{kind}{{{first}}}"));
        return Ok(());
    }
    let negated = chars.next_if_eq(&'^').is_some();
    let mut name = String::new();
    loop {
        match chars.next().ok_or_else(unclosed)? {
            '}' => break,
            char if char.is_ascii_alphanumeric() || char == '_' => name.push(char),
            char => return Err(format!("`{char}` in the name of a character class")),
        }
    }
    let kind = if (kind == 'P') == negated { 'p' } else { 'P' };
    let name = if name == "Any" { "any" } else { &name };
    out.push_str(&format!("\\{kind}{{{name}}}"));
    Ok(())
}

/// The character that an escape stands for, inside of a set and outside.
fn escaped(kind: char, chars: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    let unknown = || format!("unknown escape `\\{kind}`");
    match kind {
        'a' => Ok('\x07'),
        'f' => Ok('\x0c'),
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        'v' => Ok('\x0b'),
        'x' => hexadecimal(chars).ok_or_else(unknown),
        // One digit that is not zero would refer to a group, which RE2 does not do.
        '1'..='7' if !chars.peek().is_some_and(|next| next.is_digit(8)) => Err(unknown()),
        '0'..='7' => {
            let mut code = kind.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = chars.next_if(|next| next.is_digit(8)) else { break };
                code = code * 8 + digit.to_digit(8).unwrap_or(0);
            }
            char::from_u32(code).ok_or_else(unknown)
        }
        kind if kind.is_ascii_punctuation() || kind.is_ascii_control() || kind == ' ' => Ok(kind),
        _ => Err(unknown()),
    }
}

/// `\xFF` or `\x{10FFFF}`, after the x.
fn hexadecimal(chars: &mut Peekable<Chars<'_>>) -> Option<char> {
    if chars.next_if_eq(&'{').is_none() {
        let code = chars.next()?.to_digit(16)? * 16 + chars.next()?.to_digit(16)?;
        return char::from_u32(code);
    }
    let mut code = chars.next()?.to_digit(16)?;
    loop {
        match chars.next()? {
            '}' => return char::from_u32(code),
            digit => code = code.checked_mul(16)?.checked_add(digit.to_digit(16)?)?,
        }
    }
}

/// A set of characters, after its `[`.
fn set(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let unclosed = || "a set of characters is not closed".to_owned();
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    loop {
        let next = *chars.peek().ok_or_else(unclosed)?;
        match next {
            ']' if !is_first => break,
            '[' if named_class(chars, out)? => {}
            '\\' if set_class(chars, out)? => {}
            _ => {
                let low = set_char(chars)?;
                literal(low, out);
                let mut ahead = chars.clone();
                if ahead.next() == Some('-') && ahead.peek().is_some_and(|next| *next != ']') {
                    chars.next();
                    out.push('-');
                    literal(set_char(chars)?, out);
                }
            }
        }
        is_first = false;
    }
    chars.next();
    out.push(']');
    Ok(())
}

fn set_char(chars: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    match chars.next() {
        Some('\\') => {
            let kind = chars.next().ok_or("a `\\` at the end")?;
            escaped(kind, chars)
        }
        Some(char) => Ok(char),
        None => Err("a set of characters is not closed".to_owned()),
    }
}

/// The longest name of a class, `[:^xdigit:]`, and more.
const LONGEST_NAME: usize = 16;

/// `[:alpha:]` in a set, if that is what stands there.
fn named_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<bool, String> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "word", "xdigit",
    ];
    let rest: String = chars.clone().take(LONGEST_NAME).collect();
    let Some(end) = rest.strip_prefix("[:").and_then(|rest| rest.find(":]")) else {
        return Ok(false);
    };
    let name = &rest[2..2 + end];
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        return Err(format!("unknown class `[:{name}:]`"));
    }
    out.push_str(&format!("[:{name}:]"));
    for _ in 0..name.chars().count() + 4 {
        chars.next();
    }
    Ok(true)
}

/// `\d` and its like in a set, if that is what stands there.
fn set_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<bool, String> {
    let mut ahead = chars.clone();
    ahead.next();
    let Some(kind) = ahead.next() else { return Ok(false) };
    match kind {
        'd' | 's' | 'w' => out.push_str(class(kind)),
        'D' | 'S' | 'W' => out.push_str(&format!("[^{}]", class(kind))),
        'p' | 'P' => property(kind, &mut ahead, out)?,
        _ => return Ok(false),
    }
    *chars = ahead;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_they_mean_in_go() {
        let cases = [
            // ASCII classes.
            (r"^\d+$", "42", true),
            (r"^\d$", "\u{665}", false),
            (r"^\w$", "\u{e4}", false),
            (r"^\W$", "\u{e4}", true),
            (r"^[\W]$", "\u{e4}", true),
            (r"\s", "\u{b}", false),
            (r"[^\s]", "\u{b}", true),
            (r"\bx", "\u{e4}x", true),
            (r"\B", "\u{1f600}", true),
            (r"a\B", "a\u{1f600}", false),
            // Unicode classes.
            (r"^\pN$", "\u{665}", true),
            (r"^\p{^L}$", "1", true),
            (r"^\P{^Lu}$", "A", true),
            (r"^\p{Any}$", "\u{e4}", true),
            (r"^[[:alpha:]\pN_]+$", "a1_", true),
            (r"^[[:^digit:]]$", "1", false),
            // A set has no operators.
            (r"^[a&&b]+$", "a&b", true),
            (r"^[[a]+$", "[a", true),
            (r"^[+--z]+$", ",z", true),
            (r"^[]a]+$", "]a", true),
            (r"^[^]a]$", "]", false),
            (r"^[a\]\-z]+$", "]-", true),
            // Braces.
            (r"^a{2}$", "aa", true),
            (r"^a{,2}$", "a{,2}", true),
            (r"^{}$", "{}", true),
            (r"^a{b}$", "a{b}", true),
            // Escapes.
            (r"^\/\<\_\#$", "/<_#", true),
            (r"^\Qa.b\E.$", "a.bc", true),
            (r"^\Q[(", "[(", true),
            (r"^\x41\x{e4}\101\0$", "A\u{e4}A\0", true),
            // Flags.
            (r"(?i)^ABC$", "abc", true),
            (r"(?s-m:a.b)", "a\nb", true),
            (r"a.b", "a\nb", false),
            (r"(?P<n>a)(?<m>b)", "ab", true),
        ];
        for (pattern, text, expected) in cases {
            let compiled = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert_eq!(compiled.is_match(text), expected, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn repetitions_are_those_that_re2_takes() {
        for pattern in
            ["a{1000}", "a{0,1000}", "a{1000,}", "(a{10}){100}", "(a+){1000}", "(a{2}b{500}){2}"]
        {
            assert!(compile(pattern).is_ok(), "{pattern}");
        }
        for pattern in ["a{1001}", "a{0,1001}", "a{1001,}", "(a{10}){101}", "((a{10}){10}b){11}"] {
            let error = compile(pattern).expect_err(pattern);
            assert!(error.contains("more than 1000"), "{error}");
        }
        let patterns = ["a{1001}".to_owned()];
        assert!(compile_set(&patterns).is_err_and(|error| error.contains("`a{1001}`")));
    }

    #[test]
    fn what_go_does_not_know_is_an_error() {
        let patterns = [
            r"(",
            r"a)",
            r"[",
            r"[a",
            r"\",
            r"*a",
            r"a**",
            r"a+?+",
            r"a{2}{3}",
            r"(?x)a",
            r"(?i",
            r"\1",
            r"\8",
            r"\e",
            r"\C",
            r"\Z",
            r"\u0041",
            r"[z-a]",
            r"[a-\d]",
            r"[[:foo:]]",
            r"\p{Foo}",
            r"\p{L",
            r"\x{110000}",
            r"\x4",
            r"(?=a)",
            r"(a)\1",
        ];
        for pattern in patterns {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
