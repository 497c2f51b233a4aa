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
        B: __kpl::PayloadField,
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
                Self { id: __field_id, .. } => {
                    (&&&&__kpl::Probe::of(__field_id))
                        .key_kind()
                        .key(__field_id, __buffer)
                }
            }
        }
        #[inline]
        fn explicit_hash_key(
            &self,
        ) -> __kpl::Result<__kpl::Option<__kpl::HashKey>, __kpl::KeyError> {
            __kpl::Ok(
                match self {
                    Self { at: __field_at, .. } => __kpl::hash_key(__field_at),
                },
            )
        }
        fn tags(
            &self,
            __tags: &mut __kpl::Tags<'_>,
        ) -> __kpl::Result<(), __kpl::KeyError> {
            use __kpl::{ViaOptionTag as _, ViaTag as _};
            match self {
                Self { trace: __field_trace, .. } => {
                    (&__kpl::Probe::of(__field_trace))
                        .tag_kind()
                        .push(__field_trace, "trace", __tags)?;
                }
            }
            __kpl::Ok(())
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            let Self { body: __field_body, .. } = self;
            __kpl::Ok(__kpl::raw_payload(__field_body))
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            true
        }
    }
    #[automatically_derived]
    impl<'__kpl, B> __kpl::FromKplRecord<'__kpl> for Envelope<B>
    where
        B: __kpl::RestoredPayload<'__kpl>,
    {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            use __kpl::{ViaBorrow as _, ViaOptionTag as _, ViaParse as _, ViaTag as _};
            __kpl::Ok(Self {
                id: (&__kpl::Probe::<u32>::new())
                    .restore_kind()
                    .restore::<u32>("id", __record.partition_key)?,
                at: __kpl::restore_hash_key::<
                    Option<u128>,
                >("at", __record.explicit_hash_key)?,
                trace: (&__kpl::Probe::<Option<String>>::new())
                    .tag_kind()
                    .restore("trace", "trace", __record)?,
                body: __kpl::restore_payload::<B>(__record.data)?,
            })
        }
    }
};
