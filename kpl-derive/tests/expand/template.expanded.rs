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
    use crate::streams::derive_support as __kpl;
    #[automatically_derived]
    impl __kpl::KplRecord for Event {
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
                Self { tenant: __field_tenant, r#type: __field_type, .. } => {
                    __kpl::write_key(
                        __buffer,
                        __kpl::core::format_args!(
                            "{{{}}}/{:?}/{}", (&& && __kpl::Probe::of(__field_tenant))
                            .key_kind().part(__field_tenant), __field_type, (&& &&
                            __kpl::Probe::of(__field_tenant)).key_kind()
                            .part(__field_tenant)
                        ),
                    )
                }
            }
        }
        #[inline]
        fn explicit_hash_key(
            &self,
        ) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            __kpl::Ok(__kpl::hash_key(&placement(self)))
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
    impl<'__kpl> __kpl::FromKplRecord<'__kpl> for Event
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
