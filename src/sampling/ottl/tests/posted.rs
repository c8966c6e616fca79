//! `tests/policies/posted.txt`: which conditions are taken, and that it is said why
//! the others are not.

use std::{fs, path::Path};

use crate::sampling::ottl::{Context, compile};

#[test]
fn conditions_as_people_post_them_are_taken() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies/posted.txt");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let (mut taken, mut wrong) = (0, Vec::new());
    for line in lines {
        let (is_refused, rest) = match line.strip_prefix("! ") {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        let (context, condition) = match rest.strip_prefix("event: ") {
            Some(condition) => (Context::SpanEvent, condition),
            None => (Context::Span, rest),
        };
        taken += usize::from(!is_refused);
        match (compile(condition, context), is_refused) {
            (Ok(_), false) => {}
            (Ok(_), true) => wrong.push(format!("{line}: is taken")),
            (Err(error), false) => wrong.push(format!("{line}: {error}")),
            (Err(error), true) if error.help.is_none() && error.message.len() < 50 => {
                wrong.push(format!("{line}: it is not said why: {error}"));
            }
            (Err(_), true) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > 100, "{taken} are taken");
}
