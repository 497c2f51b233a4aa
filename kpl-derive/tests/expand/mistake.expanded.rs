::core::compile_error! {
    "`Event` has no partition key: mark a field with `#[kpl(partition_key)]`, or write a template of fields on the type: `#[kpl(partition_key = \"{key}/{body}\")]`"
}
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
    impl<'a, T: Clone> __kpl::KplRecord for Event<'a, T> {
        fn partition_key<'__a>(
            &'__a self,
            _: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            __kpl::core::unreachable!()
        }
        fn payload<'__a>(
            &'__a self,
            _: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            __kpl::core::unreachable!()
        }
    }
    #[automatically_derived]
    impl<'__kpl: 'a, 'a, T: Clone> __kpl::FromKplRecord<'__kpl> for Event<'a, T> {
        fn from_user_record(
            _: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            __kpl::core::unreachable!()
        }
    }
};
