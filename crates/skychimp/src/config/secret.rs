//! Secrets, and the generated secret key.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};
use skychimp_core::platform::secret::SecretKey;

/// Minimum length of a secret key in characters: 128 random bits in hexadecimal.
pub const MIN: usize = 32;

/// Text that is never shown in logs and errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text. Do not log it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Derives the 32-byte key: 64 hexadecimal digits are decoded, any other text is hashed with
/// SHA-256.
#[must_use]
pub fn key(secret: &Secret) -> SecretKey {
    SecretKey::parse(secret.reveal())
        .unwrap_or_else(|_| SecretKey::new(Sha256::digest(secret.reveal()).into()))
}

/// Reads the key from the data directory, or generates it on the first call. Only its owner can
/// read the file.
///
/// Safe for processes that start at the same time: the file appears atomically, and the first one
/// wins. `InvalidData` if the file holds fewer than [`MIN`] characters.
pub fn kept_key(data_dir: &Path) -> io::Result<Secret> {
    let path = data_dir.join("secret.key");
    match fs::read_to_string(&path) {
        Ok(text) => return read(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let text = SecretKey::new(rand::random()).reveal();
    let draft = data_dir.join(format!("secret.key.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    let linked = fs::hard_link(&draft, &path);
    fs::remove_file(&draft)?;
    match linked {
        Ok(()) => Ok(Secret::new(text)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            read(&fs::read_to_string(&path)?)
        }
        Err(error) => Err(error),
    }
}

fn read(text: &str) -> io::Result<Secret> {
    let text = text.trim();
    if text.len() < MIN {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it holds fewer than {MIN} characters"),
        ));
    }
    Ok(Secret::new(text))
}
