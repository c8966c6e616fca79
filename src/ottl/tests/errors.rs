//! What does not compile, and what is said about it.

use crate::ottl::{Context, compile};

/// The text with the place of the error between `<` and `>`, the message, and the help.
fn report(text: &str, context: Context) -> String {
    let error = compile(text, context).expect_err(text);
    let end = error.offset + error.length;
    let (before, at, after) = (&text[..error.offset], &text[error.offset..end], &text[end..]);
    let help = error.help.map(|help| format!(" ({help})")).unwrap_or_default();
    format!("{before}«{at}»{after} | {}{help}", error.message)
}

#[test]
fn the_place_and_the_remedy_are_told() {
    let cases = [
        // The text ends, or goes on, where it should not.
        r#"«» | expected a condition, found the end"#,
        r#"name «=» 1 | expected a comparison, found `=` (write `==`)"#,
        r#"name == «» | expected a value to compare with, found the end"#,
        r#"name == "a" «"b"» | expected `and`, `or` or the end, found `"b"`"#,
        r#"name == "a" and «or» true | expected a condition, found `or`"#,
        r#"(name == "a"«» | expected `and`, `or` or `)`, found the end"#,
        r#"not «not» true | expected a condition, found `not`"#,
        r#"1 == 1 «==» 1 | expected `and`, `or` or the end, found `==` (conditions are not compared)"#,
        r#"attributes["a"]«» | expected a comparison, found the end (write `attributes["a"] == true`)"#,
        r#"attributes["a" «==» 1 | expected `]`, found `==`"#,
        r#"-«name» == 1 | expected a number, found `name`"#,
        // What has no place in the subset.
        r#"name «=>» 1 | `=>` has no meaning here (lambda expressions are not supported here)"#,
        r#"true «&&» false | `&&` has no meaning here (write `and`)"#,
        r#"«!»true | `!` has no meaning here (write `not`, or `!=` for unequal)"#,
        r#"name == «'»a' | `'` has no meaning here (a string stands in double quotes)"#,
        r#"name == «ä» | `ä` has no meaning here"#,
        r#"1 «*» 2 == 2 | `*` has no meaning here (arithmetic is not supported here)"#,
        r#"name == «["a"]» | a list has no meaning here (a list stands as the first argument of `Concat` only)"#,
        // Literals.
        r#"name == «"a» | a string without an end: expected `"`"#,
        r#"name == "a«\d»" | `\d` is no escape of a string (for a backslash write two: `\\d`)"#,
        r#"name == "«\x»g0" | `\x` is no escape of a string (for a backslash write two: `\\x`)"#,
        r#"name == "«\ud800»" | `\ud800` is no escape of a string (for a backslash write two: `\\ud800`)"#,
        r#"name == «0xabc» | bytes need an even number of hexadecimal digits"#,
        r#"kind == «08» | 08 is no 64-bit number (a leading zero makes it octal)"#,
        r#"kind == «9223372036854775808» | 9223372036854775808 is no 64-bit number"#,
        r#"kind == «1.0e999» | a number that is too large"#,
        // Names.
        r#"«attribute["a"]» == 1 | unknown path `attribute` (did you mean `attributes`?)"#,
        r#"«span.stauts.code» == 1 | unknown path `stauts.code` (did you mean `status.code`?)"#,
        r#"«resource.xyz» == 1 | unknown path `xyz` (known here: attributes)"#,
        r#"«trace.spans» == 1 | unknown path `spans` (did you mean `span_count`?)"#,
        r#"«spanevent.name» == "a" | a condition on spans has no event (put the condition under `spanevent`)"#,
        r#"«attributes» == nil | the key of the attribute is missing (for example `attributes["http.route"]`)"#,
        r#"attributes[«0»] == nil | the key of an attribute is a string (for example `attributes["http.route"]`)"#,
        r#"«attributes["a"].b» == 1 | nothing follows the key of `attributes` (a value in a map is written `["key"]["inner key"]`)"#,
        r#"«name["a"]» == 1 | `name` cannot be indexed"#,
        r#"«trace_state[0]» == "a" | `trace_state` is indexed with one string"#,
        r#"attributes[«1.5»] == 1 | a key is a string or a whole number"#,
        r#"kind == «SPAN_KIND_SEVER» | unknown enum `SPAN_KIND_SEVER` (did you mean `SPAN_KIND_SERVER`?)"#,
        r#"«IsMatsch»(name, "a") | unknown function `IsMatsch` (did you mean `IsMatch`?)"#,
        r#"«isMatch»(name, "a") | `isMatch` is no function (did you mean `IsMatch`?)"#,
        r#"«set»(name, "a") == 1 | `set` is no function (the name of a function starts with an upper case letter)"#,
        r#"IsRootSpan«» | expected a comparison, found the end (a call is `IsRootSpan()`)"#,
        // Arguments and types.
        r#"«IsMatch(name)» | wrong arguments: expected IsMatch(target, pattern)"#,
        r#"«IsRootSpan(1)» | wrong arguments: expected IsRootSpan()"#,
        r#"«HasPrefix(target=name, target=name)» | wrong arguments: expected HasPrefix(target, prefix)"#,
        r#"HasPrefix(name, «sufix»="a") | HasPrefix has no `sufix` (known here: target, prefix)"#,
        r#"HasPrefix(target=name, «"a"») | the name of the argument is missing"#,
        r#"IsMatch(name, «nil») | IsMatch takes a string here"#,
        r#"«IsMatch(name, "(")» | invalid regular expression: unclosed group"#,
        r#"«Len(name)» | Len yields no boolean: compare it with a value"#,
        r#"IsString(«1») | IsString takes a string here"#,
        r#"Int(«0x01») == 1 | Int takes what can be made an int here"#,
        r#"Double(«"abc"») == 1 | Double takes what can be made a double here"#,
        r#"Substring(name, «"0"», 1) == "a" | Substring takes an int here"#,
        r#"Substring(name, 0, 1, «nil») == "a" | Substring takes `true` or `false` here"#,
        r#"Concat(«name», "a") == "b" | Concat takes a list here (for example `Concat([name, kind], "-")`)"#,
        r#"Concat([name], "")«[»0] == "b" | Concat gives nothing to index"#,
        // Levels.
        r#"«name == root.name» | a single comparison cannot be about a span and about the root span (compare each with a literal, and join the two by `and` or `or`)"#,
        r#"kind == 1 and «HasPrefix(name, root.name)» | a single comparison cannot be about a span and about the root span (compare each with a literal, and join the two by `and` or `or`)"#,
        r#"«trace.span_count > attributes["n"]» | a single comparison cannot be about the trace and about a span (compare each with a literal, and join the two by `and` or `or`)"#,
        r#"«IsRootSpan() == root.name» | a single comparison cannot be about a span and about the root span (compare each with a literal, and join the two by `and` or `or`)"#,
    ];
    let mut wrong = Vec::new();
    for case in cases {
        let (marked, _) = case.split_once(" | ").unwrap();
        let found = report(&marked.replace(['«', '»'], ""), Context::Span);
        if found != case {
            wrong.push(format!("found:    {found}\nexpected: {case}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn conditions_on_events_do_not_know_root_spans() {
    let expected = "«IsRootSpan»() | IsRootSpan is not known in conditions on events (write \
                    `span.parent_span_id.string == \"0000000000000000\"`)";
    assert_eq!(report("IsRootSpan()", Context::SpanEvent), expected);
    let expected = "«status.code» == 1 | unknown path `status.code` (known here: name, \
                    time_unix_nano, dropped_attributes_count, attributes)";
    assert_eq!(report("status.code == 1", Context::SpanEvent), expected);
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert!(compile(&deep(64), Context::Span).is_ok());
    let error = compile(&deep(65), Context::Span).unwrap_err();
    assert_eq!(error.message, "brackets and calls nest more than 64 deep");
    let calls = format!("{}1{}", "String(".repeat(9000), ")".repeat(10));
    let lists = "Concat([".repeat(8000);
    let keys = format!("attributes{} == 1", "[\"a\"]".repeat(10_000));
    let chain = format!("true{}", " and not true".repeat(5000));
    assert!(compile(&calls, Context::Span).is_err());
    assert!(compile(&lists, Context::Span).is_err());
    assert!(compile(&keys, Context::Span).is_ok());
    assert!(compile(&chain, Context::Span).is_ok());
    let long = format!("name == \"{}\"", "a".repeat(65_536));
    let error = compile(&long, Context::Span).unwrap_err();
    assert_eq!(error.message, "a condition has at most 65536 bytes");
}
