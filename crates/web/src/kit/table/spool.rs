//! A download on its way to a visitor: the server writes it to a file without a name in the data
//! folder, at its own speed, and the visitor reads that file at theirs.
//!
//! So a slow reader keeps no connection of the database and nobody else's place. The file is gone
//! with the response, or with the process however it ends.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::{Stream, StreamExt as _, stream};
use parking_lot::Mutex;
use skychimp_core::platform::disk::Disk;
use skychimp_core::platform::error::Error;
use tokio::sync::watch::{Receiver, Sender, channel};

use super::DownloadTurn;
use crate::kit::app::App;

/// Most bytes that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// How far the server is.
#[derive(Debug, Default)]
struct Progress {
    /// Bytes that can be read.
    bytes: u64,
    /// All bytes are there.
    complete: bool,
}

/// One file, written at its end and read from a place that the reader knows.
#[derive(Debug, Clone)]
struct SpoolFile(Arc<Mutex<File>>);

/// The pieces as a response body. The work on them ends when the response is dropped; the user's
/// turn lasts as long as the response, the place among all downloads as long as the work.
///
/// # Errors
///
/// [`Error::Internal`] if no file can be made.
pub(crate) fn body<T, E>(
    app: &App,
    turn: DownloadTurn,
    pieces: impl Stream<Item = Result<T, E>> + Send + 'static,
) -> Result<Body, Error>
where
    T: AsRef<[u8]> + Send + 'static,
    E: Into<axum::BoxError> + Send + 'static,
{
    let file = tempfile::tempfile_in(&app.settings.data_dir)
        .map_err(|error| Error::Internal(format!("a download has no file: {error}")))?;
    let file = SpoolFile(Arc::new(Mutex::new(file)));
    let DownloadTurn { user, place } = turn;
    let (progress, seen) = channel(Progress::default());
    let (written, disk) = (file.clone(), app.settings.disk.clone());
    app.background.start("download", async move {
        let _place = place;
        let work = write(pieces, written, &progress, &disk);
        tokio::select! {
            () = progress.closed() => {}
            result = work => if let Err(error) = result {
                tracing::warn!(%error, "a download broke off");
            }
        }
    });
    let read = stream::try_unfold((file, seen, 0), read);
    Ok(Body::from_stream(read.map(move |piece| {
        let _kept = &user;
        piece
    })))
}

/// Writes the pieces to the file.
async fn write<T, E>(
    pieces: impl Stream<Item = Result<T, E>>,
    file: SpoolFile,
    progress: &Sender<Progress>,
    disk: &Disk,
) -> Result<(), axum::BoxError>
where
    T: AsRef<[u8]> + Send + 'static,
    E: Into<axum::BoxError>,
{
    let mut pieces = pin!(pieces);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Into::into)?;
        if disk.below_floor() {
            return Err("the disk is full".into());
        }
        let end = file.clone();
        let bytes = tokio::task::spawn_blocking(move || end.append(piece.as_ref())).await??;
        progress.send_modify(|progress| progress.bytes = bytes);
    }
    progress.send_modify(|progress| progress.complete = true);
    Ok(())
}

type Reading = (SpoolFile, Receiver<Progress>, u64);

/// The next chunk of the file, as soon as it is there.
async fn read((file, mut seen, at): Reading) -> Result<Option<(Bytes, Reading)>, axum::BoxError> {
    // an error if the work ended before everything was written
    let (bytes, complete) = {
        let progress = seen.wait_for(|progress| progress.bytes > at || progress.complete);
        let progress = progress.await.map_err(|_| "the download broke off")?;
        (progress.bytes, progress.complete)
    };
    if bytes <= at && complete {
        return Ok(None);
    }
    let from = file.clone();
    let chunk = tokio::task::spawn_blocking(move || from.chunk(at, bytes)).await??;
    let next = at + chunk.len() as u64;
    Ok(Some((chunk, (file, seen, next))))
}

impl SpoolFile {
    /// Adds to the end of the file; its size then.
    fn append(&self, piece: &[u8]) -> std::io::Result<u64> {
        let mut file = self.0.lock();
        file.seek(SeekFrom::End(0))?;
        file.write_all(piece)?;
        file.stream_position()
    }

    /// At most [`CHUNK_BYTES`] from `at` on, which is before `end`.
    fn chunk(&self, at: u64, end: u64) -> std::io::Result<Bytes> {
        let length = usize::try_from(end - at).unwrap_or(CHUNK_BYTES);
        let mut chunk = vec![0; length.min(CHUNK_BYTES)];
        let mut file = self.0.lock();
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut chunk)?;
        Ok(chunk.into())
    }
}
