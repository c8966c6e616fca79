//! The body of a request: the pieces as they are, or compressed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flate2::write::GzEncoder;
use hyper::body::{Body, Frame, SizeHint};

use super::super::settings::Compression;
use super::super::transport::{Failure, Request};

/// Bytes that go one after the other, without being copied together.
#[derive(Clone, Debug)]
pub(super) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// The request as it goes over the wire.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub(super) async fn compressed(
        request: Request,
        compression: Compression,
    ) -> Result<Self, Failure> {
        let pieces: VecDeque<Bytes> = request.0.into_iter().map(|piece| piece.bytes).collect();
        if compression == Compression::None {
            return Ok(Self(pieces));
        }
        // Megabytes take tens of milliseconds, for which others must not wait.
        let work = tokio::task::spawn_blocking(move || compress(&pieces, compression));
        match work.await {
            Ok(Ok(bytes)) => Ok(Self(VecDeque::from([bytes]))),
            Ok(Err(error)) => Err(Failure::unavailable(format!("compression failed: {error}"))),
            Err(_) => Err(Failure::unavailable("the exporter is stopped")),
        }
    }
}

fn compress(pieces: &VecDeque<Bytes>, compression: Compression) -> io::Result<Bytes> {
    let bytes = match compression {
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            pieces.iter().try_for_each(|piece| encoder.write_all(piece))?;
            encoder.finish()?
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
            pieces.iter().try_for_each(|piece| encoder.write_all(piece))?;
            encoder.finish()?
        }
        Compression::None => pieces.iter().flatten().copied().collect(),
    };
    Ok(bytes.into())
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
