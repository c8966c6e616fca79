//! Errors for people: what is wrong, where, what was expected, what to do.

use std::fmt;

/// Where something stands in a file. Lines and columns count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    /// Characters that are meant; at least 1 is marked.
    pub(super) length: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) place: Place,
    pub(super) message: String,
    /// What was expected, or what to do.
    pub(super) help: Option<String>,
}

/// Everything that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Diagnostics {
    file: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    problem: Problem,
    /// The line it is about, without what may be secret.
    excerpt: Option<String>,
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
        Self { file: file.to_owned(), entries: vec![Entry { problem, excerpt: None }] }
    }

    /// Problems with excerpts of `text`. Of the lines in `secret_lines` only the keys are shown.
    pub(super) fn new(
        file: &str,
        text: &str,
        mut problems: Vec<Problem>,
        secret_lines: &[usize],
    ) -> Self {
        problems.sort_by_key(|problem| problem.place);
        let lines: Vec<&str> = text.lines().collect();
        let entry = |problem: Problem| {
            let number = problem.place.line;
            let line = number.checked_sub(1).and_then(|index| lines.get(index));
            let is_secret = |line: &str| secret_lines.contains(&number) || is_secret_name(line);
            let excerpt = line.map(|line| match line.split_once(':') {
                Some((key, _)) if is_secret(line) => format!("{key}: ..."),
                None if is_secret(line) => "...".to_owned(),
                _ => (*line).to_owned(),
            });
            Entry { problem, excerpt }
        };
        Self { file: file.to_owned(), entries: problems.into_iter().map(entry).collect() }
    }
}

impl Diagnostics {
    /// One line each: place, message, what to do.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |Entry { problem: Problem { place, message, help }, .. }: &Entry| {
            let help = help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            match place.line {
                0 => format!("{}: {message}{help}", self.file),
                line => format!("{}:{line}:{}: {message}{help}", self.file, place.column),
            }
        };
        self.entries.iter().map(line).collect()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Entry { problem, excerpt }) in self.entries.iter().enumerate() {
            let Problem { place, message, help } = problem;
            if number > 0 {
                write!(f, "\n\n")?;
            }
            match (place.line, place.column) {
                (0, _) => write!(f, "{}: {message}", self.file)?,
                (line, column) => write!(f, "{}:{line}:{column}: {message}", self.file)?,
            }
            if let Some(excerpt) = excerpt {
                let margin = place.line.to_string();
                let blank = " ".repeat(margin.len());
                write!(f, "\n {blank} |\n {margin} | {excerpt}")?;
                let visible = excerpt.chars().count();
                if place.column <= visible {
                    let most = visible + 1 - place.column;
                    let carets = "^".repeat(place.length.clamp(1, most));
                    write!(f, "\n {blank} | {}{carets}", " ".repeat(place.column - 1))?;
                }
            }
            if let Some(help) = help {
                write!(f, "\n   = {help}")?;
            }
        }
        if self.entries.len() > 1 {
            write!(f, "\n\n{} errors", self.entries.len())?;
        }
        Ok(())
    }
}
