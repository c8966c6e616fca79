//! Compressed values, by the magic numbers they begin with (RFC 1952, RFC 8878).

use std::fmt;
use std::io::{self, Read};

use flate2::bufread::MultiGzDecoder;

use super::DecodeError;

/// The largest window that a zstd frame may ask for, as a power of two: what it unpacks to is
/// bounded, so a larger one is of no use.
const WINDOW_LOG_MAX: u32 = 26;

/// How a value is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Compression {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What `value` begins like. No message of OTLP begins like that: 0x1f is a field of wire type
    /// 7, and 0x28 a field 5 that `TracesData` does not have.
    pub fn of(value: &[u8]) -> Option<Self> {
        match value {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Unpacks `value` into `out`, which is emptied first.
    pub(super) fn unpack(
        self,
        value: &[u8],
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), DecodeError> {
        out.clear();
        // One byte more tells that there is more.
        let limit = most as u64 + 1;
        let read = match self {
            Self::Gzip => MultiGzDecoder::new(value).take(limit).read_to_end(out),
            Self::Zstd => read_zstd(value, limit, out),
        };
        match read {
            Ok(length) if length > most => Err(DecodeError::TooLarge),
            Ok(_) => Ok(()),
            Err(error) => Err(DecodeError::Compressed { compression: self, error }),
        }
    }
}

fn read_zstd(value: &[u8], limit: u64, out: &mut Vec<u8>) -> io::Result<usize> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(value)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    decoder.take(limit).read_to_end(out)
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
