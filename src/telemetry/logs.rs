//! Logs: set up once, before anything is logged.
//!
//! Owns the subscriber of `tracing`. Lines go to standard error: as text if that is a terminal, else as
//! JSON objects, unless a format is given. Warnings and errors are remembered, see
//! [`recent_logs`](super::recent_logs).

use std::fmt;
use std::io::{self, IsTerminal};
use std::str::FromStr;

use thiserror::Error;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::recent_logs::Recorder;
use super::trace_context::{self, TraceContext};

/// The default filter.
const DEFAULT_FILTER: &str = "info";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text.
    Text,
    /// JSON, one object a line.
    Json,
}

/// Why logs cannot be set up.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error(
        "log filter {filter:?}: {reason}; expected a level or e.g. `info,tailsieve::kafka::source=debug`"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is a subscriber already.
    #[error(transparent)]
    Init(#[from] TryInitError),
}

/// Reads a filter: a level (`debug`), or directives such as `info,tailsieve::kafka::source=debug`.
///
/// # Errors
/// When it is not a filter.
pub fn parse_filter(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::from_str(filter).map_err(|error| TelemetryError::Filter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })
}

/// Something else that is told of spans and lines.
pub type OwnLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Sets logs up for the process, with what `own` makes of the filter.
///
/// # Errors
/// When the filter cannot be read, or logs are set up already.
pub fn init(
    format: LogFormat,
    filter: Option<&str>,
    own: impl FnOnce(EnvFilter) -> Option<OwnLayer>,
) -> Result<(), TelemetryError> {
    let filter = filter.unwrap_or(DEFAULT_FILTER);
    let is_text = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    // Without this, spans would be kept for nothing: lines show the ids of those that are told.
    let is_event = |metadata: &Metadata<'_>| metadata.is_event();
    let events: FilterFn<_> = filter_fn(is_event).with_max_level_hint(LevelFilter::TRACE);
    let shown = parse_filter(filter)?.and(events);
    let registry = tracing_subscriber::registry().with(own(parse_filter(filter)?));
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    if is_text {
        let layer = layer.with_ansi(io::stderr().is_terminal());
        registry.with(layer.and_then(Recorder).with_filter(shown)).try_init()?;
    } else {
        let layer = layer.json().flatten_event(true).map_event_format(Correlated);
        registry.with(layer.and_then(Recorder).with_filter(shown)).try_init()?;
    }
    Ok(())
}

/// JSON lines, with the ids of the own span that a line belongs to.
struct Correlated<F>(F);

impl<S, N, F> FormatEvent<S, N> for Correlated<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(TraceContext { trace_id, span_id, .. }) = trace_context::current() else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let (trace, span) = (u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id));
        let open = line.trim_end();
        let open = open.strip_suffix('}').unwrap_or(open);
        writeln!(writer, "{open},\"trace_id\":\"{trace:032x}\",\"span_id\":\"{span:016x}\"}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_named() {
        assert!(parse_filter("info,tailsieve::kafka::source=debug").is_ok());
        let error = parse_filter("tailsieve=lots").unwrap_err().to_string();
        assert!(error.contains("tailsieve=lots"), "{error}");
    }
}
