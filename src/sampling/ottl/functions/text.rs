//! Functions of texts. Texts are bytes, as in Go: places and lengths count bytes.

use std::borrow::Cow;
use std::iter;

use memchr::memmem;

use super::{Answer, Args, Prepared};
use crate::fnv;
use crate::sampling::ottl::convert::{self, readable};
use crate::sampling::ottl::error::EvalError;
use crate::sampling::ottl::operand::Operand;
use crate::sampling::ottl::pattern;
use crate::sampling::ottl::value::{List, ListKind, Value};
use crate::sampling::ottl::wire::MAX_PARTS;

/// Nil is written as Go writes a pointer to nothing.
pub(super) fn concat<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let delimiter = args.text(1)?;
    let mut joined = Vec::new();
    let mut is_first = true;
    args.each_item::<()>(0, |item| {
        if !is_first {
            joined.extend_from_slice(&delimiter);
        }
        is_first = false;
        match convert::string(item)? {
            Some(text) => joined.extend_from_slice(&text),
            None => joined.extend_from_slice(b"<nil>"),
        }
        convert::check_length(joined.len())?;
        Ok(None)
    })?;
    Ok(Value::string(joined))
}

pub(super) fn has_prefix<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let (target, prefix) = (args.text(0)?, args.text(1)?);
    Ok(Value::Bool(target.starts_with(&prefix)))
}

pub(super) fn has_suffix<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let (target, suffix) = (args.text(0)?, args.text(1)?);
    Ok(Value::Bool(target.ends_with(&suffix)))
}

/// The expression, if it is the same for every span.
pub(super) fn prepare_pattern(arguments: &[Operand]) -> Result<Prepared, String> {
    let Some(Operand::Literal(Value::String(written)) | Operand::Known(Value::String(written))) =
        arguments.get(1)
    else {
        return Ok(Prepared::Nothing);
    };
    let compiled = pattern::compile(&readable(written));
    compiled.map(Prepared::Pattern).map_err(|error| format!("invalid regular expression: {error}"))
}

/// The same for one whose groups have names.
pub(super) fn prepare_groups(arguments: &[Operand]) -> Result<Prepared, String> {
    let prepared = prepare_pattern(arguments)?;
    match &prepared {
        Prepared::Pattern(pattern) if pattern.capture_names().flatten().next().is_none() => {
            Err("no group of the expression has a name: write `(?P<name>...)`".to_owned())
        }
        _ => Ok(prepared),
    }
}

fn with_pattern<T>(
    args: Args<'_, '_>,
    use_it: impl FnOnce(&regex::Regex) -> Result<T, EvalError>,
) -> Result<T, EvalError> {
    if let Prepared::Pattern(pattern) = &args.call.prepared {
        return use_it(pattern);
    }
    let written = args.text(1)?;
    use_it(&pattern::compile(&readable(&written)).map_err(|_| EvalError::Pattern)?)
}

pub(super) fn is_match<'v>(args: Args<'v, '_>) -> Answer<'v> {
    with_pattern(args, |pattern| {
        let target = args.text_of(0)?;
        let matches = target.is_some_and(|target| pattern.is_match(&readable(&target)));
        Ok(Value::Bool(matches))
    })
}

/// What the named groups matched; a map without keys where nothing did.
pub(super) fn extract_patterns<'v>(args: Args<'v, '_>) -> Answer<'v> {
    with_pattern(args, |pattern| {
        let target = args.text(0)?;
        let target = readable(&target);
        let Some(found) = pattern.captures(&target) else { return Ok(Value::map(Vec::new())) };
        let groups = pattern.capture_names().enumerate();
        let named = groups.filter_map(|(index, name)| Some((index, name?)));
        let entry = |(index, name): (usize, &str)| {
            let text = found.get(index).map_or("", |group| group.as_str());
            (Cow::Owned(name.as_bytes().to_vec()), Value::string(text))
        };
        Ok(Value::map(named.map(entry).collect()))
    })
}

/// Start and length are in bytes. With `utf8_safe` no character is cut in two.
pub(super) fn substring<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let (start, length, target) = (args.int(1)?, args.int(2)?, args.text(0)?);
    let start = usize::try_from(start).map_err(|_| EvalError::OutOfRange)?;
    let length = usize::try_from(length).map_err(|_| EvalError::OutOfRange)?;
    let end = start.checked_add(length).filter(|end| length > 0 && *end <= target.len());
    let mut range = start..end.ok_or(EvalError::OutOfRange)?;
    if matches!(args.get(3)?, Value::Bool(true)) {
        let is_inside = |at: usize| target.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        while is_inside(range.start) {
            range.start += 1;
        }
        while range.start < range.end && is_inside(range.end) {
            range.end -= 1;
        }
        range.end = range.end.max(range.start);
    }
    Ok(Value::String(part(target, range)))
}

