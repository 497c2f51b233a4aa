::core::compile_error! {
    "`Event` has no codec: add `#[kpl(codec = ...)]` with kpl::codec::Json, kpl::codec::Postcard, kpl::codec::Bincode, kpl::codec::Prost, kpl::codec::Raw, or a codec of your own"
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
    impl<'__kpl> __kpl::FromKplRecord<'__kpl> for Event {
        fn from_user_record(
            _: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            __kpl::core::unreachable!()
        }
    }
};
