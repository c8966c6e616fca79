//! The body of a request, plain or compressed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};

use super::settings::Compression;
use super::transport::{Failure, Request};

/// Pieces of bytes that are sent one after the other, without being copied together.
#[derive(Clone, Debug)]
pub(super) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// The request as HTTP sends it.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub(super) async fn packed(
        request: Request,
        compression: Compression,
    ) -> Result<Self, Failure> {
        if compression == Compression::None {
            return Ok(Self(request.pieces.into_iter().map(|piece| piece.bytes).collect()));
        }
        let bytes = joined(Vec::new(), request, compression).await?;
        Ok(Self(VecDeque::from([bytes.into()])))
    }
}

/// `head`, followed by the message of the request, compressed.
///
/// # Errors
/// When the runtime shuts down.
pub(super) async fn joined(
    head: Vec<u8>,
    request: Request,
    compression: Compression,
) -> Result<Vec<u8>, Failure> {
    let write = move || written(head, &request, compression);
    let written = match compression {
        Compression::None => write(),
        // To compress megabytes takes tens of milliseconds; other tasks must not wait for it.
        Compression::Gzip | Compression::Zstd => tokio::task::spawn_blocking(write)
            .await
            .map_err(|_| Failure::unavailable("the exporter is stopped"))?,
    };
    written.map_err(|error| Failure::unavailable(format!("compression failed: {error}")))
}

/// gzip at its fastest level: the usual level 6 takes twice as long and saves a quarter. zstd is faster
/// and smaller than both.
fn written(mut head: Vec<u8>, request: &Request, compression: Compression) -> io::Result<Vec<u8>> {
    let mut pieces = request.pieces.iter().map(|piece| &piece.bytes);
    match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(head, flate2::Compression::fast());
            pieces.try_for_each(|piece| encoder.write_all(piece))?;
            encoder.finish()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(head, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            pieces.try_for_each(|piece| encoder.write_all(piece))?;
            encoder.finish()
        }
        Compression::None => {
            head.reserve_exact(request.len());
            pieces.for_each(|piece| head.extend_from_slice(piece));
            Ok(head)
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    /// Exact, so that the length is in the header.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}
