//! `--decompress`: data as it was before it was compressed.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read as _};

use clap::Args;

use crate::compression::Compression;
use crate::forms::positive_bytes;

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Decompress {
    /// Decompress data that is gzip, zlib or zstd. Data that cannot be decompressed stays as it is, and that is told
    #[arg(long)]
    decompress: bool,

    /// The most bytes that the data of a record may take decompressed
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, requires = "decompress", value_parser = positive_bytes)]
    max_decompressed: usize,
}

/// Data, as it was before it was compressed.
#[derive(Debug)]
pub(crate) struct Plain<'d> {
    pub(crate) data: Cow<'d, [u8]>,
    /// What it was compressed by, if it was.
    pub(crate) compression: Option<Compression>,
}

impl<'d> From<&'d [u8]> for Plain<'d> {
    fn from(data: &'d [u8]) -> Self {
        Self {
            data: data.into(),
            compression: None,
        }
    }
}

/// Why data stays compressed.
#[derive(Debug)]
pub(crate) enum NotDecompressed {
    TooLarge { compression: Compression, limit: usize },
    Damaged { compression: Compression, error: io::Error },
}

impl fmt::Display for NotDecompressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { compression, limit } => write!(
                f,
                "its data stays as it is: decompressed by {compression} it is longer than {limit} bytes, the limit of \
                 --max-decompressed"
            ),
            Self::Damaged { compression, error } => write!(
                f,
                "its data stays as it is: it starts like {compression}, but cannot be decompressed: {error}"
            ),
        }
    }
}

impl Decompress {
    /// Returns whether data is decompressed at all.
    pub(crate) const fn is_on(self) -> bool {
        self.decompress
    }

    /// Returns the data decompressed, if it is to be and it is compressed.
    pub(crate) fn apply(self, data: &[u8]) -> Result<Plain<'_>, NotDecompressed> {
        match Compression::of(data).filter(|_| self.decompress) {
            Some(compression) => self.open(compression, data),
            None => Ok(data.into()),
        }
    }

    fn open(self, compression: Compression, data: &[u8]) -> Result<Plain<'_>, NotDecompressed> {
        let limit = self.max_decompressed;
        let mut out = Vec::new();
        // One byte more shows that there is more.
        let most = (limit as u64).saturating_add(1);
        match compression.reader(data).take(most).read_to_end(&mut out) {
            Ok(_) if out.len() > limit => Err(NotDecompressed::TooLarge { compression, limit }),
            Ok(_) => Ok(Plain {
                data: out.into(),
                compression: Some(compression),
            }),
            // Text may start like zlib.
            Err(_) if str::from_utf8(data).is_ok() => Ok(data.into()),
            Err(error) => Err(NotDecompressed::Damaged { compression, error }),
        }
    }

    /// Returns the same with this limit, if that is lower.
    pub(crate) fn with_at_most(self, limit: usize) -> Self {
        Self {
            max_decompressed: self.max_decompressed.min(limit),
            ..self
        }
    }

    /// Returns the most bytes that data may take decompressed.
    pub(crate) const fn limit(self) -> usize {
        self.max_decompressed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::tests::{ALL, compress};

    #[test]
    fn the_limit_is_the_most_that_comes_out() {
        let data = vec![b'a'; 1 << 20];
        for compression in ALL {
            let compressed = compress(compression, &data);
            let decompress = |max_decompressed| {
                let options = Decompress {
                    decompress: true,
                    max_decompressed,
                };
                options.apply(&compressed)
            };
            let plain = decompress(1 << 20).unwrap();
            assert_eq!((plain.data.as_ref(), plain.compression), (&data[..], Some(compression)));
            let error = decompress((1 << 20) - 1).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "its data stays as it is: decompressed by {compression} it is longer than 1048575 bytes, the limit of \
                     --max-decompressed"
                )
            );
        }
    }

    #[test]
    fn text_that_starts_like_zlib_is_text() {
        let options = Decompress {
            decompress: true,
            max_decompressed: 100,
        };
        let plain = options.apply(b"x^2 + 1").unwrap();
        assert_eq!((plain.data.as_ref(), plain.compression), (&b"x^2 + 1"[..], None));
        assert!(options.apply(b"x\x9c\xff").is_err());
    }
}
