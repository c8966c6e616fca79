//! What is sent where: the settings of the three signals, out of the environment.
//!
//! A signal is sent if `OTEL_<SIGNAL>_EXPORTER` names `otlp`, or names nothing and there is an endpoint
//! for it. Source: OpenTelemetry specification, "Environment Variable Specification" and "OpenTelemetry
//! Protocol Exporter".

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use opentelemetry_proto::tonic::resource::v1::Resource;

use super::environment::{Environment, EnvironmentError};
use super::{headers, resource, sampling};
use crate::export::{Compression, ExportSettings, Place, Protocol, Signal, TlsSettings};
use crate::secret::Secret;

/// What is sent, and where.
#[derive(Clone, Debug)]
pub struct OtelSettings {
    /// Who sends it.
    pub(super) resource: Resource,
    /// Spans, if they are sent.
    pub(super) traces: Option<TraceSettings>,
    /// Metrics, if they are sent.
    pub(super) metrics: Option<MetricSettings>,
    /// Log records, if they are sent.
    pub(super) logs: Option<LogSettings>,
    /// What of the environment is ignored, and why.
    pub warnings: Vec<String>,
}

/// Where a signal is sent.
#[derive(Clone, Debug)]
pub struct SignalSettings {
    /// The connection.
    pub export: ExportSettings,
    /// How its endpoint is meant.
    pub place: Place,
    /// The variable that the endpoint comes from, or would come from.
    pub(super) endpoint_variable: String,
}

#[derive(Clone, Debug)]
pub(super) struct TraceSettings {
    pub(super) to: SignalSettings,
    pub(super) batch: Batch,
    /// The share of traces that is recorded.
    pub(super) ratio: f64,
}

#[derive(Clone, Debug)]
pub(super) struct LogSettings {
    pub(super) to: SignalSettings,
    pub(super) batch: Batch,
}

#[derive(Clone, Debug)]
pub(super) struct MetricSettings {
    pub(super) to: SignalSettings,
    /// From the start of one export to that of the next.
    pub(super) interval: Duration,
    /// How long an export may take, with all its attempts.
    pub(super) timeout: Duration,
    pub(super) temporality: Temporality,
}

/// What counters and histograms say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Temporality {
    /// What there was since the process started.
    Cumulative,
    /// What there was since the last export.
    Delta,
    /// As `Delta`, but for counters that the operating system keeps.
    LowMemory,
}

/// How what waits is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// How long something waits at most until it is sent.
    pub(super) schedule_delay: Duration,
    /// How long an export may take, with all its attempts.
    pub(super) export_timeout: Duration,
    /// How many items may wait.
    pub(super) max_queue: usize,
    /// How many are sent at once.
    pub(super) max_batch: usize,
}

impl Batch {
    /// The defaults for spans.
    pub(super) const SPANS: Self = Self {
        schedule_delay: Duration::from_secs(5),
        export_timeout: Duration::from_secs(30),
        max_queue: 2048,
        max_batch: 512,
    };

    /// The defaults for log records.
    const LOGS: Self = Self { schedule_delay: Duration::from_secs(1), ..Self::SPANS };

    /// The variables that begin with `prefix`.
    fn of(environment: &Environment<'_>, prefix: &str, default: Self) -> Self {
        let name = |what: &str| format!("{prefix}_{what}");
        let count = |what: &str| {
            environment.integer(&name(what), 1).and_then(|count| usize::try_from(count).ok())
        };
        let max_queue = count("MAX_QUEUE_SIZE").unwrap_or(default.max_queue);
        let mut max_batch = count("MAX_EXPORT_BATCH_SIZE").unwrap_or(default.max_batch);
        if max_batch > max_queue {
            if max_batch != default.max_batch {
                let (batch, queue) = (name("MAX_EXPORT_BATCH_SIZE"), name("MAX_QUEUE_SIZE"));
                environment.warn(format!(
                    "{batch}={max_batch} is above {queue}, {max_queue}, which counts"
                ));
            }
            max_batch = max_queue;
        }
        Self {
            schedule_delay: environment
                .duration(&name("SCHEDULE_DELAY"))
                .unwrap_or(default.schedule_delay),
            export_timeout: environment
                .timeout(&name("EXPORT_TIMEOUT"))
                .unwrap_or(default.export_timeout),
            max_queue,
            max_batch,
        }
    }
}

