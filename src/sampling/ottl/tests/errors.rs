//! What does not compile, and what is said about it.

use crate::sampling::ottl::{Context, compile};

/// The text with the place of the error between `<` and `>`, the message, and the help.
fn report(text: &str, context: Context) -> String {
    let Err(error) = compile(text, context) else { return format!("{text} | is taken") };
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
        r#"attributes["a"]«» | expected a comparison, found the end (write `attributes["a"] == true`, or `attributes["a"] != nil` to ask whether it is there)"#,
        r#"attributes["a" «==» 1 | expected `]`, found `==`"#,
        r#"name«» | expected a comparison, found the end (a path by itself is no answer: compare it, for example `name == "a"`)"#,
        r#"-«"a"» == 1 | expected a number, a path or a call, found `"a"` (only numbers, times and durations are computed with)"#,
        r#"2 * «"a"» == 1 | expected a number, a path or a call, found `"a"` (only numbers, times and durations are computed with)"#,
        r#""a" «+» "b" == "ab" | expected a comparison, found `+` (only numbers, times and durations are computed with)"#,
        r#"«STATUS_CODE_ERROR» + 1 == 3 | the name of a number cannot be computed with (only numbers, times and durations are computed with)"#,
        r#"end_time_unix_nano - start_time_unix_nano«» | expected a comparison, found the end (a number is no answer: for example `end_time_unix_nano - start_time_unix_nano > 0`)"#,
        r#"(kind «==» 1) == true | expected `)` or an operator, found `==` (conditions are not compared)"#,
        r#"{«a»: 1} == nil | expected a key in double quotes, or `}`, found `a` (for example `{"key": 1}`)"#,
        r#"name <«>» "a" | expected a value to compare with, found `>` (unequal is `!=`, and at most is `<=`)"#,
        r#"name «in» ["a"] | expected a comparison, found `in` (write `ContainsValue(["a", "b"], name)`, or a comparison for each, joined by `or`)"#,
        r#"name «contains» "a" | expected a comparison, found `contains` (write `IsMatch(name, "expression")`)"#,
        r#"name == "a" «AND» kind == 1 | expected `and`, `or` or the end, found `AND` (write `and`)"#,
        r#"(name == "a" «OR» kind == 1) | expected `and`, `or` or `)`, found `OR` (write `or`)"#,
        // What has no place in the subset.
        r#"name «=>» 1 | `=>` has no meaning here (functions that take an expression are experimental in the Collector, which refuses them, too)"#,
        r#"true «&&» false | `&&` has no meaning here (write `and`)"#,
        r#"«!»true | `!` has no meaning here (write `not`, or `!=` for unequal)"#,
        r#"name == «'»a' | `'` has no meaning here (a string stands in double quotes)"#,
        r#"name == «ä» | `ä` has no meaning here"#,
        r#"kind «%» 2 == 0 | `%` has no meaning here (there is no remainder in OTTL)"#,
        r#"name =«~» "a" | `~` has no meaning here (write `IsMatch(name, "expression")`)"#,
        r#"name «!~» "a" | `!~` has no meaning here (write `not IsMatch(name, "expression")`)"#,
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
        r#"«trace.spans» == 1 | unknown path `spans` (known here: duration_ms, span_count, error_count, service_count, bytes)"#,
        r#"«spanevent.name» == "a" | a condition on spans has no event (put the condition under `spanevent`)"#,
        r#"«resource.attributes» == nil | the key of the attribute is missing (only the attributes that a condition names are looked for, and all of them only of spans (`span.attributes`))"#,
        r#"«http.method» == "GET" | unknown path `http.method` (an attribute is written `attributes["http.method"]`)"#,
        r#"«attributes.user» == "a" | unknown path `attributes.user` (an attribute is written `attributes["user"]`)"#,
        r#"«resource.service.name» == "a" | unknown path `service.name` (write `resource.attributes["service.name"]`)"#,
        r#"«duration» > 5 | unknown path `duration` (how long a span took is `span.duration_ms`, or `end_time_unix_nano - start_time_unix_nano`; of the trace it is `trace.duration_ms`)"#,
        r#"name == «null» | unknown path `null` (what is missing is `nil`)"#,
        r#"attributes[«name»] == 1 | the key is different for every span (attributes are looked for by the keys that stand in the file: write the key as a string)"#,
        r#"attributes[«0»] == nil | the key of an attribute is a string (for example `attributes["http.route"]`)"#,
        r#"«attributes["a"].b» == 1 | nothing follows the key of `attributes` (a value in a map is written `["key"]["inner key"]`)"#,
        r#"«name["a"]» == 1 | `name` cannot be indexed"#,
        r#"«trace_state[0]» == "a" | `trace_state` is indexed with one string"#,
        r#"attributes[«1.5»] == 1 | a key is a string or a whole number"#,
        r#"kind == «SPAN_KIND_SEVER» | unknown enum `SPAN_KIND_SEVER` (did you mean `SPAN_KIND_SERVER`?)"#,
        r#"«IsMatsch»(name, "a") | unknown function `IsMatsch` (did you mean `IsMatch`?)"#,
        r#"«isMatch»(name, "a") | `isMatch` is no function of conditions (did you mean `IsMatch`?)"#,
        r#"«set»(name, "a") == 1 | `set` is no function of conditions (it changes spans, and a condition only asks)"#,
        r#"«foo»(name) == 1 | `foo` is no function of conditions (the name of a function starts with an upper case letter)"#,
        r#"«ConvertCasee»(name, "lower") == "a" | unknown function `ConvertCasee` (did you mean `ConvertCase`?)"#,
        r#"«Foo»(name) == 1 | unknown function `Foo` (docs/policies.md lists the functions, section OTTL)"#,
        r#"start_time < «Now»() | Now is not known here (it reads the wall clock, and a decision has to be the same when the records are read again: compare the times of spans with each other)"#,
        r#"«UUID»() == "a" | UUID is not known here (it is different every time, and a decision has to be the same when the records are read again: for a share of the traces use `probabilistic`)"#,
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
        r#"Concat(«"b"», "a") == "b" | Concat takes a list here (for example `Concat([name, kind], "-")`)"#,
        r#"Hour(«5») == 1 | Hour takes a time (such as `start_time`, or `Time(...)`) here"#,
        r#"Seconds(«Unix(5)») == 1 | Seconds takes a duration (such as `Duration("5s")`, or `end_time - start_time`) here"#,
        r#"Trim(name, «kind.string») == "a" | Trim takes a string, written here as it is, here"#,
        r#"«ConvertCase(name, "title")» == "A" | `title` is no case: known are lower, upper, snake, camel"#,
        r#"«IsInCIDR(name, ["10.0.0"])» | `10.0.0` is no network: for example `10.0.0.0/8`"#,
        r#"not «IsEmpty(events)» | IsEmpty of events or links is never true: write `Len(events) == 0`"#,
        r#"«Coalesce([])» == nil | Coalesce takes one value at least"#,
        r#"«IsMatch(name, "a{1001}")» | invalid regular expression: a repetition of more than 1000: RE2, which the Collector has, refuses it; repetitions in each other are multiplied"#,
        r#"«ExtractPatterns(name, "(a)")["a"]» == "b" | no group of the expression has a name: write `(?P<name>...)`"#,
        r#"«Time(name, "%H:%M", "UTC")» == start_time | a time without a year is one of the current year, and that depends on when it is read"#,
        r#"«Time(name, "%Y-%m-%d")» == start_time | a time without an offset is one in the zone of the machine: give "UTC" as the third argument"#,
        // What has no value for any span.
        r#"«1 / 0» == 1 | this has no value: a division by zero"#,
        r#"end_time - start_time > «Duration("5 seconds")» | this has no value: Duration cannot read a text (a duration is written like `500ms`, `5s` or `1h30m`)"#,
        r#"«-Duration("1s")» == Duration("-1s") | this has no value: a value of type duration has no negative"#,
        r#"«Len(nil)» == 0 or name == "leaf" | this has no value: Len takes no nil"#,
        r#"«Len(42)» == 2 | this has no value: Len takes no int"#,
        r#"trace_id == «TraceID("12")» | this has no value: TraceID cannot read a text (a trace id is 16 bytes (`0x...`), or the text of its 32 digits)"#,
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
    let expected = "«status.code» == 1 | an event has no `status.code` (of its span it is \
                    `span.status.code`)";
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
