//! Names that are resolved, and resolved again.

use std::net::SocketAddr;
use std::sync::Mutex;

use super::super::testing::{TestFence, ack_channel};
use super::super::*;
use super::backend::{LOCALHOST, receiver_at, settings, trace};
use crate::testbed::receiver::Receiver;

/// Ends a test that waits in vain.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the name stands for; tests change it.
type Addresses = Arc<Mutex<Vec<SocketAddr>>>;

fn start(addresses: &Addresses, connections: usize, max_age: Duration) -> Exporter {
    let addresses = addresses.clone();
    let resolve: Resolve = Arc::new(move |host, port| {
        assert_eq!((&*host, port), ("tempo.example", 4317));
        let addresses = addresses.lock().unwrap().clone();
        Box::pin(async move { Ok(addresses) })
    });
    let settings = ExportSettings {
        endpoint: "tempo.example:4317".to_owned(),
        connections,
        connection_max_age: max_age,
        ..settings(LOCALHOST)
    };
    let (sink, _) = ack_channel();
    let fence = Arc::new(TestFence::default());
    let metrics = ExportMetrics::new(&settings);
    let runtime = Handle::current();
    Exporter::start_resolving(&settings, &runtime, fence, vec![sink], metrics, resolve).unwrap()
}

/// Sends traces until the receiver got one.
async fn until_reached(exporter: &Exporter, receiver: &Receiver) {
    let before = receiver.requests();
    let reached = async {
        while receiver.requests() == before {
            exporter.try_send(trace(1, 10)).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("nothing comes");
}

#[tokio::test]
async fn several_connections_reach_all_addresses_of_a_name() {
    let (first, _) = receiver_at(LOCALHOST).await;
    let (second, _) = receiver_at(LOCALHOST).await;
    let addresses = vec![first.local_addr(), second.local_addr()];
    let exporter = start(&Arc::new(Mutex::new(addresses)), 2, Duration::ZERO);
    until_reached(&exporter, &first).await;
    until_reached(&exporter, &second).await;
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_passed_over() {
    let (gone, _) = receiver_at(LOCALHOST).await;
    let nobody = gone.local_addr();
    gone.kill().await;
    let (receiver, _) = receiver_at(LOCALHOST).await;
    let addresses = vec![nobody, receiver.local_addr()];
    let exporter = start(&Arc::new(Mutex::new(addresses)), 2, Duration::ZERO);
    while receiver.requests() < 4 {
        until_reached(&exporter, &receiver).await;
    }
    assert!(exporter.reachable());
}

/// Scenario: the name stands for another pod, while the old one still answers.
/// Guarantees: connections that are old enough go to the new one.
#[tokio::test]
async fn a_connection_that_is_renewed_goes_where_the_name_points_now() {
    let (old, _) = receiver_at(LOCALHOST).await;
    let (new, _) = receiver_at(LOCALHOST).await;
    let addresses = Arc::new(Mutex::new(vec![old.local_addr()]));
    let exporter = start(&addresses, 1, Duration::from_millis(20));
    until_reached(&exporter, &old).await;
    addresses.lock().unwrap()[0] = new.local_addr();
    until_reached(&exporter, &new).await;
}