impl OtelSettings {
    /// What the environment asks for; `None` if that is nothing. `instance` tells this process apart, if
    /// something does.
    ///
    /// # Errors
    /// When a variable has a value with which nothing can be sent.
    pub fn from_env(
        environment: &Environment<'_>,
        instance: Option<&str>,
    ) -> Result<Option<Self>, EnvironmentError> {
        if environment.boolean("OTEL_SDK_DISABLED") {
            return Ok(None);
        }
        let to = |signal| {
            is_sent(environment, signal)
                .then(|| SignalSettings::of(environment, signal))
                .transpose()
        };
        let (traces, metrics, logs) =
            (to(Signal::Traces)?, to(Signal::Metrics)?, to(Signal::Logs)?);
        if traces.is_none() && metrics.is_none() && logs.is_none() {
            return Ok(None);
        }
        let resource = resource::of(environment, instance);
        let traces = traces.map(|to| TraceSettings {
            to,
            batch: Batch::of(environment, "OTEL_BSP", Batch::SPANS),
            ratio: sampling::ratio(environment),
        });
        let metrics = metrics.map(|to| MetricSettings::of(environment, to));
        let logs = logs
            .map(|to| LogSettings { to, batch: Batch::of(environment, "OTEL_BLRP", Batch::LOGS) });
        Ok(Some(Self { resource, traces, metrics, logs, warnings: environment.warnings() }))
    }

    /// The signals that are sent, and where.
    pub fn signals(&self) -> Vec<(Signal, &SignalSettings)> {
        let Self { traces, metrics, logs, .. } = self;
        let all = [
            (Signal::Traces, traces.as_ref().map(|it| &it.to)),
            (Signal::Metrics, metrics.as_ref().map(|it| &it.to)),
            (Signal::Logs, logs.as_ref().map(|it| &it.to)),
        ];
        all.into_iter().filter_map(|(signal, to)| Some((signal, to?))).collect()
    }
}

/// Whether a signal is sent.
fn is_sent(environment: &Environment<'_>, signal: Signal) -> bool {
    let name = format!("OTEL_{}_EXPORTER", signal.name().to_uppercase());
    let choices: &[(&str, bool)] = match signal {
        // /metrics serves them in any case.
        Signal::Metrics => &[("otlp", true), ("none", false), ("prometheus", false)],
        Signal::Traces | Signal::Logs => &[("otlp", true), ("none", false)],
    };
    let text = environment.text(&name).unwrap_or_default();
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let chosen: Vec<bool> =
        entries.filter_map(|entry| environment.choice((&name, entry), choices)).collect();
    match chosen.as_slice() {
        [] => environment.of_signal(signal, "ENDPOINT").is_some(),
        chosen => chosen.contains(&true),
    }
}

impl SignalSettings {
    fn of(environment: &Environment<'_>, signal: Signal) -> Result<Self, EnvironmentError> {
        let protocol = protocol(environment, signal);
        let given = environment.of_signal(signal, "ENDPOINT");
        let is_own =
            given.as_ref().is_some_and(|(name, _)| name.contains(&signal.name().to_uppercase()));
        let (endpoint_variable, endpoint) = given.unwrap_or_else(|| {
            let port = if protocol == Protocol::Grpc { 4317 } else { 4318 };
            ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://localhost:{port}"))
        });
        if protocol == Protocol::Http && !endpoint.contains("://") {
            let reason = "over HTTP an endpoint is a URL that begins with http:// or https://";
            return Err(EnvironmentError {
                variable: endpoint_variable,
                reason: reason.to_owned(),
            });
        }
        let export = ExportSettings {
            name: signal.name().to_owned(),
            protocol,
            tls: tls(environment, signal, &endpoint)?,
            endpoint,
            headers: headers_of(environment, signal)?,
            compression: compression(environment, signal),
            timeout: timeout(environment, signal),
            connections: 1,
            ..ExportSettings::default()
        };
        let place = if is_own { Place::Whole } else { Place::Below(signal) };
        Ok(Self { export, place, endpoint_variable })
    }
}

impl MetricSettings {
    fn of(environment: &Environment<'_>, to: SignalSettings) -> Self {
        const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        let choices = [
            ("cumulative", Temporality::Cumulative),
            ("delta", Temporality::Delta),
            ("lowmemory", Temporality::LowMemory),
        ];
        let temporality = environment.text(TEMPORALITY);
        let temporality =
            temporality.and_then(|text| environment.choice((TEMPORALITY, &text), &choices));
        let interval = environment.integer("OTEL_METRIC_EXPORT_INTERVAL", 1);
        Self {
            to,
            interval: interval.map_or(Duration::from_secs(60), Duration::from_millis),
            timeout: environment
                .timeout("OTEL_METRIC_EXPORT_TIMEOUT")
                .unwrap_or(Duration::from_secs(30)),
            temporality: temporality.unwrap_or(Temporality::Cumulative),
        }
    }
}

