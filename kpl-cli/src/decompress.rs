//! `--decompress`: data as it was before it was compressed.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use clap::builder::ValueHint;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Args, Command, FromArgMatches};
use zstd::dict::DecoderDictionary;
use zstd::zstd_safe;

use crate::compression::Compression;
use crate::forms::positive_bytes;

/// The most bytes that a dictionary may have.
const MAX_DICTIONARY: u64 = 16 << 20;

#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("given_dictionaries").arg(DICTIONARIES).multiple(true).requires("decompress"))]
pub(crate) struct Decompress {
    /// Decompress data that is gzip, zlib, zstd or lz4. Data that cannot be decompressed stays as it is, and that is told
    #[arg(long)]
    decompress: bool,

    /// The most bytes that the data of a record may take decompressed
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20, requires = "decompress", value_parser = positive_bytes)]
    max_decompressed: usize,

    #[command(flatten)]
    dictionaries: Dictionaries,
}

/// The id of the argument.
const DICTIONARIES: &str = "dictionaries";

/// The dictionaries that data was compressed with. At most one of them does not have an id, so that it is clear which one data needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dictionaries(Vec<Dictionary>);

impl Args for Dictionaries {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(DICTIONARIES)
                .long("dictionary")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(dictionary)
                .value_hint(ValueHint::FilePath)
                .help("A dictionary that data was compressed with by zstd. It can be given several times; data names the one that it needs"),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Dictionaries {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = matches.get_many::<Dictionary>(DICTIONARIES).into_iter().flatten();
        let files = matches.get_raw(DICTIONARIES).into_iter().flatten();
        let without_id: Vec<_> = files
            .zip(given.clone())
            .filter(|(_, dictionary)| dictionary.id.is_none())
            .map(|(file, _)| file.to_string_lossy())
            .collect();
        if without_id.len() > 1 {
            return Err(clap::Error::raw(
                ErrorKind::ValueValidation,
                format!(
                    "these dictionaries do not have an id, so data cannot name the one that it needs: {}; give one of them\n",
                    without_id.join(", ")
                ),
            ));
        }
        Ok(Self(given.cloned().collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A dictionary of zstd, ready to read with.
#[derive(Clone)]
struct Dictionary {
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
fn dictionary(file: &str) -> Result<Dictionary, String> {
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

/// The most bytes that data may take decompressed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) bytes: usize,
    /// What it is to the user, such as "the limit of --max-decompressed".
    pub(crate) name: &'static str,
}

/// Why data stays compressed.
#[derive(Debug)]
pub(crate) enum NotDecompressed {
    TooLarge { compression: Compression, limit: Limit },
    Damaged { compression: Compression, error: io::Error },
}

impl fmt::Display for NotDecompressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { compression, limit } => write!(
                f,
                "decompressed by {compression} it is longer than {} bytes, {}",
                limit.bytes, limit.name
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
        let limit = Limit {
            bytes: limit.min(self.max_decompressed),
            name: "the limit of --max-decompressed",
        };
        match Compression::of(data).filter(|_| self.decompress) {
            Some(compression) => open(compression, data, limit, &self.dictionaries),
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
    limit: Limit,
    dictionaries: &Dictionaries,
) -> Result<Plain<'d>, NotDecompressed> {
    let mut out = Vec::new();
    // One byte more shows that there is more.
    let most = (limit.bytes as u64).saturating_add(1);
    let read = dictionary_of(compression, data, dictionaries)
        .and_then(|dictionary| compression.reader(data, dictionary))
        .and_then(|reader| reader.take(most).read_to_end(&mut out));
    match read {
        Ok(_) if out.len() > limit.bytes => Err(NotDecompressed::TooLarge { compression, limit }),
        Ok(_) => Ok(Plain {
            data: out.into(),
            compression: Some(compression),
        }),
        // Text may start like zlib.
        Err(_) if str::from_utf8(data).is_ok() => Ok(data.into()),
        Err(error) => Err(NotDecompressed::Damaged { compression, error }),
    }
}

/// Returns the dictionary that data names. Data that does not name one is read with the dictionary that does not have an id. Otherwise
/// it is read with the first one: either it does not need it, or the id was left out of the data.
fn dictionary_of<'d>(
    compression: Compression,
    data: &[u8],
    Dictionaries(dictionaries): &'d Dictionaries,
) -> io::Result<Option<&'d DecoderDictionary<'static>>> {
    let id = match compression {
        Compression::Zstd => zstd_safe::get_dict_id_from_frame(data),
        _ => None,
    };
    let found = dictionaries.iter().find(|dictionary| dictionary.id == id);
    let found = match id {
        Some(_) => found,
        None => found.or(dictionaries.first()),
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

    /// A limit of a command's own.
    const fn limit(bytes: usize) -> Limit {
        Limit {
            bytes,
            name: "the limit of --some-option",
        }
    }

    #[test]
    fn the_limit_is_the_most_that_comes_out() {
        let data = vec![b'a'; 1 << 20];
        for compression in ALL {
            let compressed = compress(compression, &data);
            let none = Dictionaries::default();
            let decompress = |bytes| open(compression, &compressed, limit(bytes), &none);
            let plain = decompress(1 << 20).unwrap();
            assert_eq!((plain.data.as_ref(), plain.compression), (&data[..], Some(compression)));
            let error = decompress((1 << 20) - 1).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("decompressed by {compression} it is longer than 1048575 bytes, the limit of --some-option")
            );
        }
    }

    #[test]
    fn text_that_starts_like_zlib_is_text() {
        let none = Dictionaries::default();
        let plain = open(Compression::Zlib, b"x^2 + 1", limit(100), &none).unwrap();
        assert_eq!((plain.data.as_ref(), plain.compression), (&b"x^2 + 1"[..], None));
        assert!(open(Compression::Zlib, b"x\x9c\xff", limit(100), &none).is_err());
    }
}
