//! What is known of a metric before anything is counted, and how its handles are made.

use std::fmt::Write as _;

use metrics::{
    Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};

/// What kind of metric it is, in the words of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, and begins at 0 when the process starts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How many observations were how large.
    Histogram,
}

impl Kind {
    /// As it stands in a scrape.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// The values that it has.
    pub values: Values,
}

/// The values of a label.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These and no others.
    OneOf(fn() -> Vec<&'static str>),
    /// Any, as described.
    Any(&'static str),
}

/// A metric family: all that is known of it before anything is counted.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its full name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// What its value is a number of.
    pub unit: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
    /// What it says, for those who look at it.
    pub help: &'static str,
    /// Under which condition it is there, unless it always is.
    pub only: Option<&'static str>,
    /// It stays 0 unless something is wrong.
    pub must_stay_zero: bool,
    /// Whether it may be relied on.
    pub stability: Stability,
}

/// How far a name may be relied on, in the words of OpenTelemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stability {
    /// It changes only with a line in the changelog, and not before a release has had both names.
    Stable,
    /// It may change with any release.
    Development,
}

impl Stability {
    /// Its name.
    #[cfg(test)]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Development => "development",
        }
    }
}

impl Family {
    /// The labels of the series with these values.
    fn series(&self, values: &[&str]) -> Vec<metrics::Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "{} has these labels", self.name);
        let labels = self.labels.iter().zip(values);
        labels
            .map(|(label, value)| {
                debug_assert!(label.may_be(value), "{} = {value} of {}", label.name, self.name);
                metrics::Label::new(label.name, (*value).to_owned())
            })
            .collect()
    }
}

impl Label {
    /// Whether it can have this value.
    pub fn may_be(&self, value: &str) -> bool {
        match self.values {
            Values::OneOf(values) => values().contains(&value),
            Values::Any(_) => true,
        }
    }
}

/// Families that belong together.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// What to know before one looks at them.
    pub text: &'static str,
    /// In reading order.
    pub families: &'static [Family],
}

/// A family whose handles are of the type `H`.
pub struct Metric<H> {
    family: Family,
    register: fn(&Family, Vec<metrics::Label>) -> H,
}

impl<H> Metric<H> {
    const fn new(
        kind: Kind,
        (name, unit): (&'static str, &'static str),
        help: &'static str,
        register: fn(&Family, Vec<metrics::Label>) -> H,
    ) -> Self {
        let (labels, only, must_stay_zero) = (&[], None, false);
        let stability = Stability::Stable;
        let family = Family { name, kind, unit, labels, help, only, must_stay_zero, stability };
        Self { family, register }
    }

    /// It has labels.
    pub(super) const fn by(mut self, labels: &'static [Label]) -> Self {
        self.family.labels = labels;
        self
    }

    /// It is there under a condition.
    pub(super) const fn only(mut self, condition: &'static str) -> Self {
        self.family.only = Some(condition);
        self
    }

    /// It stays 0 unless something is wrong.
    pub(super) const fn must_stay_zero(mut self) -> Self {
        self.family.must_stay_zero = true;
        self
    }

    /// It may change with any release.
    pub(super) const fn in_development(mut self) -> Self {
        self.family.stability = Stability::Development;
        self
    }

    /// What is known of it.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The handle of the one series that it has, at the installed recorder.
    pub fn handle(&self) -> H {
        self.with(&[])
    }

    /// The handle of the series whose labels have these values.
    pub fn with(&self, values: &[&str]) -> H {
        (self.register)(&self.family, self.family.series(values))
    }

    /// The handles of all series whose labels begin with `values`: one for each value of the last
    /// label, in their order.
    pub fn each(&self, values: &[&str]) -> Vec<H> {
        let last = match self.family.labels.last().map(|label| label.values) {
            Some(Values::OneOf(last)) => last(),
            _ => Vec::new(),
        };
        debug_assert!(
            !last.is_empty(),
            "the last label of {} has a set of values",
            self.family.name
        );
        last.into_iter().map(|last| self.with(&[values, &[last]].concat())).collect()
    }

    /// A series and its value in the text format of Prometheus, for what no recorder can hold.
    pub fn text(&self, values: &[&str], value: f64) -> String {
        let Family { name, kind, help, .. } = self.family;
        let mut text = format!("# HELP {name} {help}\n# TYPE {name} {}\n{name}", kind.name());
        let labels = self.family.series(values);
        let labels: Vec<String> =
            labels.iter().map(|label| format!("{}=\"{}\"", label.key(), label.value())).collect();
        if !labels.is_empty() {
            let _ = write!(text, "{{{}}}", labels.join(","));
        }
        let _ = write!(text, " {value}\n\n");
        text
    }
}

/// A counter.
pub(super) const fn counter(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
) -> Metric<Counter> {
    Metric::new(Kind::Counter, (name, unit), help, |family, labels| {
        describe_counter!(family.name, family.help);
        counter!(family.name, labels)
    })
}

/// A gauge.
pub(super) const fn gauge(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
) -> Metric<Gauge> {
    Metric::new(Kind::Gauge, (name, unit), help, |family, labels| {
        describe_gauge!(family.name, family.help);
        gauge!(family.name, labels)
    })
}

/// A histogram.
pub(super) const fn histogram(
    name: &'static str,
    unit: &'static str,
    help: &'static str,
) -> Metric<Histogram> {
    Metric::new(Kind::Histogram, (name, unit), help, |family, labels| {
        describe_histogram!(family.name, family.help);
        histogram!(family.name, labels)
    })
}
