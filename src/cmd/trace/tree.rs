//! The spans of a trace as a tree, with a bar for the time of each.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};

use crate::cmd::printable::printable;

/// How much of a name is printed at most, in characters.
const LONGEST: usize = 60;

/// Columns that a bar has at least, and at most.
const BAR: (usize, usize) = (8, 60);

/// A span, and how deep it stands.
#[derive(Debug)]
struct Row {
    /// Lines that lead to its parent.
    branch: String,
    name: String,
    service: String,
    start: u64,
    end: u64,
    /// What its status says, if that is an error.
    error: Option<String>,
}

/// The spans of a trace, each below its parent.
#[derive(Debug, Default)]
pub(super) struct Tree {
    rows: Vec<Row>,
}

/// Spans by the place they were found at.
struct Nodes<'a> {
    spans: Vec<(&'a Span, String)>,
    /// By place: those whose parent it is, by their starts.
    children: HashMap<usize, Vec<usize>>,
}

impl Tree {
    /// A span whose parent is not there stands like a root.
    pub(super) fn of(data: &TracesData) -> Self {
        let mut spans = Vec::new();
        for resource in &data.resource_spans {
            let service = resource.resource.as_ref().map_or_else(String::new, service);
            let scopes = resource.scope_spans.iter();
            spans.extend(scopes.flat_map(|scope| &scope.spans).map(|span| (span, service.clone())));
        }
        let mut nodes = Nodes { spans, children: HashMap::new() };
        let roots = nodes.link();
        let (mut tree, mut seen) = (Self::default(), HashSet::new());
        for root in roots {
            tree.add(&nodes, root, &mut seen);
        }
        // Spans that are each other's parents, in a ring.
        for place in nodes.by_start(0..nodes.spans.len()) {
            if !seen.contains(&place) {
                tree.add(&nodes, place, &mut seen);
            }
        }
        tree
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a span and all below it. Does not call itself: a trace may be a chain of thousands.
    fn add(&mut self, nodes: &Nodes<'_>, root: usize, seen: &mut HashSet<usize>) {
        let mut waiting = vec![(root, String::new(), String::new())];
        while let Some((place, branch, below)) = waiting.pop() {
            if !seen.insert(place) {
                continue;
            }
            self.rows.push(nodes.row(place, branch));
            let children = nodes.children.get(&place).map_or(&[][..], Vec::as_slice);
            for (number, child) in children.iter().enumerate().rev() {
                let is_last = number + 1 == children.len();
                let (knee, line) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                waiting.push((*child, format!("{below}{knee}"), format!("{below}{line}")));
            }
        }
    }

    /// Writes a line for each span.
    pub(super) fn write(&self, width: usize, out: &mut impl Write) -> io::Result<()> {
        let longest = |of: &dyn Fn(&Row) -> usize| self.rows.iter().map(of).max().unwrap_or(0);
        let half = width / 2;
        let names = longest(&|row| count(&row.branch) + count(&row.name)).min(half);
        let services = longest(&|row| count(&row.service)).min(width / 5);
        let start = self.rows.iter().map(|row| row.start).min().unwrap_or(0);
        let end = self.rows.iter().map(|row| row.end).max().unwrap_or(0);
        // Two spaces between columns, and ten for a duration.
        let bar = width.saturating_sub(names + services + 16).clamp(BAR.0, BAR.1);
        let scale = Scale { start, length: end.saturating_sub(start).max(1), bar };
        for row in &self.rows {
            let name = padded(&format!("{}{}", row.branch, row.name), names);
            let service = padded(&row.service, services);
            let duration = time(row.end.saturating_sub(row.start));
            let error = row.error.as_ref().map_or_else(String::new, |it| format!("  {it}"));
            let bar = padded(&scale.bar(row), bar);
            writeln!(out, "{name}  {service}  {bar}  {duration:>9}{error}")?;
        }
        Ok(())
    }
}

impl Nodes<'_> {
    /// Finds the children of each span; returns those that are nobody's, by their starts.
    fn link(&mut self) -> Vec<usize> {
        let places = self.spans.iter().enumerate();
        // Of spans that came twice, the first is the parent.
        let by_id: HashMap<&[u8], usize> =
            places.rev().map(|(place, (span, _))| (span.span_id.as_slice(), place)).collect();
        let mut roots = Vec::new();
        for place in self.by_start(0..self.spans.len()) {
            let parent = by_id.get(self.spans[place].0.parent_span_id.as_slice());
            match parent.filter(|parent| **parent != place) {
                Some(parent) => self.children.entry(*parent).or_default().push(place),
                None => roots.push(place),
            }
        }
        roots
    }

    fn by_start(&self, places: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut places: Vec<usize> = places.collect();
        places.sort_by_key(|place| self.spans[*place].0.start_time_unix_nano);
        places
    }

