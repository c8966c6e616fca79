//! What was found, and how it is shown.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Ok,
    /// It could not be looked at.
    Skipped,
    /// It works, and something is lost or will be.
    Warning,
    /// It does not work, or loses what it promises.
    Error,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One check and how it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked, for example `timestamps`.
    pub check: &'static str,
    /// How it came out.
    pub state: State,
    /// What was found.
    pub text: String,
    /// The command or the setting that fixes it.
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, state: State::Ok, text: text.into(), fix: None }
    }

    /// It could not be looked at.
    pub fn skipped(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, state: State::Skipped, text: text.into(), fix: None }
    }

    /// Something deserves attention.
    pub fn warning(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Warning, text: text.into(), fix: Some(fix.into()) }
    }

    /// Something does not work.
    pub fn error(check: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Error, text: text.into(), fix: Some(fix.into()) }
    }
}

/// The worst of what was found.
pub fn worst(findings: &[Finding]) -> State {
    let bad = findings.iter().map(|finding| finding.state).filter(|it| *it > State::Skipped);
    bad.max().unwrap_or(State::Ok)
}

/// For people: a line each, with its fix below, and a line that sums them up.
pub fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, state, text: found, fix } in findings {
        let indent = "\n          ";
        let _ = writeln!(text, "{:<9} {check}: {}", state.name(), found.replace('\n', indent));
        if let Some(fix) = fix {
            let _ = writeln!(text, "          -> {}", fix.replace('\n', "\n             "));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let counts = [State::Error, State::Warning, State::Skipped, State::Ok]
        .map(|state| (count(state), state.name()));
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, name)| format!("{count} {name}")).collect();
    let _ = writeln!(text, "{}", counts.join(", "));
    text
}

/// For programs.
pub fn json(findings: &[Finding]) -> Value {
    let checks = findings.iter().map(|Finding { check, state, text, fix }| {
        json!({ "check": check, "state": state.name(), "text": text, "fix": fix })
    });
    json!({ "state": worst(findings).name(), "checks": checks.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_a_line_each_and_the_worst_counts() {
        let mut findings = vec![Finding::ok("a", "fine"), Finding::skipped("b", "no answer")];
        assert_eq!(worst(&findings), State::Ok);
        findings.push(Finding::warning("c", "odd", "do this\nand that"));
        assert_eq!(worst(&findings), State::Warning);
        findings.push(Finding::error("d", "broken", "mend it"));
        assert_eq!(worst(&findings), State::Error);
        let expected = "ok        a: fine\nskipped   b: no answer\nwarning   c: odd\n          \
                        -> do this\n             and that\nerror     d: broken\n          -> mend \
                        it\n1 error, 1 warning, 1 skipped, 1 ok\n";
        assert_eq!(text(&findings), expected);
        assert_eq!(json(&findings)["checks"][3]["fix"], "mend it");
        assert_eq!(json(&findings)["state"], "error");
    }
}
