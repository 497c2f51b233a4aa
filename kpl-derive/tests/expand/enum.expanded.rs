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
                Self::Created { user: __field_user, .. } => {
                    (&&&&__kpl::Probe::of(__field_user))
                        .key_kind()
                        .key(__field_user, __buffer)
                }
                Self::Moved { 0: __field_0, 1: __field_1, .. } => {
                    __kpl::write_key(
                        __buffer,
                        __kpl::core::format_args!(
                            "{}-{}", (&& && __kpl::Probe::of(__field_0)).key_kind()
                            .part(__field_0), (&& && __kpl::Probe::of(__field_1))
                            .key_kind().part(__field_1)
                        ),
                    )
                }
                Self::Tick { .. } => __kpl::Ok("tick"),
            }
        }
        #[inline]
        fn explicit_hash_key(
            &self,
        ) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            __kpl::Ok(
                match self {
                    Self::Created { at: __field_at, .. } => __kpl::hash_key(__field_at),
                    Self::Moved { .. } => __kpl::None,
                    Self::Tick { .. } => __kpl::None,
                },
            )
        }
        fn tags(
            &self,
            __tags: &mut __kpl::Tags<'_>,
        ) -> __kpl::Result<(), __kpl::KeyError> {
            use __kpl::{ViaOptionTag as _, ViaTag as _};
            match self {
                Self::Created { .. } => {}
                Self::Moved { 1: __field_1, .. } => {
                    (&__kpl::Probe::of(__field_1))
                        .tag_kind()
                        .push(__field_1, "to", __tags)?;
                }
                Self::Tick { .. } => {}
            }
            __kpl::Ok(())
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
    impl<'__kpl> __kpl::FromKplRecord<'__kpl> for Event
    where
        Json: __kpl::Decode<'__kpl, Self>,
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
