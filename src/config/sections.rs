//! The static file.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use serde_json::json;

use super::admin::Admin;
use super::document::Document;
use super::kafka::Kafka;
use super::retrieval::Retrieval;
use super::{Annotate, Settings, TelemetrySettings, export, lint, policies};
use crate::kafka::decision_log::{DecisionLogSettings, IndexSettings};
use crate::options::{
    Choice, Context, Form, Node, Options, Problem, Section, Value, boolean, form, name, options,
    section, size, values, wait, whole,
};
use crate::telemetry::logs::{self, LogFormat};

/// Behind the name of the topic, the default name of its decision log.
const DECISIONS: &str = "_decisions";

options! {
    /// Where decisions are put on record.
    struct DecisionLog {
        /// Whether they are. Without it, traces may be decided twice after a crash or a hand-over.
        enabled: bool = boolean().or("true"),
        /// A topic with as many partitions as kafka.topic; its name with `_decisions` behind it by
        /// default.
        topic: Option<String> = name().optional(),
        /// Its index by trace id.
        index: DecisionIndex = section().or_defaults(),
    }
}

options! {
    /// An index of the decision log by trace id: with it a look-up reads a few stretches of the log instead
    /// of all of it.
    struct DecisionIndex {
        /// Whether it is written.
        enabled: bool = boolean().or("true"),
        /// Its topic; that of the decision log with `_index` behind it by default.
        topic: Option<String> = name().optional(),
        /// Entries of a stretch of the log. More make larger stretches to read, fewer make a larger index.
        max_entries: usize = whole(1..=1_048_576).or("65536"),
        /// How long entries may not be in the index.
        max_age: Duration = wait().or("5m"),
    }
}

options! {
    /// The bounds on what is in memory.
    struct Buffer {
        /// The bound on open traces, in bytes of memory, for the whole process. At the bound the
        /// heaviest are decided early, by the same policies.
        max_bytes: u64 = size().or("1GiB"),
        /// Records that may wait for the workers. The Kafka client itself fetches up to 16 MiB
        /// ahead (queued.max.messages.kbytes).
        queue_bytes: usize = size().or("8MiB"),
        /// Worker threads; 0, the default, is one for each core.
        workers: usize = whole(0..=256).or("0"),
    }
    then |_section| {
        if workers == 0 {
            workers = available_parallelism().map_or(1, NonZeroUsize::get);
        }
    }
}

impl Choice for LogFormat {
    const NAME: &'static str = "LogFormat";
    const ABOUT: &'static str = "How log lines look.";
    const ALL: &'static [(&'static str, Self, &'static str)] = &[
        ("auto", Self::Auto, "Text on a terminal, JSON otherwise."),
        ("text", Self::Text, "Text."),
        ("json", Self::Json, "JSON, one object a line."),
    ];
}

impl Options for Settings {
    const NAME: &'static str = "Settings";
    const ABOUT: &'static str = "The static file: where spans come from, where kept traces go, how \
                                 much memory they may take.";

    fn read(root: &mut Section<'_>) -> Self {
        let kafka: Kafka = root.take("kafka", "Where spans come from.", section().needed());
        let source = kafka.source();
        let doc = "Where decisions are put on record.";
        let decision_log: DecisionLog = root.take("decision_log", doc, section().or_defaults());
        let doc = "The bounds on what is in memory.";
        let buffer: Buffer = root.take("buffer", doc, section().or_defaults());
        let exports = export::read(root, &source);
        let doc = "Where what is refused for good goes, byte for byte; by default it is only counted and logged.";
        let dead_letter = root.take("dead_letter", doc, section().optional());
        let doc = "What is written on kept spans.";
        let annotate: Annotate = root.take("annotate", doc, section().or_defaults());
        let doc = "The pages for operation.";
        let admin: Admin = root.take("admin", doc, section().or_defaults());
        let doc = "The server of dropped traces, for Tempo and for scripts.";
        let retrieval: Retrieval = root.take("retrieval", doc, section().or_defaults());
        let doc = "How the process logs.";
        let telemetry: TelemetrySettings = root.take("telemetry", doc, section().or_defaults());
        let doc = "How long an orderly stop may take: deliveries in flight, commits, leaving the \
                   group. Keep the orchestrator's grace period longer.";
        let shutdown_timeout = root.take("shutdown_timeout", doc, wait().or("30s"));
        let doc = "The policy file, relative to this file. It is read again when it changes.";
        let policies = root.take("policies", doc, policies_file().required("policies.yaml"));
        let doc = "Which processor of the policy file is meant, if it is a Collector configuration \
                   with several: `tail_sampling` or `tail_sampling/NAME`. By default the one that \
                   its traces pipelines use.";
        let policies_processor = root.take("policies_processor", doc, processor().optional());
        let doc = "How often the contents of the policy file are looked at. SIGHUP and `POST \
                   /-/reload` have it looked at at once.";
        let policies_poll_interval = root.take("policies_poll_interval", doc, wait().or("1s"));
        let decision_log = decision_log.settings(&source);
        Self {
            retrieval: retrieval.settings(&source, decision_log.as_ref()),
            decision_log,
            consumers: kafka.consumers,
            idle_grace: kafka.idle_grace,
            workers: buffer.workers,
            max_bytes: buffer.max_bytes,
            queue_bytes: buffer.queue_bytes,
            exports,
            dead_letter,
            annotate,
            admin: admin.settings(),
            telemetry,
            shutdown_timeout,
            policies,
            policies_processor,
            policies_poll_interval,
            notes: Vec::new(),
            warnings: Vec::new(),
            source,
        }
    }
}

