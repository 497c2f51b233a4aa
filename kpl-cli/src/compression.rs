//! Compressed bytes: what they are compressed by, recognised by their first bytes, and reading them as a stream.

use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use serde::Serialize;

const GZIP: &[u8] = &[0x1F, 0x8B, 8];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// <https://www.rfc-editor.org/rfc/rfc1952>
    Gzip,
    /// <https://www.rfc-editor.org/rfc/rfc1950>, with the window of 32 KiB that every common writer has.
    Zlib,
    /// <https://www.rfc-editor.org/rfc/rfc8878>
    Zstd,
}

impl Compression {
    /// Returns what the bytes look like by how they start.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            // Of the four levels that a header may state.
            [0x78, 0x01 | 0x5E | 0x9C | 0xDA, ..] => Some(Self::Zlib),
            _ if bytes.starts_with(GZIP) => Some(Self::Gzip),
            _ if bytes.starts_with(ZSTD) => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns what a file is by how it starts. Text may start like zlib, and files are not zlib.
    pub(crate) fn of_file(start: &[u8]) -> Option<Self> {
        Self::of(start).filter(|&compression| compression != Self::Zlib)
    }

    /// Returns whether the bytes are a part of what a file of gzip or zstd starts with, so that the next byte matters.
    pub(crate) fn may_start(start: &[u8]) -> bool {
        [GZIP, ZSTD]
            .iter()
            .any(|magic| magic.starts_with(start) && magic.len() > start.len())
    }

    /// Returns a reader of what the bytes were before they were compressed. Bytes that are damaged, cut off or followed by
    /// others are an error of it.
    pub(crate) fn reader<'r>(self, bytes: impl BufRead + 'r) -> Box<dyn Read + 'r> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(bytes)),
            Self::Zlib => Box::new(Zlib {
                bytes,
                state: Decompress::new(true),
                has_ended: false,
            }),
            Self::Zstd => Box::new(Zstd {
                bytes,
                frame: FrameDecoder::new(),
                is_in_frame: false,
            }),
        }
    }
}

impl Compression {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// flate2's own reader of zlib takes bytes that are cut off as if they were whole.
struct Zlib<R> {
    bytes: R,
    state: Decompress,
    has_ended: bool,
}

impl<R: BufRead> Read for Zlib<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let bytes = self.bytes.fill_buf()?;
            if out.is_empty() || (self.has_ended && bytes.is_empty()) {
                return Ok(0);
            }
            if self.has_ended {
                return Err(io::Error::other("other bytes follow"));
            }
            let is_end = bytes.is_empty();
            let flush = if is_end {
                FlushDecompress::Finish
            } else {
                FlushDecompress::None
            };
            let before = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(bytes, out, flush)?;
            let consumed = self.state.total_in() - before.0;
            let written = self.state.total_out() - before.1;
            self.bytes.consume(consumed as usize);
            self.has_ended = status == Status::StreamEnd;
            if written > 0 {
                return Ok(written as usize);
            }
            if is_end && !self.has_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Frames of Zstandard, one after the other, with their checksums compared.
struct Zstd<R> {
    bytes: R,
    frame: FrameDecoder,
    is_in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    /// Begins the next frame, or skips it if it does not have content.
    fn begin(&mut self) -> io::Result<()> {
        match self.frame.init(&mut self.bytes) {
            Ok(()) => self.is_in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let length = u64::from(length);
                if io::copy(&mut self.bytes.by_ref().take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_in_frame {
                if out.is_empty() || self.bytes.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin()?;
                continue;
            }
            let len = self.frame.read(out)?;
            if len > 0 || out.is_empty() {
                return Ok(len);
            }
            if !self.frame.is_finished() {
                let blocks = self
                    .frame
                    .decode_blocks(&mut self.bytes, BlockDecodingStrategy::UptoBlocks(1));
                blocks.map_err(io::Error::other)?;
                continue;
            }
            let given = self.frame.get_checksum_from_data();
            if given.is_some() && given != self.frame.get_calculated_checksum() {
                return Err(io::Error::other("the checksum does not match"));
            }
            self.is_in_frame = false;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use flate2::write::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    pub(crate) const ALL: [Compression; 3] = [Compression::Gzip, Compression::Zlib, Compression::Zstd];

    pub(crate) fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        match compression {
            Compression::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zlib => {
                let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
        }
    }

    fn decompress(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        compression.reader(bytes).read_to_end(&mut out).map(|_| out)
    }

    proptest! {
        #[test]
        fn compressed_bytes_are_recognised_and_read(
            bytes in prop::collection::vec(0_u8..8, 0..3000),
            compression in prop::sample::select(&ALL[..]),
        ) {
            let compressed = compress(compression, &bytes);
            prop_assert_eq!(Compression::of(&compressed), Some(compression));
            prop_assert_eq!(decompress(compression, &compressed).unwrap(), bytes);
        }

        #[test]
        fn damage_is_an_error(
            bytes in prop::collection::vec(any::<u8>(), 1..300),
            compression in prop::sample::select(&ALL[..]),
            cut in 1..300_usize,
            more in prop::collection::vec(1_u8.., 1..4),
        ) {
            let compressed = compress(compression, &bytes);
            let cut_off = &compressed[..compressed.len().saturating_sub(cut).max(4)];
            prop_assert!(decompress(compression, cut_off).is_err());
            prop_assert!(decompress(compression, &[&compressed[..], &more].concat()).is_err());
            let mut changed = compressed;
            *changed.last_mut().unwrap() ^= 1;
            // The last bytes are a checksum, or of gzip the length.
            prop_assert!(decompress(compression, &changed).is_err());
        }

        #[test]
        fn any_bytes_come_to_an_end(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            compression in prop::sample::select(&ALL[..]),
        ) {
            let magic = match compression {
                Compression::Gzip => GZIP,
                Compression::Zlib => &[0x78, 0x9C],
                Compression::Zstd => ZSTD,
            };
            let _ = compression.reader(&[magic, &bytes].concat()[..]).take(1 << 20).read_to_end(&mut Vec::new());
        }
    }

    #[test]
    fn what_the_programs_write_is_read() {
        // `printf hello | gzip -c`, twice, and `printf hello | zstd -c`, twice, with a frame to skip between them.
        let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";
        let zstd = b"\x28\xb5\x2f\xfd\x04\x58\x29\0\0hello\xa3\x6d\x9f\x88";
        assert_eq!(decompress(Compression::Gzip, &gzip.repeat(2)).unwrap(), b"hellohello");
        let frames = [&zstd[..], b"\x50\x2a\x4d\x18\x02\0\0\0??", zstd].concat();
        assert_eq!(decompress(Compression::Zstd, &frames).unwrap(), b"hellohello");
    }
}
