//! The demo's traffic and its ledger.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::DemoArgs;
use super::stage::{Ends, Stage, TOPIC};
use crate::cmd::process::CommandError;
use crate::kafka::source;
use crate::sync::lock;
use crate::testbed::generator::{
    Acknowledged, Counters, Model, ModelSettings, ProduceError, ProducerSettings, produce,
};
use crate::testbed::ledger::Ledger;

/// Share of spans that come after their trace is decided, and how much after it started.
const LATE: (f64, Duration) = (0.001, Duration::from_secs(5));

pub(super) struct Traffic {
    producing: Option<JoinHandle<Result<(), ProduceError>>>,
    written: Arc<Mutex<Written>>,
}

/// What is on the topic.
#[derive(Default)]
struct Written {
    ledger: Ledger,
    ends: Ends,
}

impl Traffic {
    pub(super) fn start(stage: &Stage, args: &DemoArgs) -> Result<Self, CommandError> {
        // Without a decision log, a new owner does not know what the crashed member had decided,
        // and judges late spans by themselves.
        let (late_fraction, late_by) = if args.crash { (0.0, LATE.1) } else { LATE };
        let settings = ModelSettings {
            seed: args.seed,
            start: source::now(),
            rate: args.rate,
            duration: Some(args.duration),
            late_fraction,
            late_by,
            ..ModelSettings::default()
        };
        let producer = ProducerSettings {
            pace_from: Some(settings.start),
            ..ProducerSettings::new(stage.brokers(), TOPIC)
        };
        let written = Arc::new(Mutex::new(Written::default()));
        let entries = Arc::clone(&written);
        let acknowledged = move |record: Acknowledged| {
            let mut written = lock(&entries);
            written.ledger.record(&record.spans);
            let end = written.ends.entry(record.partition).or_default();
            *end = (*end).max(record.offset.next().0);
        };
        let producing = thread::Builder::new().name("demo-traffic".into()).spawn(move || {
            let (counters, stop) = (Arc::new(Counters::default()), AtomicBool::new(false));
            produce(Model::new(settings), &producer, &counters, &stop, acknowledged)
        })?;
        Ok(Self { producing: Some(producing), written })
    }

    pub(super) fn is_over(&self) -> bool {
        self.producing.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the last acknowledgement.
    pub(super) fn finish(&mut self) -> Result<(Ledger, Ends), CommandError> {
        if let Some(producing) = self.producing.take() {
            let produced = producing.join().expect("the producer does not panic");
            produced.map_err(CommandError::failed)?;
        }
        let mut written = lock(&self.written);
        let Written { ledger, ends } = std::mem::take(&mut *written);
        Ok((ledger, ends))
    }
}