impl DecisionLog {
    fn settings(
        self,
        source: &crate::kafka::source::SourceSettings,
    ) -> Option<DecisionLogSettings> {
        let topic = self.topic.unwrap_or_else(|| format!("{}{DECISIONS}", source.topic));
        self.enabled.then(|| DecisionLogSettings {
            index: self.index.settings(&topic),
            topic,
            brokers: source.brokers.clone(),
            group_id: source.group_id.clone(),
            client_id: "tailsieve".to_owned(),
            properties: source.properties.clone(),
        })
    }
}

impl DecisionIndex {
    /// Of the log on the topic `log`.
    fn settings(self, log: &str) -> Option<IndexSettings> {
        self.enabled.then(|| IndexSettings {
            topic: self.topic.unwrap_or_else(|| IndexSettings::default_topic(log)),
            max_entries: self.max_entries,
            max_age: self.max_age,
        })
    }
}

/// What reading the static file came to.
pub(super) struct Reading {
    /// Of use only if there are no errors.
    pub(super) settings: Settings,
    pub(super) errors: Vec<Problem>,
    /// What was read well and is probably not meant.
    pub(super) warnings: Vec<Problem>,
    /// What was read and has no meaning here.
    pub(super) notes: Vec<Problem>,
}

/// Reads the static file; paths in it are relative to `folder`.
pub(super) fn settings(document: &Document, folder: &Path) -> Reading {
    let context = Context { folder: Some(folder), ..document.context() };
    let root = &document.root;
    let settings: Settings = Section::new(root, &context).read();
    if let Some(dead) = settings.dead_letter.as_ref().filter(|it| it.topic == settings.source.topic)
    {
        let message = format!("`{}` is the topic that is read", dead.topic);
        let node = root.find("dead_letter.topic");
        let message = format!("topic: {}", values::told(node, message));
        context.problems.add(node.place, message, None);
    }
    if let Some(listen) = root.get("retrieval").and_then(|it| it.get("listen"))
        && settings.decision_log.is_none()
    {
        let message = "listen: without a decision log nothing says where a trace is";
        let help = "leave out `decision_log.enabled: false`".to_owned();
        context.problems.add(listen.place, message.to_owned(), Some(help));
    }
    let Context { problems, warnings, notes, .. } = context;
    let mut warnings = warnings.into_inner();
    warnings.extend(lint::scalars(root));
    let (errors, notes) = (problems.into_inner(), notes.into_inner());
    Reading { settings, errors, warnings, notes }
}

/// Where the policy file is and which processor in it is meant, if the static file says so,
/// whatever else is wrong with it; paths in it are relative to `folder`.
pub(super) fn policies_path(
    document: &Document,
    folder: &Path,
) -> Option<(PathBuf, Option<String>)> {
    let context = Context { folder: Some(folder), ..Context::default() };
    let root = Section::new(&document.root, &context);
    let policies = policies_file().read(root.node("policies")?, root.at("policies"))?;
    let processor = root.node("policies_processor");
    Some((policies, processor.and_then(|node| self::processor().read(node, root.at("")))))
}

fn policies_file() -> Form<PathBuf> {
    let path = crate::options::path();
    let schema = path.describe(&mut Default::default());
    let read = move |node: &Node, at: crate::options::At<'_>| match node.value {
        Value::List(_) | Value::Map(_) => {
            let found = node.kind();
            at.refuse(node, format!("expected the path of a policy file, found {found}"), None);
            None
        }
        _ => path.read(node, at),
    };
    Form::new(read, move |_| schema.clone())
}

/// The name of a `tail_sampling` processor.
fn processor() -> Form<String> {
    let read = |node: &Node| {
        let text = values::name(node)?;
        if policies::is_processor_name(&text) {
            return Ok(text);
        }
        let found = values::shown(node);
        Err(format!("expected `tail_sampling` or `tail_sampling/NAME`, found {found}"))
    };
    form(read, json!({ "type": "string", "pattern": r"^tail_sampling(/.*)?$|\$\{" }))
}

/// A level or filter directives.
pub(super) fn log_filter() -> Form<String> {
    name().try_map(|filter| match logs::parse_filter(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(error.to_string()),
    })
}
