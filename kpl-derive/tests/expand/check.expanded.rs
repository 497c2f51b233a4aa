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
    impl __kpl::KplRecord for r#type {
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
            <kpl::codec::Json as __kpl::Encode<Self>>::encode(self, __buffer)?;
            __kpl::Ok(__buffer)
        }
    }
    #[automatically_derived]
    impl<'__kpl> __kpl::FromKplRecord<'__kpl> for r#type
    where
        kpl::codec::Json: __kpl::Decode<'__kpl, Self>,
    {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            <kpl::codec::Json as __kpl::Decode<'_, Self>>::decode(__record.data)
                .map_err(__kpl::ReadError::Payload)
        }
    }
};
#[cfg(test)]
#[doc(hidden)]
#[allow(
    dead_code,
    deprecated,
    non_snake_case,
    private_bounds,
    unused_qualifications,
    clippy::absolute_paths
)]
#[::core::prelude::v1::test]
fn kpl_check_type() {
    use ::kpl::derive_support as __kpl;
    trait __Check {
        fn __check();
    }
    impl __Check for r#type {
        fn __check() {
            __kpl::check::<r#type>(r#type::samples());
        }
    }
    <r#type as __Check>::__check();
}