fn part(text: Cow<'_, [u8]>, range: std::ops::Range<usize>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[range]),
        Cow::Owned(text) => Cow::Owned(text[range].to_vec()),
    }
}

pub(super) fn lower<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::string(convert::lower(&args.text(0)?)))
}

pub(super) fn upper<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::string(convert::upper(&args.text(0)?)))
}

pub(super) fn snake<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::string(snake_case(&args.text(0)?)))
}

pub(super) fn camel<'v>(args: Args<'v, '_>) -> Answer<'v> {
    Ok(Value::string(camel_case(&args.text(0)?)))
}

const CASES: [&str; 4] = ["lower", "upper", "snake", "camel"];

pub(super) fn prepare_case(arguments: &[Operand]) -> Result<Prepared, String> {
    let Some(Operand::Literal(Value::String(written))) = arguments.get(1) else {
        return Ok(Prepared::Nothing);
    };
    match CASES.iter().any(|case| case.as_bytes() == &**written) {
        true => Ok(Prepared::Nothing),
        false => Err(format!("`{}` is no case: known are {}", readable(written), CASES.join(", "))),
    }
}

pub(super) fn convert_case<'v>(args: Args<'v, '_>) -> Answer<'v> {
    match args.written(1) {
        Some(b"lower") => lower(args),
        Some(b"upper") => upper(args),
        Some(b"snake") => snake(args),
        _ => camel(args),
    }
}

/// Where the kind of letter changes, a `_` comes in (`iancoleman/strcase`, `ToSnake`).
fn snake_case(text: &[u8]) -> Vec<u8> {
    let text = text.trim_ascii();
    let mut out = Vec::with_capacity(text.len() + 2);
    for (index, byte) in text.iter().copied().enumerate() {
        let next = text.get(index + 1).copied().unwrap_or(b' ');
        let (low, digit) = (byte.is_ascii_lowercase(), byte.is_ascii_digit());
        let turns = match byte {
            _ if byte.is_ascii_uppercase() => next.is_ascii_lowercase() || next.is_ascii_digit(),
            _ if low => next.is_ascii_uppercase() || next.is_ascii_digit(),
            _ if digit => next.is_ascii_alphabetic(),
            _ => false,
        };
        let ends_acronym = byte.is_ascii_uppercase()
            && next.is_ascii_lowercase()
            && index > 0
            && text[index - 1].is_ascii_uppercase();
        if ends_acronym {
            out.push(b'_');
        }
        match byte {
            b' ' | b'_' | b'-' | b'.' => out.push(b'_'),
            _ => out.push(byte.to_ascii_lowercase()),
        }
        if turns && (low || digit || next.is_ascii_digit()) {
            out.push(b'_');
        }
    }
    out
}

/// Words grow together, each with a capital (`iancoleman/strcase`, `ToCamel`).
fn camel_case(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut begins, mut was_upper) = (true, false);
    for byte in text.trim_ascii().iter().copied() {
        let is_upper = byte.is_ascii_uppercase();
        let letter = match byte {
            _ if begins => byte.to_ascii_uppercase(),
            _ if was_upper && is_upper => byte.to_ascii_lowercase(),
            _ => byte,
        };
        was_upper = is_upper;
        if byte.is_ascii_alphanumeric() {
            out.push(letter);
            begins = byte.is_ascii_digit();
        } else {
            begins = matches!(byte, b'_' | b' ' | b'-' | b'.');
        }
    }
    out
}

/// Without a delimiter each character is a part.
pub(super) fn split<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let (target, delimiter) = (args.text(0)?, args.text(1)?);
    // One more than there may be shows that there are too many.
    let parts: Vec<Value<'v>> = match target {
        Cow::Borrowed(target) => {
            let parts = parts(target, &delimiter).take(MAX_PARTS + 1);
            parts.map(|part| Value::String(Cow::Borrowed(part))).collect()
        }
        Cow::Owned(target) => {
            parts(&target, &delimiter).take(MAX_PARTS + 1).map(Value::string).collect()
        }
    };
    if parts.len() > MAX_PARTS {
        return Err(EvalError::TooManyParts);
    }
    Ok(Value::List(List::new(ListKind::Strings, parts)))
}

fn parts<'t>(text: &'t [u8], delimiter: &[u8]) -> impl Iterator<Item = &'t [u8]> {
    let finder = memmem::Finder::new(delimiter);
    let mut rest = (!(delimiter.is_empty() && text.is_empty())).then_some(text);
    iter::from_fn(move || {
        let text = rest?;
        let (end, next) = if finder.needle().is_empty() {
            let end = character_length(text);
            (end, (end < text.len()).then_some(end))
        } else {
            match finder.find(text) {
                Some(at) => (at, Some(at + finder.needle().len())),
                None => (text.len(), None),
            }
        };
        rest = next.map(|next| &text[next..]);
        Some(&text[..end])
    })
}

