#[doc(hidden)]
#[allow(
    dead_code,
    deprecated,
    non_snake_case,
    private_bounds,
    unused_qualifications,
    clippy::absolute_paths
)]
const _: () = {
    use ::kpl::derive_support as __kpl;
    #[automatically_derived]
    impl<'a, K: Clone, T, const N: usize> __kpl::KplRecord for Event<'a, K, T, N>
    where
        T: Copy,
        Json: __kpl::Codec<'static, Self>,
        K: __kpl::KeyField,
        T: __kpl::TagField,
    {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            use __kpl::{ViaDisplay as _, ViaText as _};
            match self {
                Self { key: field_key, .. } => {
                    (&__kpl::Probe::of(field_key)).key_kind().key(field_key, buffer)
                }
            }
        }
        fn tags(
            &self,
            tags: &mut __kpl::Tags<'_>,
        ) -> __kpl::Result<(), __kpl::KeyError> {
            use __kpl::{ViaOptionTag as _, ViaTag as _};
            match self {
                Self { tag: field_tag, .. } => {
                    (&__kpl::Probe::of(field_tag))
                        .tag_kind()
                        .push(field_tag, "tag", tags)?;
                }
            }
            __kpl::Ok(())
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            <Json as __kpl::Codec<'_, Self>>::encode(self, buffer)?;
            __kpl::Ok(buffer)
        }
    }
    #[automatically_derived]
    impl<'__kpl: 'a, 'a, K: Clone, T, const N: usize> __kpl::FromKplRecord<'__kpl>
    for Event<'a, K, T, N>
    where
        T: Copy,
        Json: __kpl::Codec<'__kpl, Self>,
    {
        #[inline]
        fn from_user_record(
            record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            <Json as __kpl::Codec<'_, Self>>::decode(record.data)
                .map_err(__kpl::ReadError::Payload)
        }
    }
};
