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
    #[derive(__kpl::serde::Deserialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Event")]
    enum __Read {
        Created { #[serde(skip)] user: __kpl::PhantomData<fn() -> String>, at_ms: u64 },
        Tick,
    }
    #[automatically_derived]
    impl<'__kpl> __kpl::FromKplRecord<'__kpl> for Event {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            use __kpl::{ViaBorrow as _, ViaParse as _};
            let __read: __Read = __kpl::decode_elided::<
                kpl::codec::Postcard,
                _,
            >(__record.data)?;
            __kpl::Ok(
                match __read {
                    __Read::Created { user: _, at_ms: __field_at_ms } => {
                        Self::Created {
                            user: (&__kpl::Probe::<String>::new())
                                .restore_kind()
                                .restore::<String>("user", __record.partition_key)?,
                            at_ms: __field_at_ms,
                        }
                    }
                    __Read::Tick {} => Self::Tick {},
                },
            )
        }
    }
};
