use std::io::Cursor;

use image::{GenericImageView as _, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;

/// Red on the left, blue on the right.
fn halves(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, _| {
        if x < width / 2 {
            Rgb([220, 20, 20])
        } else {
            Rgb([20, 20, 220])
        }
    })
}

fn written(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.into().write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn code(content: &[u8]) -> &'static str {
    match prepare(content) {
        Err(Error::Invalid(errors)) => errors[0].code,
        other => panic!("{other:?}"),
    }
}

/// Adds an EXIF block (JEITA CP-3451, TIFF inside APP1) with an orientation and a secret after the
/// start of a JPEG.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut tiff = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    tiff.extend([orientation, 0, 0, 0, 0, 0, 0]);
    tiff.extend(b"GPS 55.7558 37.6173 secret");
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend(u16::try_from(tiff.len() + 2).unwrap().to_be_bytes());
    out.extend(tiff);
    out.extend(&jpeg[2..]);
    out
}

/// R48: all four formats are accepted and produced in every width that fits; the type is detected
/// from the content.
#[test]
fn formats_are_read_from_the_content() {
    for (format, extension) in [
        (ImageFormat::Jpeg, "jpg"),
        (ImageFormat::Png, "webp"),
        (ImageFormat::WebP, "webp"),
        (ImageFormat::Gif, "webp"),
    ] {
        let prepared = prepare(&written(halves(1000, 500), format)).unwrap();
        let sizes: Vec<_> = prepared.files.iter().map(|f| (f.width, f.height)).collect();
        assert_eq!(sizes, [(480, 240), (960, 480), (1000, 500)], "{format:?}");
        for file in &prepared.files {
            assert_eq!(file.extension, extension, "{format:?}");
            let image = image::load_from_memory(&file.content).unwrap();
            assert_eq!((image.width(), image.height()), (file.width, file.height));
            let [red, _, blue, _] = image.get_pixel(1, 1).0;
            assert!(red > 180 && blue < 70, "{format:?}");
        }
    }
    let small = prepare(&written(halves(10, 10), ImageFormat::Png)).unwrap();
    assert_eq!(small.files.len(), 1);
}

/// R48: camera data is removed, and its orientation is applied.
#[test]
fn camera_data_is_stripped_and_its_turn_applied() {
    let photo = with_exif(&written(halves(600, 300), ImageFormat::Jpeg), 6);
    let prepared = prepare(&photo).unwrap();
    let file = prepared.files.last().unwrap();
    assert_eq!((file.width, file.height), (300, 600));
    assert!(!file.content.windows(6).any(|w| w == b"secret"));
    assert!(!file.content.windows(4).any(|w| w == b"Exif"));
    // rotated clockwise: left became top
    let image = image::load_from_memory(&file.content).unwrap();
    assert!(image.get_pixel(150, 10).0[0] > 180 && image.get_pixel(150, 590).0[2] > 180);
}

/// R48: transparency is kept; opaque noise is encoded as a photograph.
#[test]
fn encoding_fits_the_content() {
    let glass = RgbaImage::from_fn(64, 64, |x, _| Rgba([9, 9, 9, if x < 32 { 0 } else { 255 }]));
    let prepared = prepare(&written(glass, ImageFormat::Png)).unwrap();
    let image = image::load_from_memory(&prepared.files[0].content).unwrap();
    assert_eq!(
        (prepared.files[0].extension, image.get_pixel(1, 1).0[3]),
        ("webp", 0)
    );

    let mut state = 1_u32;
    let noise = RgbImage::from_fn(256, 256, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [a, b, c, _] = state.to_be_bytes();
        Rgb([a, b, c])
    });
    assert_eq!(
        prepare(&written(noise, ImageFormat::Png)).unwrap().files[0].extension,
        "jpg"
    );
}

