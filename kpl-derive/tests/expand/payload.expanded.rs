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
    impl<B> __kpl::KplRecord for Envelope<B>
    where
        B: __kpl::PayloadField<'static>,
    {
        #[inline]
        fn partition_key<'__a>(
            &'__a self,
            buffer: &'__a mut __kpl::String,
        ) -> __kpl::Result<&'__a __kpl::str, __kpl::KeyError> {
            use __kpl::{ViaDisplay as _, ViaText as _};
            match self {
                Self { id: field_id, .. } => {
                    (&__kpl::Probe::of(field_id)).key_kind().key(field_id, buffer)
                }
            }
        }
        #[inline]
        fn explicit_hash_key(
            &self,
        ) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            __kpl::Ok(
                match self {
                    Self { at: field_at, .. } => __kpl::hash_key(field_at),
                },
            )
        }
        fn tags(
            &self,
            tags: &mut __kpl::Tags<'_>,
        ) -> __kpl::Result<(), __kpl::KeyError> {
            use __kpl::{ViaOptionTag as _, ViaTag as _};
            match self {
                Self { trace: field_trace, .. } => {
                    (&__kpl::Probe::of(field_trace))
                        .tag_kind()
                        .push(field_trace, "trace", tags)?;
                }
            }
            __kpl::Ok(())
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            let Self { body: field_body, .. } = self;
            __kpl::Ok(__kpl::raw_payload(field_body))
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            let Self { at: field_at, .. } = self;
            __kpl::hash_key(field_at).is_some()
        }
    }
    #[automatically_derived]
    impl<'__kpl, B> __kpl::FromKplRecord<'__kpl> for Envelope<B>
    where
        B: __kpl::PayloadField<'__kpl>,
    {
        #[inline]
        fn from_user_record(
            record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            use __kpl::{ViaBorrow as _, ViaOptionTag as _, ViaParse as _, ViaTag as _};
            __kpl::Ok(Self {
                id: (&__kpl::Probe::<u32>::new())
                    .restore_kind()
                    .restore::<u32>("id", record.partition_key)?,
                at: __kpl::restore_hash_key::<
                    Option<u128>,
                >("at", record.explicit_hash_key)?,
                trace: (&__kpl::Probe::<Option<String>>::new())
                    .tag_kind()
                    .restore("trace", "trace", record)?,
                body: __kpl::restore_payload::<B>(record.data)?,
            })
        }
    }
};