    fn row(&self, place: usize, branch: String) -> Row {
        let (span, service) = &self.spans[place];
        let status = span.status.as_ref().filter(|it| it.code == StatusCode::Error as i32);
        let error = status.map(|status| match printable(&status.message, LONGEST) {
            message if message.is_empty() => "ERROR".to_owned(),
            message => format!("ERROR {message}"),
        });
        let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        let name = printable(&span.name, LONGEST);
        Row { branch, name, service: service.clone(), start, end, error }
    }
}

fn service(resource: &Resource) -> String {
    let attribute = resource.attributes.iter().find(|it| it.key == "service.name");
    match attribute.and_then(|it| it.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(name)) => printable(name, LONGEST),
        _ => String::new(),
    }
}

/// Where on a bar a time is.
struct Scale {
    start: u64,
    length: u64,
    /// Columns.
    bar: usize,
}

impl Scale {
    fn bar(&self, row: &Row) -> String {
        let cell = |time: u64| {
            let since = u128::from(time.saturating_sub(self.start)) * self.bar as u128;
            usize::try_from(since / u128::from(self.length)).unwrap_or(self.bar).min(self.bar)
        };
        let from = cell(row.start).min(self.bar - 1);
        let cells = cell(row.end).saturating_sub(from);
        let drawn = if cells == 0 { "▏".to_owned() } else { "█".repeat(cells) };
        format!("{}{drawn}", " ".repeat(from))
    }
}

fn count(text: &str) -> usize {
    text.chars().count()
}

/// The text in so many columns: cut, or with spaces behind it.
fn padded(text: &str, columns: usize) -> String {
    let length = count(text);
    if length <= columns {
        return format!("{text}{}", " ".repeat(columns - length));
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A duration with its unit, three digits of it.
fn time(nanos: u64) -> String {
    let duration = Duration::from_nanos(nanos);
    let (value, unit) = match nanos {
        0..1_000 => (nanos as f64, "ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (duration.as_secs_f64(), "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    let digits = if unit == "ns" { 0 } else { digits };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Status};

    use super::*;

    const MS: u64 = 1_000_000;

    fn span(id: u8, parent: u8, name: &str, (start, end): (u64, u64)) -> Span {
        Span {
            span_id: vec![id; 8],
            parent_span_id: if parent == 0 { vec![] } else { vec![parent; 8] },
            name: name.into(),
            start_time_unix_nano: start * MS,
            end_time_unix_nano: end * MS,
            ..Span::default()
        }
    }

    fn data(service: &str, spans: Vec<Span>) -> TracesData {
        let value = Some(AnyValue { value: Some(Value::StringValue(service.into())) });
        let attribute = KeyValue { key: "service.name".into(), value, ..KeyValue::default() };
        let resource = Resource { attributes: vec![attribute], ..Resource::default() };
        let scope = ScopeSpans { spans, ..ScopeSpans::default() };
        let resource_spans = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        };
        TracesData { resource_spans: vec![resource_spans] }
    }

    fn text(data: &TracesData, width: usize) -> String {
        let mut out = Vec::new();
        Tree::of(data).write(width, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_span_stands_below_its_parent() {
        let mut failed = span(3, 2, "SELECT", (50, 75));
        let (code, message) = (StatusCode::Error as i32, "dead\u{1b}lock".to_owned());
        failed.status = Some(Status { code, message });
        let spans = vec![
            failed,
            span(4, 1, "GET /stock", (80, 100)),
            span(1, 0, "GET /", (0, 100)),
            span(2, 1, "POST /pay", (25, 75)),
            span(5, 9, "orphan", (100, 100)),
        ];
        let expected = "\
GET /          shop  █████████████████████     100 ms
├─ POST /pay   shop       ██████████          50.0 ms
│  └─ SELECT   shop            █████          25.0 ms  ERROR dead�lock
└─ GET /stock  shop                  █████    20.0 ms
orphan         shop                      █       0 ns
";
        assert_eq!(text(&data("shop", spans), 54), expected);
    }

    #[test]
    fn rings_chains_and_twins_end() {
        let ring = data("a", vec![span(1, 2, "one", (0, 1)), span(2, 1, "two", (0, 1))]);
        assert_eq!(text(&ring, 80).lines().count(), 2);
        let twins = data("a", vec![span(1, 1, "self", (0, 1)), span(1, 0, "twin", (0, 1))]);
        assert_eq!(text(&twins, 80).lines().count(), 2);
        let chain = (1..=200).map(|id| span(id, id - 1, "deep", (0, 1))).collect();
        assert_eq!(text(&data("a", chain), 40).lines().count(), 200);
        assert_eq!(text(&TracesData::default(), 0), "");
    }

    #[test]
    fn times_and_clocks_that_disagree_are_drawn() {
        let spans =
            vec![span(1, 0, &"n".repeat(500), (10, 5)), span(2, 1, "b", (0, u64::MAX / MS))];
        for width in [0, 10, 80, 300] {
            assert_eq!(text(&data(&"s".repeat(500), spans.clone()), width).lines().count(), 2);
        }
        assert_eq!(
            [0, 999, 1_500, 12_345_678, 61_000_000_000].map(time),
            ["0 ns", "999 ns", "1.50 µs", "12.3 ms", "61.0 s"]
        );
    }
}
