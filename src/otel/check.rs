//! Asks each receiver whether it would accept own telemetry: one request without anything in it.

use std::time::Duration;

use bytes::Bytes;

use super::settings::OtelSettings;
use crate::export::OtlpClient;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// A signal with its receiver, and what is wrong if it is not accepted.
pub type SignalCheck = (String, Result<(), String>);

/// Asks the receiver of each signal that is sent.
pub async fn check(settings: &OtelSettings) -> Vec<SignalCheck> {
    let mut checks = Vec::new();
    for (signal, to) in settings.signals() {
        let client = match OtlpClient::new(&to.export, signal, to.place) {
            Ok(client) => client,
            Err(error) => {
                checks.push((signal.name().to_owned(), Err(error.to_string())));
                continue;
            }
        };
        let target = format!("{} to {}", signal.name(), client.endpoint());
        let answer = match tokio::time::timeout(PATIENCE, client.send(Bytes::new())).await {
            Ok(answer) => answer.map(drop).map_err(|refused| refused.to_string()),
            Err(_elapsed) => Err("no answer".to_owned()),
        };
        checks.push((target, answer));
    }
    checks
}