/// R48: files that are no picture, too large or truncated are rejected, and a decompression bomb
/// before it is decoded.
#[test]
fn bad_files_are_refused() {
    assert_eq!(
        code(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "picture_kind"
    );
    assert_eq!(code(b""), "picture_kind");
    assert_eq!(code(b"BM\0\0\0\0"), "picture_kind");
    assert_eq!(code(&vec![0; FILE_MAX + 1]), "picture_bytes");
    let whole = written(halves(400, 400), ImageFormat::Png);
    assert_eq!(code(&whole[..40]), "picture_broken");

    // a PNG whose header claims 30 000 × 30 000 pixels (3.6 GB), without data: only the header is
    // read
    let mut bomb = whole;
    bomb[16..20].copy_from_slice(&30_000_u32.to_be_bytes());
    bomb[20..24].copy_from_slice(&30_000_u32.to_be_bytes());
    let sum = crc(&bomb[12..29]);
    bomb[29..33].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(code(&bomb), "picture_pixels");
}

/// CRC-32 of a PNG chunk (ISO/IEC 15948 §5.5).
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |c, _| {
            if c & 1 == 1 {
                0xedb8_8320 ^ (c >> 1)
            } else {
                c >> 1
            }
        })
    })
}

/// R48: each upload gets unique file names, so a name never refers to another picture.
#[test]
fn names_belong_to_one_upload() {
    use crate::platform::time::Timestamp;
    let content = written(halves(20, 10), ImageFormat::Png);
    let name = |id| prepare(&content).unwrap().files.remove(0).named(id).0.name;
    let (one, two) = (
        MediaId::new(Timestamp::from_millis(1)),
        MediaId::new(Timestamp::from_millis(1)),
    );
    assert_eq!(name(one), name(one));
    assert_ne!(name(one), name(two));
    assert!(name(one).ends_with("-20.webp"));
}

/// A PNG of one colour with 8 or 16 bits a channel, and a colour profile that unpacks to
/// `profile` zeros.
fn plain_png(
    width: u32,
    height: u32,
    color: png::ColorType,
    depth: png::BitDepth,
    profile: usize,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut info = png::Info::with_size(width, height);
    (info.color_type, info.bit_depth) = (color, depth);
    info.icc_profile = (profile > 0).then(|| vec![0; profile].into());
    let row = info.raw_row_length() - 1;
    let mut encoder = png::Encoder::with_info(&mut out, info).unwrap();
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().unwrap();
    let mut stream = writer.stream_writer().unwrap();
    let row = vec![0x7f; row];
    for _ in 0..height {
        std::io::Write::write_all(&mut stream, &row).unwrap();
    }
    stream.finish().unwrap();
    drop(writer);
    out
}

/// Peak memory of this process in bytes, counted from the last call of [`forget_peak`].
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

/// `clear_refs` with 5 sets the peak to the present size (proc(5)).
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// R48: whatever comes, preparing it stays below 300 MB: 50 megapixels with 16 bits a channel, a
/// profile that unpacks to 400 MB, very wide and very tall pictures.
#[test]
fn memory_is_bounded() {
    use png::BitDepth::{Eight, Sixteen};
    use png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    let mut whole = plain_png(7_071, 7_071, Rgba, Sixteen, 0);
    whole.truncate(10_000); // is refused before it is read
    let files = [
        plain_png(8_660, 5_773, Rgb, Sixteen, 0),
        whole,
        plain_png(1_000, 20_000, Grayscale, Eight, 0),
        plain_png(20_000, 1_000, GrayscaleAlpha, Eight, 0),
        plain_png(10, 10, Rgb, Eight, 400_000_000),
    ];
    forget_peak();
    let before = peak();
    let outcomes: Vec<_> = files
        .iter()
        .map(|content| match prepare(content) {
            Ok(prepared) => prepared.files.last().unwrap().width.to_string(),
            Err(Error::Invalid(errors)) => errors[0].code.to_owned(),
            Err(error) => panic!("{error:?}"),
        })
        .collect();
    let taken = (peak() - before) / 1_000_000;
    assert!(taken < 240, "{taken} MB on top of {before} bytes");
    assert_eq!(outcomes, ["1920", "picture_memory", "774", "1920", "10"]);
}

/// A JPEG is judged by its header: one whose coefficients must be held as a whole takes more.
#[test]
fn jpegs_are_judged_by_their_header() {
    let plain = written(halves(64, 64), ImageFormat::Jpeg);
    assert!(!decode::keeps_coefficients(&plain));
    let frame = plain.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    let mut progressive = plain.clone();
    progressive[frame + 1] = 0xc2;
    assert!(decode::keeps_coefficients(&progressive));
    let scan = plain.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let mut separate = plain.clone();
    separate[scan + 4] = 1;
    assert!(decode::keeps_coefficients(&separate));
    assert!(decode::keeps_coefficients(&plain[..frame]));
}
