//! A response whose pieces are made by a future while they are read.

use std::future::Future;

use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::mpsc::Receiver;

/// The pieces that arrive while `work` runs. Reading them drives the work, so it waits for a slow
/// reader, and ends when the response is dropped.
pub(crate) fn driven<T: Send + 'static>(
    work: impl Future<Output = ()> + Send + 'static,
    pieces: Receiver<T>,
) -> impl Stream<Item = T> + Send + 'static {
    let pieces = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((Some(piece), pieces))
    });
    let work = stream::once(work).map(|()| None);
    // the work is over when the last piece was sent, and the pieces when it was read
    stream::select(work, pieces)
        .filter_map(std::future::ready)
        .fuse()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    #[tokio::test]
    async fn pieces_come_until_the_work_is_over() {
        let (out, pieces) = channel(1);
        let work = async move {
            for n in 0..5 {
                out.send(n).await.unwrap();
            }
        };
        let read: Vec<_> = Box::pin(driven(work, pieces)).collect().await;
        assert_eq!(read, [0, 1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn work_ends_with_its_reader() {
        let (out, pieces) = channel::<i32>(1);
        let lives = std::sync::Arc::new(());
        let held = std::sync::Arc::clone(&lives);
        let work = async move {
            out.send(1).await.unwrap();
            std::future::pending::<()>().await;
            drop(held);
        };
        let mut read = Box::pin(driven(work, pieces));
        assert_eq!(read.next().await, Some(1));
        drop(read);
        assert_eq!(std::sync::Arc::strong_count(&lives), 1);
    }
}
