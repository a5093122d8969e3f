//! Assembles gzip pages from pieces that were compressed once.
//!
//! A deflate stream (RFC 1951) that ends with a full flush does not refer to earlier data and ends
//! at a byte boundary, so such streams can be concatenated in any order. Short texts are put
//! between them as uncompressed blocks. Gzip (RFC 1952) adds a CRC-32 over everything. Each piece
//! stores its own checksum and a linear map that extends the preceding checksum by the piece's
//! length. A view therefore costs copying, not compressing.

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty final block.
const END: [u8; 2] = [3, 0];
/// The longest uncompressed block, in bytes.
const BLOCK_MAX: usize = 0xffff;

/// A fixed part of pages.
#[derive(Debug, Clone)]
pub(crate) struct Fragment {
    text: Bytes,
    deflated: Bytes,
    crc: u32,
    /// For each bit of a checksum, its value after appending as many zero bytes as this text has.
    shift: [u32; 32],
}

impl Fragment {
    /// Compresses a text.
    pub(crate) fn new(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self {
            deflated: deflated(&text).into(),
            crc: crc32fast::hash(&text),
            shift: shift(text.len()),
            text,
        }
    }

    /// The uncompressed text.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Bytes it takes in a page.
    pub(crate) fn size(&self, gzip: bool) -> usize {
        if gzip {
            self.deflated.len()
        } else {
            self.text.len()
        }
    }

    /// Bytes it takes in memory.
    pub(crate) fn weight(&self) -> usize {
        self.text.len() + self.deflated.len() + size_of::<Self>()
    }

    fn after(&self, crc: u32) -> u32 {
        // a mask of ones where the bit is set: no branches, so that it vectorises
        let columns = self.shift.iter().enumerate();
        let moved = columns.map(|(bit, column)| column & (crc >> bit & 1).wrapping_neg());
        moved.fold(self.crc, |sum, column| sum ^ column)
    }
}

fn deflated(text: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(text.len() / 2 + 64);
    loop {
        let rest = usize::try_from(compress.total_in()).map_or(&[][..], |done| &text[done..]);
        // only running out of memory could fail, and that aborts the program
        let _ = compress.compress_vec(rest, &mut out, FlushCompress::Full);
        // there is room left, so everything is written
        if out.len() < out.capacity() {
            return out;
        }
        out.reserve(text.len() / 2 + 64);
    }
}

/// The effect on each bit of a checksum of appending `length` zero bytes. CRC-32 is linear.
fn shift(length: usize) -> [u32; 32] {
    let zeros = vec![0; length];
    let of_nothing = crc32fast::hash(&zeros);
    std::array::from_fn(|bit| {
        let mut hasher = Hasher::new_with_initial(1 << bit);
        hasher.update(&zeros);
        hasher.finalize() ^ of_nothing
    })
}

/// A page being assembled.
#[derive(Debug)]
pub(crate) enum GzipWriter {
    /// Uncompressed.
    Plain(Vec<u8>),
    /// As gzip: the bytes, the checksum and the length so far.
    Gzip(Vec<u8>, u32, u32),
}

impl GzipWriter {
    /// An empty page, with capacity for `pieces` bytes of pieces.
    pub(crate) fn new(gzip: bool, pieces: usize) -> Self {
        let mut bytes = Vec::with_capacity(pieces + 256);
        if !gzip {
            return Self::Plain(bytes);
        }
        bytes.extend(HEADER);
        Self::Gzip(bytes, 0, 0)
    }

    /// Appends a piece.
    pub(crate) fn piece(&mut self, piece: &Fragment) {
        match self {
            Self::Plain(bytes) => bytes.extend_from_slice(&piece.text),
            Self::Gzip(bytes, crc, length) => {
                bytes.extend_from_slice(&piece.deflated);
                *crc = piece.after(*crc);
                *length = length.wrapping_add(wrapped(piece.text.len()));
            }
        }
    }

    /// Appends a short text.
    pub(crate) fn text(&mut self, text: &[u8]) {
        match self {
            Self::Plain(bytes) => bytes.extend_from_slice(text),
            Self::Gzip(bytes, crc, length) => {
                for block in text.chunks(BLOCK_MAX) {
                    let size = u16::try_from(block.len()).unwrap_or(u16::MAX);
                    bytes.push(0);
                    bytes.extend(size.to_le_bytes());
                    bytes.extend((!size).to_le_bytes());
                    bytes.extend_from_slice(block);
                }
                let mut hasher = Hasher::new_with_initial(*crc);
                hasher.update(text);
                *crc = hasher.finalize();
                *length = length.wrapping_add(wrapped(text.len()));
            }
        }
    }

    /// Returns the finished page.
    pub(crate) fn finish(self) -> Bytes {
        match self {
            Self::Plain(bytes) => bytes.into(),
            Self::Gzip(mut bytes, crc, length) => {
                bytes.extend(END);
                bytes.extend(crc.to_le_bytes());
                bytes.extend(length.to_le_bytes());
                bytes.into()
            }
        }
    }
}

/// Gzip stores the length modulo 2³².
#[expect(clippy::cast_possible_truncation, reason = "gzip does the same")]
const fn wrapped(length: usize) -> u32 {
    length as u32
}

/// Whether the client accepts gzip.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| {
            let mut words = part.split(';').map(str::trim);
            words.next() == Some("gzip")
                && !words.any(|q| matches!(q, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    /// R57: pieces and short texts in any order make one valid gzip stream, with correct checksum
    /// and length.
    #[test]
    fn pieces_make_one_stream() {
        let long = (0..9_000).fold(String::new(), |text, n| text + &format!("<p>{n}</p>"));
        let pieces =
            [long.as_str(), "", "<footer>", "x"].map(|text| Fragment::new(text.to_owned()));
        let mut plain = GzipWriter::new(false, 0);
        let mut gzip = GzipWriter::new(true, 0);
        for sheet in [&mut plain, &mut gzip] {
            sheet.text(b"first");
            for piece in &pieces {
                sheet.piece(piece);
                sheet.text(b"1\xc2\xa0234");
            }
            sheet.text(b"");
            sheet.text(long.as_bytes());
            sheet.piece(&pieces[0]);
        }
        let (plain, gzip) = (plain.finish(), gzip.finish());
        let mut read = Vec::new();
        GzDecoder::new(&gzip[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, plain);
        assert!(pieces[0].deflated.len() * 3 < long.len());
    }

    /// R57: a piece of random, incompressible bytes is complete.
    #[test]
    fn incompressible_pieces_are_whole() {
        let noise: Vec<u8> = (0..200_000).map(|_| rand::random()).collect();
        let mut gzip = GzipWriter::new(true, 0);
        gzip.piece(&Fragment::new(noise.clone()));
        let mut read = Vec::new();
        GzDecoder::new(&gzip.finish()[..])
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, noise);
    }
}
