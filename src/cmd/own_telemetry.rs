//! Own telemetry of a process: begun before anything is logged, ended when the command ends.

use std::sync::Arc;

use tracing::{info, warn};

use super::process::{CommandError, LogOptions};
use crate::otel::{Environment, EnvironmentError, Otel, OtelSettings};
use crate::telemetry::logs::LogFormat;

/// Own telemetry over OTLP, if the environment asks for it. What is left is sent when it is dropped.
pub struct OwnTelemetry(Option<Arc<Otel>>);

impl OwnTelemetry {
    /// Sets logs up, with `format` and `filter` where the command line says nothing, and starts what the
    /// environment asks for. `instance` tells the process apart, if something does.
    ///
    /// # Errors
    /// When the filter or a variable cannot be used.
    pub fn start(
        logs: &LogOptions,
        (format, filter): (LogFormat, Option<&str>),
        instance: Option<&str>,
    ) -> Result<Self, CommandError> {
        let Some(settings) = settings(instance).map_err(CommandError::usage)? else {
            logs.init(format, filter)?;
            return Ok(Self(None));
        };
        let warnings = settings.warnings.clone();
        let otel = Otel::new(settings);
        logs.init_with(format, filter, |filter| Some(otel.layer(filter)))?;
        otel.start().map_err(CommandError::usage)?;
        let signals: Vec<&str> =
            otel.settings().signals().iter().map(|(signal, _)| signal.name()).collect();
        info!(signals = signals.join(","), "otel.started");
        warnings.iter().for_each(|warning| warn!(warning, "otel.environment"));
        Ok(Self(Some(Arc::new(otel))))
    }

    /// It, if there is any.
    pub fn otel(&self) -> Option<Arc<Otel>> {
        self.0.clone()
    }
}

impl Drop for OwnTelemetry {
    fn drop(&mut self) {
        self.0.iter().for_each(|otel| otel.shut_down());
    }
}

/// What the environment of this process asks for.
///
/// # Errors
/// When a variable has a value with which nothing can be sent.
pub fn settings(instance: Option<&str>) -> Result<Option<OtelSettings>, EnvironmentError> {
    let read = |name: &str| std::env::var(name).ok();
    OtelSettings::from_env(&Environment::new(&read), instance)
}
