use super::super::super::diagnostics::Diagnostics;
use super::*;

const VARIABLES: &[(&str, &str)] = &[
    ("T", "text"),
    ("N", "42"),
    ("L", "[a, b]"),
    ("EMPTY", ""),
    ("REF", "${T}"),
    ("DOLLAR", "a$b$$c"),
    ("ESC", "$${T}"),
    ("Q", "\"quoted\""),
    ("BAD", "a: ["),
    ("MULTI", "l1\nl2"),
    ("OCT", "010"),
    ("TRUE", "true"),
    ("FLOAT", "1.0"),
    ("NULLV", "null"),
    ("LOOP", "${env:LOOP}"),
    ("SPACED", " sp "),
    ("REFN", "${N}"),
    ("REFL", "${L}"),
    ("LREF", "[\"${T}\", \"$$x\", \"${N}\"]"),
    ("LN", "[1, x]"),
    ("LL", "[\"${LL}\"]"),
    ("NAME", "T"),
];

/// `text` as a value in /folder/f.yaml, after its variables are put in.
fn expanded(text: &str, name: &str) -> (Node, Vec<Problem>, Vec<Source>) {
    let variable = |name: &str| {
        let found = VARIABLES.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let (mut sources, mut problems) = (vec![Source::new(name, text)], Vec::new());
    let place = Place { line: 1, column: 1, length: 1, source: 0 };
    let mut node = Node::new(place, Value::Text(text.to_owned()));
    Expander::new(&variable, &mut sources, &mut problems).below(&mut node, false);
    (node, problems, sources)
}

/// A value in short: as a field for text reads it, and as one for anything does.
fn both(node: &Node) -> (String, String) {
    fn any(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Text(text) => format!("'{text}'"),
            Value::List(items) => format!("{:?}", items.iter().map(any).collect::<Vec<_>>()),
            Value::Map(entries) => {
                let entry =
                    |entry: &super::super::Entry| format!("{}: {}", entry.key, any(&entry.node));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }
    let text = match (&node.value, &node.written) {
        (Value::Text(text), _) => text.clone(),
        (_, Some(written)) => written.to_string(),
        _ => String::new(),
    };
    (text, any(node))
}

/// Observed: `go.opentelemetry.io/collector/confmap` v1.71.0 with its providers for env, file and
/// yaml, decoded into a `string`.
#[test]
fn texts_are_those_of_the_collector() {
    let cases = [
        ("${T}", "text"),
        ("${env:T}", "text"),
        ("x${T}y", "xtexty"),
        ("${T}${T}", "texttext"),
        ("${env:U:-d}", "d"),
        ("${env:U:-}", ""),
        ("${env:T:-d}", "text"),
        ("${env:U:-${env:T}}", "text"),
        ("${env:U:-${env:U2:-deep}}", "deep"),
        ("a${env:U:-${env:U2:-deep}}b", "adeepb"),
        ("${env:T:-${env:U}}", "text"),
        ("$T", "$T"),
        ("$$T", "$T"),
        ("$${T}", "${T}"),
        ("$$${T}", "$text"),
        ("$$$${T}", "$${T}"),
        ("x$$y", "x$y"),
        ("$", "$"),
        ("}${T}", "}text"),
        ("${EMPTY}", ""),
        ("x${EMPTY}y", "xy"),
        ("${N}", "42"),
        ("${env:N}x", "42x"),
        ("${L}", "[a, b]"),
        ("x${L}y", "x[a, b]y"),
        ("${REF}", "text"),
        ("x${REF}y", "xtexty"),
        ("${DOLLAR}", "a$b$c"),
        ("x${DOLLAR}y", "xa$b$cy"),
        ("${ESC}", "${T}"),
        ("${yaml:abc}", "abc"),
        ("${yaml:'abc'}", "'abc'"),
        ("${Q}", "\"quoted\""),
        ("${BAD}", "a: ["),
        ("${MULTI}", "l1\nl2"),
        ("${OCT}", "010"),
        ("${TRUE}", "true"),
        ("${FLOAT}", "1.0"),
        ("${NULLV}", "null"),
        ("${env:U:-'q'}", "'q'"),
        ("${env:U:-{a: 1}}", "{a: 1}"),
        ("${env:U:-[a, b]}", "[a, b]"),
        ("${env:T}}", "text}"),
        ("{${T}}", "{text}"),
        ("${SPACED}", " sp "),
        ("${env:U:- d}", " d"),
        ("^a$|b$$", "^a$|b$"),
        ("${REFN}", "42"),
        ("${REFL}", "[a, b]"),
        ("${env:U:-a:-b}", "a:-b"),
        ("${env:${NAME}}", "text"),
    ];
    for (text, expected) in cases {
        let (node, problems, _) = expanded(text, "f");
        assert_eq!(problems, [], "{text}");
        assert_eq!(both(&node).0, expected, "{text}");
    }
}

/// Observed as above, decoded into `any`.
#[test]
fn a_value_that_is_one_variable_has_the_type_of_what_that_holds() {
    let cases = [
        ("${N}", "42"),
        ("${OCT}", "8"),
        ("${FLOAT}", "1.0"),
        ("${TRUE}", "true"),
        ("${EMPTY}", "null"),
        ("${env:U:-}", "''"),
        ("${NULLV}", "null"),
        ("${T}", "'text'"),
        ("${L}", r#"["'a'", "'b'"]"#),
        ("${LN}", r#"["1", "'x'"]"#),
        ("${REFN}", "42"),
        ("${REFL}", r#"["'a'", "'b'"]"#),
        ("${LREF}", r#"["'text'", "'$x'", "42"]"#),
        ("${env:U:-${env:U2:-7}}", "7"),
        ("${env:U:-[a, b]}", r#"["'a'", "'b'"]"#),
        ("${yaml:[1_000, 0x1F]}", r#"["1000", "31"]"#),
        ("${N}${N}", "'4242'"),
        ("1${N}", "'142'"),
    ];
    for (text, expected) in cases {
        let (node, problems, _) = expanded(text, "f");
        assert_eq!(problems, [], "{text}");
        assert_eq!(both(&node).1, expected, "{text}");
    }
}

#[test]
fn what_is_no_variable_is_told_with_what_there_is() {
    let cases = [
        ("${vault:x}", "`${vault:x}` is not known", "there are ${env:NAME}"),
        ("${http:x}", "`${http:x}` is not known", "there are"),
        ("${x:y}", "`${x:y}` is not known", "there are"),
        ("${T:-d}", "`${T:-...}` is not known", "${env:T:-...}"),
        ("${MY_T:-d}", "`${MY_T:-...}` is not known", "${env:MY_T:-...}"),
        ("${U}", "the environment variable U is not set", "${env:NAME:-default}"),
        ("x${env:U}y", "the environment variable U is not set", "give a default"),
        ("${env:U:-${U2}}", "the environment variable U2 is not set", "give a default"),
        ("${}", "the name of an environment variable", "there are"),
        ("${1}", "the name of an environment variable", "$$"),
        ("${ T}", "the name of an environment variable", "there are"),
        ("${env:T }", "the name of an environment variable", "there are"),
        ("${env:U:-$x}", "must not have a `$` in it", "$$"),
        ("${T", "`${` without its `}`", "$$"),
        ("${T}${", "`${` without its `}`", "$$"),
        ("${env:LOOP}", "hold too many others", "must not hold itself"),
        ("${LL}", "hold too many others", "must not hold itself"),
        ("${file:/nowhere/at/all}", "/nowhere/at/all cannot be read", "relative to the file"),
    ];
    for (text, message, help) in cases {
        let (_, problems, _) = expanded(text, "f");
        let [problem] = &problems[..] else { panic!("{text}: {problems:?}") };
        assert!(problem.message.contains(message), "{text}: {problem:?}");
        assert!(problem.help.as_deref().unwrap_or_default().contains(help), "{text}: {problem:?}");
    }
}

#[test]
fn files_are_read_beside_the_file_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    write("token", "tok\n");
    write("count", "010\n");
    write("list.yaml", "[a, \"${T}\"]\n");
    write("sub/map.yaml", "x: ${N}\ny: ${file:list.yaml}\nz: ${file:other.yaml}\n");
    write("sub/other.yaml", "[1]");
    write("broken.yaml", "a: [\nb: 1\n");
    let name = folder.path().join("f.yaml").display().to_string();
    let value = |text: &str| {
        let (node, problems, _) = expanded(text, &name);
        (both(&node), problems)
    };
    // As the Collector has it, the line break included.
    assert_eq!(value("${file:token}").0.0, "tok\n");
    assert_eq!(value("x${file:token}y").0.0, "xtok\ny");
    assert_eq!(value("${file:count}").0.1, "8");
    assert_eq!(value("${file:list.yaml}").0.1, r#"["'a'", "'text'"]"#);
    let (node, problems, sources) = expanded("${file:sub/map.yaml}", &name);
    assert!(both(&node).1.starts_with("{x: 42, y: '"), "{node:?}");
    assert!(both(&node).1.ends_with(r#", z: ["1"]}"#), "{node:?}");
    // It names a file that lies elsewhere: told at its place in the file that does.
    let told = Diagnostics::new(&sources, problems).to_string();
    assert!(told.contains("sub/map.yaml:2:4: `${file:list.yaml}`: "), "{told}");
    assert!(told.contains(" 2 | y: ${file:list.yaml}"), "{told}");
    let (_, problems) = value("${file:broken.yaml}");
    assert!(problems[0].message.contains("broken.yaml:1:4"), "{problems:?}");
}

#[test]
fn what_variables_hold_is_not_repeated() {
    let variable = |name: &str| match name {
        "A" => Some("${hunter2}".to_owned()),
        "B" => Some("${env:U:-${env:hunter2}".to_owned()),
        "C" => Some("${hunter2:x}".to_owned()),
        "D" => Some("${env:hunter 2}".to_owned()),
        _ => None,
    };
    for text in ["${A}", "${B}}", "${C}", "${D}", "${env:${C}}", "${file:${D}}"] {
        let (mut sources, mut problems) = (vec![Source::new("f", text)], Vec::new());
        let mut node = Node::new(Place::default(), Value::Text(text.to_owned()));
        Expander::new(&variable, &mut sources, &mut problems).below(&mut node, false);
        assert!(!problems.is_empty(), "{text}");
        assert!(!format!("{problems:?}").contains("hunter"), "{text}: {problems:?}");
    }
}

#[test]
fn texts_in_lists_that_variables_hold_are_not_repeated() {
    let variable = |name: &str| match name {
        "A" => Some("[\"${vault:hunter2}\"]".to_owned()),
        "B" => Some("{a: [\"x${env:HUNTER2}\", \"${hunter2:-x}\"]}".to_owned()),
        "C" => Some("[\"${file:/hunter2}\"]".to_owned()),
        _ => None,
    };
    for text in ["${A}", "${B}", "${C}"] {
        let (mut sources, mut problems) = (vec![Source::new("f", text)], Vec::new());
        let mut node = Node::new(Place::default(), Value::Text(text.to_owned()));
        Expander::new(&variable, &mut sources, &mut problems).below(&mut node, false);
        assert!(!problems.is_empty(), "{text}");
        let told = format!("{problems:?}").to_lowercase();
        assert!(!told.contains("hunter"), "{text}: {problems:?}");
    }
}

#[test]
fn paths_that_variables_hold_are_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("hunter2.yaml", "a: ${file:other.yaml}\nb: ${U}\n");
    write("other.yaml", "[1]");
    write("hunter3.yaml", "a: [\nb: 1\n");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let variable = |name: &str| match name {
        "NAME" => Some(path("hunter2.yaml")),
        "FILE" => Some(format!("${{file:{}}}", path("hunter2.yaml"))),
        "BROKEN" => Some(path("hunter3.yaml")),
        "NONE" => Some(path("hunter4.yaml")),
        _ => None,
    };
    for text in ["${file:${NAME}}", "${FILE}", "${file:${BROKEN}}", "${file:${NONE}}"] {
        let (mut sources, mut problems) = (vec![Source::new("f", text)], Vec::new());
        let mut node = Node::new(Place::default(), Value::Text(text.to_owned()));
        Expander::new(&variable, &mut sources, &mut problems).below(&mut node, false);
        // What it names is looked for beside it.
        assert!(!problems.iter().any(|it| it.message.contains("other.yaml")), "{problems:?}");
        let told = Diagnostics::new(&sources, problems).to_string();
        assert!(told.contains(NAMED_INSIDE) && !told.contains("hunter"), "{text}: {told}");
    }
}

#[test]
fn a_text_is_not_made_longer_than_it_may_be() {
    let variable = |name: &str| (name == "V").then(|| "x".repeat(MAX_TEXT / 4));
    for (count, is_fine) in [(3, true), (5, false)] {
        let text = "${V}".repeat(count);
        let (mut sources, mut problems) = (vec![Source::new("f", text.as_str())], Vec::new());
        let mut node = Node::new(Place::default(), Value::Text(text));
        Expander::new(&variable, &mut sources, &mut problems).below(&mut node, false);
        assert_eq!(problems.is_empty(), is_fine, "{problems:?}");
        assert!(is_fine || problems[0].message.contains("longer than 1 MiB"), "{problems:?}");
    }
    assert_eq!(replaced("a${V}b${V}", "${V}", "xyz").unwrap(), "axyzbxyz");
    assert_eq!(replaced("${V}", "${V}", &"x".repeat(MAX_TEXT + 1)), None);
}

#[test]
fn names_as_shells_have_them_are_noticed() {
    for (text, found) in [
        ("$SERVICE", Some(0..8)),
        ("Bearer $TOKEN", Some(7..13)),
        ("http://$HOST:1", Some(7..12)),
        ("^a$|^b$", None),
        ("a$B1", None),
        ("$$NAME", None),
        ("$1", None),
        ("$A", None),
        ("US$ 5", None),
    ] {
        assert_eq!(plain_dollar(text), found, "{text}");
    }
}
