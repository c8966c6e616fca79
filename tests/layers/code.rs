//! Rust source as far as the layers ask: the names in it, without comments, literals and
//! what is compiled for tests only.

use std::path::{Path, PathBuf};

/// One source file.
pub struct Source {
    /// Its path below `src`.
    pub file: PathBuf,
    /// The modules that it lies in, from the top, itself last.
    pub modules: Vec<String>,
    tokens: Vec<String>,
}

impl Source {
    /// Reads the text of `file`, a path below `src`.
    pub fn new(file: &Path, text: &str) -> Self {
        let mut modules: Vec<String> = file
            .iter()
            .map(|part| part.to_str().unwrap().trim_end_matches(".rs").to_owned())
            .collect();
        if modules.last().is_some_and(|last| last == "mod") {
            modules.pop();
        }
        Self { file: file.to_owned(), modules, tokens: without_tests(tokens(text)) }
    }

    /// The paths of this crate that it names, from the top, whole as far as they are written.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for at in (0..self.tokens.len()).filter(|at| !self.is_continued(*at)) {
            if let Some((at, base)) = self.base(at) {
                self.follow(at, &base, &mut paths);
            }
        }
        paths
    }

    /// Whether a path begins with `name`, or ends with it: a crate or a type.
    pub fn names(&self, name: &str) -> bool {
        let is_type = name.starts_with(char::is_uppercase);
        (0..self.tokens.len())
            .any(|at| self.tokens[at] == name && (is_type || !self.is_continued(at)))
    }

    /// Whether a function of this name is defined in it.
    pub fn has_function(&self, name: &str) -> bool {
        self.tokens.windows(2).any(|pair| pair[0] == "fn" && pair[1] == name)
    }

    /// Whether the token goes on with a path of this crate. (`::name` begins one.)
    fn is_continued(&self, at: usize) -> bool {
        let before = |distance| at.checked_sub(distance).map(|at| self.tokens[at].as_str());
        before(1) == Some("::")
            && before(2).is_some_and(|token| {
                token != "use" && token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            })
    }

    /// Where a path goes on that begins at `at`, and the modules that its `crate` or `super` stands for.
    fn base(&self, at: usize) -> Option<(usize, Vec<String>)> {
        let mut at = at;
        let mut base = self.modules.clone();
        match self.token(at) {
            "crate" => base.clear(),
            "super" => {
                base.pop();
                while self.token(at + 1) == "::" && self.token(at + 2) == "super" {
                    base.pop();
                    at += 2;
                }
            }
            _ => return None,
        }
        (self.token(at + 1) == "::").then_some((at + 2, base))
    }

    /// Adds the paths that stand at `at`, below `base`: one, or a group in braces. Returns the place
    /// after them.
    fn follow(&self, at: usize, base: &[String], paths: &mut Vec<Vec<String>>) -> usize {
        let mut at = at;
        if self.token(at) == "{" {
            while !matches!(self.token(at), "}" | "") {
                at += 1;
                if !matches!(self.token(at), "," | "}") {
                    at = self.follow(at, base, paths);
                }
                // `as name`
                while !matches!(self.token(at), "," | "}" | "") {
                    at += 1;
                }
            }
            return at + 1;
        }
        let mut path = base.to_vec();
        path.push(self.token(at).to_owned());
        if self.token(at + 1) == "::" {
            return self.follow(at + 2, &path, paths);
        }
        paths.push(path);
        at + 1
    }

    fn token(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", String::as_str)
    }
}

/// Names and punctuation; comments and literals are left out.
pub fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest)).or_else(|| character(rest));
        let length = if let Some(length) = skipped {
            length
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if skipped.is_none() && !first.is_whitespace() {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// Length of the comment that `text` begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut open = 0;
    let mut at = 0;
    while at < text.len() {
        let here = &text.as_bytes()[at..];
        if here.starts_with(b"/*") {
            open += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            open -= 1;
            at += 2;
        } else {
            at += 1;
        }
        if open == 0 {
            break;
        }
    }
    Some(at)
}

/// Length of the string literal that `text` begins with, raw and byte strings too.
fn string(text: &str) -> Option<usize> {
    let prefix = text.find(|c| !matches!(c, 'b' | 'c' | 'r')).filter(|prefix| *prefix <= 2)?;
    let body = &text[prefix..];
    if text[..prefix].contains('r') {
        let hashes = body.find(|c| c != '#')?;
        let inside = body[hashes..].strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(hashes));
        let length = inside.find(&end).map_or(inside.len(), |at| at + end.len());
        return Some(prefix + hashes + 1 + length);
    }
    quoted(body, '"').map(|length| prefix + length)
}

/// Length of the character literal that `text` begins with; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let mut inside = text.strip_prefix('\'')?.chars();
    let is_literal = inside.next()? == '\\' || inside.next() == Some('\'');
    is_literal.then(|| quoted(text, '\'')).flatten()
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let inside = text.strip_prefix(quote)?;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        if c == quote && !escaped {
            return Some(1 + at + 1);
        }
        escaped = c == '\\' && !escaped;
    }
    Some(text.len())
}

/// The tokens without the items under `#[cfg(test)]`.
fn without_tests(tokens: Vec<String>) -> Vec<String> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at..].len() >= ATTRIBUTE.len() && tokens[at..at + ATTRIBUTE.len()] == ATTRIBUTE {
            at = end_of_item(&tokens, at + ATTRIBUTE.len());
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The place after the item that begins at `at`: after its `;`, or the braces it ends with.
fn end_of_item(tokens: &[String], mut at: usize) -> usize {
    let is_use = tokens.get(at).is_some_and(|token| token == "use");
    let mut open = 0;
    while at < tokens.len() {
        let token = tokens[at].as_str();
        at += 1;
        match token {
            "{" => open += 1,
            "}" => open -= 1,
            _ => {}
        }
        if open == 0 && (token == ";" || (token == "}" && !is_use)) {
            break;
        }
    }
    at
}
