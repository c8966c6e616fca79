//! Reads the text format of Prometheus, as the recorder writes it.

/// The labels of a series, in the order in which they stand.
pub type Labels = Vec<(String, String)>;

/// A series and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Its value.
    pub value: f64,
}

impl Series {
    /// The value of one of its labels.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| &**value)
    }
}

/// All series of a text, with their names. A line that cannot be read is left out.
pub fn series(text: &str) -> impl Iterator<Item = (&str, Series)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(read_line)
}

fn read_line(line: &str) -> Option<(&str, Series)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => read_labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, Series { labels, value }))
}

/// The labels up to the closing brace, and what follows it.
fn read_labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = read_value(after)?;
        labels.push((name.to_owned(), value));
        rest = after;
    }
}

/// A value up to the closing quote, and what follows it.
fn read_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    None
}
