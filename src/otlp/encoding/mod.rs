//! What a record's value is written in, and the way from there to OTLP protobuf.
//!
//! Owns telling encodings apart, record by record, and unpacking compressed values. Promises that
//! a value that is OTLP protobuf already costs a look at its first bytes and is handed back as it
//! is; that nothing unpacks to more than [`MAX_UNPACKED_BYTES`]; and that what is not understood
//! is refused by its name where it has one. Leaves to others whether the protobuf is in order, and
//! to ask once more, by [`look_again`], where it is not.

mod fields;
mod foreign;
mod names;
mod recognise;
mod unpack;

use thiserror::Error;

use crate::otlp::json;

pub use names::Encoding;
pub use unpack::Compression;

/// The most that a compressed value may unpack to, and a JSON value may become.
pub const MAX_UNPACKED_BYTES: usize = 64 << 20;

/// The longest JSON that is read: what is three bytes there may be a hundred times as much in memory.
pub const MAX_JSON_BYTES: usize = 16 << 20;

/// Why a value could not be turned into OTLP protobuf.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// It begins as compressed data do, and cannot be unpacked.
    #[error("it begins like {compression} and cannot be unpacked: {error}")]
    Compressed {
        /// What it begins like.
        compression: Compression,
        /// What the unpacking said.
        error: std::io::Error,
    },
    /// It unpacks to more than is allowed.
    #[error(
        "it unpacks to more than {MAX_UNPACKED_BYTES} bytes, or to more than {MAX_JSON_BYTES} of JSON"
    )]
    TooLarge,
    /// It is JSON, or begins like it, and not that of OTLP traces.
    #[error("it is not OTLP JSON: {0}")]
    Json(#[from] json::JsonError),
    /// It is in another encoding.
    #[error("it is {kind}, {hint}", kind = .0.name(), hint = .0.hint())]
    Unsupported(Encoding),
    /// It is OTLP JSON without a span, but with a field that is not known.
    #[error("no span in it is understood; it has {0}")]
    NotUnderstood(String),
}

/// A value and what was found out about it.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// What it was written in, below its compression.
    pub encoding: Encoding,
    /// How it was compressed, if it was.
    pub compression: Option<Compression>,
    /// OTLP protobuf, or what has to be taken for it.
    pub protobuf: Result<&'a [u8], DecodeError>,
}

/// True if `value` begins like OTLP protobuf as everybody writes it: nothing needs to be decoded.
///
/// A first field 1 of 16 bytes that a field 2 of 8 bytes follows is a Jaeger span: `TracesData` has
/// no field 2.
#[inline]
pub fn is_plain(value: &[u8]) -> bool {
    const RESOURCE_SPANS: u8 = 0x0a;
    match value {
        [RESOURCE_SPANS, 16, ..] => !recognise::is_jaeger(value),
        [RESOURCE_SPANS, ..] => true,
        _ => false,
    }
}

/// Turns values into OTLP protobuf. Its buffers are used again from value to value.
#[derive(Debug, Default)]
pub struct Decoder {
    unpacked: Vec<u8>,
    protobuf: Vec<u8>,
}

/// How large buffers may stay while nobody needs them.
const LARGEST_KEPT: usize = 1 << 20;

impl Decoder {
    /// The OTLP protobuf of `value`: `value` itself, if it is that already.
    pub fn decode<'a>(&'a mut self, value: &'a [u8]) -> Decoded<'a> {
        self.trim();
        let Some(compression) = Compression::of(value) else {
            return convert(value, None, &mut self.protobuf);
        };
        match compression.unpack(value, MAX_UNPACKED_BYTES, &mut self.unpacked) {
            Ok(()) => convert(&self.unpacked, Some(compression), &mut self.protobuf),
            Err(error) => Decoded {
                encoding: Encoding::OtlpProto,
                compression: Some(compression),
                protobuf: Err(error),
            },
        }
    }

    fn trim(&mut self) {
        for buffer in [&mut self.unpacked, &mut self.protobuf] {
            if buffer.capacity() > LARGEST_KEPT {
                *buffer = Vec::new();
            }
        }
    }
}

/// What is not compressed, or not any more.
fn convert<'a>(
    value: &'a [u8],
    compression: Option<Compression>,
    protobuf: &'a mut Vec<u8>,
) -> Decoded<'a> {
    let (encoding, protobuf) = match recognise::by_first_bytes(value) {
        Encoding::OtlpProto => (Encoding::OtlpProto, Ok(value)),
        Encoding::OtlpJson => match recognise::from_json(value) {
            Ok(bytes) => {
                *protobuf = bytes;
                (Encoding::OtlpJson, Ok(protobuf.as_slice()))
            }
            Err(DecodeError::Unsupported(other)) => (other, Err(DecodeError::Unsupported(other))),
            Err(error) => (Encoding::OtlpJson, Err(error)),
        },
        other => (other, Err(DecodeError::Unsupported(other))),
    };
    Decoded { encoding, compression, protobuf }
}

/// Looks once more at what was taken for OTLP protobuf and is none, or has no span: what it is, and
/// its OTLP protobuf after all, or why there is none. `None` if nothing is known of it.
pub fn look_again(value: &[u8]) -> Option<(Encoding, Result<Vec<u8>, DecodeError>)> {
    if recognise::is_json_behind_blanks(value) {
        return Some(match recognise::from_json(value) {
            Err(DecodeError::Unsupported(other)) => (other, Err(DecodeError::Unsupported(other))),
            read => (Encoding::OtlpJson, read),
        });
    }
    let other = recognise::recognise(value)?;
    Some((other, Err(DecodeError::Unsupported(other))))
}

#[cfg(test)]
mod tests;
