//! Messages after their lengths: four bytes, big-endian, then as many bytes. The Collector's file
//! exporter writes protobuf in this form, and whatever it compresses, and `kcat -f '%R%s'` the values of
//! a topic. A length of -1 is a record without a value.

use std::io::{self, BufRead, Read};

use super::Failure;

/// The length of a null value.
pub(super) const NO_VALUE: [u8; 4] = [0xff; 4];

/// The messages of a stream.
#[derive(Debug)]
pub(super) struct Messages<R> {
    input: R,
    limit: usize,
    position: u64,
    is_at_end: bool,
}

impl<R: BufRead> Messages<R> {
    /// Messages of at most `limit` bytes.
    pub(super) fn new(input: R, limit: usize) -> Self {
        Self { input, limit, position: 0, is_at_end: false }
    }

    /// The next message, and where it begins.
    pub(super) fn next(&mut self) -> Option<Result<(u64, Vec<u8>), Failure>> {
        if self.is_at_end {
            return None;
        }
        let start = self.position;
        let message = self.message().transpose()?;
        if matches!(message, Err(Broken::Lost(_))) {
            self.is_at_end = true;
        }
        Some(match message {
            Ok(message) => Ok((start, message)),
            Err(Broken::Io(error)) => Err(Failure::Io(error)),
            Err(Broken::Lost(message) | Broken::Alone(message)) => {
                Err(Failure::at(format!("byte {start}"), message))
            }
        })
    }

    fn message(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let head = self.take(4)?;
        if head.is_empty() {
            return Ok(None);
        }
        let Ok(length) = <[u8; 4]>::try_from(head) else {
            return Err(Broken::Lost("ends within the length of a message".to_owned()));
        };
        if length == NO_VALUE {
            return Err(Broken::Alone("a record without a value".to_owned()));
        }
        let length = u32::from_be_bytes(length) as usize;
        if length > self.limit {
            let message = format!("a message of {length} bytes; expected no more than 256 MiB");
            return Err(Broken::Lost(message));
        }
        let message = self.take(length)?;
        if message.len() < length {
            let found = message.len();
            let message = format!("ends after {found} of {length} bytes of a message");
            return Err(Broken::Lost(message));
        }
        Ok(Some(message))
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(Broken::Io)?;
        self.position += bytes.len() as u64;
        Ok(bytes)
    }
}

/// What is wrong with a message.
#[derive(Debug)]
enum Broken {
    Io(io::Error),
    /// It is not known where the next one begins.
    Lost(String),
    /// The next one may be valid.
    Alone(String),
}
