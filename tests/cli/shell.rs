//! What shells and people at a terminal get: `--version`, completions, man pages.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::{tailsieve, told};

fn printed(args: &[&str]) -> String {
    let (code, out, error) = told(&tailsieve(args));
    assert_eq!(code, 0, "{args:?}: {error}");
    out
}

#[test]
fn the_version_says_what_was_built() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(printed(&["-V"]), format!("tailsieve {version}\n"));
    let text = printed(&["--version"]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(&*format!("tailsieve {version}")));
    let features = if cfg!(feature = "tls") { "tls" } else { "none" };
    let fields: Vec<_> = lines.map(|line| line.split_once(": ").expect("name and value")).collect();
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["commit", "features", "target", "librdkafka"], "{text}");
    assert_eq!(fields[1].1, features);
    assert!(fields.iter().all(|(_, value)| !value.is_empty() && !value.contains('$')), "{text}");
}

/// The commands that `tailsieve help` lists.
fn commands() -> BTreeSet<String> {
    let help = printed(&["help"]);
    let (_, list) = help.split_once("Commands:\n").expect("the list");
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    let name = |line: &str| line.split_whitespace().next().map(str::to_owned);
    lines.filter_map(name).filter(|name| name != "help").collect()
}

/// What bash offers behind `words`, the last of which is being typed.
fn completed(words: &[&str]) -> BTreeSet<String> {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("tailsieve");
    fs::write(&script, printed(&["completions", "bash"])).unwrap();
    let typed = words.last().expect("a word");
    let ask = format!(
        "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; _tailsieve tailsieve '{typed}' '{}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        script.display(),
        words.iter().map(|word| format!("'{word}' ")).collect::<String>(),
        words.len() - 1,
        words[words.len().saturating_sub(2)],
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    let (code, out, error) = told(&output);
    assert_eq!((code, &*error), (0, ""), "{ask}");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let offered = completed(&["tailsieve", ""]);
    let missing: Vec<_> = commands().into_iter().filter(|it| !offered.contains(it)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(completed(&["tailsieve", "deci"]), ["decide", "decisions"].map(Into::into).into());
    let options = completed(&["tailsieve", "decisions", "--"]);
    assert!(options.contains("--no-follow") && options.contains("--brokers"), "{options:?}");
    let values = completed(&["tailsieve", "decisions", "--output", ""]);
    assert_eq!(values, ["text", "json"].map(Into::into).into());
}

#[test]
fn every_shell_has_its_script() {
    for (shell, head) in [("zsh", "#compdef tailsieve"), ("fish", "# Print an optspec")] {
        let script = printed(&["completions", shell]);
        assert!(script.starts_with(head), "{shell}: {script}");
        let missing: Vec<_> = commands().into_iter().filter(|it| !script.contains(it)).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
    }
    let (code, _, error) = told(&tailsieve(&["completions", "tcsh"]));
    assert_eq!(code, 2, "{error}");
}

#[test]
fn every_command_has_its_man_page() {
    let dir = tempfile::tempdir().unwrap();
    printed(&["man", dir.path().to_str().unwrap()]);
    let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let found: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
    let mut expected: BTreeSet<_> =
        commands().iter().map(|command| format!("tailsieve-{command}.1")).collect();
    expected.extend(
        ["tailsieve.1", "tailsieve-convert-refinery.1", "tailsieve-whatif-merge.1"]
            .map(str::to_owned),
    );
    assert_eq!(found, expected);
    let page = fs::read_to_string(dir.path().join("tailsieve-health.1")).unwrap();
    for part in [".SH NAME", "tailsieve health", "\\-\\-timeout", "Exit codes:"] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    let (code, _, error) = told(&tailsieve(&["man", "/nowhere"]));
    assert_eq!(code, 2, "{error}");
    assert!(error.contains("create it before"), "{error}");
}
