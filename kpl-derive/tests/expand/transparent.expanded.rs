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
    impl<T> __kpl::KplRecord for Newtype<T>
    where
        T: __kpl::KplRecord,
    {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            <T as __kpl::KplRecord>::partition_key(&self.0, __buffer)
        }
        #[inline]
        fn explicit_hash_key(
            &self,
        ) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            <T as __kpl::KplRecord>::explicit_hash_key(&self.0)
        }
        #[inline]
        fn tags(
            &self,
            __tags: &mut __kpl::Tags<'_>,
        ) -> __kpl::Result<(), __kpl::KeyError> {
            <T as __kpl::KplRecord>::tags(&self.0, __tags)
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            <T as __kpl::KplRecord>::payload(&self.0, __buffer)
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            <T as __kpl::KplRecord>::always_wrapped(&self.0)
        }
    }
    #[automatically_derived]
    impl<'__kpl, T> __kpl::FromKplRecord<'__kpl> for Newtype<T>
    where
        T: __kpl::FromKplRecord<'__kpl>,
    {
        const MALFORMED: __kpl::MalformedPolicy = <T as __kpl::FromKplRecord<
            '_,
        >>::MALFORMED;
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            __kpl::Ok(Self {
                0: <T as __kpl::FromKplRecord<'_>>::from_user_record(__record)?,
            })
        }
    }
};
