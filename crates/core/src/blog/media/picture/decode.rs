//! Decodes an upload in bounded memory, scaled to the largest width that is kept.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat};

use super::pixels::{Pixels, scaled_to};
use super::{WIDTHS, wrong};
use crate::platform::error::{Error, FieldError};

/// Most pixels, in megapixels; more than most cameras and phones produce.
const MEGAPIXELS_MAX: u64 = 50;
/// Longest side, in pixels.
const SIDE_MAX: u32 = 20_000;
/// Most pixels of the largest width that is kept; a very tall picture becomes narrower.
const KEPT_PIXELS_MAX: u64 = 12_000_000;
/// Most memory for decoding and scaling, in bytes. Holds 50 megapixels with 8 bits a channel.
const MEMORY_MAX: u64 = 200_000_000;
/// Most bytes that the additional data of a PNG (profile, camera data) may unpack to.
const CHUNKS_MAX: usize = 4_000_000;
/// Longest colour profile that is kept, in bytes; typical ones have 500 to 4 000.
const PROFILE_MAX: usize = 64 * 1024;

/// A decoded upload.
pub(super) struct Decoded {
    /// RGB or RGBA with 8 bits a channel, turned upright, in the largest width that is kept.
    pub image: DynamicImage,
    /// The upload's format.
    pub format: ImageFormat,
    /// An RGB profile of at most [`PROFILE_MAX`] bytes.
    pub profile: Option<Vec<u8>>,
}

/// What a file's header says.
struct Header {
    width: u32,
    height: u32,
    /// Of the decoded picture; one byte each.
    channels: u8,
    /// What the decoder needs for each pixel in addition to the decoded picture, in bytes.
    working: u8,
}

/// # Errors
///
/// [`Error::Invalid`] on the field `picture`.
pub(super) fn decode(content: &[u8]) -> Result<Decoded, Error> {
    let format = image::guess_format(content).map_err(|_| wrong("picture_kind"))?;
    let broken = |_| wrong("picture_broken");
    let input = Cursor::new(content);
    let (pixels, turn, profile) = match format {
        ImageFormat::Png => png(content)?,
        ImageFormat::Jpeg => {
            let working = if keeps_coefficients(content) { 6 } else { 0 };
            other(JpegDecoder::new(input).map_err(broken)?, working)?
        }
        // the decoder holds planes or a frame of its own, and animations a canvas
        ImageFormat::WebP => other(WebPDecoder::new(input).map_err(broken)?, 5)?,
        ImageFormat::Gif => other(GifDecoder::new(input).map_err(broken)?, 5)?,
        _ => return Err(wrong("picture_kind")),
    };
    let (width, height) = target(pixels.width, pixels.height, turn);
    let mut image = scaled_to(pixels, width, height)?.into_image()?;
    image.apply_orientation(turn);
    let profile = profile
        // ICC.1:2022 §7.2: bytes 16-19 hold the colour space; we always write RGB
        .filter(|icc| icc.len() <= PROFILE_MAX && icc.get(16..20) == Some(b"RGB ".as_slice()));
    Ok(Decoded {
        image,
        format,
        profile,
    })
}

