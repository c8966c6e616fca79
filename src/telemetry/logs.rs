//! Logs: set up once, before anything is logged.
//!
//! Owns the subscriber of `tracing`. Lines go to standard error: as text if that is a terminal, else as
//! JSON objects, unless a format is given. Warnings and errors are remembered, see
//! [`recent_logs`](super::recent_logs).

use std::io::{self, IsTerminal};
use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::recent_logs::Recorder;

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

/// Sets logs up for the process.
///
/// # Errors
/// When the filter cannot be read, or logs are set up already.
pub fn init(format: LogFormat, filter: Option<&str>) -> Result<(), TelemetryError> {
    let filter = parse_filter(filter.unwrap_or(DEFAULT_FILTER))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let is_text = match format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    if is_text {
        builder.with_ansi(io::stderr().is_terminal()).finish().with(Recorder).try_init()?;
    } else {
        builder.json().flatten_event(true).finish().with(Recorder).try_init()?;
    }
    Ok(())
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
