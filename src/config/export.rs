//! Section `export` of the static file.

use std::collections::BTreeMap;

use garde::Validate;

use super::document::{Entry, Node, Value};
use super::reader::{Problems, Section};
use super::values;
use crate::export::{Compression, ExportSettings, Secret};

const COMPRESSIONS: &[(&str, Compression)] =
    &[("gzip", Compression::Gzip), ("zstd", Compression::Zstd), ("none", Compression::None)];

pub(super) fn read(root: &mut Section<'_>, problems: &Problems) -> ExportSettings {
    let mut settings = ExportSettings::default();
    let node = root.node("export");
    let mut section = root.section("export");
    if let Some(endpoint) = section.required("endpoint", "tempo:4317", values::name) {
        settings.endpoint = endpoint;
    }
    section.read("headers", &mut settings.headers, headers);
    section.read("compression", &mut settings.compression, values::choice(COMPRESSIONS));
    section.read("timeout", &mut settings.timeout, values::duration);
    section.read("connections", &mut settings.connections, values::whole(0..=usize::MAX));
    section.read("max_request_bytes", &mut settings.max_request_bytes, values::size);
    section.read("flush_interval", &mut settings.flush_interval, values::duration);
    let exhausted = &mut settings.retry_on_resource_exhausted;
    section.read("retry_on_resource_exhausted", exhausted, values::boolean);
    retry(section.section("retry_on_failure"), &mut settings);
    let mut queue = section.section("sending_queue");
    queue.read("queue_size_bytes", &mut settings.sending_queue.queue_size_bytes, values::size);
    let consumers = &mut settings.sending_queue.num_consumers;
    queue.read("num_consumers", consumers, values::whole(0..=usize::MAX));
    queue.finish();
    section.finish();
    if let Some(node) = node {
        validate(&settings, node, problems);
    }
    settings
}

fn retry(mut section: Section<'_>, settings: &mut ExportSettings) {
    let retry = &mut settings.retry_on_failure;
    section.read("initial_interval", &mut retry.initial_interval, values::duration);
    section.read("multiplier", &mut retry.multiplier, values::number);
    section.read("randomization_factor", &mut retry.randomization_factor, values::number);
    section.read("max_interval", &mut retry.max_interval, values::duration);
    section.read("max_elapsed_time", &mut retry.max_elapsed_time, values::duration);
    section.finish();
}

fn headers(node: &Node) -> Result<BTreeMap<String, Secret>, String> {
    let Value::Map(entries) = &node.value else {
        return Err(format!("expected names and values, found {}", node.kind()));
    };
    let header = |Entry { key, node, .. }: &Entry| {
        let value = values::text(node).map_err(|error| format!("{key}: {error}"))?;
        Ok((key.clone(), Secret::new(value)))
    };
    entries.iter().map(header).collect()
}

/// What the exporter itself asks of its settings.
fn validate(settings: &ExportSettings, node: &Node, problems: &Problems) {
    let Err(report) = settings.validate() else { return };
    for (path, error) in report.iter() {
        let path = path.to_string();
        let key = path.rsplit('.').next().unwrap_or_default();
        problems.add(node.find(&path).place, format!("{key}: {error}"), None);
    }
}
