//! Where picture files are stored: a local folder, or an S3-compatible store shared by all nodes.

use std::fmt;
use std::path::Path as Folder;
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::sync::Semaphore;
use url::Url;

use super::picture::{PreparedPicture, prepare};
use crate::platform::error::Error;

/// How many pictures may wait to be processed.
const WAITING_MAX: usize = 8;

/// The picture store and the queue for processing uploads. Cheap to clone.
#[derive(Clone)]
pub struct Gallery(Arc<Inner>);

struct Inner {
    store: Box<dyn ObjectStore>,
    prefix: Path,
    /// Permits for the waiting uploads and the one in progress.
    door: Semaphore,
    /// One at a time: a large photograph takes hundreds of megabytes.
    bench: Semaphore,
}

/// A store address that cannot be used; the text says why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GalleryError(pub String);

impl fmt::Debug for Gallery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the store's own `Debug` would print its keys
        write!(f, "Gallery({})", self.0.store)
    }
}

impl Gallery {
    /// A store in a local folder, which is created if missing.
    pub fn in_folder(folder: &Folder) -> Result<Self, GalleryError> {
        let wrong =
            |error: &dyn fmt::Display| GalleryError(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(|error| wrong(&error))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| wrong(&error))?;
        Ok(Self::new(Box::new(store.with_fsync(true)), Path::default()))
    }

    /// A store in a bucket: `s3://KEY:SECRET@HOST[:PORT]/BUCKET[/FOLDER]?region=REGION&tls=none`.
    /// Does not connect yet.
    pub fn s3(url: &str) -> Result<Self, GalleryError> {
        let wrong = |why: &str| GalleryError(why.to_owned());
        let url = Url::parse(url).map_err(|error| GalleryError(format!("is no URL: {error}")))?;
        if url.scheme() != "s3" {
            return Err(wrong("must begin with s3://"));
        }
        let host = url.host_str().ok_or_else(|| wrong("names no host"))?;
        let host = url
            .port()
            .map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text)
                .decode_utf8_lossy()
                .into_owned()
        };
        let path = decoded(url.path().trim_matches('/'));
        let (bucket, prefix) = path.split_once('/').unwrap_or((&path, ""));
        if bucket.is_empty() {
            return Err(wrong("names no bucket: s3://KEY:SECRET@HOST/BUCKET"));
        }
        let (mut region, mut scheme) = ("us-east-1".to_owned(), "https");
        for (name, value) in url.query_pairs() {
            match (name.as_ref(), value.as_ref()) {
                ("region", value) => value.clone_into(&mut region),
                ("tls", "none") => scheme = "http",
                ("tls", "required") => scheme = "https",
                (name, _) => {
                    return Err(GalleryError(format!(
                        "{name} after the ? is wrong; there are region and tls=none"
                    )));
                }
            }
        }
        let store = AmazonS3Builder::new()
            .with_endpoint(format!("{scheme}://{host}"))
            .with_allow_http(scheme == "http")
            .with_region(region)
            .with_bucket_name(bucket)
            .with_access_key_id(decoded(url.username()))
            .with_secret_access_key(decoded(url.password().unwrap_or_default()))
            .build()
            .map_err(|error| GalleryError(error.to_string()))?;
        Ok(Self::new(Box::new(store), Path::from(prefix)))
    }

    fn new(store: Box<dyn ObjectStore>, prefix: Path) -> Self {
        Self(Arc::new(Inner {
            store,
            prefix,
            door: Semaphore::new(WAITING_MAX + 1),
            bench: Semaphore::new(1),
        }))
    }

    /// Processes an upload on a blocking thread, one at a time. `read` gets its content when its
    /// turn has come, so that those that wait take no memory.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] on the field `picture` if the file is rejected or too many uploads are
    /// waiting; [`Error::Internal`] if it cannot be read.
    pub async fn prepare<T: AsRef<[u8]>>(
        &self,
        read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<PreparedPicture, Error> {
        let busy = |_| Error::invalid("picture", "picture_busy");
        let _place = self.0.door.try_acquire().map_err(busy)?;
        let _turn = self
            .0
            .bench
            .acquire()
            .await
            .map_err(|_| Error::invalid("picture", "picture_busy"))?;
        let work = move || {
            let content = read()
                .map_err(|error| Error::Internal(format!("an upload cannot be read: {error}")))?;
            prepare(content.as_ref())
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::Internal(format!("a picture could not be drawn: {error}")))?
    }

    /// Stores a file, replacing one of the same name.
    pub async fn put(&self, name: &str, content: Bytes) -> Result<(), Error> {
        self.0
            .store
            .put(&self.path(name), PutPayload::from_bytes(content))
            .await
            .map_err(failed)?;
        Ok(())
    }

    /// A file's content, or `None` if it does not exist.
    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, Error> {
        match self.0.store.get(&self.path(name)).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Deletes a file. It is not an error if it does not exist.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        match self.0.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// We generate the names (`PreparedFile::named`), but they also come from request URLs, so a
    /// name is always a single path segment.
    fn path(&self, name: &str) -> Path {
        self.0.prefix.clone().join(name)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "passed to map_err by value")]
fn failed(error: object_store::Error) -> Error {
    Error::Internal(format!("the store of pictures failed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R48: an invalid store address is rejected with the reason, and its secret is never shown.
    #[test]
    fn addresses_of_stores_are_checked() {
        let why = |url: &str| Gallery::s3(url).unwrap_err().0;
        assert!(why("https://example.org/x").contains("s3://"));
        assert!(why("s3://key:secret@example.org/").contains("bucket"));
        assert!(why("s3://key:secret@example.org/b?acl=public").contains("acl"));
        let good = Gallery::s3(
            "s3://key:s%2Fecret@example.org:9000/pictures/blog?region=eu-west-1&tls=none",
        )
        .unwrap();
        assert!(!format!("{good:?}").contains("ecret"));
        assert_eq!(good.path("a.jpg").to_string(), "blog/a.jpg");
        assert_eq!(good.path("../../a").to_string(), "blog/..%2F..%2Fa");
    }

    /// R48: files in a folder can be stored, read and deleted; a missing file is not an error.
    #[tokio::test]
    async fn folder_keeps_files() {
        let folder = tempfile::tempdir().unwrap();
        let gallery = Gallery::in_folder(&folder.path().join("media")).unwrap();
        gallery
            .put("a-1.jpg", Bytes::from_static(b"a"))
            .await
            .unwrap();
        assert_eq!(gallery.get("a-1.jpg").await.unwrap().unwrap(), "a");
        assert_eq!(gallery.get("../media/a-1.jpg").await.unwrap(), None);
        gallery.delete("a-1.jpg").await.unwrap();
        gallery.delete("a-1.jpg").await.unwrap();
        assert_eq!(gallery.get("a-1.jpg").await.unwrap(), None);
    }
}