/// The size to scale to, before the picture is turned upright.
fn target(width: u32, height: u32, turn: Orientation) -> (u32, u32) {
    let sideways = matches!(
        turn,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (upright, tall) = if sideways {
        (height, width)
    } else {
        (width, height)
    };
    let (w, h) = (u64::from(upright), u64::from(tall));
    let fitting = (KEPT_PIXELS_MAX * w / h.max(1)).isqrt().max(1);
    let kept_width = w.min(u64::from(WIDTHS[WIDTHS.len() - 1])).min(fitting);
    let kept_height = (h * kept_width / w.max(1)).max(1);
    let side = |length: u64| u32::try_from(length).unwrap_or(SIDE_MAX);
    if sideways {
        (side(kept_height), side(kept_width))
    } else {
        (side(kept_width), side(kept_height))
    }
}

/// Refuses a picture that has too many pixels, or takes too much memory.
fn check(header: &Header) -> Result<(), Error> {
    let pixels = u64::from(header.width) * u64::from(header.height);
    if pixels > MEGAPIXELS_MAX * 1_000_000 || header.width.max(header.height) > SIDE_MAX {
        let error = FieldError::new("picture", "picture_pixels").with("max", MEGAPIXELS_MAX);
        return Err(Error::Invalid(vec![error]));
    }
    let channels = u64::from(header.channels);
    let decoding = pixels * (channels + u64::from(header.working));
    // the picture, and its rows in the new width
    let new_width = u64::from(header.width.min(WIDTHS[WIDTHS.len() - 1]));
    let scaling = (pixels + new_width * u64::from(header.height)) * channels;
    if decoding.max(scaling) > MEMORY_MAX {
        return Err(wrong("picture_memory"));
    }
    Ok(())
}

type Parts = (Pixels, Orientation, Option<Vec<u8>>);

fn png(content: &[u8]) -> Result<Parts, Error> {
    let broken = |_| wrong("picture_broken");
    let limits = png::Limits { bytes: CHUNKS_MAX };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(content), limits);
    decoder.set_ignore_text_chunk(true);
    // 16 bits a channel are read as 8, fewer as 8, palettes as colours
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(broken)?;
    let (color, _) = reader.output_color_type();
    let (width, height) = reader.info().size();
    let channels = u8::try_from(color.samples()).unwrap_or(4);
    // grey becomes colour after it was scaled
    check(&Header {
        width,
        height,
        channels,
        working: 0,
    })?;
    let turn = reader.info().exif_metadata.as_deref();
    let turn = turn.and_then(Orientation::from_exif_chunk);
    let profile = reader.info().icc_profile.as_ref().map(|icc| icc.to_vec());
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| wrong("picture_broken"))?;
    let mut data = vec![0; size];
    reader.next_frame(&mut data).map_err(broken)?;
    let pixels = Pixels {
        width,
        height,
        channels,
        data,
    };
    Ok((pixels, turn.unwrap_or(Orientation::NoTransforms), profile))
}

fn other(mut decoder: impl ImageDecoder, working: u8) -> Result<Parts, Error> {
    let broken = |_| wrong("picture_broken");
    let (width, height) = decoder.dimensions();
    let channels = match decoder.color_type() {
        ColorType::L8 => 1,
        ColorType::La8 => 2,
        ColorType::Rgb8 => 3,
        ColorType::Rgba8 => 4,
        _ => return Err(wrong("picture_broken")),
    };
    check(&Header {
        width,
        height,
        channels,
        working,
    })?;
    let turn = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let profile = decoder.icc_profile().ok().flatten();
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MEMORY_MAX);
    decoder.set_limits(limits).map_err(broken)?;
    let size = usize::try_from(decoder.total_bytes()).map_err(|_| wrong("picture_broken"))?;
    let mut data = vec![0; size];
    decoder.read_image(&mut data).map_err(broken)?;
    let pixels = Pixels {
        width,
        height,
        channels,
        data,
    };
    Ok((pixels, turn, profile))
}

/// Whether a decoder must hold the coefficients of the whole JPEG: it is progressive, or its
/// first scan does not hold all components (ITU-T T.81 §B.2).
pub(super) fn keeps_coefficients(content: &[u8]) -> bool {
    let mut at = 2;
    let mut components = 0;
    while let Some(&[0xff, marker, high, low]) = content.get(at..at + 4) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            0xff => {
                at += 1;
                continue;
            }
            0xc2 | 0xc6 | 0xca | 0xce => return true,
            0xc0 | 0xc1 => components = content.get(at + 9).copied().unwrap_or(0),
            0xda => return content.get(at + 4).copied().unwrap_or(0) < components,
            _ => {}
        }
        at += 2 + length.max(2);
    }
    // a damaged or unusual file: expect the worst
    true
}
