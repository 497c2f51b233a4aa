//! Compressed bytes: what they are compressed by, recognised by their first bytes, and reading them as a stream.

use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use lz4_flex::frame::FrameDecoder;
use serde::Serialize;
use zstd::dict::DecoderDictionary;
use zstd::stream::read::Decoder;

const GZIP: &[u8] = &[0x1F, 0x8B, 8];
const LZ4: &[u8] = &[0x04, 0x22, 0x4D, 0x18];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    /// <https://www.rfc-editor.org/rfc/rfc1952>
    Gzip,
    /// <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>
    Lz4,
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
            _ if bytes.starts_with(LZ4) => Some(Self::Lz4),
            _ if bytes.starts_with(ZSTD) => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns what a file is by how it starts. Text may start like zlib, and files are not zlib.
    pub(crate) fn of_file(start: &[u8]) -> Option<Self> {
        Self::of(start).filter(|&compression| compression != Self::Zlib)
    }

    /// Returns whether the bytes are a part of what a compressed file starts with, so that the next byte matters.
    pub(crate) fn may_start(start: &[u8]) -> bool {
        [GZIP, LZ4, ZSTD]
            .iter()
            .any(|magic| magic.starts_with(start) && magic.len() > start.len())
    }

    /// Returns a reader of what the bytes were before they were compressed, with a dictionary if it is zstd. Bytes that are damaged, cut
    /// off or followed by others are an error of it.
    pub(crate) fn reader<'r>(
        self,
        bytes: impl BufRead + 'r,
        dictionary: Option<&'r DecoderDictionary<'_>>,
    ) -> io::Result<Box<dyn Read + 'r>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(bytes)),
            Self::Lz4 => Box::new(Lz4(FrameDecoder::new(Watched {
                bytes,
                has_ended: false,
            }))),
            Self::Zlib => Box::new(Zlib {
                bytes,
                state: Decompress::new(true),
                has_ended: false,
            }),
            Self::Zstd => match dictionary {
                Some(dictionary) => Box::new(Decoder::with_prepared_dictionary(bytes, dictionary)?),
                None => Box::new(Decoder::with_buffer(bytes)?),
            },
        })
    }
}

impl Compression {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
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

/// Frames of LZ4, one after the other. lz4_flex's own reader takes a frame that is cut off between two blocks as if it were whole.
struct Lz4<R: Read>(FrameDecoder<Watched<R>>);

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while !out.is_empty() {
            if self.0.get_mut().has_ended {
                return Ok(0);
            }
            let len = self.0.read(out)?;
            if len > 0 {
                return Ok(len);
            }
            // This was the end of a frame.
            let bytes = self.0.get_mut();
            if bytes.has_ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.has_ended = bytes.bytes.fill_buf()?.is_empty();
        }
        Ok(0)
    }
}

/// Bytes that remember whether they have come to their end.
struct Watched<R> {
    bytes: R,
    has_ended: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.read(out)?;
        self.has_ended = len == 0 && !out.is_empty();
        Ok(len)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use flate2::write::{GzEncoder, ZlibEncoder};
    use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};
    use proptest::prelude::*;

    use super::*;

    pub(crate) const ALL: [Compression; 4] = [
        Compression::Gzip,
        Compression::Lz4,
        Compression::Zlib,
        Compression::Zstd,
    ];

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
            Compression::Lz4 => {
                let options = FrameInfo::new().content_checksum(true);
                let mut encoder = FrameEncoder::with_frame_info(options, Vec::new());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn decompress(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        compression.reader(bytes, None)?.read_to_end(&mut out).map(|_| out)
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
                Compression::Lz4 => LZ4,
                Compression::Zlib => &[0x78, 0x9C],
                Compression::Zstd => ZSTD,
            };
            let bytes = [magic, &bytes].concat();
            let _ = compression.reader(&bytes[..], None).unwrap().take(1 << 20).read_to_end(&mut Vec::new());
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
    #[test]
    fn every_cut_of_a_frame_with_many_blocks_is_an_error() {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(|number| number.to_le_bytes()).collect();
        let mut encoder = FrameEncoder::with_frame_info(FrameInfo::new().block_size(BlockSize::Max64KB), Vec::new());
        encoder.write_all(&bytes).unwrap();
        let frame = encoder.finish().unwrap();
        assert_eq!(decompress(Compression::Lz4, &frame).unwrap(), bytes);
        assert_eq!(decompress(Compression::Lz4, &frame.repeat(2)).unwrap(), bytes.repeat(2));
        // The magic, the header, and each block with its length before it.
        let (mut end, mut blocks) = (7, 0);
        loop {
            assert!(decompress(Compression::Lz4, &frame[..end]).is_err(), "{end}");
            let size = u32::from_le_bytes(frame[end..end + 4].try_into().unwrap()) & (u32::MAX >> 1);
            if size == 0 {
                break;
            }
            assert!(decompress(Compression::Lz4, &frame[..end + 3]).is_err(), "{end}");
            end += 4 + size as usize;
            blocks += 1;
        }
        assert_eq!((end + 4, blocks), (frame.len(), 13));
    }
}
