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
    impl<T> __kpl::KplRecord for Event<T>
    where
        T: Serialize + DeserializeOwned,
    {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            use __kpl::{
                ViaAsRef as _, ViaDisplay as _, ViaOption as _, ViaOther as _,
                ViaText as _,
            };
            match self {
                Self { key: __field_key, .. } => {
                    (&&&&__kpl::Probe::of(__field_key))
                        .key_kind()
                        .key(__field_key, __buffer)
                }
            }
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            <Json as __kpl::Encode<Self>>::encode(self, __buffer)?;
            __kpl::Ok(__buffer)
        }
    }
    #[automatically_derived]
    impl<'__kpl, T> __kpl::FromKplRecord<'__kpl> for Event<T>
    where
        T: Serialize + DeserializeOwned,
    {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            <Json as __kpl::Decode<'_, Self>>::decode(__record.data)
                .map_err(__kpl::ReadError::Payload)
        }
    }
};
