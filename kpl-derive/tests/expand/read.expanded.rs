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
    impl<'__kpl: 'a, 'a, T> __kpl::FromKplRecord<'__kpl> for Event<'a, T>
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
