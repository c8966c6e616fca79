//! Spans and log records, as the layers record them.

use std::sync::Arc;

use tracing::{field, info, info_span, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;

use super::super::encode::tests::shown;
use super::super::encode::{OwnLog, OwnSpan};
use super::super::layer;
use super::super::queue::Queue;
use super::super::settings::Batch;

/// What `work` makes, at this share of traces and with this filter of lines.
fn recorded(ratio: f64, filter: &str, work: impl FnOnce() + Send) -> (Vec<OwnSpan>, Vec<OwnLog>) {
    let (spans, logs) = (Arc::new(Queue::new(Batch::SPANS)), Arc::new(Queue::new(Batch::SPANS)));
    let filter = EnvFilter::new(filter);
    let layer = layer::of(Some(Arc::clone(&spans)), ratio, Some(Arc::clone(&logs)), filter);
    let subscriber = Registry::default().with(layer);
    tracing::subscriber::with_default(subscriber, work);
    (spans.take(), logs.take())
}

#[test]
fn a_line_within_a_span_carries_its_ids_and_a_child_those_of_its_parent() {
    let (spans, logs) = recorded(1.0, "info", || {
        let outer = info_span!("test.outer", partitions = 3, result = field::Empty);
        outer.in_scope(|| {
            info_span!("test.inner").in_scope(|| info!(partition = 1, "test.inside"));
            outer.record("result", "done");
        });
        info!("test.outside: after it");
    });
    let names: Vec<_> = spans.iter().map(|span| span.name).collect();
    assert_eq!(names, ["test.inner", "test.outer"], "in the order of their ends");
    let (inner, outer) = (&spans[0], &spans[1]);
    assert_eq!(inner.context.trace_id, outer.context.trace_id);
    assert_eq!((inner.parent, outer.parent), (Some(outer.context.span_id), None));
    let attributes: Vec<_> = outer.attributes.iter().map(shown).collect();
    assert_eq!(attributes, ["partitions=3", "result=done"]);
    assert!(outer.start <= inner.start && inner.end <= outer.end);
    assert_eq!((logs[0].context, &*logs[0].body), (Some(inner.context), "test.inside"));
    assert_eq!(logs[0].attributes.iter().map(shown).collect::<Vec<_>>(), ["partition=1"]);
    assert_eq!(logs[1].context, None);
}

#[test]
fn a_span_that_failed_says_why_and_one_not_worth_telling_is_left_out() {
    let (spans, _) = recorded(1.0, "info", || {
        let failed = info_span!("test.failed", otel.status_description = field::Empty);
        failed.record("otel.status_description", "no such file");
        drop(failed);
        drop(info_span!("test.discarded", discarded = true));
    });
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].error.as_deref(), spans[0].attributes.len()), (Some("no such file"), 0));
}

#[test]
fn of_the_libraries_nothing_is_recorded_and_lines_pass_the_filter() {
    let (spans, logs) = recorded(1.0, "debug,tailsieve::otel::tests=warn", || {
        info!(target: "h2::codec", "frame");
        warn!(target: "rustls", "of a library");
        drop(info_span!(target: "hyper", "connection"));
        info!("test.filtered");
        warn!("test.told");
        drop(tracing::debug_span!("test.too_fine"));
    });
    let bodies: Vec<_> = logs.iter().map(|log| &*log.body).collect();
    assert_eq!(bodies, ["test.told"]);
    assert_eq!(spans, []);
}

#[test]
fn what_the_sending_thread_does_is_not_recorded() {
    let (spans, logs) = recorded(1.0, "info", || {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let sender = move || {
            let _default = tracing::dispatcher::set_default(&dispatch);
            layer::leave_this_thread_out();
            warn!("otel.export_failed");
            drop(info_span!("test.sending"));
        };
        std::thread::spawn(sender).join().unwrap();
        warn!("test.others");
    });
    assert_eq!((spans.len(), logs.len()), (0, 1));
}

#[test]
fn a_trace_that_is_not_sampled_is_left_out_whole_and_its_lines_say_so() {
    let (spans, logs) = recorded(0.0, "info", || {
        info_span!("test.outer")
            .in_scope(|| info_span!("test.inner").in_scope(|| info!("test.line")));
    });
    assert_eq!(spans, []);
    assert!(!logs[0].context.unwrap().is_sampled);
}

#[test]
fn a_long_value_is_cut() {
    let (_, logs) = recorded(1.0, "info", || info!(errors = "ä".repeat(5000), "test.long"));
    let shown = shown(&logs[0].attributes[0]);
    assert!(shown.len() < 4200 && shown.ends_with('…'), "{} bytes", shown.len());
}
