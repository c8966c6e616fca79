//! OTLP trace data as bytes: found, not decoded; forwarded, not re-encoded.
//!
//! Owns the wire format: one pass over a record finds its spans and what the policies ask of
//! them ([`scan()`]), splicing adds what tailsieve writes on kept spans, and framing puts kept
//! spans into requests ([`Framer`]). Promises to accept exactly what a protobuf decoder accepts, and
//! text that is not UTF-8 besides, never to panic on any input, and to leave every byte of a span that it does not mean to
//! change as it was, unknown fields included. Leaves to others what a span means.
//!
//! `TracesData` and `ExportTraceServiceRequest` are the same message on the wire: repeated
//! `ResourceSpans` in field 1 (`opentelemetry/proto/trace/v1/trace.proto`).

mod attribute;
pub mod encoding;
mod extras;
mod found;
mod frame;
pub mod json;
mod keys;
mod known;
mod leftover;
pub mod ot_member;
mod plain;
pub mod probability;
mod resource;
mod scan;
mod schema;
pub mod span;
mod splice;
mod split;
pub mod tracestate;
mod unknown;
mod usual;
pub mod value;
mod wire;

pub use found::{InvalidReason, Scan};
pub use frame::{FramedChunk, Framer, SpanSegment};
pub use keys::{AttributeKeys, Extras};
pub use leftover::only_invalid;
pub use resource::service_name;
pub use scan::scan;
pub use splice::{Additions, Chance};
pub use split::{SplitRecord, Splitter};
pub use unknown::not_understood;
pub use wire::ScanError;

#[cfg(test)]
mod tests;
