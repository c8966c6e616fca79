//! The tables of options within `docs/policies.md`, each between two comments; and its examples.

use std::fs;
use std::path::{Path, PathBuf};

use super::table::{File, Table};
use crate::config::policies::FileOptions;
use crate::options::Schemas;
use crate::sampling::policy::spec::PolicyKind;
use crate::sampling::policy::written::{self, Level};

const BEGIN: &str = "<!-- options: ";
const END: &str = "<!-- end of options -->";

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policies.md")
}

fn described() -> File {
    let mut schemas = Schemas::default();
    let root = schemas.object::<FileOptions>();
    written::describe_list(&mut schemas, Level::Top);
    let keys = std::mem::take(&mut schemas.keys);
    let root = serde_json::from_str(&schemas.print("", root)).expect("a schema is JSON");
    File { root, keys }
}

/// The text with its tables printed anew, and what they are of.
fn renewed(text: &str, file: &File) -> (String, Vec<String>) {
    let (mut new, mut rest, mut found) = (String::new(), text, Vec::new());
    while let Some((before, behind)) = rest.split_once(BEGIN) {
        let (what, behind) = behind.split_once(" -->").expect("the comment ends");
        let (_, behind) = behind.split_once(END).expect("the table ends");
        // `decision_cache: DecisionCache`
        let (path, name) = what.split_once(": ").unwrap_or(("", what));
        let mut table = String::new();
        Table { file, name, path }.print(&mut table);
        new += &format!("{before}{BEGIN}{what} -->\n\n{table}\n{END}");
        found.push(name.to_owned());
        rest = behind;
    }
    (new + rest, found)
}

#[test]
fn the_tables_are_printed_from_the_descriptions() {
    let file = described();
    let text = fs::read_to_string(page()).unwrap();
    let (new, found) = renewed(&text, &file);
    if std::env::var_os("TAILSIEVE_UPDATE").is_some() {
        fs::write(page(), &new).unwrap();
    }
    let text = fs::read_to_string(page()).unwrap();
    let hint = "docs/policies.md is not what the code says; \
                TAILSIEVE_UPDATE=1 cargo test --lib config::reference writes it";
    assert!(text == new, "{hint}");
    let sections = file.keys.iter().filter(|(_, keys)| !keys.is_empty());
    let missing: Vec<_> =
        sections.filter(|(name, _)| !found.iter().any(|it| it == *name)).collect();
    assert!(missing.is_empty(), "docs/policies.md has no table of {missing:?}");
}

/// What the command line does with the examples is tested in `tests/cli/documented.rs`.
#[test]
fn every_type_has_a_section() {
    let text = fs::read_to_string(page()).unwrap();
    let headings: Vec<&str> = text.lines().filter(|line| line.starts_with("### ")).collect();
    for name in PolicyKind::NAMES {
        let name = format!("`{name}`");
        assert!(headings.iter().any(|heading| heading.contains(&name)), "no section on {name}");
    }
}
