//! Pixels on their way from a decoder to an encoder, and how they are scaled.

use fast_image_resize::images::Image;
use fast_image_resize::{MulDiv, PixelType, ResizeOptions, Resizer};
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use crate::platform::error::Error;

/// A picture with 8 bits a channel.
pub(super) struct Pixels {
    pub width: u32,
    pub height: u32,
    /// 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA.
    pub channels: u8,
    /// Row by row, `width * height * channels` bytes.
    pub data: Vec<u8>,
}

impl Pixels {
    /// As RGB or RGBA.
    pub fn into_image(self) -> Result<DynamicImage, Error> {
        let (w, h, data) = (self.width, self.height, self.data);
        let image = match self.channels {
            1 => GrayImage::from_raw(w, h, data)
                .map(|grey| DynamicImage::ImageLuma8(grey).into_rgb8().into()),
            2 => GrayAlphaImage::from_raw(w, h, data)
                .map(|grey| DynamicImage::ImageLumaA8(grey).into_rgba8().into()),
            3 => RgbImage::from_raw(w, h, data).map(DynamicImage::ImageRgb8),
            _ => RgbaImage::from_raw(w, h, data).map(DynamicImage::ImageRgba8),
        };
        image.ok_or_else(|| super::wrong("picture_broken"))
    }
}

/// The picture in `width` pixels, its proportions kept.
pub(super) fn scaled(image: DynamicImage, width: u32) -> Result<DynamicImage, Error> {
    let (w, h) = (image.width(), image.height());
    let height = u64::from(h) * u64::from(width) / u64::from(w.max(1));
    let pixels = Pixels {
        width: w,
        height: h,
        channels: image.color().channel_count(),
        data: image.into_bytes(),
    };
    let height = u32::try_from(height).unwrap_or(u32::MAX).max(1);
    scaled_to(pixels, width, height)?.into_image()
}

/// Scales by Lanczos. In memory are the picture, its rows in the new width, and the result.
pub(super) fn scaled_to(pixels: Pixels, width: u32, height: u32) -> Result<Pixels, Error> {
    if (width, height) == (pixels.width, pixels.height) {
        return Ok(pixels);
    }
    let failed = |error: String| Error::Internal(format!("a picture could not be scaled: {error}"));
    let kind = match pixels.channels {
        1 => PixelType::U8,
        2 => PixelType::U8x2,
        3 => PixelType::U8x3,
        _ => PixelType::U8x4,
    };
    let mut from = Image::from_vec_u8(pixels.width, pixels.height, pixels.data, kind)
        .map_err(|error| failed(error.to_string()))?;
    let mut to = Image::new(width, height, kind);
    // colours of transparent pixels must not be mixed in; in place, because the resizer would copy
    let has_alpha = pixels.channels.is_multiple_of(2);
    let alpha = MulDiv::new();
    if has_alpha {
        alpha
            .multiply_alpha_inplace(&mut from)
            .map_err(|error| failed(error.to_string()))?;
    }
    Resizer::new()
        .resize(&from, &mut to, &ResizeOptions::new().use_alpha(false))
        .map_err(|error| failed(error.to_string()))?;
    drop(from);
    if has_alpha {
        alpha
            .divide_alpha_inplace(&mut to)
            .map_err(|error| failed(error.to_string()))?;
    }
    Ok(Pixels {
        width,
        height,
        channels: pixels.channels,
        data: to.into_vec(),
    })
}