/// Of the first character; a byte that belongs to none counts as one.
fn character_length(text: &[u8]) -> usize {
    // No character is longer, and the rest of the text is not looked at for each.
    let first = text[..text.len().min(4)].utf8_chunks().next();
    first.and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
}

/// Without what is made of these characters at both ends; spaces if none are given.
pub(super) fn trim<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let target = args.text(0)?;
    let cut = args.written(1).unwrap_or(b" ");
    if !cut.is_ascii() {
        let cut: Vec<char> = readable(cut).chars().collect();
        return Ok(Value::string(readable(&target).trim_matches(&cut[..])));
    }
    let is_kept = |byte: &u8| !cut.contains(byte);
    let start = target.iter().position(is_kept).unwrap_or(target.len());
    let end = target.iter().rposition(is_kept).map_or(start, |last| last + 1);
    Ok(Value::String(part(target, start..end)))
}

pub(super) fn trim_prefix<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let (target, prefix) = (args.text(0)?, args.text(1)?);
    let start = if target.starts_with(&prefix) { prefix.len() } else { 0 };
    let end = target.len();
    Ok(Value::String(part(target, start..end)))
}

pub(super) fn trim_suffix<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let (target, suffix) = (args.text(0)?, args.text(1)?);
    let cut = if target.ends_with(&suffix) { suffix.len() } else { 0 };
    let end = target.len() - cut;
    Ok(Value::String(part(target, 0..end)))
}

pub(super) fn hex<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let bytes = convert::bytes(args.get(0)?, args.name())?;
    convert::check_length(bytes.len().saturating_mul(2))?;
    Ok(Value::string(convert::hex(&bytes)))
}

/// FNV-1a of 64 bits, as a whole number with a sign.
pub(super) fn fnv<'v>(args: Args<'v, '_>) -> Answer<'v> {
    let hash = fnv::hash_64(args.text(0)?.iter().copied());
    Ok(Value::Int(hash.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_those_of_the_library() {
        // Those of the tests of iancoleman/strcase.
        let snakes = [
            ("testCase", "test_case"),
            ("TestCase", "test_case"),
            ("Test Case", "test_case"),
            (" Test Case ", "test_case"),
            ("test", "test"),
            ("ManyManyWords", "many_many_words"),
            ("AnyKind of_string", "any_kind_of_string"),
            ("numbers2and55with000", "numbers_2_and_55_with_000"),
            ("JSONData", "json_data"),
            ("userID", "user_id"),
            ("AAAbbb", "aa_abbb"),
            ("1A2", "1_a_2"),
            ("A1B", "a_1_b"),
            ("ABC123", "abc_123"),
            ("", ""),
        ];
        for (text, expected) in snakes {
            assert_eq!(String::from_utf8(snake_case(text.as_bytes())).unwrap(), expected);
        }
        let camels = [
            ("test_case", "TestCase"),
            ("test.case", "TestCase"),
            ("test", "Test"),
            ("TestCase", "TestCase"),
            (" test  case ", "TestCase"),
            ("many_many_words", "ManyManyWords"),
            ("odd-fix", "OddFix"),
            ("numbers2And55with000", "Numbers2And55With000"),
            ("ID", "Id"),
            ("JSON_data", "JsonData"),
        ];
        for (text, expected) in camels {
            assert_eq!(String::from_utf8(camel_case(text.as_bytes())).unwrap(), expected);
        }
    }

    #[test]
    fn texts_are_split_as_go_splits_them() {
        let cases: [(&str, &str, &[&str]); 8] = [
            ("a,b,,c", ",", &["a", "b", "", "c"]),
            ("", ",", &[""]),
            ("a", ",", &["a"]),
            (",", ",", &["", ""]),
            ("a::b", "::", &["a", "b"]),
            ("aäb", "", &["a", "ä", "b"]),
            ("😀ab😀", "", &["😀", "a", "b", "😀"]),
            ("", "", &[]),
        ];
        for (text, delimiter, expected) in cases {
            let found: Vec<&[u8]> = parts(text.as_bytes(), delimiter.as_bytes()).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|part| part.as_bytes()).collect();
            assert_eq!(found, expected, "{text:?} by {delimiter:?}");
        }
    }

    /// Looking at each place for all of a long delimiter would take minutes.
    #[test]
    fn long_texts_are_split_by_long_delimiters() {
        let text = "a".repeat(1 << 20);
        let delimiter = format!("{}b", "a".repeat(1 << 18));
        assert_eq!(parts(text.as_bytes(), delimiter.as_bytes()).count(), 1);
        let text = format!("{text}b");
        assert_eq!(parts(text.as_bytes(), delimiter.as_bytes()).count(), 2);
    }
}
