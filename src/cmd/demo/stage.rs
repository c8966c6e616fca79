//! What surrounds the members: the broker before them, the receiver behind them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::{Handle, Runtime};
use tokio::time::Instant;

use super::broker;
use crate::cmd::process::CommandError;
use crate::export::{Chunk, DeliveryId, ExportMetrics, ExportSettings, Exporter, Ticket, Unfenced};
use crate::ids::{Generation, Origin, Partition, TraceId};
use crate::sync::lock;
use crate::testbed::ledger::{Check, Expectation, Ledger, Verdict};
use crate::testbed::receiver::{Receiver, Sink};

pub(super) const PARTITIONS: i32 = 64;
pub(super) const TOPIC: &str = "otlp_spans";
pub(super) const DECISIONS: &str = "otlp_spans_decisions";
pub(super) const GROUP: &str = "tailsieve";

const LOCALHOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const BROKER_TIMEOUT: Duration = Duration::from_secs(5);
const LAST_EXPORTS: Duration = Duration::from_secs(5);

/// Where each partition ends: the offset behind its last record.
pub(super) type Ends = BTreeMap<Partition, i64>;

pub(super) struct Stage {
    cluster: MockCluster<'static, DefaultProducerContext>,
    /// Looks at the committed offsets; is not a member of the group.
    observer: BaseConsumer<DefaultConsumerContext>,
    receiver: Receiver,
    check: Arc<Mutex<Check>>,
    forwarder: Option<Exporter>,
}

impl Stage {
    pub(super) async fn start(
        export: Option<&str>,
        expectation: Expectation,
    ) -> Result<Self, CommandError> {
        let cluster = MockCluster::new(1).map_err(broker)?;
        cluster.create_topic(TOPIC, PARTITIONS, 1).map_err(broker)?;
        cluster.create_topic(DECISIONS, PARTITIONS, 1).map_err(broker)?;
        let observer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("group.id", GROUP)
            .create_with_context(DefaultConsumerContext)
            .map_err(broker)?;
        let check = Arc::new(Mutex::new(Check::new(expectation)));
        let forwarder = export.map(forwarder).transpose()?;
        let receiver = Receiver::start(LOCALHOST, sink(&check, forwarder.clone())).await?;
        Ok(Self { cluster, observer, receiver, check, forwarder })
    }

    pub(super) fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    pub(super) fn backend(&self) -> String {
        self.receiver.local_addr().to_string()
    }

    /// True if the group has committed everything up to `ends`: all of it is decided, and what
    /// was kept is delivered.
    pub(super) fn is_committed(&self, ends: &Ends) -> Result<bool, CommandError> {
        let mut partitions = TopicPartitionList::with_capacity(ends.len());
        for partition in ends.keys() {
            partitions.add_partition(TOPIC, partition.0);
        }
        let committed = self.observer.committed_offsets(partitions, BROKER_TIMEOUT);
        let committed = committed.map_err(broker)?;
        let is_at_end = |(partition, end): (&Partition, &i64)| {
            let element = committed.find_partition(TOPIC, partition.0);
            element.is_some_and(|element| element.offset() == Offset::Offset(*end))
        };
        Ok(ends.iter().all(is_at_end))
    }

    pub(super) fn verdict(&self, ledger: &Ledger) -> Verdict {
        lock(&self.check).verdict(ledger)
    }

    pub(super) fn finish(self, runtime: &Runtime) {
        if let Some(forwarder) = self.forwarder {
            let left = runtime.block_on(forwarder.drain(LAST_EXPORTS));
            if left > 0 {
                eprintln!("--export: {left} requests were not delivered");
            }
        }
    }
}

/// Everything the backend takes goes into the check, and on to `--export`.
fn sink(check: &Arc<Mutex<Check>>, forwarder: Option<Exporter>) -> Sink {
    let check = Arc::clone(check);
    Box::new(move |request: Bytes| {
        let mut check = lock(&check);
        if let Err(error) = check.observe_bytes(&request) {
            tracing::error!(%error, "demo.request_malformed");
        }
        drop(check);
        if let Some(forwarder) = &forwarder
            && forwarder.try_send(whole_request(request)).is_err()
        {
            tracing::error!("demo.export_behind: the --export endpoint is too slow or away");
        }
    })
}

/// A request as a chunk that belongs to no partition and, with many traces in it, to no trace.
fn whole_request(bytes: Bytes) -> Chunk {
    let origin = Origin { worker: 0, partition: Partition(0), generation: Generation(0) };
    let ticket = Ticket { origin, delivery: DeliveryId(0) };
    let trace_id = TraceId::from_slice(&[0xff; 16]).expect("16 bytes that are not zero");
    let since = Instant::now();
    Chunk { bytes, forwarded: Bytes::new(), trace_id, spans: 0, traces: 0, since, ticket }
}

fn forwarder(endpoint: &str) -> Result<Exporter, CommandError> {
    let settings = ExportSettings { endpoint: endpoint.to_owned(), ..ExportSettings::default() };
    let fence = Arc::new(Unfenced);
    let no_acks = vec![Box::new(|_| {}) as crate::export::AckSink];
    // What is forwarded is not part of what the metrics tell about the members.
    let metrics =
        metrics::with_local_recorder(&metrics::NoopRecorder, || ExportMetrics::new(&settings));
    Exporter::start(&settings, &Handle::current(), fence, no_acks, metrics)
        .map_err(|error| CommandError::usage(format_args!("--export: {error}")))
}
