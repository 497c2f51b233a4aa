use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;

use crate::{FromKplRecordOwned, KinesisRecord, KplRecord, ReadError, Tags, UserRecord};

/// Arbitrary values for the test that the derive generates.
#[diagnostic::on_unimplemented(
    message = "there are no values of `{Self}` to check",
    label = "this needs the feature `arbitrary` of the crate `kpl`, and `{Self}` must implement `Arbitrary`",
    note = "or name a function that returns values: `#[kpl(check = samples)]`, with `fn samples() -> Vec<{Self}>`"
)]
pub trait ArbitraryValue: Sized {
    fn arbitrary_values() -> Vec<Self>;
}

#[cfg(feature = "arbitrary")]
#[diagnostic::do_not_recommend]
impl<T: for<'a> ::arbitrary::Arbitrary<'a>> ArbitraryValue for T {
    fn arbitrary_values() -> Vec<Self> {
        const VALUES: usize = 256;
        // The same bytes in every run, by xorshift64*.
        let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut next = || {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_be_bytes()
        };
        let of_bytes = |len: usize| {
            let bytes: Vec<u8> = core::iter::repeat_with(&mut next).take(len).flatten().collect();
            T::arbitrary_take_rest(::arbitrary::Unstructured::new(&bytes)).ok()
        };
        (0..VALUES).filter_map(of_bytes).collect()
    }
}

/// Returns arbitrary values, the same ones in every run.
#[must_use]
pub fn arbitrary_values<T: ArbitraryValue>() -> Vec<T> {
    T::arbitrary_values()
}

/// Writes each value, reads it and compares: the value, and its keys and tags. A value whose keys or tags are an error is
/// not sent and not compared. A value that is not equal to itself, such as one with NaN, is compared by its payload.
///
/// # Panics
///
/// If a value is not read as it was written, or if no value was compared.
#[track_caller]
#[expect(clippy::panic, reason = "a check says by a panic what is wrong")]
pub fn check<T: KplRecord + FromKplRecordOwned + PartialEq + Debug>(values: impl IntoIterator<Item = T>) {
    let name = core::any::type_name::<T>();
    let mut compared = 0_usize;
    let mut refused = None;
    for sent in values {
        let written = match Written::of(&sent) {
            Ok(written) => written,
            Err(error) => {
                refused.get_or_insert((sent, error));
                continue;
            }
        };
        let payload = match &written.payload {
            Ok(payload) => payload,
            Err(error) => panic!("a `{name}` cannot be written: {error}\n  the value: {sent:?}"),
        };
        let back: T = match written.read(payload) {
            Ok(back) => back,
            Err(error) => panic!(
                "a `{name}` cannot be read as it is written: {error}\n  the value: {sent:?}\n  payload: b\"{}\"",
                payload.escape_ascii()
            ),
        };
        #[expect(clippy::eq_op, reason = "NaN is not equal to itself")]
        let comparable = sent == sent;
        let again = Written::of(&back).ok();
        let same_payload = || {
            let again = again.as_ref().and_then(|again| again.payload.as_ref().ok());
            again == Some(payload)
        };
        let same = if comparable { sent == back } else { same_payload() };
        assert!(
            same,
            "a `{name}` is not read as it was written{}\n  written: {sent:?}\n  read: {back:?}\n  payload: b\"{}\"",
            first_difference(&sent, &back),
            payload.escape_ascii()
        );
        assert!(
            again.is_some_and(|again| again.beside == written.beside),
            "a `{name}` has other keys or tags once it is read\n  written: {sent:?}\n  read: {back:?}"
        );
        compared += 1;
    }
    match refused {
        _ if compared > 0 => {}
        Some((value, error)) => panic!(
            "no value of `{name}` was compared: the keys or tags of all of them are errors\n  the first error: {error}\n  \
             the value: {value:?}"
        ),
        None => panic!("there are no values of `{name}` to check"),
    }
}

/// What travels of a value.
struct Written {
    payload: Result<Vec<u8>, crate::CodecError>,
    beside: Beside,
}

#[derive(PartialEq)]
struct Beside {
    partition_key: String,
    explicit_hash_key: Option<crate::HashKey>,
    tags: Tags<'static>,
}

impl Written {
    fn of(value: &impl KplRecord) -> Result<Self, crate::KeyError> {
        let mut tags = Tags::new();
        value.tags(&mut tags)?;
        let beside = Beside {
            partition_key: value.partition_key(&mut String::new())?.into(),
            explicit_hash_key: value.explicit_hash_key()?,
            tags: tags.into_owned(),
        };
        let payload = value.payload(&mut Vec::new()).map(Into::into);
        Ok(Self { payload, beside })
    }

    fn read<T: FromKplRecordOwned>(&self, payload: &[u8]) -> Result<T, ReadError> {
        let mut tags = Vec::new();
        self.beside.tags.write(&mut tags);
        let record = KinesisRecord::new(payload).with_partition_key(&self.beside.partition_key);
        let mut record = UserRecord::plain(record, 0);
        record.explicit_hash_key = self.beside.explicit_hash_key;
        record.tags = &tags;
        record.aggregated = true;
        T::from_user_record(&record)
    }
}

/// Returns the first lines that differ in what `Debug` shows: usually a field.
fn first_difference(sent: &impl Debug, back: &impl Debug) -> String {
    let (sent, back) = (alloc::format!("{sent:#?}"), alloc::format!("{back:#?}"));
    let mut lines = sent.lines().zip(back.lines());
    let difference = lines.find(|(sent, back)| sent != back);
    difference.map_or_else(String::new, |(sent, back)| {
        alloc::format!(": `{}` became `{}`", sent.trim(), back.trim())
    })
}
