//! Reads compressed captures, one gzip member or zstd frame after the other.
//!
//! The program that made the capture may have been stopped in the middle. What comes before a fault is
//! used, and the rest is lost. So a fault ends the contents, and is reported after they are read.

use std::cell::RefCell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;

use crate::otlp::encoding::Compression;

/// The fault of a stream, if it has one.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Rc<RefCell<Option<String>>>);

impl Fault {
    /// The fault, reported once.
    pub(super) fn take(&self) -> Option<String> {
        self.0.take()
    }
}

/// The contents of `input`, up to its end or to a fault, which is put into `fault`.
pub(super) fn unpack(
    compression: Compression,
    input: impl BufRead + 'static,
    fault: Fault,
) -> io::Result<Box<dyn Read>> {
    let contents: Box<dyn Read> = match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
        Compression::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
    };
    Ok(Box::new(Unpacked { contents, compression, fault }))
}

struct Unpacked {
    contents: Box<dyn Read>,
    compression: Compression,
    fault: Fault,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.contents.read(buffer) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let compression = self.compression;
                let text = format!("the {compression} data break off or are damaged: {error}");
                *self.fault.0.borrow_mut() = Some(text);
                self.contents = Box::new(io::empty());
                Ok(0)
            }
            read => read,
        }
    }
}
