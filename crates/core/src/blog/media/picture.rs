//! Turns an uploaded file into pictures of several widths.
//!
//! The type is detected from the content, never from the name. File size and pixel count are
//! checked before decoding, so a decompression bomb costs nothing. The output is re-encoded: it
//! contains no camera data, no location and no hidden payload. Orientation is applied and the
//! colour profile is kept.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder as _, ImageFormat, ImageReader, Limits};
use sha2::{Digest as _, Sha256};

use super::PictureFile;
use crate::platform::error::{Error, FieldError};
use crate::platform::ids::MediaId;

/// Largest accepted file, in bytes.
pub const FILE_MAX: usize = 20_000_000;
/// Most pixels, in megapixels; more than most cameras and phones produce.
const MEGAPIXELS_MAX: u64 = 50;
/// Longest side, in pixels.
const SIDE_MAX: u32 = 20_000;
/// Memory limit for decoding, in bytes.
const MEMORY_MAX: u64 = 512 * 1024 * 1024;
/// The widths produced, in pixels; never wider than the original.
const WIDTHS: [u32; 3] = [480, 960, 1920];
/// JPEG quality at which no loss is visible.
const JPEG_QUALITY: u8 = 84;
/// A lossless picture up to this size, in bytes, is never converted to JPEG.
const SMALL_FILE_BYTES: u64 = 64 * 1024;
/// Longest colour profile that is kept, in bytes; typical ones have 500 to 4 000.
const PROFILE_MAX: usize = 64 * 1024;

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
    let (image, format, profile) = decode(content)?;
    let width = image.width().min(WIDTHS[WIDTHS.len() - 1]);
    let largest = scaled(&image, width);
    drop(image);
    let exact = |_| wrong("picture_broken");
    let (encoding, first) = choose(&largest, format, profile.as_deref()).map_err(exact)?;
    let mut files = vec![file(&largest, encoding, first)];
    let mut last = largest;
    for width in WIDTHS.into_iter().rev().filter(|w| *w < width) {
        last = scaled(&last, width);
        let content = encode(&last, encoding, profile.as_deref()).map_err(exact)?;
        files.push(file(&last, encoding, content));
    }
    files.reverse();
    Ok(PreparedPicture { files })
}

fn decode(content: &[u8]) -> Result<(DynamicImage, ImageFormat, Option<Vec<u8>>), Error> {
    let format = image::guess_format(content).map_err(|_| wrong("picture_kind"))?;
    if !matches!(
        format,
        ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif
    ) {
        return Err(wrong("picture_kind"));
    }
    let mut reader = ImageReader::with_format(Cursor::new(content), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| wrong("picture_broken"))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MEGAPIXELS_MAX * 1_000_000 || width.max(height) > SIDE_MAX {
        let error = FieldError::new("picture", "picture_pixels").with("max", MEGAPIXELS_MAX);
        return Err(Error::Invalid(vec![error]));
    }
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder
        .icc_profile()
        .ok()
        .flatten()
        // ICC.1:2022 §7.2: bytes 16-19 hold the colour space; we always write RGB
        .filter(|icc| icc.len() <= PROFILE_MAX && icc.get(16..20) == Some(b"RGB ".as_slice()));
    let mut image = DynamicImage::from_decoder(decoder).map_err(|_| wrong("picture_broken"))?;
    image.apply_orientation(turn);
    Ok((image, format, profile))
}

fn scaled(image: &DynamicImage, width: u32) -> DynamicImage {
    if image.width() <= width {
        return image.clone();
    }
    let height = u64::from(image.height()) * u64::from(width) / u64::from(image.width());
    let height = u32::try_from(height).unwrap_or(u32::MAX).max(1);
    image.resize_exact(width, height, FilterType::Lanczos3)
}

/// JPEG stays JPEG. Everything else is stored lossless, unless that takes more than [`SMALL_FILE_BYTES`] and
/// more than one byte per pixel: then it is treated as a photograph.
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
    image.color().has_alpha() && image.to_rgba8().pixels().any(|pixel| pixel.0[3] < u8::MAX)
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
            DynamicImage::ImageRgb8(image.to_rgb8()).write_with_encoder(encoder)?;
        }
        Encoding::Exact => {
            let mut encoder = WebPEncoder::new_lossless(&mut out);
            if let Some(profile) = profile {
                let _ = encoder.set_icc_profile(profile.to_vec());
            }
            let plain = if transparent(image) {
                DynamicImage::ImageRgba8(image.to_rgba8())
            } else {
                DynamicImage::ImageRgb8(image.to_rgb8())
            };
            plain.write_with_encoder(encoder)?;
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
