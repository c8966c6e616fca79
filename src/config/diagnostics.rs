//! Errors for people: what is wrong, where, what was expected, what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) use crate::options::{Place, Problem, lines};

/// A text that values stand in.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// What errors call it.
    pub(super) name: String,
    /// What paths in it are relative to, if its name does not tell: a variable named the file.
    pub(super) folder: Option<PathBuf>,
    pub(super) text: Arc<str>,
    /// Of these lines only the keys are shown.
    pub(super) secret_lines: Vec<usize>,
}

impl Source {
    pub(super) fn new(name: &str, text: impl Into<Arc<str>>) -> Self {
        let (folder, secret_lines) = (None, Vec::new());
        Self { name: name.to_owned(), folder, text: text.into(), secret_lines }
    }

    /// The folder that paths in it are relative to.
    pub(super) fn folder(&self) -> &Path {
        let beside = || Path::new(&self.name).parent().unwrap_or(Path::new(""));
        self.folder.as_deref().unwrap_or_else(beside)
    }
}

/// Everything that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics {
    file: String,
    findings: Vec<Finding>,
}

/// One thing that was found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file it stands in, if that is another one, which a variable names.
    pub file: Option<String>,
    /// Counts from 1; 0 if it is about the file as a whole.
    pub line: usize,
    /// In characters, from 1; 0 if it is about the file as a whole.
    pub column: usize,
    /// How many characters are meant.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What was expected, or what to do.
    pub help: Option<String>,
    /// The line it is about, without what may be secret.
    pub excerpt: Option<String>,
}

/// Words that mark a line whose value is not shown.
const SECRET_WORDS: [&str; 9] = [
    "password",
    "passphrase",
    "secret",
    "authorization",
    "token",
    "api-key",
    "api_key",
    "apikey",
    "jaas",
];

/// True if a key of this name, or a line with it, may hold a secret.
pub(super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word)) || name.ends_with(".pem")
}

impl Diagnostics {
    /// The file as a whole is of no use.
    pub(super) fn of_file(file: &str, message: String) -> Self {
        let problem = Problem { place: Place::default(), message, help: None };
        Self { file: file.to_owned(), findings: vec![Finding::new(problem, None)] }
    }

    /// Problems with excerpts of the sources, of which the first is the file. Lines that may hold
    /// secrets are shown without their values.
    pub(super) fn new(sources: &[Source], mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        let findings = problems.into_iter().map(|problem| {
            let Some(source) = sources.get(problem.place.source) else {
                return Finding::new(problem, None);
            };
            let excerpt = source.excerpt(problem.place.line);
            let file = (problem.place.source > 0).then(|| source.name.clone());
            Finding { file, ..Finding::new(problem, excerpt) }
        });
        let file = sources.first().map(|source| source.name.clone()).unwrap_or_default();
        Self { file, findings: findings.collect() }
    }
}

impl Source {
    /// The line of this number, as it may be shown.
    fn excerpt(&self, number: usize) -> Option<String> {
        let line = lines(&self.text).nth(number.checked_sub(1)?)?;
        let is_secret = self.secret_lines.contains(&number) || is_secret_name(line);
        Some(match line.split_once(':') {
            Some((key, _)) if is_secret => format!("{key}: ..."),
            None if is_secret => "...".to_owned(),
            _ => line.to_owned(),
        })
    }
}

impl Diagnostics {
    /// What errors call the file.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What is wrong, in the order of the file.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// One line each: place, message, what to do.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |finding: &Finding| {
            let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{}{}{help}", finding.place_in(&self.file), finding.message)
        };
        self.findings.iter().map(line).collect()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, finding) in self.findings.iter().enumerate() {
            if number > 0 {
                write!(f, "\n\n")?;
            }
            write!(f, "{}", finding.shown(&self.file, ""))?;
        }
        if self.findings.len() > 1 {
            write!(f, "\n\n{} errors", self.findings.len())?;
        }
        Ok(())
    }
}

impl Finding {
    fn new(problem: Problem, excerpt: Option<String>) -> Self {
        let Problem { place: Place { line, column, length, .. }, message, help } = problem;
        Self { file: None, line, column, length, message, help, excerpt }
    }

    fn place_in(&self, file: &str) -> String {
        let file = self.file.as_deref().unwrap_or(file);
        match self.line {
            0 => format!("{file}: "),
            line => format!("{file}:{line}:{}: ", self.column),
        }
    }

    /// For people: its place, what it is (for example `warning: `), the excerpt, what to do.
    pub fn shown(&self, file: &str, what: &str) -> String {
        let mut shown = format!("{}{what}{}", self.place_in(file), self.message);
        if let Some(excerpt) = &self.excerpt {
            let margin = self.line.to_string();
            let blank = " ".repeat(margin.len());
            shown += &format!("\n {blank} |\n {margin} | {excerpt}");
            let visible = excerpt.chars().count();
            // What is missing at the end of a line is marked behind it.
            if (1..=visible + 1).contains(&self.column) {
                let most = (visible + 1 - self.column).max(1);
                let carets = "^".repeat(self.length.clamp(1, most));
                shown += &format!("\n {blank} | {}{carets}", " ".repeat(self.column - 1));
            }
        }
        if let Some(help) = &self.help {
            shown += &format!("\n   = {help}");
        }
        shown
    }
}