/// The specification's default is OTLP over HTTP, protobuf.
fn protocol(environment: &Environment<'_>, signal: Signal) -> Protocol {
    let choices = [("grpc", Protocol::Grpc), ("http/protobuf", Protocol::Http)];
    let given = environment.of_signal(signal, "PROTOCOL");
    let chosen = given.and_then(|(name, text)| environment.choice((&name, &text), &choices));
    chosen.unwrap_or(Protocol::Http)
}

fn compression(environment: &Environment<'_>, signal: Signal) -> Compression {
    let choices =
        [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
    let given = environment.of_signal(signal, "COMPRESSION");
    let chosen = given.and_then(|(name, text)| environment.choice((&name, &text), &choices));
    chosen.unwrap_or(Compression::None)
}

fn timeout(environment: &Environment<'_>, signal: Signal) -> Duration {
    let given = environment.of_signal(signal, "TIMEOUT");
    given.and_then(|(name, _)| environment.timeout(&name)).unwrap_or(Duration::from_secs(10))
}

/// How the connection is encrypted: as the scheme says, or, over gRPC without one, unless it may be
/// insecure.
fn tls(
    environment: &Environment<'_>,
    signal: Signal,
    endpoint: &str,
) -> Result<Option<TlsSettings>, EnvironmentError> {
    let has_scheme = endpoint.contains("://");
    if has_scheme && !endpoint.starts_with("https://") {
        return Ok(None);
    }
    let insecure = environment.of_signal(signal, "INSECURE");
    let insecure = !has_scheme && insecure.is_some_and(|(name, _)| environment.boolean(&name));
    let file = |what| environment.of_signal(signal, what);
    let (cert, key) = (file("CLIENT_CERTIFICATE"), file("CLIENT_KEY"));
    if let (Some((variable, _)), None) | (None, Some((variable, _))) = (&cert, &key) {
        let reason = "a certificate and its key are needed together: OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE \
                      and OTEL_EXPORTER_OTLP_CLIENT_KEY";
        return Err(EnvironmentError { variable: variable.clone(), reason: reason.to_owned() });
    }
    let path = |file: Option<(String, String)>| file.map(|(_, path)| PathBuf::from(path));
    Ok(Some(TlsSettings {
        insecure,
        ca_file: path(file("CERTIFICATE")),
        cert_file: path(cert),
        key_file: path(key),
        ..TlsSettings::default()
    }))
}

fn headers_of(
    environment: &Environment<'_>,
    signal: Signal,
) -> Result<BTreeMap<String, Secret>, EnvironmentError> {
    let Some((variable, text)) = environment.of_signal(signal, "HEADERS") else {
        return Ok(BTreeMap::new());
    };
    let pairs = headers::pairs(&text).map_err(|reason| EnvironmentError { variable, reason })?;
    Ok(pairs.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<OtelSettings>, EnvironmentError> {
        let read = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
        };
        OtelSettings::from_env(&Environment::new(&read), Some("pod-0"))
    }

    fn sent(variables: &[(&str, &str)]) -> Vec<&'static str> {
        let settings = read(variables).unwrap();
        let signals = settings.iter().flat_map(|settings| settings.signals());
        signals.map(|(signal, _)| signal.name()).collect()
    }

    const TO: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4318");

    #[test]
    fn nothing_is_sent_unless_it_is_asked_for() {
        assert_eq!(sent(&[]), [""; 0]);
        assert_eq!(
            sent(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]),
            [""; 0]
        );
        assert_eq!(
            sent(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]),
            [""; 0],
            "an empty one is not set"
        );
        assert_eq!(sent(&[TO]), ["traces", "metrics", "logs"]);
        assert_eq!(sent(&[TO, ("OTEL_SDK_DISABLED", "True")]), [""; 0]);
        assert_eq!(sent(&[TO, ("OTEL_SDK_DISABLED", "1")]).len(), 3);
    }

    #[test]
    fn each_signal_can_be_sent_alone_or_not_at_all() {
        assert_eq!(sent(&[("OTEL_METRICS_EXPORTER", "otlp")]), ["metrics"]);
        assert_eq!(sent(&[("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://otel/l")]), ["logs"]);
        assert_eq!(sent(&[TO, ("OTEL_TRACES_EXPORTER", "none")]), ["metrics", "logs"]);
        assert_eq!(sent(&[TO, ("OTEL_METRICS_EXPORTER", "prometheus")]), ["traces", "logs"]);
        let both = ("OTEL_METRICS_EXPORTER", "prometheus, OTLP");
        assert_eq!(sent(&[both]), ["metrics"]);
        let settings = read(&[TO, ("OTEL_LOGS_EXPORTER", "console")]).unwrap().unwrap();
        assert_eq!(settings.signals().len(), 3, "what is not known is ignored");
        assert!(settings.warnings[0].starts_with("OTEL_LOGS_EXPORTER=console is ignored"));
    }

    fn of(settings: &OtelSettings, signal: Signal) -> &SignalSettings {
        settings.signals().into_iter().find(|(of, _)| *of == signal).unwrap().1
    }

    #[test]
    fn the_defaults_are_those_of_the_specification() {
        let settings = read(&[TO]).unwrap().unwrap();
        let to = of(&settings, Signal::Traces);
        assert_eq!(to.export.protocol, Protocol::Http);
        assert_eq!(
            (to.export.timeout, to.export.compression),
            (Duration::from_secs(10), Compression::None)
        );
        assert_eq!(to.place, Place::Below(Signal::Traces));
        let metrics = settings.metrics.as_ref().unwrap();
        assert_eq!(
            (metrics.interval, metrics.timeout),
            (Duration::from_secs(60), Duration::from_secs(30))
        );
        assert_eq!(metrics.temporality, Temporality::Cumulative);
        assert_eq!(settings.traces.as_ref().unwrap().batch, Batch::SPANS);
        assert_eq!(settings.logs.as_ref().unwrap().batch.schedule_delay, Duration::from_secs(1));
        assert_eq!(settings.warnings, [""; 0]);
        let endpoint = |variables: &[(&str, &str)]| {
            let settings = read(variables).unwrap().unwrap();
            of(&settings, Signal::Traces).export.endpoint.clone()
        };
        let otlp = ("OTEL_TRACES_EXPORTER", "otlp");
        assert_eq!(endpoint(&[otlp]), "http://localhost:4318");
        assert_eq!(
            endpoint(&[otlp, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]),
            "http://localhost:4317"
        );
    }

    #[test]
    fn a_signals_own_variables_come_first_and_its_endpoint_is_whole() {
        let settings = read(&[
            TO,
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "https://m.example/write"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zstd"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "2000"),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "DELTA"),
        ]);
        let settings = settings.unwrap().unwrap();
        let metrics = of(&settings, Signal::Metrics);
        assert_eq!(
            (&*metrics.export.endpoint, metrics.place),
            ("https://m.example/write", Place::Whole)
        );
        assert_eq!(metrics.export.compression, Compression::Zstd);
        assert!(metrics.export.tls.is_some());
        let logs = of(&settings, Signal::Logs);
        assert_eq!(
            (logs.export.protocol, logs.export.timeout),
            (Protocol::Grpc, Duration::from_secs(2))
        );
        assert_eq!(logs.export.compression, Compression::Gzip);
        assert_eq!(settings.metrics.unwrap().temporality, Temporality::Delta);
    }

    #[test]
    fn what_has_no_scheme_is_encrypted_unless_it_may_be_insecure() {
        let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let is_plain = |endpoint, insecure| {
            let to = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
            let settings =
                read(&[grpc, to, ("OTEL_EXPORTER_OTLP_INSECURE", insecure)]).unwrap().unwrap();
            of(&settings, Signal::Traces).export.tls.as_ref().is_none_or(|tls| tls.insecure)
        };
        assert!(!is_plain("otel:4317", ""));
        assert!(is_plain("otel:4317", "true"));
        assert!(is_plain("http://otel:4317", ""));
        assert!(!is_plain("https://otel:4317", "true"), "the scheme comes first");
    }

    #[test]
    fn what_cannot_work_names_its_variable_and_shows_no_secret() {
        let wrong = |variables: &[(&str, &str)]| read(variables).unwrap_err().to_string();
        let error = wrong(&[TO, ("OTEL_EXPORTER_OTLP_HEADERS", "Bearer hunter2")]);
        assert!(
            error.starts_with("OTEL_EXPORTER_OTLP_HEADERS: entry 1") && !error.contains("hunter2"),
            "{error}"
        );
        let error = wrong(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "otel:4318")]);
        assert!(error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: over HTTP"), "{error}");
        let secure = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otel:4318");
        let error = wrong(&[secure, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/k.pem")]);
        assert!(error.starts_with("OTEL_EXPORTER_OTLP_CLIENT_KEY: a certificate"), "{error}");
        let settings =
            read(&[TO, ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2")]);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_batch_fits_into_its_queue() {
        let batch = |variables: &[(&str, &str)]| {
            let settings = read(&[&[TO], variables].concat()).unwrap().unwrap();
            (settings.traces.unwrap().batch.max_batch, settings.warnings.len())
        };
        assert_eq!(batch(&[("OTEL_BSP_MAX_QUEUE_SIZE", "100")]), (100, 0));
        let too_large = ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3000");
        assert_eq!(batch(&[too_large]), (2048, 1));
        assert_eq!(batch(&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")]), (512, 1));
    }
}
