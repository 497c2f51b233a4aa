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
    #[derive(__kpl::serde::Serialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Click")]
    #[serde(rename_all = "camelCase")]
    #[serde(remote = "Click")]
    #[serde(bound(serialize = ""))]
    struct __Written<'a> {
        #[serde(skip)]
        user: &'a str,
        #[serde(default)]
        at_ms: u64,
    }
    struct __WrittenRef<'__kpl, 'a>(&'__kpl Click<'a>);
    #[automatically_derived]
    impl<'__kpl, 'a> __kpl::serde::Serialize for __WrittenRef<'__kpl, 'a> {
        fn serialize<__S>(&self, __serializer: __S) -> __kpl::Result<__S::Ok, __S::Error>
        where
            __S: __kpl::serde::Serializer,
        {
            __Written::<'a>::serialize(self.0, __serializer)
        }
    }
    #[automatically_derived]
    impl<'a> __kpl::KplRecord for Click<'a> {
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
                Self { user: __field_user, .. } => {
                    (&&&&__kpl::Probe::of(__field_user))
                        .key_kind()
                        .key(__field_user, __buffer)
                }
            }
        }
        #[inline]
        fn payload<'__a>(
            &'__a self,
            __buffer: &'__a mut __kpl::Vec<__kpl::u8>,
        ) -> __kpl::Result<&'__a [__kpl::u8], __kpl::CodecError> {
            __kpl::encode_elided::<
                kpl::codec::Postcard,
                _,
            >(&__WrittenRef(self), __buffer)?;
            __kpl::Ok(__buffer)
        }
        #[inline]
        fn always_wrapped(&self) -> __kpl::bool {
            true
        }
    }
    #[derive(__kpl::serde::Deserialize)]
    #[serde(crate = "__kpl::serde")]
    #[serde(rename = "Click")]
    #[serde(rename_all = "camelCase")]
    struct __Read<'a> {
        #[serde(skip)]
        user: __kpl::PhantomData<fn() -> &'a str>,
        #[serde(default)]
        at_ms: u64,
    }
    #[automatically_derived]
    impl<'__kpl: 'a, 'a> __kpl::FromKplRecord<'__kpl> for Click<'a> {
        #[inline]
        fn from_user_record(
            __record: &__kpl::UserRecord<'__kpl>,
        ) -> __kpl::Result<Self, __kpl::ReadError> {
            use __kpl::{ViaBorrow as _, ViaParse as _};
            let __read: __Read<'a> = __kpl::decode_elided::<
                kpl::codec::Postcard,
                _,
            >(__record.data)?;
            __kpl::Ok(
                match __read {
                    __Read { user: _, at_ms: __field_at_ms } => {
                        Self {
                            user: (&__kpl::Probe::<&'a str>::new())
                                .restore_kind()
                                .restore::<&'a str>("user", __record.partition_key)?,
                            at_ms: __field_at_ms,
                        }
                    }
                },
            )
        }
    }
};
