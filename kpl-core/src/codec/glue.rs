use alloc::vec::Vec;
use core::marker::PhantomData;
use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use super::buffer::with_buffer;
use super::{Decode, Encode};
use crate::error::CodecError;

/// Another codec's payloads behind the header of the [AWS Glue Schema Registry](https://docs.aws.amazon.com/glue/latest/dg/schema-registry.html),
/// as its libraries for Java write it.
///
/// The header says which version of a schema the payload has, and whether it is compressed: 18 bytes, and no call to AWS. Readers strip
/// it, whatever the version is, and take payloads without it as well: those that do not start with `03 00` or `03 05`, or are shorter
/// than 18 bytes. Payloads of `Json` and `Prost` never start so. With the other codecs all writers must write the header, or none.
///
#[cfg_attr(feature = "json", doc = "```")]
#[cfg_attr(not(feature = "json"), doc = "```ignore")]
/// use kpl_core::codec::{Decode, Encode, Glue, GlueHeader, GlueSchema, Json};
///
/// struct Clicks;
///
/// impl GlueSchema for Clicks {
///     fn version_id() -> Option<u128> {
///         Some(0xb7b4a7f0_9c96_4e4a_a687_fb5de9ef0c63)
///     }
/// }
///
/// let mut bytes = Vec::new();
/// Glue::<Json, Clicks>::encode("a click", &mut bytes)?;
/// let (header, payload) = GlueHeader::split(&bytes).unwrap();
/// assert_eq!(Some(header.version_id), Clicks::version_id());
/// assert_eq!(payload, br#""a click""#);
/// let read: String = Glue::<Json, Clicks>::decode(&bytes)?;
/// assert_eq!(read, "a click");
/// # Ok::<(), kpl_core::CodecError>(())
/// ```
///
/// What is read is copied, so types that borrow from the payload cannot be read. The bytes are those of
/// [SerializationDataEncoder](https://github.com/awslabs/aws-glue-schema-registry/blob/master/serializer-deserializer/src/main/java/com/amazonaws/services/schemaregistry/serializers/SerializationDataEncoder.java).
#[derive(Clone, Copy, Debug, Default)]
pub struct Glue<C, S>(PhantomData<fn() -> (C, S)>);

/// Says which version of a schema the payloads of [`Glue`] have.
pub trait GlueSchema {
    /// Whether payloads are compressed, by zlib. Reading takes both.
    const COMPRESSION: bool = false;

    /// The most bytes that a payload may take decompressed. One that would take more is an error of the kind
    /// [`TooLarge`](crate::CodecErrorKind::TooLarge).
    const LIMIT: usize = 64 << 20;

    /// Returns the id of the schema version, which is a UUID. It may be a constant, or come from the answer of `GetSchemaVersion` or
    /// `RegisterSchemaVersion`, which the program keeps in a `OnceLock`. Without one, writing is an error.
    fn version_id() -> Option<u128>;
}

/// The header of a payload of the AWS Glue Schema Registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlueHeader {
    /// The id of the schema version.
    pub version_id: u128,
    /// Whether what follows is compressed, by zlib.
    pub is_compressed: bool,
}

impl GlueHeader {
    const VERSION: u8 = 3;
    const PLAIN: u8 = 0;
    const ZLIB: u8 = 5;

    /// Returns the header of a payload and what follows it, or `None` if the payload does not have one.
    #[must_use]
    pub fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (&[version, compression], rest) = payload.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let is_header = version == Self::VERSION && matches!(compression, Self::PLAIN | Self::ZLIB);
        is_header.then_some((
            Self {
                version_id: u128::from_be_bytes(*id),
                is_compressed: compression == Self::ZLIB,
            },
            rest,
        ))
    }
}

impl<T: ?Sized, C: Encode<T>, S: GlueSchema> Encode<T> for Glue<C, S> {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let id =
            S::version_id().ok_or_else(|| CodecError::encode("Glue", "the id of the schema version is not known"))?;
        let compression = if S::COMPRESSION {
            GlueHeader::ZLIB
        } else {
            GlueHeader::PLAIN
        };
        out.extend([GlueHeader::VERSION, compression]);
        out.extend(id.to_be_bytes());
        if !S::COMPRESSION {
            return C::encode(value, out);
        }
        with_buffer(|plain| {
            C::encode(value, plain)?;
            let mut encoder = ZlibEncoder::new(out, Compression::default());
            encoder
                .write_all(plain)
                .and_then(|()| encoder.finish())
                .map(drop)
                .map_err(|error| CodecError::encode("Glue", error))
        })
    }
}

impl<T, C: for<'any> Decode<'any, T>, S: GlueSchema> Decode<'_, T> for Glue<C, S> {
    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        match GlueHeader::split(bytes) {
            None => C::decode(bytes),
            Some((header, plain)) if !header.is_compressed => C::decode(plain),
            Some((_, compressed)) => with_buffer(|plain| {
                decompress(compressed, plain, S::LIMIT)?;
                C::decode(plain)
            }),
        }
    }
}

/// Appends what was compressed. flate2's readers of zlib take bytes that are cut off as if they were whole.
fn decompress(compressed: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), CodecError> {
    let failed = |reason: &str| CodecError::decode("Glue", reason);
    let mut zlib = Decompress::new(true);
    let mut rest = compressed;
    loop {
        // One byte more shows that there is more.
        let room = limit.saturating_sub(out.len()).saturating_add(1);
        out.reserve(room.min(out.len().max(4 * compressed.len()).max(64)));
        let (read, written) = (zlib.total_in(), out.len());
        let status = zlib
            .decompress_vec(rest, out, FlushDecompress::None)
            .map_err(|error| CodecError::decode("Glue", error))?;
        let read = usize::try_from(zlib.total_in() - read).unwrap_or(usize::MAX);
        rest = rest.get(read..).unwrap_or_default();
        if out.len() > limit {
            return Err(CodecError::too_large("Glue", limit));
        }
        match status {
            Status::StreamEnd if rest.is_empty() => return Ok(()),
            Status::StreamEnd => return Err(failed("other bytes follow the compressed ones")),
            _ if read == 0 && out.len() == written => return Err(failed("the compressed bytes are cut off")),
            _ => {}
        }
    }
}
