use super::*;
use crate::options::scalar::place_within;

#[test]
fn parts_of_scalars_are_found_whatever_yaml_did_to_them() {
    // The file, and where the `!` of its scalar stands.
    let cases = [
        ("a: one !", (1, 8)),
        ("a: 'one !'", (1, 9)),
        ("a: 'it''s !'", (1, 11)),
        (r#"a: "x\"\t\u00e9 !""#, (1, 17)),
        ("a: [ü, \"b !\"]", (1, 11)),
        ("a: |\n  one\n  é !\n", (3, 5)),
        ("a: |-\n    \"k\" ==\n      two !\n", (3, 11)),
        ("a: >\n  one\n  two\n\n  three !\n", (5, 9)),
        ("a: one\n  two !\nb: c\n", (2, 7)),
        ("a: \"one \\\n  two !\"\n", (2, 7)),
        ("a: 'one\n\n  two !'\n", (3, 7)),
        ("a: x$$ !", (1, 8)),
        ("a: |\r\n  one\r\n  two !\r\n", (3, 7)),
        // The environment: the scalar as a whole.
        ("a: ${env:TAILSIEVE_TEST_UNSET:-x} !", (1, 4)),
    ];
    for (file, expected) in cases {
        let mut document = Document::parse_alone("f", file).unwrap();
        document.substitute(&[]);
        let node = document.root.find("a");
        let node = if let Value::List(items) = &node.value { &items[1] } else { node };
        let Value::Text(text) = &node.value else { panic!("{file:?}: {node:?}") };
        let at = text.find('!').unwrap();
        let place = place_within(file, node, at..at + 1);
        assert_eq!((place.line, place.column), expected, "{file:?}");
    }
}

#[test]
fn what_is_beyond_the_text_is_no_panic() {
    let document = Document::parse("f", "a: abc").unwrap();
    let node = document.root.find("a");
    assert_eq!(place_within("a: abc", node, 3..3).column, 7);
    assert_eq!(place_within("a: abc", node, 9..99), node.place);
    assert_eq!(place_within("", node, 0..1), node.place);
    assert_eq!(place_within("a: äbc", node, 1..9), node.place);
}
