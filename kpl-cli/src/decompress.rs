//! `--decompress`: data as it was before it was compressed.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use clap::{Args, ValueHint};
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe;

use crate::compression::Compression;
use crate::forms::positive_bytes;

/// The most bytes that a dictionary may have.
const MAX_DICTIONARY: u64 = 16 << 20;

#[derive(Clone, Debug, Args)]
pub(crate) struct Decompress {
    /// Decompress data that is gzip, zlib, zstd or lz4. Data that cannot be decompressed stays as it is, and that is told
    #[arg(long)]
    decompress: bool,

    /// The most bytes that the data of a record may take decompressed
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, requires = "decompress", value_parser = positive_bytes)]
    max_decompressed: usize,

    /// A dictionary that data was compressed with by zstd. It can be given several times; data names the one that it needs
    #[arg(long = "dictionary", value_name = "FILE", requires = "decompress", value_parser = dictionary, value_hint = ValueHint::FilePath)]
    dictionaries: Vec<Dictionary>,
}

/// A dictionary of zstd, ready to read with.
#[derive(Clone)]
pub(crate) struct Dictionary {
    id: Option<NonZeroU32>,
    reading: Arc<DecoderDictionary<'static>>,
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dictionary")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Dictionary {
    fn new(bytes: &[u8]) -> io::Result<Self> {
        Ok(Self {
            id: zstd_safe::get_dict_id_from_dict(bytes),
            reading: Arc::new(DecoderDictionary::try_copy(bytes)?),
        })
    }
}

/// Reads a dictionary that an option names.
pub(crate) fn dictionary(file: &str) -> Result<Dictionary, String> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(Path::new(file))?
            .take(MAX_DICTIONARY + 1)
            .read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(io::Error::other("this is empty"));
        }
        if bytes.len() as u64 > MAX_DICTIONARY {
            return Err(io::Error::other(
                "this is longer than 16 MiB, the limit for a dictionary",
            ));
        }
        Dictionary::new(&bytes)
    };
    read().map_err(|error| error.to_string())
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
                "decompressed by {compression} it is longer than {limit} bytes, the limit of --max-decompressed"
            ),
            Self::Damaged { compression, error } => {
                write!(f, "it starts like {compression}, but cannot be decompressed: {error}")
            }
        }
    }
}

impl Decompress {
    /// Returns whether data is decompressed at all.
    pub(crate) const fn is_on(&self) -> bool {
        self.decompress
    }

    /// Returns the data decompressed, if it is to be and it is compressed.
    pub(crate) fn apply<'d>(&self, data: &'d [u8]) -> Result<Plain<'d>, NotDecompressed> {
        self.apply_within(self.max_decompressed, data)
    }

    /// Returns the same with this limit, if that is lower.
    pub(crate) fn apply_within<'d>(&self, limit: usize, data: &'d [u8]) -> Result<Plain<'d>, NotDecompressed> {
        match Compression::of(data).filter(|_| self.decompress) {
            Some(compression) => open(compression, data, limit.min(self.max_decompressed), &self.dictionaries),
            None => Ok(data.into()),
        }
    }

    /// Returns the most bytes that data may take decompressed.
    pub(crate) const fn limit(&self) -> usize {
        self.max_decompressed
    }
}

/// Returns data that starts like compressed data as it was before.
pub(crate) fn open<'d>(
    compression: Compression,
    data: &'d [u8],
    limit: usize,
    dictionaries: &[Dictionary],
) -> Result<Plain<'d>, NotDecompressed> {
    let mut out = Vec::new();
    // One byte more shows that there is more.
    let most = (limit as u64).saturating_add(1);
    let read = dictionary_of(compression, data, dictionaries)
        .and_then(|dictionary| compression.reader(data, dictionary))
        .and_then(|reader| reader.take(most).read_to_end(&mut out));
    match read {
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

/// Returns the dictionary that data names. Data that names none is read with the first: it has no need of it, or the first does not have
/// an id.
fn dictionary_of<'d>(
    compression: Compression,
    data: &[u8],
    dictionaries: &'d [Dictionary],
) -> io::Result<Option<&'d DecoderDictionary<'static>>> {
    let id = match compression {
        Compression::Zstd => zstd_safe::get_dict_id_from_frame(data),
        _ => None,
    };
    let found = match id {
        Some(_) => dictionaries.iter().find(|dictionary| dictionary.id == id),
        None => dictionaries.first(),
    };
    match (found, id) {
        (None, Some(id)) => Err(io::Error::other(format!(
            "it needs the dictionary with the id {id}: --dictionary names its file"
        ))),
        (found, _) => Ok(found.map(|dictionary| &*dictionary.reading)),
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
            let decompress = |max_decompressed| open(compression, &compressed, max_decompressed, &[]);
            let plain = decompress(1 << 20).unwrap();
            assert_eq!((plain.data.as_ref(), plain.compression), (&data[..], Some(compression)));
            let error = decompress((1 << 20) - 1).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "decompressed by {compression} it is longer than 1048575 bytes, the limit of --max-decompressed"
                )
            );
        }
    }

    #[test]
    fn text_that_starts_like_zlib_is_text() {
        let plain = open(Compression::Zlib, b"x^2 + 1", 100, &[]).unwrap();
        assert_eq!((plain.data.as_ref(), plain.compression), (&b"x^2 + 1"[..], None));
        assert!(open(Compression::Zlib, b"x\x9c\xff", 100, &[]).is_err());
    }
}
