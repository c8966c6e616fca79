//! Own telemetry from its beginning to the requests.

mod metrics;
mod recording;
mod sending;
