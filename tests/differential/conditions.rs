//! OTTL conditions that were put together at random, over all that the generated traces have; the
//! same ones always. tests/policies/ottl.yaml has the hand-picked ones.

use crate::policies::{PolicySet, ottl};
use crate::random::Random;

const SETS: u64 = 80;
const SEED: u64 = 0x6f74_746c;

/// What can be compared, by the type that it mostly has.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
    Boolean,
    /// Any of them.
    Mixed,
}

/// Attributes of the generated traces.
const ATTRIBUTES: [(&str, Kind); 10] = [
    ("tenant", Kind::Text),
    ("http.route", Kind::Text),
    ("exception.type", Kind::Text),
    ("level", Kind::Number),
    ("http.response.status_code", Kind::Number),
    ("ratio", Kind::Number),
    ("feature", Kind::Boolean),
    ("retry", Kind::Boolean),
    ("mixed", Kind::Mixed),
    ("mixed", Kind::Mixed),
];
const SPAN_PATHS: [(&str, Kind); 10] = [
    ("span.name", Kind::Text),
    ("span.kind", Kind::Number),
    ("span.status.code", Kind::Number),
    ("span.status.message", Kind::Text),
    ("span.trace_state", Kind::Text),
    ("span.trace_state[\"tk\"]", Kind::Text),
    ("span.attributes[\"deep\"][\"n\"]", Kind::Number),
    ("span.attributes[\"deep\"][\"a\"][\"b\"]", Kind::Text),
    ("resource.attributes[\"service.name\"]", Kind::Text),
    ("instrumentation_scope.name", Kind::Text),
];
const TEXTS: [&str; 9] = [
    "\"75\"",
    "\"val\"",
    "\"acme\"",
    "\"true\"",
    "\"/cart\"",
    "\"GET /health\"",
    "\"payment\"",
    "\"v1\"",
    "\"m\"",
];
const NUMBERS: [&str; 9] =
    ["0", "1", "-5", "75", "404", "0.5", "75.0", "STATUS_CODE_ERROR", "SPAN_KIND_CLIENT"];
const BOOLEANS: [&str; 2] = ["true", "false"];
const OTHERS: [&str; 4] = ["nil", "\"\"", "true", "75"];
const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];
const PATTERNS: [&str; 6] = ["^7", "val$", "(?i)ACME", "[0-9]+", "^GET /(ch|he)", "^.{4}$"];

/// What a condition is about.
#[derive(Clone, Copy, PartialEq)]
enum Context {
    Span,
    Event,
}

pub fn sets() -> Vec<PolicySet> {
    let set = |number| {
        let mut random = Random::new(SEED + number);
        let context = if random.percent(75) { Context::Span } else { Context::Event };
        let condition = boolean(&mut random, context, 3);
        let policy = match context {
            Context::Span => ottl(&[&condition], &[]),
            Context::Event => ottl(&[], &[&condition]),
        };
        PolicySet::new(format!("condition-{number}"), vec![policy])
    };
    (0..SETS).map(set).collect()
}

/// Something that is true or false, of at most `depth` levels.
fn boolean(random: &mut Random, context: Context, depth: u32) -> String {
    if depth > 0 {
        let mut part = || boolean(random, context, depth - 1);
        let (one, other) = (part(), part());
        match random.below(7) {
            0 => return format!("({one}) and ({other})"),
            1 | 2 => return format!("({one}) or {other}"),
            3 => return format!("not ({one})"),
            4 => return format!("not ({other}) and ({one})"),
            _ => {}
        }
    }
    if context == Context::Span && random.percent(4) {
        return "IsRootSpan()".to_owned();
    }
    let (path, kind) = path(random, context);
    let kind = match kind {
        Kind::Mixed => random.pick(&[Kind::Text, Kind::Number, Kind::Boolean]),
        known => known,
    };
    match kind {
        Kind::Text => about_text(random, &path),
        Kind::Number => about_number(random, &path),
        Kind::Boolean | Kind::Mixed => about_boolean(random, &path),
    }
}

fn about_text(random: &mut Random, path: &str) -> String {
    match random.below(12) {
        0 => format!("IsMatch({path}, \"{}\")", random.pick(&PATTERNS)),
        1 => format!("HasPrefix({path}, \"{}\")", random.pick(&["a", "7", "/c", "GET"])),
        2 => format!("HasSuffix({path}, \"{}\")", random.pick(&["e", "5", "val", "/health"])),
        3 => format!("Len({path}) {} {}", random.pick(&COMPARISONS), random.below(9)),
        4 => format!("ToLowerCase({path}) == {}", random.pick(&TEXTS)),
        5 => format!("ToUpperCase({path}) != {}", random.pick(&["\"ACME\"", "\"VAL\""])),
        6 => format!("Substring({path}, {}, 2) > {}", random.below(4), random.pick(&TEXTS)),
        7 => format!("Concat([{path}, 1], \"-\") == \"{}-1\"", random.pick(&["val", "75", "acme"])),
        8 => format!("IsString({path})"),
        _ => comparison(random, path, &TEXTS),
    }
}

fn about_number(random: &mut Random, path: &str) -> String {
    match random.below(8) {
        0 => comparison(random, &format!("Int({path})"), &NUMBERS),
        1 => comparison(random, &format!("Double({path})"), &NUMBERS),
        2 => comparison(random, &format!("String({path})"), &TEXTS),
        3 => format!("{}({path})", random.pick(&["IsInt", "IsDouble", "IsMap", "IsList"])),
        _ => comparison(random, path, &NUMBERS),
    }
}

fn about_boolean(random: &mut Random, path: &str) -> String {
    match random.below(6) {
        0 => format!("IsBool({path})"),
        1 => format!("String({path}) == \"true\""),
        2 => format!("{path} == {path}"),
        _ => comparison(random, path, &BOOLEANS),
    }
}

/// With a literal that is mostly one of `usual`, on either side.
fn comparison(random: &mut Random, left: &str, usual: &[&str]) -> String {
    let right = if random.percent(15) { random.pick(&OTHERS) } else { random.pick(usual) };
    let comparison = random.pick(&COMPARISONS);
    if random.percent(10) {
        return format!("{right} {comparison} {left}");
    }
    format!("{left} {comparison} {right}")
}

fn path(random: &mut Random, context: Context) -> (String, Kind) {
    let (key, kind) = random.pick(&ATTRIBUTES);
    let place = match random.below(8) {
        0 | 1 => {
            let (path, kind) = random.pick(&SPAN_PATHS);
            return (path.to_owned(), kind);
        }
        2 => "resource",
        3 => "instrumentation_scope",
        4 if context == Context::Event => return ("spanevent.name".to_owned(), Kind::Text),
        5..=7 if context == Context::Event => "spanevent",
        _ => "span",
    };
    (format!("{place}.attributes[\"{key}\"]"), kind)
}
