//! An uploaded file → pictures in several widths.
//!
//! The type is read from the content, never from a name. Size and pixels are limited before anything is decoded, so a small
//! file that unfolds into gigabytes costs nothing. What comes out is drawn anew: no camera data, no place of the photograph,
//! nothing hidden behind the picture; its turn is applied and its colours keep their profile.

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

/// Largest file that is taken, in bytes.
pub const FILE_MAX: usize = 20_000_000;
/// Most pixels, in millions: more than cameras and telephones usually make.
const MEGAPIXELS_MAX: u64 = 50;
/// Longest side, in pixels.
const SIDE_MAX: u32 = 20_000;
/// Memory that decoding may take.
const MEMORY_MAX: u64 = 512 * 1024 * 1024;
/// The widths that are made, as far as the picture has them.
const WIDTHS: [u32; 3] = [480, 960, 1920];
/// Of JPEG: what the eye does not miss.
const QUALITY: u8 = 84;
/// A picture that is exact in so few bytes is none that should lose anything.
const SMALL: u64 = 64 * 1024;
/// Longest colour profile that is kept, in bytes; usual ones have 500 to 4 000.
const PROFILE_MAX: usize = 64 * 1024;

/// A picture ready to be stored.
#[derive(Debug)]
pub struct Prepared {
    /// From the narrowest to the widest; never empty.
    pub files: Vec<PreparedFile>,
}

/// One width of it.
#[derive(Debug)]
pub struct PreparedFile {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// `jpg` or `webp`.
    pub extension: &'static str,
    /// The encoded picture.
    pub content: Bytes,
}

impl PreparedFile {
    /// Its row, under a name that belongs to this content of this upload and to nothing else.
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
    /// WebP without loss: for drawings, screenshots, and whatever is transparent.
    Exact,
}

fn wrong(code: &'static str) -> Error {
    Error::invalid("picture", code)
}

/// Decodes, turns, scales and encodes. Takes seconds of CPU for a large photograph: see `Gallery::prepare`.
///
/// # Errors
///
/// [`Error::Invalid`] on the field `picture` says what is wrong with the file.
pub fn prepare(content: &[u8]) -> Result<Prepared, Error> {
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
    Ok(Prepared { files })
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
        // ICC.1:2022 §7.2: the colour space stands at byte 16; what we write is always RGB
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

/// Photographs stay JPEG. Anything else keeps every pixel, unless that takes much and more than a byte for each: then it is
/// a photograph too.
fn choose(
    image: &DynamicImage,
    format: ImageFormat,
    profile: Option<&[u8]>,
) -> image::ImageResult<(Encoding, Vec<u8>)> {
    if format != ImageFormat::Jpeg {
        let exact = encode(image, Encoding::Exact, profile)?;
        let pixels = u64::from(image.width()) * u64::from(image.height());
        if exact.len() as u64 <= pixels.max(SMALL) || transparent(image) {
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
            let mut encoder = JpegEncoder::new_with_quality(&mut out, QUALITY);
            if let Some(profile) = profile {
                // an encoder that cannot keep it writes the picture without
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
