//! Turns an uploaded file into pictures of several widths.
//!
//! The type is detected from the content, never from the name. File size, pixel count and the
//! memory that decoding and scaling take are checked before decoding, so a decompression bomb
//! costs nothing. The output is re-encoded: it
//! contains no camera data, no location and no hidden payload. Orientation is applied and the
//! colour profile is kept.

mod decode;
mod pixels;

use std::borrow::Cow;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ImageEncoder as _, ImageFormat};
use sha2::{Digest as _, Sha256};

use self::decode::{Decoded, decode};
use self::pixels::scaled;
use super::PictureFile;
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::MediaId;

/// Largest accepted file, in bytes.
pub const FILE_MAX: usize = 20_000_000;
/// The widths produced, in pixels; never wider than the original.
const WIDTHS: [u32; 3] = [480, 960, 1920];
/// JPEG quality at which no loss is visible.
const JPEG_QUALITY: u8 = 84;
/// A lossless picture up to this size, in bytes, is never converted to JPEG.
const SMALL_FILE_BYTES: u64 = 64 * 1024;

/// A processed upload, ready to be stored.
#[derive(Debug)]
pub struct PreparedPicture {
    /// From narrowest to widest; never empty.
    pub files: Vec<PreparedFile>,
}

/// One width of a processed picture.
#[derive(Debug)]
pub struct PreparedFile {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// `jpg` or `webp`.
    pub extension: &'static str,
    /// The encoded file.
    pub content: Bytes,
}

impl PreparedFile {
    /// The file's row. The name is a hash of the upload's id and the content, so it never refers to
    /// another picture.
    pub(super) fn named(self, id: MediaId) -> (PictureFile, Bytes) {
        let hash = Sha256::new()
            .chain_update(id.0.as_bytes())
            .chain_update(&self.content)
            .finalize();
        let hash = hash[..12]
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let file = PictureFile {
            name: format!("{hash}-{}.{}", self.width, self.extension),
            width: i64::from(self.width),
            height: i64::from(self.height),
            bytes: i64::try_from(self.content.len()).unwrap_or(i64::MAX),
        };
        (file, self.content)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    /// For photographs.
    Jpeg,
    /// Lossless WebP, for drawings, screenshots and anything transparent.
    Exact,
}

fn wrong(code: &'static str) -> Error {
    Error::invalid("picture", code)
}

/// Decodes, rotates, scales and encodes a picture. Takes seconds of CPU for a large photograph, so
/// call it through `Gallery::prepare`.
///
/// # Errors
///
/// [`Error::Invalid`] on the field `picture` with the reason the file is rejected.
pub fn prepare(content: &[u8]) -> Result<PreparedPicture, Error> {
    if content.len() > FILE_MAX {
        let error = FieldError::new("picture", "picture_bytes").with("max", FILE_MAX / 1_000_000);
        return Err(Error::Invalid(vec![error]));
    }
    let Decoded {
        image: largest,
        format,
        profile,
    } = decode(content)?;
    let broken = |_| wrong("picture_broken");
    let (encoding, first) = choose(&largest, format, profile.as_deref()).map_err(broken)?;
    let mut files = vec![file(&largest, encoding, first)];
    let widest = largest.width();
    let mut last = largest;
    for width in WIDTHS.into_iter().rev().filter(|w| *w < widest) {
        last = scaled(last, width)?;
        let content = encode(&last, encoding, profile.as_deref()).map_err(broken)?;
        files.push(file(&last, encoding, content));
    }
    files.reverse();
    Ok(PreparedPicture { files })
}

/// JPEG stays JPEG. Everything else is stored lossless, unless that takes more than
/// [`SMALL_FILE_BYTES`] and more than one byte per pixel: then it is treated as a photograph.
fn choose(
    image: &DynamicImage,
    format: ImageFormat,
    profile: Option<&[u8]>,
) -> image::ImageResult<(Encoding, Vec<u8>)> {
    if format != ImageFormat::Jpeg {
        let exact = encode(image, Encoding::Exact, profile)?;
        let pixels = u64::from(image.width()) * u64::from(image.height());
        if exact.len() as u64 <= pixels.max(SMALL_FILE_BYTES) || transparent(image) {
            return Ok((Encoding::Exact, exact));
        }
    }
    Ok((Encoding::Jpeg, encode(image, Encoding::Jpeg, profile)?))
}

fn transparent(image: &DynamicImage) -> bool {
    image
        .as_rgba8()
        .is_some_and(|image| image.pixels().any(|pixel| pixel.0[3] < u8::MAX))
}

/// The picture as RGB, which both encoders take; copied only if it has an alpha channel.
fn opaque(image: &DynamicImage) -> Cow<'_, DynamicImage> {
    match image {
        DynamicImage::ImageRgb8(_) => Cow::Borrowed(image),
        other => Cow::Owned(DynamicImage::ImageRgb8(other.to_rgb8())),
    }
}

fn encode(
    image: &DynamicImage,
    encoding: Encoding,
    profile: Option<&[u8]>,
) -> image::ImageResult<Vec<u8>> {
    let mut out = Vec::new();
    match encoding {
        Encoding::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY);
            if let Some(profile) = profile {
                // an encoder without profile support writes the picture without it
                let _ = encoder.set_icc_profile(profile.to_vec());
            }
            opaque(image).write_with_encoder(encoder)?;
        }
        Encoding::Exact => {
            let mut encoder = WebPEncoder::new_lossless(&mut out);
            if let Some(profile) = profile {
                let _ = encoder.set_icc_profile(profile.to_vec());
            }
            if transparent(image) {
                image.write_with_encoder(encoder)?;
            } else {
                opaque(image).write_with_encoder(encoder)?;
            }
        }
    }
    Ok(out)
}

fn file(image: &DynamicImage, encoding: Encoding, content: Vec<u8>) -> PreparedFile {
    PreparedFile {
        width: image.width(),
        height: image.height(),
        extension: match encoding {
            Encoding::Jpeg => "jpg",
            Encoding::Exact => "webp",
        },
        content: content.into(),
    }
}

#[cfg(test)]
mod tests;
