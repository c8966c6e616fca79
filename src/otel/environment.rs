//! Environment variables, read as OpenTelemetry specifies it: an empty one counts as not set; a number or
//! a name that is not understood is a warning and counts as not set, too.
//!
//! Source: OpenTelemetry specification, "Environment Variable Specification".

use std::cell::RefCell;
use std::time::Duration;

use thiserror::Error;

use crate::export::Signal;

/// What integers have to be below, in every implementation.
const MAX_INTEGER: u64 = i32::MAX as u64;

/// A variable has a value with which nothing can be sent.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{variable}: {reason}")]
pub struct EnvironmentError {
    /// The variable.
    pub variable: String,
    /// What is wrong with it, without what is secret.
    pub reason: String,
}

/// The environment of the process, and what is to be said about it.
pub struct Environment<'a> {
    read: &'a dyn Fn(&str) -> Option<String>,
    warnings: RefCell<Vec<String>>,
}

impl<'a> Environment<'a> {
    /// Variables as `read` gives them.
    pub fn new(read: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { read, warnings: RefCell::default() }
    }

    /// What was not understood, and is ignored.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    pub(super) fn warn(&self, warning: String) {
        let mut warnings = self.warnings.borrow_mut();
        // A variable of all signals is asked for each.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }

    /// The text of a variable that is set.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text = (self.read)(name)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The variable `OTEL_EXPORTER_OTLP_<SIGNAL>_<what>`, or else `OTEL_EXPORTER_OTLP_<what>`: its name
    /// and its text.
    pub(super) fn of_signal(&self, signal: Signal, what: &str) -> Option<(String, String)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", signal.name().to_uppercase());
        [own, format!("OTEL_EXPORTER_OTLP_{what}")]
            .into_iter()
            .find_map(|name| self.text(&name).map(|text| (name, text)))
    }

    /// True only if it is `true`.
    pub(super) fn boolean(&self, name: &str) -> bool {
        let Some(text) = self.text(name) else { return false };
        let is_true = text.eq_ignore_ascii_case("true");
        if !is_true && !text.eq_ignore_ascii_case("false") {
            self.warn(format!("{name}={text} is neither true nor false, and counts as false"));
        }
        is_true
    }

    /// An integer of at least `least`.
    pub(super) fn integer(&self, name: &str, least: u64) -> Option<u64> {
        let text = self.text(name)?;
        let number = text.parse().ok().filter(|number| (least..=MAX_INTEGER).contains(number));
        if number.is_none() {
            self.warn(format!(
                "{name}={text} is ignored: expected a whole number from {least} to {MAX_INTEGER}"
            ));
        }
        number
    }

    /// A number of milliseconds.
    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        self.integer(name, 0).map(Duration::from_millis)
    }

    /// A number of milliseconds, of which 0 means without end.
    pub(super) fn timeout(&self, name: &str) -> Option<Duration> {
        let timeout = self.duration(name)?;
        Some(if timeout.is_zero() { Duration::from_millis(MAX_INTEGER) } else { timeout })
    }

    /// One of some names, and what it stands for. The case does not matter.
    pub(super) fn choice<T: Copy>(
        &self,
        (name, text): (&str, &str),
        choices: &[(&str, T)],
    ) -> Option<T> {
        let found = choices.iter().find(|(choice, _)| choice.eq_ignore_ascii_case(text));
        if found.is_none() {
            let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
            let names = names.join(", ");
            self.warn(format!("{name}={text} is ignored: expected one of {names}"));
        }
        found.map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> impl Fn(&str) -> Option<String> {
        move |name| (name == "X").then(|| value.to_owned())
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let read = of("  ");
        let environment = Environment::new(&read);
        assert_eq!(environment.text("X"), None);
        assert_eq!((environment.integer("X", 0), environment.boolean("X")), (None, false));
        assert_eq!(environment.warnings(), [""; 0]);
    }

    #[test]
    fn a_value_that_is_not_understood_is_told_and_ignored() {
        for (text, warns) in [("17", 0), ("-1", 1), ("2147483648", 1), ("1s", 1), ("0", 0)] {
            let read = of(text);
            let environment = Environment::new(&read);
            let is_read = environment.integer("X", 0).is_some();
            assert_eq!((is_read, environment.warnings().len()), (warns == 0, warns), "{text}");
        }
        let read = of("0");
        let environment = Environment::new(&read);
        assert_eq!(environment.integer("X", 1), None, "below what is allowed");
        assert_eq!(environment.duration("X"), Some(Duration::ZERO));
        assert!(environment.timeout("X").unwrap() > Duration::from_secs(1_000_000), "without end");
    }

    #[test]
    fn only_true_is_true() {
        for (text, is_true, warnings) in
            [("TRUE", true, 0), ("false", false, 0), ("1", false, 1), ("yes", false, 1)]
        {
            let read = of(text);
            let environment = Environment::new(&read);
            assert_eq!(environment.boolean("X"), is_true, "{text}");
            assert_eq!(environment.warnings().len(), warnings, "{text}");
        }
    }

    #[test]
    fn a_signal_has_its_own_variable_before_that_of_all() {
        let read = |name: &str| name.starts_with("OTEL_EXPORTER_OTLP_").then(|| name.to_owned());
        let environment = Environment::new(&read);
        let (name, _) = environment.of_signal(Signal::Logs, "HEADERS").unwrap();
        assert_eq!(name, "OTEL_EXPORTER_OTLP_LOGS_HEADERS");
        let read = |name: &str| (name == "OTEL_EXPORTER_OTLP_HEADERS").then(|| "a=b".to_owned());
        let (name, _) = Environment::new(&read).of_signal(Signal::Logs, "HEADERS").unwrap();
        assert_eq!(name, "OTEL_EXPORTER_OTLP_HEADERS");
    }
}
